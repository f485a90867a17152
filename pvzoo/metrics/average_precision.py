"""COCO's precision and recall: which detection matches which object, and what follows from it.

Both follow pycocotools' `COCOeval`. Matches are found once. What follows is computed for weights of
the images, and for all classes and thresholds at one time, since the bootstrap asks for it often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SIZES = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""Areas in pixels: all, small, medium, large."""
LIMITS = (1, 10, 100)
"""How many detections of a class in an image count."""

IGNORED, RIGHT, WRONG = 0, 1, 2
"""What a detection is for a size and a threshold."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class Matches:
    """Detections and objects of the classes that are evaluated, and which belong together.

    Attributes:
        kind: (sizes, thresholds, n) int8: `IGNORED`, `RIGHT` or `WRONG`. The detections are in the
            order of their classes; of a class, the highest score comes first.
        image: (n,) int: the image of each detection.
        label: (n,) int: the index of its class in those that are evaluated.
        rank: (n,) int: how many detections of its class in its image come before it.
        asked: (sizes, m) bool: whether an object is to be found.
        asked_image: (m,) int: the image of each object.
        asked_label: (m,) int: the index of its class.
        classes: How many classes are evaluated.
    """

    kind: np.ndarray
    image: np.ndarray
    label: np.ndarray
    rank: np.ndarray
    asked: np.ndarray
    asked_image: np.ndarray
    asked_label: np.ndarray
    classes: int

    def curves(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What `COCOeval.eval` has as "precision", at the last limit, and as "recall".

        Args:
            weights: (images,) int64: how often each image counts.

        Returns:
            Precision, (thresholds, recalls, classes, sizes), and the highest recall, (thresholds,
            classes, sizes, limits); -1 where there is no object to be found.
        """
        shape = (len(THRESHOLDS), self.classes)
        precision = np.empty((*shape, len(SIZES), len(RECALLS)))
        recall = np.empty((*shape, len(SIZES), len(LIMITS)))
        each = weights[self.image]
        of_objects = weights[self.asked_image]
        for size, counted in enumerate(self._counted):
            label = self.asked_label[self.asked[size]]
            asked = np.bincount(label, of_objects[self.asked[size]], self.classes).astype(np.int64)
            asked = np.broadcast_to(asked, shape).reshape(-1)
            precision[:, :, size] = counted.precision(each, asked).reshape(*shape, -1)
            recall[:, :, size] = counted.recall(each, self.rank, asked).reshape(*shape, -1)
        return np.moveaxis(precision, -1, 1), recall

    @cached_property
    def _counted(self) -> list[_Counted]:
        return [_Counted.of(kind, self.label, self.classes) for kind in self.kind]


