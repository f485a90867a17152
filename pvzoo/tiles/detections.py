"""Merge the objects that several tiles show, so that each is in the result once, and whole.

The rule:

1. A box is **cut** at a side that lies at an inner edge of its tile, which is not an edge of the
   image. All other boxes are seen whole.
2. **Cut boxes that another tile has seen whole are dropped**: those that lie in the area of a tile
   with a box that is seen whole, covers more than half of the cut box, and has at least half its
   score; three quarters if its class is another, because a piece of an object can look like
   something else. In one class, the whole box gets the best score of both.
3. **Pieces are united.** Two boxes of neighbouring tiles are pieces of one object if each is cut at
   the edge that faces the other, and they agree in the part that both tiles see. Boxes agree if
   their sides along the seam have an IoU above 0.5; masks agree if they have this IoU in that part.
   Pieces of different classes need 0.75. A piece has at most one partner at each side. The box of
   the object is around all pieces; its class and score are those of the best piece.
4. **The rest is matched greedily in each class**, by score. The score of a cut box counts half. A
   box is dropped as another view of a better one if one of the two is cut and more than half of its
   area lies in the other; if both are cut, the smaller is measured, and the object is both
   together. Two boxes that are seen whole are the same object if their IoU is above 0.5, unless
   they come from the same tile: the network said that these are two. The better box stays, with the
   best score of all views.
5. The pass over the whole image sees less sharply. Its boxes that fit into the overlap of the tiles
   are left out, because some tile has seen these objects whole. So are those that have an IoU above
   0.5 with a whole object of the tiles that has enough of the score, as in rule 2.

Greedy matching by intersection over the smaller area is SAHI's (``GREEDYNMM`` with ``IOS``,
``sahi/postprocess/combine.py``). SAHI does not know which boxes are cut. So it also merges objects
that lie in others, and it does not unite pieces that share less than half of their area.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pvzoo.tiles.views import (
    Views,
    area_of,
    best_of,
    by_tile,
    corners,
    cut_sides,
    in_common,
    near_of,
    touching,
    union_of,
)

AGREE = 0.5
"""Above this IoU, or share of an area, two boxes show the same object."""
_OTHER_CLASS = 0.75
"""Above this IoU, pieces of different classes are of one object."""
_INSIDE = 0.9
"""The least share of a cut box that must lie in a tile that has seen the object whole."""
_CUT_COUNTS = 0.5
"""What the score of a cut box is multiplied by, for the order of matching."""


def _enough(alike: np.ndarray) -> np.ndarray:
    """The least share of a box's score that another one must have to take its place.

    Args:
        alike: Whether the two have one class, of any shape.
    """
    return np.where(alike, 0.5, 0.75)


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
    dropped, better = _seen_whole(views, cut)
    views, left = replace(views, scores=better), ~dropped
    objects = _united(views, cut & left[:, None], shared or along_seam(views.boxes))
    objects = [members for members in objects if left[members[0]]]
    first = np.array([members[0] for members in objects])
    boxes, labels = views.boxes[first], views.labels[first]
    scores, is_cut = views.scores[first].astype(np.float64), cut[first].any(axis=1)
    near = np.tile(near_of(corners(views.areas))[views.tiles], 2)
    for k, members in enumerate(objects):
        if len(members) > 1:
            some, best = list(members), best_of(views.scores, members)
            boxes[k], labels[k] = union_of(views.boxes[some]), views.labels[best]
            scores[k], is_cut[k] = views.scores[best], _is_cut(views.boxes, cut, near, some)
    from_whole = np.array([area.size == views.image for area in views.areas])[views.tiles[first]]
    kept = np.flatnonzero(~_seen_sharper(boxes, scores, labels, is_cut, from_whole))
    objects = [objects[k] for k in kept]
    boxes, labels, scores, is_cut = boxes[kept], labels[kept], scores[kept], is_cut[kept]
    first, second = touching(boxes, labels, max(views.areas[0].size))
    if common is None:
        shares, sizes = in_common(boxes[first], boxes[second]), area_of(boxes)
    else:
        shares, sizes = common(objects, first, second)
    same = _same(shares, sizes, is_cut, first, second)
    alone = [int(views.tiles[m[0]]) if len(m) == 1 else -1 for m in objects]
    return _greedy(objects, scores.tolist(), is_cut.tolist(), alone, first[same], second[same])


# --- pieces --------------------------------------------------------------------------------------


def _seen_whole(views: Views, cut: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n,) bool: which boxes are cut, while another tile has seen their object whole.

    And the (n,) scores, in which a whole box has the best score of its pieces: a later threshold
    must not remove it after it replaced them.
    """
    areas, boxes, scores = corners(views.areas), views.boxes, views.scores
    better = scores.copy()
    dropped = cut.any(axis=1)
    pieces = by_tile(np.flatnonzero(dropped), views.tiles)
    wholes = by_tile(np.flatnonzero(~dropped), views.tiles)
    dropped = np.zeros(len(boxes), dtype=bool)
    tiles = [t for t, area in enumerate(views.areas) if area.size != views.image]
    first, second = touching(areas[tiles], np.zeros(len(tiles)), max(views.areas[0].size))
    for i, j in zip(first.tolist(), second.tolist(), strict=True):
        for t, u in ((tiles[i], tiles[j]), (tiles[j], tiles[i])):
            if t not in pieces or u not in wholes:
                continue
            some, others = pieces[t], wholes[u]
            sizes = area_of(boxes[some])
            some = some[in_common(boxes[some], areas[u]) >= _INSIDE * sizes]
            shares = in_common(boxes[some][:, None], boxes[others])
            seen = shares > AGREE * area_of(boxes[some])[:, None]
            alike = views.labels[others] == views.labels[some][:, None]
            seen &= scores[others] >= scores[some][:, None] * _enough(alike)
            dropped[some[seen.any(axis=1)]] = True
            for k, row in zip(some, seen & alike, strict=True):
                if row.any():  # the whole box that shows most of the piece
                    one = others[row][in_common(boxes[k], boxes[others[row]]).argmax()]
                    better[one] = max(better[one], scores[k])
    return dropped, better


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
    areas = corners(views.areas)
    ending, starting = by_tile(ends, views.tiles), by_tile(starts, views.tiles)
    lefts, rights = [starts[:0]], [starts[:0]]
    for t, u in _neighbours(areas, axis):
        if t not in ending or u not in starting:
            continue
        own, other = ending[t], starting[u]
        near = near_of(areas[t])[axis]
        # both must reach through all of the part that both tiles see
        own = own[boxes[own, axis] <= areas[u, axis] + near]
        other = other[boxes[other, axis + 2] >= areas[t, axis + 2] - near]
        one, two = scores[own][:, None], scores[other]
        alike = np.nonzero(np.minimum(one, two) >= np.maximum(one, two) / 2)
        lefts.append(own[alike[0]])
        rights.append(other[alike[1]])
    left, right = np.concatenate(lefts), np.concatenate(rights)
    if not len(left):
        return []
    agreement = shared(left, right, axis)
    same = labels[left] == labels[right]
    agreement[~same & (agreement <= _OTHER_CLASS)] = 0
    taken: set[tuple[int, int]] = set()
    found = []
    for k in np.argsort(-agreement - same, kind="stable").tolist():
        i, j = int(left[k]), int(right[k])
        keys = {(i, int(views.tiles[j])), (j, int(views.tiles[i]))}
        if agreement[k] > AGREE and not taken & keys:
            taken |= keys
            found.append((i, j))
    return found


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


