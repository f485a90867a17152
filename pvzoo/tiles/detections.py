"""Merge the objects that several tiles show, so that each is in the result once, and whole.

The rule, for the objects of each class:

1. A box is **cut** at a side that lies at an inner edge of its tile, which is not an edge of the
   image. All other boxes are seen whole.
2. **Pieces are united.** Two boxes of neighbouring tiles are pieces of one object if each is cut at
   the edge that faces the other, and they agree in the part that both tiles see. Boxes agree if
   their sides along the seam have an IoU above 0.5; masks agree if they have this IoU in that
   part. A piece has at most one partner at each side. The box of the object is around all pieces,
   and its score is the best of theirs.
3. **The rest is matched greedily**, by score. The score of a cut box counts half, so that a box
   seen whole is preferred. A box is dropped as another view of a better one if one of the two is
   cut and more than half of its area lies in the other; if both are cut, the smaller is measured,
   and the object is both together. Two boxes that are seen whole are the same object if their IoU
   is above 0.5, unless they come from the same tile: the network said that these are two. The
   better box stays, with the best score of all views.
4. Of the pass over the whole image, boxes that fit into the overlap of the tiles are left out: some
   tile has seen these objects whole, and larger.

Greedy matching by intersection over the smaller area is SAHI's (``GREEDYNMM`` with ``IOS``,
``sahi/postprocess/combine.py``). SAHI does not know which boxes are cut. So it also merges objects
that lie in others, and it does not unite pieces that share less than half of their area.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pvzoo.tiles.geometry import Area, Size

AGREE = 0.5
"""Above this IoU, or share of the smaller area, two boxes show the same object."""
_CUT_COUNTS = 0.5
"""What the score of a cut box is multiplied by, for the order of matching."""
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


class Group(NamedTuple):
    """One object.

    Attributes:
        members: Indices of its pieces in `Views`; one for an object that was seen whole.
        score: The best score of all views of it.
    """

    members: tuple[int, ...]
    score: float


Shared = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""From the (k,) indices of pieces and of their partners, and the axis across the seam (0: x, 1: y),
to their (k,) IoU in the part that both tiles see."""

Common = Callable[
    [Sequence[tuple[int, ...]], np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]
]
"""From the members of all objects, and the (k,) first and second objects of pairs, to the (k,)
areas that pairs have in common and the (n,) areas of all objects."""


def cut_sides(views: Views) -> np.ndarray:
    """(n, 4) bool: whether a box is cut at its left, top, right and bottom side."""
    height, width = views.image
    areas = _corners(views.areas)
    inner, near = areas != (0, 0, width, height), _near(areas)
    limits = np.concatenate([areas[:, :2] + near, areas[:, 2:] - near], axis=1)[views.tiles]
    boxes = views.boxes
    beyond = np.concatenate([boxes[:, :2] <= limits[:, :2], boxes[:, 2:] >= limits[:, 2:]], axis=1)
    cut: np.ndarray = beyond & inner[views.tiles]
    return cut


def merge(views: Views, shared: Shared | None = None, common: Common | None = None) -> list[Group]:
    """The objects, the best first; the module has the rule.

    Args:
        views: What the tiles show.
        shared: Compares pieces; by default by the sides of their boxes along the seam.
        common: Measures what objects have in common; by default by their boxes.
    """
    if not len(views.boxes):
        return []
    cut = cut_sides(views)
    objects = _united(views, cut, shared or _along_seam(views.boxes))
    boxes = np.array([union_of(views.boxes[list(m)]) for m in objects])
    labels = np.array([views.labels[m[0]] for m in objects])
    first, second = touching(boxes, labels, max(views.areas[0].size))
    if common is None:
        shares, sizes = _in_common(boxes, first, second), _area(boxes)
    else:
        shares, sizes = common(objects, first, second)
    is_cut = np.array([_is_cut(views.boxes, cut, m) for m in objects])
    same = _same(shares, sizes, is_cut, first, second)
    alone = [int(views.tiles[m[0]]) if len(m) == 1 else -1 for m in objects]
    scores = [float(views.scores[list(m)].max()) for m in objects]
    return _greedy(objects, scores, is_cut.tolist(), alone, first[same], second[same])


