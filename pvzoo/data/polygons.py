"""Masks as one polygon each.

The outlines of all parts and holes are joined by ways there and back, which have no area. That is
how ultralytics joins the parts of COCO's masks; pycocotools, which fills by the even-odd rule,
makes the same mask of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from pvzoo.results.masks import Masks


def outline(code: Mapping[str, Any]) -> np.ndarray | None:
    """(k, 2) corners in pixels of a run-length code's mask; None for one without a pixel."""
    height, width = code["size"]
    outlines = _outlines({"size": [height, width], "counts": code["counts"].encode("ascii")})
    return join(outlines) if outlines else None


def _outlines(code: Mapping[str, Any]) -> list[np.ndarray]:
    """(k, 2) outlines of the parts of a mask, of the holes in them, of the parts in those ..."""
    (height, width), found = code["size"], []
    while outlines := Masks((height, width), (code["counts"],)).polygons(0):
        filled = coco.merge(coco.frPyObjects(outlines, height, width))
        # of the parts that lie in no hole
        outlines = Masks((height, width), (filled["counts"],)).polygons(0)
        found += [np.reshape(outline, (-1, 2)) for outline in outlines]
        code = coco.encode(coco.decode(filled) - coco.decode(code))
    return found


def join(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """(k, 2) outlines as one, each reached from those before by a way there and back."""
    path = outlines[0]
    for outline in outlines[1:]:
        here = int(((path - outline[0]) ** 2).sum(axis=1).argmin())
        there = int(((outline - path[here]) ** 2).sum(axis=1).argmin())
        turned = np.roll(outline, -there, axis=0)
        path = np.concatenate([path[: here + 1], turned, turned[:1], path[here:]])
    return path
