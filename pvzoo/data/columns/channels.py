"""Convert maps with classes in red and instances in green to canonical instance data.

transformers' example of instance segmentation and ADE20K's own maps have this form. A green of 0
means no instance. A column `semantic_class_to_id` may name the classes. If class 0 has a name such
as "background", it is not a class.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.columns.classes import Naming
from pvzoo.data.columns.rows import Rows, build
from pvzoo.data.columns.source import TaskColumns
from pvzoo.data.columns.values import said_names, seen_values, warn_of_numbers
from pvzoo.data.files import objects_of
from pvzoo.data.maps import open_map, values_of
from pvzoo.data.rle import masked_object
from pvzoo.data.schema import INSTANCE, SEMANTIC_VOID, VOID_NAMES, features
from pvzoo.errors import DataError
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    from datasets import Dataset

_BACKGROUND = VOID_NAMES | {"background", "other", "others"}


def instances(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: TaskColumns,
    column: str,
    names: Sequence[str] | None,
    reduce_labels: bool,
) -> dict[str, Dataset]:
    """The splits with canonical `objects`, one for each instance in the maps of `column`."""
    known = said_names(naming, names, reduce_labels)
    if known is None:
        known = {value: str(value) for value in seen_values(naming, column, _kinds)}
        warn_of_numbers(known)
    if reduce_labels or known.get(0, "").lower() in _BACKGROUND:
        known.pop(0, None)
    indices = {value: index for index, value in enumerate(sorted(known))}

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        numbers = itertools.count(1)
        for i, (row, head, _) in enumerate(rows.read([column])):
            pixels = _pixels(row[column], f"Row {i}: the {column}")
            found = []
            values = _instances(pixels)
            for value, code in zip(values, Masks.from_map(pixels, values).to_coco(), strict=True):
                kind = value % 256
                if kind not in indices and kind in (0, SEMANTIC_VOID):
                    continue
                # a number that is not a class is kept for the check to find
                category = indices.get(kind, len(indices) + kind)
                found.append(masked_object(code, next(numbers), category))
            head |= {"width": pixels.shape[1], "height": pixels.shape[0]}
            yield head | {"objects": objects_of(found, masks=True)}

    columns = features(INSTANCE, [known[value] for value in indices])
    return build(parts, source, columns, labels, indices, files=[column])


def _pixels(cell: Any, name: str) -> np.ndarray:
    """(height, width) values, class + 256 x instance; blue is ignored."""
    image = open_map(cell, name)
    if len(image.getbands()) < 3:
        raise DataError(
            f"{name} has no channel of instances.",
            "Read it as semantic-segmentation, or save the instances in the green channel.",
        )
    return values_of(image, name) % 65536


def _instances(pixels: np.ndarray) -> list[int]:
    """The values of instances."""
    return [int(value) for value in np.unique(pixels) if value >= 256]


def _kinds(cell: Any, name: str) -> set[int]:
    return {value % 256 for value in _instances(_pixels(cell, name))} - {0, SEMANTIC_VOID}
