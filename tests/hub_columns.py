"""Datasets with the usual columns of the Hub."""

from __future__ import annotations

import io
from typing import Any

import datasets
import numpy as np
from datasets import Dataset, Features, List
from datasets import Image as ImageColumn
from PIL import Image


def random_image(rng: np.random.Generator, width: int = 9, height: int = 7) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def cell(image: Image.Image, path: str | None = None) -> dict[str, Any]:
    return {"bytes": encoded(image), "path": path}


def from_rows(rows: list[dict[str, Any]], **columns: Any) -> Dataset:
    """A dataset whose class ids are not checked, as one read from Parquet."""
    kinds = Features({"image": ImageColumn(), **columns})
    table = datasets.table.InMemoryTable.from_pylist(rows, schema=kinds.arrow_schema)
    return Dataset(table, info=datasets.DatasetInfo(features=kinds))


def struct(kinds: dict[str, Any]) -> dict[str, Any]:
    return {name: List(kind) for name, kind in kinds.items()}


def mapped(maps: list[Image.Image], column: str = "annotation", **more: Any) -> Dataset:
    rng = np.random.default_rng(0)
    rows = [{"image": cell(random_image(rng, *m.size)), column: cell(m)} for m in maps]
    kinds = {column: ImageColumn()}
    for name, (kind, values) in more.items():
        kinds[name] = kind
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    return from_rows(rows, **kinds)


def random_map(rng: np.random.Generator, values: list[int], mode: str = "L") -> Image.Image:
    height, width = rng.integers(5, 20, 2)
    chosen = rng.choice(values, (height, width))
    image = Image.fromarray(chosen.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        image.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
    return image
