"""Compare and unite masks of tiles as run-length codes; no mask of the image's size is decoded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco

from pvzoo.results.masks import Masks, encode, enlarge
from pvzoo.tiles.detections import Common, Shared, along_seam
from pvzoo.tiles.geometry import Area, Size
from pvzoo.tiles.views import Views


def placed(masks: Masks, area: Area, image: Size) -> tuple[bytes, ...]:
    """The masks of a tile as codes of the image; one tile is decoded at a time.

    Args:
        masks: Of a tile of this area; or of the whole image, scaled down by a whole number.
        area: Where it lies in the image.
        image: (height, width) of the image.
    """
    if masks.size == image:
        return masks.counts
    if masks.size != area.size:
        factor = -(-max(area.size) // max(masks.size))  # of the longer side: it is exact
        return tuple(enlarge(code, masks.size, factor, image) for code in masks.counts)
    return tuple(encode(mask, area.top, area.left, image) for mask in masks)


def united(codes: Sequence[bytes], image: Size) -> bytes:
    """The code of all pixels of one or more masks."""
    if len(codes) == 1:
        return codes[0]
    return bytes(coco.merge([_code(code, image) for code in codes])["counts"])


def shared_by(codes: Sequence[bytes], views: Views) -> Shared:
    """Compares the masks of pieces in the part that both tiles see."""
    strips: dict[tuple[int, int], dict[str, object] | None] = {}
    beside = along_seam(views.boxes)  # for tiles that only touch

    def strip(i: int, j: int) -> dict[str, object] | None:
        one, two = views.areas[i], views.areas[j]
        top, left = max(one.top, two.top), max(one.left, two.left)
        size = min(one.bottom, two.bottom) - top, min(one.right, two.right) - left
        if min(size) < 1:
            return None
        return _code(encode(np.ones(size, dtype=bool), top, left, views.image), views.image)

    def shared(left: np.ndarray, right: np.ndarray, axis: int) -> np.ndarray:
        found = np.zeros(len(left))
        for k, (i, j) in enumerate(zip(left.tolist(), right.tolist(), strict=True)):
            key = int(views.tiles[i]), int(views.tiles[j])
            if key not in strips:
                strips[key] = strip(*key)
            if (common := strips[key]) is None:
                found[k] = beside(left[k : k + 1], right[k : k + 1], axis)[0]
                continue
            both = [
                coco.merge([_code(codes[m], views.image), common], intersect=True) for m in (i, j)
            ]
            found[k] = coco.iou([both[0]], [both[1]], [0])[0, 0]
        return found

    return shared


def common_of(codes: Sequence[bytes], image: Size) -> Common:
    """Measures the pixels that objects have in common."""

    def common(
        objects: Sequence[tuple[int, ...]], first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        whole = [_code(united([codes[m] for m in members], image), image) for members in objects]
        # of a list, pycocotools 2.0.11 cannot measure areas of more than 255 pixels
        sizes = np.array([coco.area(code) for code in whole], dtype=np.float64)
        shares = np.zeros(len(first))
        order = np.argsort(first, kind="stable")
        starts = np.flatnonzero(np.diff(first[order], prepend=-1))
        for some in np.split(order, starts[1:]) if len(order) else ():
            one, others = int(first[some[0]]), second[some]
            # "crowd" divides by the area of the first mask instead of the union
            part = coco.iou([whole[one]], [whole[j] for j in others], [1] * len(others))[0]
            shares[some] = part * sizes[one]
        return shares, sizes

    return common


def _code(counts: bytes, size: Size) -> dict[str, object]:
    return {"size": list(size), "counts": counts}
