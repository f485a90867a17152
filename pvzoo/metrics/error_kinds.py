"""The cost of each kind of error in average precision, as TIDE defines it (arXiv:2008.08115).

The cost of a kind is how much the average precision would rise if only the errors of that kind were
corrected. A detection with a wrong class or location then finds its object; if there are several,
the best one finds it, and the others are removed. Other wrong detections are removed. Missed
objects no longer need to be found. The costs do not add up to the whole loss, because one error can
hide another.
"""

from __future__ import annotations

import numpy as np

from pvzoo.metrics.matching import CLASS, KINDS, LEFT_OUT, LOCATION, MISSED, RIGHT, Pairing

_RECALLS = np.arange(101) / 100


def average_precisions(
    scores: np.ndarray, right: np.ndarray, labels: np.ndarray, objects: np.ndarray
) -> np.ndarray:
    """COCO's average precision at one IoU: the mean of the precision at 101 recalls.

    Args:
        scores: (n,) scores of detections.
        right: (n,) bool, whether each detection finds an object.
        labels: (n,) class ids of the detections.
        objects: (classes,) int, the number of objects of each class.

    Returns:
        (classes,) float64. For a class without objects, it is 0 if the class is predicted, else
        nan.
    """
    order = np.lexsort((-scores, labels))
    right, labels = right[order], labels[order]
    bounds = np.searchsorted(labels, np.arange(len(objects) + 1))
    found = np.full(len(objects), np.nan)
    for label, count in enumerate(objects.tolist()):
        hits = np.cumsum(right[bounds[label] : bounds[label + 1]])
        if not count:
            found[label] = 0.0 if len(hits) else np.nan
            continue
        precision = hits / np.arange(1, len(hits) + 1)
        precision = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
        index = np.searchsorted(hits / count, _RECALLS, side="left")
        found[label] = precision[index].mean()
    return found


def costs(pairing: Pairing, classes: int) -> tuple[float, dict[str, float]]:
    """The mean average precision at an IoU of 0.5, and the cost of each kind of error.

    Args:
        pairing: The matched detections and objects of the data set.
        classes: The number of classes of the data; classes without objects are left out.

    Returns:
        The average precision and the costs, all from 0 to 1; nan and costs of 0 without objects.
    """
    found, kind = pairing.found, pairing.kind
    asked = np.bincount(pairing.objects["label"], minlength=classes)
    counted = kind != LEFT_OUT

    def mean(kept: np.ndarray, right: np.ndarray, labels: np.ndarray, left: np.ndarray) -> float:
        each = average_precisions(found["score"][kept], right[kept], labels[kept], left)[asked > 0]
        each = each[~np.isnan(each)]
        return float(each.mean()) if each.size else float("nan")

    base = mean(counted, kind == RIGHT, found["label"], asked)
    lost = {}
    for number, name in enumerate(KINDS):
        mended = (kind == number) & pairing.corrected
        labels, left = found["label"], asked
        if number == CLASS:
            labels = labels.copy()
            labels[mended] = pairing.objects["label"][pairing.object_of[mended]]
        if number == MISSED:
            gone = pairing.objects["label"][pairing.missed]
            left = asked - np.bincount(gone, minlength=classes)
        kept = counted & ((kind != number) | mended)
        right = (kind == RIGHT) | (mended if number in (CLASS, LOCATION) else False)
        lost[name] = max(mean(kept, right, labels, left) - base, 0.0)
    return base, {name: cost if cost == cost else 0.0 for name, cost in lost.items()}


def counts(pairing: Pairing) -> dict[str, int]:
    """The number of errors of each kind, at any score."""
    found = {name: int((pairing.kind == number).sum()) for number, name in enumerate(KINDS)}
    return found | {KINDS[MISSED]: int(pairing.missed.sum())}
