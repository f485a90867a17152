"""Read objects from the maps of Pascal VOC: ``SegmentationObject`` and ``SegmentationClass``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as pycoco

from pvzoo.data.files import image_cell
from pvzoo.data.formats.voc.xml import Object
from pvzoo.data.maps import areas_of, read_map
from pvzoo.data.rle import masked_object
from pvzoo.data.schema import DETECTION
from pvzoo.errors import DataError
from pvzoo.results.ids_as_colours import ids_of
from pvzoo.results.masks import Masks

_BORDER = (255, int(ids_of((224, 224, 192))))  # as an index, and as a colour of VOC's palette


def drawn_objects(
    file: Path, kinds_file: Path, indices: dict[int, int], number: int
) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """Read the objects of a map of objects and a map of classes, with ids from `number`.

    Returns the objects and the (height, width) of the maps.

    Raises:
        DataError: The maps do not fit each other, or cannot be read.
    """
    values, kinds = (read_map(image_cell(f), str(f)) for f in (file, kinds_file))
    if values.shape != kinds.shape:
        raise DataError(
            f"{file} and {kinds_file} have different sizes.", "Export them from the same image."
        )
    found: list[dict[str, Any]] = []
    wanted = [v for v in areas_of(values) if v != 0]
    masks = Masks.from_map(values, wanted)
    for value, code, area in zip(wanted, masks.to_coco(), masks.areas, strict=True):
        inside, counts = np.unique(kinds[values == value], return_counts=True)
        votes = {v: c for v, c in zip(inside.tolist(), counts, strict=True) if v in indices}
        if value in _BORDER and 2 * sum(votes.values()) <= area:  # else it is an object
            continue
        if not votes:
            raise DataError(
                f"{file}: the object {value} has no class in {kinds_file}.",
                "Remove it from the map of objects, or draw it in both maps.",
            )
        category = indices[max(votes, key=lambda v: votes[v])]
        found.append(masked_object(code, number + len(found), category))
    return found, (values.shape[0], values.shape[1])


def mark_difficult(
    found: list[dict[str, Any]], things: Sequence[Object], names: Sequence[str]
) -> None:
    """Give each object from a map the ``difficult`` of the object in the XML that fits it best.

    Each object of the XML is used at most once.
    """
    if not found or not things:
        return
    boxes = np.array([thing.shape((0, 0), DETECTION, "")["bbox"] for thing in things], float)
    drawn = np.array([item["bbox"] for item in found], float)
    overlaps = pycoco.iou(drawn, boxes, [0] * len(things))
    pairs = [
        (overlaps[i, j], i, j)
        for i, item in enumerate(found)
        for j, thing in enumerate(things)
        if names[item["category"]] == thing.name and overlaps[i, j] > 0
    ]
    free_drawn, free_things = set(range(len(found))), set(range(len(things)))
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if i in free_drawn and j in free_things:
            free_drawn.remove(i)
            free_things.remove(j)
            found[i]["ignore"] = things[j].difficult
