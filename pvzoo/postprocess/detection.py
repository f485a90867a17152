"""Turn queries into boxes by the rules in the record of a detector family.

`decode` gives the same detections as `post_process_object_detection` of the family's image
processor, up to float32 rounding and in the same order. transformers has fifteen versions of that
function, of a few kinds. `select` applies the options of a prediction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from pvzoo.families.base import DetectionRecord
from pvzoo.postprocess.scores import largest, sigmoid, softmax


@dataclass(frozen=True)
class Boxes:
    """Detections of one image.

    Attributes:
        scores: (n,) float32.
        labels: (n,) int64 class ids.
        boxes: (n, 4) float32: left, top, right, bottom in pixels.
        queries: (n,) int64, the query of each detection.
    """

    scores: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    queries: np.ndarray


def decode(
    record: DetectionRecord,
    logits: np.ndarray,
    boxes: np.ndarray,
    size: tuple[int, int],
    threshold: float,
    order_logits: np.ndarray | None = None,
) -> Boxes:
    """The detections of one image above `threshold`.

    Args:
        record: How to read the outputs of the family.
        logits: (queries, classes); with a last "no object" column if ``record.softmax``.
        boxes: (queries, 4) centre x, centre y, width, height, relative to the image.
        size: (height, width) of the image.
        threshold: Detections must have a higher score.
        order_logits: (queries, queries), how likely it is that the row's query is read before the
            column's query.
    """
    if record.softmax:
        chances = softmax(logits)[:, :-1]
        labels, queries = chances.argmax(axis=1), np.arange(len(logits))
        scores = chances[queries, labels]
    else:
        flat = sigmoid(logits).reshape(-1)
        index = largest(flat, record.pairs or len(logits))
        scores = flat[index]
        queries, labels = np.divmod(index, logits.shape[1])
    kept = np.flatnonzero(scores >= threshold if record.inclusive else scores > threshold)
    if record.reading_order and order_logits is not None:
        kept = kept[np.argsort(_reading_ranks(order_logits)[queries[kept]], kind="stable")]
    queries = queries[kept]
    return Boxes(scores[kept], labels[kept], corners(boxes[queries], size), queries)


def corners(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Convert the relative boxes of a network to corners in pixels.

    Args:
        boxes: (n, 4) centre x, centre y, width, height, as shares of `size`.
        size: (height, width) in pixels.

    Returns:
        (n, 4) float32: left, top, right, bottom.
    """
    centre, half = boxes[:, :2], np.float32(0.5) * boxes[:, 2:]
    height, width = size
    sides = np.array([width, height, width, height], dtype=np.float32)
    return np.concatenate([centre - half, centre + half], axis=1) * sides


def _reading_ranks(votes: np.ndarray) -> np.ndarray:
    """(q, q) pairwise votes -> the rank of each query, as in the PP-DocLayout processors."""
    before = sigmoid(votes)
    total = np.triu(before, 1).sum(axis=0) + np.tril(1 - before.T, -1).sum(axis=0)
    return np.argsort(np.argsort(total, kind="stable"), kind="stable")


def select(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    threshold: float | None = None,
    classes: Collection[int] | None = None,
    nms: float | None = None,
    class_agnostic: bool = False,
    max_detections: int | None = None,
) -> np.ndarray:
    """The objects of an image that the options of a prediction keep, in their original order.

    An adapter calls it before expensive steps, such as making masks. The options are those of
    `pvzoo.tasks.object_detection.DetectionControls`. They are applied in this order; None skips an
    option.

    Args:
        boxes: (n, 4) left, top, right, bottom, all in the same unit.
        scores: (n,).
        labels: (n,) class ids.
        threshold: Keep objects with a higher score.
        classes: Keep objects of these class ids.
        nms: Of boxes that overlap by more than this IoU, keep the one with the best score; of
            equal scores the first.
        class_agnostic: Whether a box also suppresses boxes of other classes.
        max_detections: Keep this many objects, those with the best scores.

    Returns:
        (k,) int64 indices.
    """
    kept = np.arange(len(scores))
    if threshold is not None:
        kept = kept[scores > threshold]
    if classes is not None:
        kept = kept[np.isin(labels[kept], list(classes))]
    if nms is not None:
        kept = kept[_suppress(boxes[kept], scores[kept], labels[kept], nms, class_agnostic)]
    if max_detections is not None:
        kept = kept[np.sort(largest(scores[kept], max_detections))]
    return kept


_BLOCK = 64
"""The number of boxes that are compared with all others at once."""


def _suppress(
    boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, iou: float, class_agnostic: bool
) -> np.ndarray:
    """Greedy non-maximum suppression: the indices of the boxes that are kept, in order."""
    order = np.argsort(-scores, kind="stable")
    if class_agnostic or not len(order):
        return np.sort(_greedy(boxes, order, iou))
    order = order[np.argsort(labels[order], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[order])) + 1
    return np.sort(np.concatenate([_greedy(boxes, one, iou) for one in np.split(order, starts)]))


def _greedy(boxes: np.ndarray, order: np.ndarray, iou: float) -> np.ndarray:
    """From indices, best first, those of boxes that do not overlap a better box that is kept.

    A block of boxes is compared with all later boxes at once.
    """
    kept = []
    while len(order):
        over = _overlaps(boxes[order[:_BLOCK]], boxes[order], iou)
        stays = np.ones(len(over), dtype=bool)
        for i in range(len(over)):
            if stays[i]:
                stays[i + 1 :] &= ~over[i, i + 1 : len(over)]
        kept.append(order[:_BLOCK][stays])
        rest = ~over[stays, _BLOCK:].any(axis=0)
        order = order[_BLOCK:][rest]
    return np.concatenate(kept) if kept else order


def _overlaps(some: np.ndarray, boxes: np.ndarray, iou: float) -> np.ndarray:
    """(k, n) bool: which of (k, 4) and (n, 4) boxes overlap by more than `iou`."""
    left, top, right, bottom = (side[:, None] for side in some.T)
    width = np.minimum(right, boxes[:, 2]) - np.maximum(left, boxes[:, 0])
    height = np.minimum(bottom, boxes[:, 3]) - np.maximum(top, boxes[:, 1])
    common = np.maximum(width, 0) * np.maximum(height, 0)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    total = (right - left) * (bottom - top) + areas - common
    with np.errstate(invalid="ignore", divide="ignore"):  # two boxes without area do not overlap
        over: np.ndarray = common / total > np.float64(iou)
    return over
