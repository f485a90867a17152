"""Read Roboflow's ``_classes.csv``: several classes per image, or the values of semantic masks.

The file is in the folder of each split, beside the images (roboflow.com/formats). For multi-label
classification its columns are ``filename`` and one for each class, with 0 or 1. For semantic masks
it has a row for each class, ``Pixel Value, Class``, and the mask of ``1.jpg`` is ``1_mask.png``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data.files import (
    Split,
    folders,
    image_cell,
    images,
    is_file,
    listing,
    quoted,
    read_text,
    split_name,
)
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.folders.read import semantic_rows
from pvzoo.data.map_classes import classes_of
from pvzoo.data.paths import Area
from pvzoo.data.schema import CLASSIFICATION, SEMANTIC, features
from pvzoo.data.store import write
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

NAME = "_classes.csv"


class ClassesCsv(Format):
    """A table of classes beside the images of each split."""

    name = "roboflow-csv"
    title = "Roboflow's _classes.csv"
    layout = "a _classes.csv beside images"
    reads = (CLASSIFICATION, SEMANTIC)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """One split for each folder that has such a file."""
        path = source.path.parent if source.path.name == NAME else source.path
        places = {split_name(f.name): f for f in folders(path) if split_name(f.name)}
        found = {name: f for name, f in {None: path, **places}.items() if is_file(f / NAME)}
        tables = {name: _rows(folder / NAME) for name, folder in found.items()}
        if not tables:
            return []
        heads = {tuple(rows[0]) for rows in tables.values()}
        if any(_is_of_values(first) for first in heads):
            return [Split(name, partial(_maps, f, tables[name], path)) for name, f in found.items()]
        names = list(dict.fromkeys(name for first in heads for name in first[1:]))
        return [
            Split(name, partial(_labels, f, tables[name], names, source.area))
            for name, f in found.items()
        ]


def _rows(file: Path) -> list[list[str]]:
    """The cells of a table; its first line is the header."""
    try:
        rows = list(csv.reader(read_text(file).splitlines(), skipinitialspace=True))
    except csv.Error as error:
        raise DataError(f"{file} is not CSV ({error}).", "Export it again.") from error
    rows = [[cell.strip() for cell in row] for row in rows if row]
    wrong = next((i for i, row in enumerate(rows, 1) if len(row) != len(rows[0])), None)
    if not rows or len(rows[0]) < 2 or wrong:
        raise DataError(f"{file}:{wrong or 1} has too few or too many columns.", "Export it again.")
    return rows


def _is_of_values(first: Sequence[str]) -> bool:
    return [cell.lower() for cell in first] == ["pixel value", "class"]


def _labels(
    folder: Path, rows: list[list[str]], names: list[str], area: Area, task: str | None
) -> Dataset:
    indices = {name: index for index, name in enumerate(names)}
    first, *lines = rows
    found = area.locate([line[0] for line in lines], [folder], str(folder / NAME))

    def labelled() -> Iterator[dict[str, Any]]:
        for image_id, (line, at) in enumerate(zip(lines, found, strict=True)):
            labels = [
                indices[name]
                for name, cell in zip(first[1:], line[1:], strict=True)
                if _flag(cell, folder, image_id)
            ]
            name = at.file_name(folder)
            head = {"image": image_cell(at.path), "image_id": image_id, "file_name": name}
            yield head | {"labels": labels}

    columns = features(CLASSIFICATION, names, multi_label=True)
    about = ("classes csv", [(str(f.path), f.found) for f in found])
    return write(labelled, columns, [folder / NAME], *about)


def _flag(cell: str, folder: Path, row: int) -> bool:
    if cell not in ("0", "1"):
        raise DataError(
            f"{folder / NAME}:{row + 2} has {quoted(cell)} for a class.", "Write 0 or 1."
        )
    return cell == "1"


def _maps(folder: Path, rows: list[list[str]], root: Path, task: str | None) -> Dataset:
    names: dict[int, str] = {}
    for line, (value, name) in enumerate(rows[1:], 2):
        if not (value.isascii() and value.isdecimal() and len(value) < 6) or not name:
            raise DataError(
                f"{folder / NAME}:{line} is not a pixel value with its class.", "Export it again."
            )
        names[int(value)] = name
    found = images(folder)
    masks = {f.stem.removesuffix("_mask"): f for f in found if f.stem.endswith("_mask")}
    unmasked = [f for f in found if not f.stem.endswith("_mask")]
    without = [f.name for f in unmasked if f.stem not in masks]
    if without:
        raise DataError(
            f"Images in {folder} have no mask: {listing(without, 3)}.",
            "Add the masks: the mask of 1.jpg is 1_mask.png.",
        )
    pairs = [(f, masks[f.stem]) for f in unmasked]
    return semantic_rows(pairs, classes_of(names, list(masks.values()), NAME), root)