def union_of(boxes: np.ndarray) -> np.ndarray:
    """The (4,) box around (n, 4) boxes."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


# --- pieces --------------------------------------------------------------------------------------


def _united(views: Views, cut: np.ndarray, shared: Shared) -> list[tuple[int, ...]]:
    """The members of each object, after pieces were united."""
    parent = list(range(len(views.boxes)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for axis in (0, 1):
        for i, j in _partners(views, cut, axis, shared):
            parent[root(i)] = root(j)
    members: dict[int, list[int]] = {}
    for i in range(len(parent)):
        members.setdefault(root(i), []).append(i)
    return [tuple(m) for m in members.values()]


def _partners(views: Views, cut: np.ndarray, axis: int, shared: Shared) -> list[tuple[int, int]]:
    """Pieces left of (or above) a seam with their partners on the other side."""
    ends, starts = np.flatnonzero(cut[:, axis + 2]), np.flatnonzero(cut[:, axis])
    boxes, scores, labels = views.boxes, views.scores, views.labels
    areas = _corners(views.areas)
    ending, starting = _by_tile(ends, views.tiles), _by_tile(starts, views.tiles)
    lefts, rights = [starts[:0]], [starts[:0]]
    for t, u in _neighbours(areas, axis):
        if t not in ending or u not in starting:
            continue
        own, other = ending[t], starting[u]
        near = _near(areas[t])[axis]
        # both must reach through all of the part that both tiles see
        own = own[boxes[own, axis] <= areas[u, axis] + near]
        other = other[boxes[other, axis + 2] >= areas[t, axis + 2] - near]
        one, two = scores[own][:, None], scores[other]
        pairs = np.minimum(one, two) >= np.maximum(one, two) / 2
        i, j = np.nonzero(pairs & (labels[own][:, None] == labels[other]))
        lefts.append(own[i])
        rights.append(other[j])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    if not len(left):
        return []
    agreement = shared(left, right, axis)
    taken: set[tuple[int, int]] = set()
    found = []
    for k in np.argsort(-agreement, kind="stable").tolist():
        i, j = int(left[k]), int(right[k])
        keys = {(i, int(views.tiles[j])), (j, int(views.tiles[i]))}
        if agreement[k] > AGREE and not taken & keys:
            taken |= keys
            found.append((i, j))
    return found


def _by_tile(some: np.ndarray, tiles: np.ndarray) -> dict[int, np.ndarray]:
    """The indices in `some`, by their tile."""
    some = some[np.argsort(tiles[some], kind="stable")]
    kinds, first = np.unique(tiles[some], return_index=True)
    return dict(zip(kinds.tolist(), np.split(some, first[1:]), strict=True)) if len(some) else {}


def _neighbours(areas: np.ndarray, axis: int) -> list[tuple[int, int]]:
    """Pairs of tiles of one row (or column) that have a seam in common: the second one is later."""
    rows: dict[tuple[float, float], list[int]] = {}
    for t, area in enumerate(areas):
        rows.setdefault((area[1 - axis], area[3 - axis]), []).append(t)
    found = []
    for row in rows.values():
        row.sort(key=lambda t: float(areas[t, axis]))
        for k, t in enumerate(row):
            for u in row[k + 1 :]:
                if areas[u, axis] > areas[t, axis + 2]:
                    break
                if areas[t, axis] < areas[u, axis] and areas[t, axis + 2] < areas[u, axis + 2]:
                    found.append((t, u))
    return found


def _along_seam(boxes: np.ndarray) -> Shared:
    """Compares pieces by the IoU of their sides along the seam."""

    def shared(left: np.ndarray, right: np.ndarray, axis: int) -> np.ndarray:
        low, high = 1 - axis, 3 - axis
        common = np.minimum(boxes[left, high], boxes[right, high]) - np.maximum(
            boxes[left, low], boxes[right, low]
        )
        total = np.maximum(boxes[left, high], boxes[right, high]) - np.minimum(
            boxes[left, low], boxes[right, low]
        )
        iou: np.ndarray = np.maximum(common, 0) / np.maximum(total, 1e-9)
        return iou

    return shared


def _is_cut(boxes: np.ndarray, cut: np.ndarray, members: tuple[int, ...]) -> bool:
    """Whether the box around some pieces is cut at one of its sides."""
    some = list(members)
    outer = [*boxes[some, :2].argmin(axis=0), *boxes[some, 2:].argmax(axis=0)]
    return any(cut[some[index], side] for side, index in enumerate(outer))


# --- matching ------------------------------------------------------------------------------------


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


def _in_common(boxes: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(k,) areas that pairs of boxes have in common."""
    one, two = boxes[first], boxes[second]
    sides = np.minimum(one[:, 2:], two[:, 2:]) - np.maximum(one[:, :2], two[:, :2])
    area: np.ndarray = np.maximum(sides, 0).prod(axis=1)
    return area


