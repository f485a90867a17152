"""COCO's precision and recall: match detections with objects, and count.

Both steps follow pycocotools' `COCOeval`. Detections are matched once. Then precision and recall
are computed for any weights of the images, because the bootstrap needs them for many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
SIZES = ((0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10))
"""The least and the largest area in pixels: all, small, medium, large."""
LIMITS = (1, 10, 100)
"""The numbers of detections of a class in an image that count."""

IGNORED, RIGHT, WRONG = 0, 1, 2
"""The kinds of a detection, for a size and a threshold."""

_ENOUGH = np.minimum(THRESHOLDS, 1 - 1e-10)
_AT_ONCE = 256
"""The number of images whose detections are matched at the same time."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]
_Near = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of the evaluated classes, with their kinds, and the objects to find.

    Attributes:
        kind: (sizes, thresholds, n) int8: `IGNORED`, `RIGHT` or `WRONG`. The detections are in the
            order of their classes; of a class, the highest score comes first.
        image: (n,) int: the image of each detection.
        label: (n,) int: the index of its class in those that are evaluated.
        rank: (n,) int: the number of better detections of its class in its image.
        asked: (sizes, m) bool: whether an object has to be found.
        asked_image: (m,) int: the image of each object.
        asked_label: (m,) int: the index of its class.
        classes: The number of classes.
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
        """The "precision" (at the last limit) and "recall" of pycocotools' ``COCOeval.eval``.

        Args:
            weights: (images,) int64, how often each image counts.

        Returns:
            Precision, (thresholds, recalls, classes, sizes), and the highest recall, (thresholds,
            classes, sizes, limits); -1 where there is no object to find.
        """
        shape = (len(THRESHOLDS), self.classes)
        precision = np.empty((*shape, len(SIZES), len(RECALLS)))
        recall = np.empty((*shape, len(SIZES), len(LIMITS)))
        each = weights[self.image]
        of_objects = weights[self.asked_image]
        for size, counted in enumerate(self._counted):
            label = self.asked_label[self.asked[size]]
            asked = np.bincount(label, of_objects[self.asked[size]], self.classes).astype(np.int64)
            precision[:, :, size] = counted.precision(each, asked)
            recall[:, :, size] = counted.recall(each, self.rank, asked)
        return np.moveaxis(precision, -1, 1), recall

    @cached_property
    def _counted(self) -> list[_Counted]:
        return [_Counted.of(kind, self.label, self.classes) for kind in self.kind]