def along_seam(boxes: np.ndarray) -> Shared:
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


def _is_cut(boxes: np.ndarray, cut: np.ndarray, near: np.ndarray, members: list[int]) -> bool:
    """Whether the box around some pieces is cut at a side: whether all pieces that reach it are."""
    some = boxes[members]
    outer = np.concatenate(
        [some[:, :2] - some[:, :2].min(axis=0), some[:, 2:].max(axis=0) - some[:, 2:]], axis=1
    )
    reach = outer <= near[members]
    return bool((cut[members] | ~reach).all(axis=0).any())


def _seen_sharper(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    is_cut: np.ndarray,
    from_whole: np.ndarray,
) -> np.ndarray:
    """(n,) bool: which objects of the pass over the whole image a tile has seen whole too.

    The object of the tile gets the best score of both, in `scores`.
    """
    dropped = np.zeros(len(boxes), dtype=bool)
    others = np.flatnonzero(~from_whole & ~is_cut)
    sizes = area_of(boxes)
    for k in np.flatnonzero(from_whole):
        shares = in_common(boxes[k], boxes[others])
        same = shares > AGREE * (sizes[k] + sizes[others] - shares)
        alike = labels[others] == labels[k]
        same &= scores[others] >= scores[k] * _enough(alike)
        dropped[k] = bool(same.any())
        if (same & alike).any():
            best = others[np.where(same & alike, shares, -1).argmax()]
            scores[best] = max(scores[best], scores[k])
    return dropped


# --- matching ------------------------------------------------------------------------------------


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
        if alone[i] != alone[j] or alone[i] < 0:
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