def _area(boxes: np.ndarray) -> np.ndarray:
    area: np.ndarray = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(axis=1)
    return area


def _same(
    shares: np.ndarray,
    sizes: np.ndarray,
    is_cut: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
) -> np.ndarray:
    """(k,) bool: which pairs are views of the same object."""
    one, two = sizes[first], sizes[second]
    one_cut, two_cut = is_cut[first], is_cut[second]
    smaller = np.minimum(one, two)
    part = np.where(one_cut & two_cut, smaller, np.where(one_cut, one, two))
    of = np.where(one_cut | two_cut, part, one + two - shares)
    same: np.ndarray = shares > AGREE * of
    return same


def _greedy(
    objects: Sequence[tuple[int, ...]],
    scores: Sequence[float],
    is_cut: Sequence[bool],
    alone: Sequence[int],
    first: np.ndarray,
    second: np.ndarray,
) -> list[Group]:
    """The objects that stay, the best first.

    Args:
        objects: Their members.
        scores: Their scores.
        is_cut: Whether they are cut.
        alone: The tile of an object that one tile saw; -1 for one of several pieces.
        first: (k,) first objects of the pairs that are views of the same object.
        second: (k,) their partners.
    """
    views: dict[int, list[int]] = {}
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        if is_cut[i] or is_cut[j] or alone[i] != alone[j] or alone[i] < 0:
            views.setdefault(i, []).append(j)
            views.setdefault(j, []).append(i)
    rank = np.array(scores) * np.where(is_cut, _CUT_COUNTS, 1.0)
    gone: set[int] = set()
    groups = []
    for k in np.argsort(-rank, kind="stable").tolist():
        if k in gone:
            continue
        gone.add(k)
        members, score = list(objects[k]), scores[k]
        for other in views.get(k, ()):
            if other not in gone:
                gone.add(other)
                score = max(score, scores[other])
                if is_cut[k] and is_cut[other]:
                    members += objects[other]
        groups.append(Group(tuple(members), score))
    return sorted(groups, key=lambda group: -group.score)


# --- areas ---------------------------------------------------------------------------------------


def _corners(areas: Sequence[Area]) -> np.ndarray:
    """(k, 4) float64: left, top, right, bottom of the tiles."""
    return np.array(areas, dtype=np.float64).reshape(-1, 4)[:, [1, 0, 3, 2]]


def _near(areas: np.ndarray) -> np.ndarray:
    """(..., 2): how near to an edge of a tile a box must end to be cut by it, along x and y."""
    near: np.ndarray = np.maximum(_NEAR_PIXELS, _NEAR * (areas[..., 2:] - areas[..., :2]))
    return near
