"""What the tiles of an image show, and measures of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvzoo.tiles.geometry import Area, Size

_NEAR = 1 / 40
"""A box ends at an edge of its tile if it is nearer than this share of the tile's side."""
_NEAR_PIXELS = 2.0


@dataclass(frozen=True, eq=False)
class Views:
    """What the tiles of an image show.

    Attributes:
        boxes: (n, 4) float64, left, top, right, bottom in pixels of the image.
        scores: (n,) float32.
        labels: (n,) int64 class ids.
        tiles: (n,) int64, the index in `areas` of the tile of each box.
        areas: The parts of the image: the tiles, and perhaps the whole.
        image: (height, width) of the image.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    tiles: np.ndarray
    areas: Sequence[Area]
    image: Size


def cut_sides(views: Views) -> np.ndarray:
    """(n, 4) bool: whether a box is cut at its left, top, right and bottom side."""
    height, width = views.image
    areas = corners(views.areas)
    inner, near = areas != (0, 0, width, height), near_of(areas)
    limits = np.concatenate([areas[:, :2] + near, areas[:, 2:] - near], axis=1)[views.tiles]
    boxes = views.boxes
    beyond = np.concatenate([boxes[:, :2] <= limits[:, :2], boxes[:, 2:] >= limits[:, 2:]], axis=1)
    cut: np.ndarray = beyond & inner[views.tiles]
    return cut


def corners(areas: Sequence[Area]) -> np.ndarray:
    """(k, 4) float64: left, top, right, bottom of the tiles."""
    return np.array(areas, dtype=np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]


def near_of(areas: np.ndarray) -> np.ndarray:
    """(..., 2): how near to an edge of a tile a box must end to be cut by it, along x and y."""
    near: np.ndarray = np.maximum(_NEAR_PIXELS, _NEAR * (areas[..., 2:] - areas[..., :2]))
    return near


def by_tile(some: np.ndarray, tiles: np.ndarray) -> dict[int, np.ndarray]:
    """The indices in `some`, by their tile."""
    some = some[np.argsort(tiles[some], kind="stable")]
    kinds, first = np.unique(tiles[some], return_index=True)
    return dict(zip(kinds.tolist(), np.split(some, first[1:]), strict=True)) if len(some) else {}


def union_of(boxes: np.ndarray) -> np.ndarray:
    """The (4,) box around (n, 4) boxes."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def best_of(scores: np.ndarray, members: Sequence[int]) -> int:
    """The member with the best score."""
    return max(members, key=lambda m: float(scores[m]))


def in_common(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """The areas that (..., 4) boxes have in common."""
    sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
    area: np.ndarray = np.maximum(sides, 0).prod(axis=-1)
    return area


def area_of(boxes: np.ndarray) -> np.ndarray:
    """(n,) areas of (n, 4) boxes."""
    area: np.ndarray = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return area


def touching(boxes: np.ndarray, labels: np.ndarray, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of boxes of one class that have an area in common: (k,) first and second indices.

    Boxes are compared only within the cells of a grid, so the time grows with the number of boxes
    and not with its square.

    Args:
        boxes: (n, 4) left, top, right, bottom.
        labels: (n,) class ids.
        cell: The side of a cell, in the unit of the boxes.
    """
    low = np.floor(boxes[:, :2] / cell).astype(np.int64)
    high = np.floor(boxes[:, 2:] / cell).astype(np.int64)
    spans = high - low + 1
    counts = spans.prod(axis=1)
    box = np.repeat(np.arange(len(boxes)), counts)
    place = np.arange(len(box)) - np.repeat(np.cumsum(counts) - counts, counts)
    y, x = np.divmod(place, spans[box, 0])
    x, y = x + low[box, 0], y + low[box, 1]
    order = np.lexsort((x, y, labels[box]))
    box, x, y = box[order], x[order], y[order]
    new = (np.diff(x) != 0) | (np.diff(y) != 0) | (np.diff(labels[box]) != 0)
    bounds = np.concatenate([[0], np.flatnonzero(new) + 1, [len(box)]])
    firsts, seconds = [box[:0]], [box[:0]]
    for k in np.flatnonzero(np.diff(bounds) > 1):
        some = box[bounds[k] : bounds[k + 1]]
        here = boxes[some]
        corner = np.maximum(here[:, None, :2], here[:, :2])
        end = np.minimum(here[:, None, 2:], here[:, 2:])
        # a pair that is in several cells counts where what they have in common begins
        index = np.floor(corner / cell)
        own = (index[..., 0] == x[bounds[k]]) & (index[..., 1] == y[bounds[k]])
        i, j = np.nonzero(np.triu(own & (corner < end).all(axis=-1), 1))
        firsts.append(some[i])
        seconds.append(some[j])
    return np.concatenate(firsts), np.concatenate(seconds)
