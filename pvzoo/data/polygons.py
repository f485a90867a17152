"""Convert each mask to one polygon.

The outlines of all parts and holes are joined by lines that go there and back, and so have no area.
ultralytics joins the parts of COCO's masks in the same way. pycocotools fills by the even-odd rule,
so it makes the same mask from the polygon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from pvzoo.results.masks import Masks


def outline(code: Mapping[str, Any]) -> np.ndarray | None:
    """(k, 2) corners in pixels of the mask of a run-length code; None for one without pixels."""
    height, width = code["size"]
    outlines = _outlines({"size": [height, width], "counts": code["counts"].encode("ascii")})
    return join(outlines) if outlines else None


def _outlines(code: Mapping[str, Any]) -> list[np.ndarray]:
    """(k, 2) outlines of the parts of a mask, of the holes in them, of parts in the holes, ..."""
    (height, width), found = code["size"], []
    while outlines := Masks((height, width), (code["counts"],)).polygons(0):
        filled = coco.merge(coco.frPyObjects(outlines, height, width))
        # only the parts that do not lie in a hole
        outlines = Masks((height, width), (filled["counts"],)).polygons(0)
        found += [np.reshape(outline, (-1, 2)) for outline in outlines]
        code = coco.encode(coco.decode(filled) - coco.decode(code))
    return found


def join(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """Join (k, 2) outlines into one; a line there and back connects each to those before it."""
    path = outlines[0]
    for outline in outlines[1:]:
        here = int(((path - outline[0]) ** 2).sum(axis=1).argmin())
        there = int(((outline - path[here]) ** 2).sum(axis=1).argmin())
        turned = np.roll(outline, -there, axis=0)
        path = np.concatenate([path[: here + 1], turned, turned[:1], path[here:]])
    return path