@dataclass(frozen=True, eq=False)
class _Counted:
    """The detections that count for a size. There is a curve for each threshold and class.

    Attributes:
        detection: (r,) int: the detections that count for at least one threshold.
        right: (p,) int: the indices in `detection` of those that are right, curve after curve.
        curve: (p,) int: the curve of each of these, threshold * classes + class.
        before: (p,) int: the index in `detection` of the first detection of its class.
        ignored: (q,) int: the indices in `detection` of those ignored for a threshold, threshold
            after threshold.
        ignored_from: (p,) int: the index in `ignored` where the curve begins.
        ignored_to: (p,) int: the index in `ignored` where detections that come later begin.
        curves: The number of curves.
    """

    detection: np.ndarray
    right: np.ndarray
    curve: np.ndarray
    before: np.ndarray
    ignored: np.ndarray
    ignored_from: np.ndarray
    ignored_to: np.ndarray
    curves: int

    @classmethod
    def of(cls, kind: np.ndarray, label: np.ndarray, classes: int) -> _Counted:
        """From (thresholds, n) kinds and the (n,) classes of the detections, in ascending order."""
        detection = np.flatnonzero((kind != IGNORED).any(axis=0))
        kind, label = kind[:, detection], label[detection]
        threshold, right = np.nonzero(kind == RIGHT)
        of_ignored, ignored = np.nonzero(kind == IGNORED)
        before = np.searchsorted(label, np.arange(classes))[label[right]]
        place = of_ignored * len(detection) + ignored
        first, end = (threshold * len(detection) + row for row in (before, right))
        return cls(
            detection,
            right,
            threshold * classes + label[right],
            before,
            ignored,
            np.searchsorted(place, first),
            np.searchsorted(place, end),
            len(kind) * classes,
        )

    def precision(self, each: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(thresholds, classes, recalls): the best precision at each recall or a higher one.

        Args:
            each: (n,) int64, how often each detection counts.
            asked: (classes,) int64, the number of objects to find.
        """
        each = each[self.detection]
        seen, ignored = _sums(each), _sums(each[self.ignored])
        counted = seen[self.right + 1] - seen[self.before]
        counted -= ignored[self.ignored_to] - ignored[self.ignored_from]
        weights = each[self.right]
        hits = _sums(weights)
        before = hits[np.searchsorted(self.curve, np.arange(self.curves + 1))]
        precision = (hits[1:] - before[self.curve]) / np.maximum(counted, 1)
        best = _highest_from_here(precision, self.curve, self.curves)
        # the best precision from the first, second, ... hit on; a hit may count several times
        best = np.append(np.repeat(best, weights), 0)
        fewest = _fewest(asked)
        total = np.diff(before).reshape(-1, len(asked), 1)
        index = before[:-1].reshape(total.shape) + np.minimum(fewest, total) - 1
        values = np.where(fewest <= total, best[index], 0)
        return np.where(asked[:, None] > 0, values, -1)

    def recall(self, each: np.ndarray, rank: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """(thresholds, classes, limits): the share of the objects that is found."""
        detection = self.detection[self.right]
        found = [
            np.bincount(self.curve, each[detection] * (rank[detection] < most), self.curves)
            for most in LIMITS
        ]
        counts = np.stack(found, axis=-1).reshape(-1, len(asked), len(LIMITS))
        shares = counts / np.maximum(asked, 1)[:, None]
        return np.where(asked[:, None] > 0, shares, -1)


def _fewest(asked: np.ndarray) -> np.ndarray:
    """(classes, recalls): the lowest number of hits that reaches each recall, at least 1.

    Floats are compared as pycocotools compares them.
    """
    asked = asked[:, None]
    fewest = np.ceil(RECALLS * asked)
    with np.errstate(invalid="ignore", divide="ignore"):
        fewest -= (fewest - 1) / asked >= RECALLS
        fewest += fewest / asked < RECALLS
    least: np.ndarray = np.maximum(fewest, 1).astype(np.int64)
    return least


def _sums(values: np.ndarray) -> np.ndarray:
    """The sum of the first 0, 1, 2, ... values."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _highest_from_here(values: np.ndarray, curve: np.ndarray, curves: int) -> np.ndarray:
    """The highest of the values from each one to the end of its curve."""
    # each curve is raised above the next one, so that one pass from the end does all curves
    lifted = (values + 2 * (curves - curve))[::-1]
    index = np.where(lifted == np.maximum.accumulate(lifted), np.arange(len(values)), 0)
    highest: np.ndarray = values[::-1][np.maximum.accumulate(index)][::-1]
    return highest


def match(
    found: np.ndarray, objects: np.ndarray, classes: Sequence[int], overlaps: Overlaps
) -> Matches:
    """Match detections with objects as `COCOeval.evaluateImg` does.

    Args:
        found: (n,) detections, a structured array with the fields image, label, score and area. If
            scores are equal, detections with the lower `image` come first, then those that come
            first in this array.
        objects: (m,) objects with the fields image, label, area and crowd.
        classes: The labels to evaluate.
        overlaps: Returns COCO's IoU of detections with objects of the same image, (d, o) float64.
    """
    found, objects = (table[np.isin(table["label"], classes)] for table in (found, objects))
    found = found[np.lexsort((-found["score"], found["image"], found["label"]))]
    objects = objects[np.lexsort((objects["image"], objects["label"]))]
    rank = _rank(found)
    found, rank = found[rank < LIMITS[-1]], rank[rank < LIMITS[-1]]
    ignored = np.stack([objects["crowd"] | _outside(objects["area"], size) for size in SIZES])
    kind = np.stack([np.where(_outside(found["area"], size), IGNORED, WRONG) for size in SIZES])
    kind = np.repeat(kind[:, None].astype(np.int8), len(THRESHOLDS), axis=1)
    near = _near(found, objects, overlaps)
    crowd = objects["crowd"]
    for start in range(0, len(near), _AT_ONCE):
        _match_in_images(near[start : start + _AT_ONCE], crowd, ignored, kind)
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


def _near(found: np.ndarray, objects: np.ndarray, overlaps: Overlaps) -> list[_Near]:
    """The detections that may match, for each class and image; few objects come first."""
    near = []
    for some, others in _pairs(found, objects):
        iou = overlaps(found[some], objects[others])
        close = np.flatnonzero((iou >= _ENOUGH[0]).any(axis=1))
        if len(close):
            near.append((some.start + close, np.arange(others.start, others.stop), iou[close]))
    return sorted(near, key=lambda one: (len(one[1]), len(one[0])))


def _match_in_images(
    near: list[_Near], crowd: np.ndarray, ignored: np.ndarray, kind: np.ndarray
) -> None:
    """Set the kinds of the detections of some images.

    In each image, the best detection comes first. It takes the free object with the highest IoU, if
    the IoU is at least the threshold. It takes an ignored object only if there is no other. If IoUs
    are equal, it takes the last object. All images do their next detection at the same time.

    Args:
        near: The detections, the objects and their IoU, for each image.
        crowd: (m,) bool, of all objects; a crowd can be taken several times.
        ignored: (sizes, m) bool, of all objects.
        kind: (sizes, thresholds, n) int8, of all detections; it is changed in place.
    """
    near = sorted(
        near, key=lambda one: -len(one[0])
    )  # so that images with detections left come first
    shape = (len(near), len(SIZES), len(THRESHOLDS), max(len(own) for _, own, _ in near))
    free = np.zeros(shape, bool)
    demoted = np.zeros((len(near), len(SIZES), 1, shape[-1]))
    again = np.zeros((len(near), shape[-1]), bool)
    for i, (_, own, _) in enumerate(near):
        free[i, ..., : len(own)] = True
        demoted[i, :, 0, : len(own)] = 2.0 * ignored[:, own]
        again[i, : len(own)] = crowd[own]
    images, sizes, thresholds = np.ogrid[: shape[0], : shape[1], : shape[2]]
    left = np.array([len(detections) for detections, _, _ in near])
    for turn in range(left[0]):
        count = np.count_nonzero(left > turn)
        iou = np.zeros((count, 1, 1, shape[-1]))
        for i, (_, own, overlap) in enumerate(near[:count]):
            iou[i, 0, 0, : len(own)] = overlap[turn]
        fits = free[:count] & (iou >= _ENOUGH[:, None])
        value = np.where(fits, iou - demoted[:count], -3)
        best = shape[-1] - 1 - value[..., ::-1].argmax(axis=-1)
        taken = fits.any(axis=-1)
        at = images[:count], sizes, thresholds
        free[*at, best] &= ~taken | again[at[0], best]
        now = np.where(demoted[at[0], sizes, 0, best] > 0, IGNORED, RIGHT)
        detections = [one[0][turn] for one in near[:count]]
        before = np.moveaxis(kind[:, :, detections], -1, 0)
        kind[:, :, detections] = np.moveaxis(np.where(taken, now, before), 0, -1)


def _rank(rows: np.ndarray) -> np.ndarray:
    """The number of rows of the same class and image before each row; rows are sorted by these."""
    if not len(rows):
        return np.zeros(0, np.int64)
    new = np.append(True, np.diff(rows["label"]).astype(bool) | np.diff(rows["image"]).astype(bool))
    indices = np.arange(len(rows))
    first: np.ndarray = np.maximum.accumulate(np.where(new, indices, 0))
    rank: np.ndarray = indices - first
    return rank


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
