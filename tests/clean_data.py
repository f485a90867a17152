"""Small labelled datasets of every task without a mistake, as rows that a test can break."""

from __future__ import annotations

import copy
import io
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from pvzoo.data import store
from pvzoo.data.schema import (
    CLASSIFICATION,
    DETECTION,
    INSTANCE,
    PANOPTIC,
    features,
)
from pvzoo.results.masks import encode

NAMES = ("circle", "square", "star")
WIDTH, HEIGHT = 96, 64

_numbers = iter(range(10**9))


def encoded(pixels: np.ndarray, orientation: int = 1, suffix: str = "PNG") -> dict[str, Any]:
    """An image as a row of a dataset holds it, with an EXIF orientation."""
    file, image = io.BytesIO(), Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if orientation != 1 else {}
    image.save(file, suffix, compress_level=1, **options)
    return {"bytes": file.getvalue(), "path": None}


def noise(rng: np.random.Generator, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def mask_code(mask: np.ndarray) -> dict[str, Any]:
    counts = encode(mask.astype(bool), 0, 0, mask.shape).decode()
    return {"size": list(mask.shape), "counts": counts}


def box_code(bbox: Sequence[float], width: int = WIDTH, height: int = HEIGHT) -> dict[str, Any]:
    """The mask of the pixels in a box."""
    x, y, w, h = bbox
    mask = np.zeros((height, width), bool)
    mask[round(y) : max(round(y + h), round(y) + 1), round(x) : max(round(x + w), round(x) + 1)] = 1
    return mask_code(mask)


def objects(bboxes: Sequence[Any], categories: Sequence[Any], first_id: int = 1) -> dict[str, Any]:
    """The objects of a row, neither crowds nor ignored."""
    n = len(bboxes)
    return {
        "id": list(range(first_id, first_id + n)),
        "bbox": [list(map(float, b)) for b in bboxes],
        "category": list(categories),
        "area": [float(b[2] * b[3]) for b in bboxes],
        "iscrowd": [False] * n,
        "ignore": [False] * n,
    }


def rows(task: str, count: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of noise with labels anywhere: crowds, ignored and tiny objects, void, empty images."""
    return copy.deepcopy(_rows(task, count, seed))


@cache
def _rows(task: str, count: int, seed: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        row: dict[str, Any] = {
            "image": encoded(noise(rng)),
            "image_id": number,
            "file_name": f"{number}.png",
        }
        if task == CLASSIFICATION:
            row["label"] = number % len(NAMES)
        elif task in (DETECTION, INSTANCE):
            row |= {"width": WIDTH, "height": HEIGHT}
            row["objects"] = _some_objects(rng, number, masks=task == INSTANCE)
        else:
            row |= _some_map(rng, panoptic=task == PANOPTIC)
        made.append(row)
    return made


def _some_objects(rng: np.random.Generator, number: int, *, masks: bool) -> dict[str, Any]:
    n = 0 if number % 6 == 5 else int(rng.integers(1, 5))
    sides = rng.integers(4, (WIDTH * 2 // 3, HEIGHT * 2 // 3), (n, 2))
    corners = rng.integers(0, (WIDTH, HEIGHT) - sides + 1)
    bboxes = np.hstack([corners, sides]).tolist()
    if n and number % 6 == 0:
        bboxes[0] = [0, 0, WIDTH, HEIGHT]  # on the frame
    elif n and number % 6 == 1:
        bboxes[0] = [30.25, 20.5, 1.25, 1.5]  # hardly more than a pixel
    elif n and number % 6 == 2:
        bboxes[0] = [WIDTH - 20.0, -0.75, 20.75, 10]  # out of the frame by less than a pixel
    made = objects(bboxes, [(number + i) % len(NAMES) for i in range(n)], 10 * number)
    made["iscrowd"] = [number % 6 == 3] * n
    made["ignore"] = [number % 6 == 4] * n
    if masks:
        made["segmentation"] = [box_code(np.maximum(b, 0)) for b in bboxes]
        made["area"] = [a + 1 for a in made["area"]]  # a mask's own, not that of the box
    return made


def _some_map(rng: np.random.Generator, *, panoptic: bool) -> dict[str, Any]:
    blocks = rng.integers(0, 3, (HEIGHT // 16, WIDTH // 16))
    blocks.flat[:3] = rng.permutation(3)
    values = np.kron(blocks, np.ones((16, 16), int)).astype(np.uint8)
    values[:2, :] = 255
    if not panoptic:
        segments: dict[str, Any] = {"id": [0, 1, 2], "category": [0, 1, 2]}
        return {"annotation": encoded(values), "segments": segments}
    ids = np.array([70_000, 300, 7])[np.minimum(values, 2)]
    ids[:2, :] = 0
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    segments = {
        "id": [70_000, 300, 7],
        "category": [0, 1, 2],
        "isthing": [True, True, False],
        "iscrowd": [False, True, False],
    }
    return {"annotation": encoded(colours), "segments": segments}


def dataset(
    task: str,
    made: Iterable[dict[str, Any]],
    *,
    names: Sequence[str] = NAMES,
    multi_label: bool = False,
) -> datasets.Dataset:
    """The canonical dataset of some rows, mistakes and all; needs the fixture `own_cache`."""
    columns = features(task, names, multi_label=multi_label)
    path = Path(datasets.config.HF_DATASETS_CACHE) / f"rows-{next(_numbers)}.arrow"
    store.save(path, made, columns)
    return datasets.Dataset.from_file(str(path))


def plain(data: datasets.Dataset) -> list[dict[str, Any]]:
    """All rows, images not decoded."""
    return data.with_format("arrow")[:].to_pylist()
