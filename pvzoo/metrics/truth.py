"""Read the labels of a semantic or panoptic row for metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pvzoo.data.maps import read_map, replaced
from pvzoo.data.schema import VOID
from pvzoo.errors import DataError
from pvzoo.metrics.base import class_ids, column
from pvzoo.metrics.class_match import LabelMatch


def read_truth(
    row: Mapping[str, Any], size: tuple[int, int], match: LabelMatch, void: int
) -> tuple[np.ndarray, np.ndarray]:
    """The segment of each pixel and the class of each segment.

    Args:
        row: A row with `annotation` and `segments`.
        size: (height, width) of the image.
        match: The matched classes; classes that the model does not have become void.
        void: The value of the map that is void unless a segment has this value as its id.

    Returns:
        (height, width) int64 indices of `segments`, n for `void`; (n + 1,) int64 classes of the
        data, or `VOID`.

    Raises:
        DataError: The map is missing, cannot be read, has another size than the image, or has a
            value that is neither listed nor void; or the segments are missing or damaged.
    """
    name = row["file_name"]
    values = read_map(row["annotation"], f"The map of {name}")
    if values.shape != size:
        (height, width), (h, w) = size, values.shape
        raise DataError(
            f"{name} is {width} x {height} pixels, but its map is {w} x {h}.",
            "Export the map at the size of the image, without interpolation.",
        )
    segments = row["segments"]
    if not segments or segments["id"] is None:
        raise DataError(
            f"{name} has no segments, so it is not known what the values of its map mean.",
            "Export it again, or leave the row out; pvzoo.data.check finds all such rows.",
        )
    count = len(segments["id"])
    ids = column(row, "segments.id", segments["id"], (count,), np.int64)
    if len(np.unique(ids)) < count:
        raise DataError(
            f"{name} lists a segment twice: {ids.tolist()}.", "Give each segment its own id."
        )
    classes = class_ids(row, "segments.category", segments["category"], len(match.data), void=True)
    if len(classes) != count:
        raise DataError(
            f"{name} lists {count} segments but {len(classes)} classes.", "Export it again."
        )
    indices = find(values, ids)
    strange = (indices == count) & (values != void)
    if strange.any():
        raise DataError(
            f"The map of {name} has values without a segment: "
            f"{np.unique(values[strange])[:5].tolist()}.",
            "List them in its segments; pvzoo.data.check finds all such maps.",
        )
    return indices, np.append(np.where(np.isin(classes, match.common), classes, VOID), VOID)


def find(values: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """The index of each value in `ids`, in the shape of `values`; len(ids) if it is not in them."""
    table = {value: index for index, value in enumerate(ids.tolist())}
    return replaced(values, table, len(ids)).astype(np.int64)