@dataclass(frozen=True, eq=False)
class _Counted:
    """The detections that count for a size: one row of them, curve after curve.

    There is a curve for each threshold and class, in this order.

    Attributes:
        detection: (r,) int32: which detection a row is.
        right: (p,) int32: the rows that are right.
        curve: (p,) int: the curve that each of these is of.
        start: (curves,) int: the first row of each curve.
        curves: How many there are.
    """

    detection: np.ndarray
    right: np.ndarray
    curve: np.ndarray
    start: np.ndarray
    curves: int

    @classmethod
    def of(cls, kind: np.ndarray, label: np.ndarray, classes: int) -> _Counted:
        """Of (thresholds, n) kinds and the (n,) classes of the detections, which are sorted."""
        threshold, detection = np.nonzero(kind)
        curve = threshold * classes + label[detection]
        right = np.flatnonzero(kind[threshold, detection] == RIGHT)
        curves = len(kind) * classes
        start = np.searchsorted(curve, np.arange(curves))
        return cls(detection.astype(np.int32), right.astype(np.int32), curve[right], start, curves)

    def precision(self, each: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(curves, recalls): the best precision at each recall or a higher one.

        Args:
            each: (n,) int64: how often each detection counts.
            asked: (curves,) int64: how many objects are to be found.
        """
        seen = np.cumsum(each[self.detection])
        hits = np.cumsum(each[self.detection[self.right]])
        seen_before = np.append(0, seen)[self.start]  # in the curves before
        first = np.searchsorted(self.curve, np.arange(self.curves + 1))
        hits_before = np.append(0, hits)[first]
        curve, hits_here = self.curve, hits - hits_before[self.curve]
        precision = hits_here / np.maximum(seen[self.right] - seen_before[curve], 1)
        best = _highest_from_here(precision, curve, self.curves)
        # the fewest hits that reach a recall; in floats as COCO compares them
        fewest = np.ceil(RECALLS * asked[:, None])
        with np.errstate(invalid="ignore", divide="ignore"):
            fewest -= (fewest - 1) / asked[:, None] >= RECALLS
            fewest += fewest / asked[:, None] < RECALLS
        fewest = np.maximum(fewest, 1).astype(np.int64)
        total = np.diff(hits_before)[:, None]
        index = np.searchsorted(hits, hits_before[:-1, None] + np.minimum(fewest, total))
        reached = (fewest <= total) & (total > 0)
        values = np.where(reached, np.append(best, 0)[np.where(reached, index, -1)], 0)
        return np.where(asked[:, None] > 0, values, -1)

    def recall(self, each: np.ndarray, rank: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(curves, limits): the share of the objects that are found; see `precision`."""
        detection = self.detection[self.right]
        found = [
            np.bincount(self.curve, each[detection] * (rank[detection] < most), self.curves)
            for most in LIMITS
        ]
        shares = np.stack(found, axis=-1) / np.maximum(asked, 1)[:, None]
        return np.where(asked[:, None] > 0, shares, -1)


def _highest_from_here(values: np.ndarray, curve: np.ndarray, curves: int) -> np.ndarray:
    """The highest of the values from each one to the end of its curve."""
    # Earlier curves are lifted above later ones, so that one pass from the end does all of them.
    lifted = (values + 2 * (curves - curve))[::-1]
    index = np.where(lifted == np.maximum.accumulate(lifted), np.arange(len(values)), 0)
    highest: np.ndarray = values[::-1][np.maximum.accumulate(index)][::-1]
    return highest


def match(
    found: np.ndarray, objects: np.ndarray, classes: Sequence[int], overlaps: Overlaps
) -> Matches:
    """Match detections with objects as `COCOeval.evaluateImg` does.

    Args:
        found: (n,) detections, a structured array with the fields image, label, score and area. Of
            those with the same score the one in the lower `image` comes first, then the one that
            comes first here.
        objects: (m,) objects with the fields image, label, area and crowd.
        classes: The labels to evaluate.
        overlaps: COCO's IoU of some detections with some objects of their image: (d, o) float64.
    """
    found, objects = (table[np.isin(table["label"], classes)] for table in (found, objects))
    found = found[np.lexsort((-found["score"], found["image"], found["label"]))]
    objects = objects[np.lexsort((objects["image"], objects["label"]))]
    rank = _rank(found)
    found, rank = found[rank < LIMITS[-1]], rank[rank < LIMITS[-1]]
    ignored = np.stack([objects["crowd"] | _outside(objects["area"], size) for size in SIZES])
    kind = np.stack([np.where(_outside(found["area"], size), IGNORED, WRONG) for size in SIZES])
    kind = np.repeat(kind[:, None].astype(np.int8), len(THRESHOLDS), axis=1)
    for some, others in _pairs(found, objects):
        _match_in_image(
            overlaps(found[some], objects[others]),
            objects["crowd"][others],
            ignored[:, others],
            kind[:, :, some],
        )
    order = np.lexsort((found["image"], -found["score"], found["label"]))
    place = {label: k for k, label in enumerate(classes)}
    label, asked_label = (
        np.array([place[x] for x in table["label"].tolist()], np.int64)
        for table in (found, objects)
    )
    order = order[np.argsort(label[order], kind="stable")]
    return Matches(
        kind[:, :, order],
        found["image"][order],
        label[order],
        rank[order],
        ~ignored,
        objects["image"],
        asked_label,
        len(classes),
    )


def _match_in_image(
    iou: np.ndarray, crowd: np.ndarray, ignored: np.ndarray, kind: np.ndarray
) -> None:
    """Set the kinds of the detections of a class in an image.

    Each detection, the best first, takes of the free objects with enough overlap the one with the
    most; one that is ignored only if there is no other. Of equal overlaps the last one is taken.

    Args:
        iou: (d, o) float64.
        crowd: (o,) bool; a crowd is never taken.
        ignored: (sizes, o) bool.
        kind: (sizes, thresholds, d) int8, as for detections without any match.
    """
    enough = np.minimum(THRESHOLDS, 1 - 1e-10)
    free = np.ones((len(SIZES), len(THRESHOLDS), len(crowd)), bool)
    sizes, thresholds = np.ogrid[: len(SIZES), : len(THRESHOLDS)]
    last_choice = 2.0 * ignored[:, None]
    for i in np.flatnonzero((iou >= enough[0]).any(axis=1)):
        fits = free & (iou[i] >= enough[:, None])
        value = np.where(fits, iou[i] - last_choice, -3)
        best = value.shape[-1] - 1 - value[:, :, ::-1].argmax(axis=-1)
        taken = fits.any(axis=-1)
        kind[:, :, i][taken] = np.where(ignored[sizes, best], IGNORED, RIGHT)[taken]
        free[sizes, thresholds, best] &= ~taken | crowd[best]


def _rank(rows: np.ndarray) -> np.ndarray:
    """How many rows before each one are of its class and image, by which they are sorted."""
    if not len(rows):
        return np.zeros(0, np.int64)
    new = np.append(True, np.diff(rows["label"]).astype(bool) | np.diff(rows["image"]).astype(bool))
    indices = np.arange(len(rows))
    first: np.ndarray = np.maximum.accumulate(np.where(new, indices, 0))
    return indices - first


def _outside(area: np.ndarray, size: tuple[float, float]) -> np.ndarray:
    outside: np.ndarray = (area < size[0]) | (area > size[1])
    return outside


def _pairs(found: np.ndarray, objects: np.ndarray) -> Iterator[tuple[slice, slice]]:
    """The rows of each class and image that has both; the tables are sorted by these."""
    keys = [table["label"].astype(np.int64) << 40 | table["image"] for table in (found, objects)]
    both = np.intersect1d(*keys)
    bounds = [np.searchsorted(key, both, side) for key in keys for side in ("left", "right")]
    for a, b, c, d in zip(*(bound.tolist() for bound in bounds), strict=True):
        yield slice(a, b), slice(c, d)
