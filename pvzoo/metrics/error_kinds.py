"""Where the average precision is lost: TIDE's split by kinds of errors (arXiv:2008.08115).

What a kind costs is how much the average precision would rise if all errors of that kind, and only
they, were put right: a wrong class or location finds its object (the best one if there are several;
the others vanish), other wrong detections vanish, and missed objects are no longer asked for. The
costs do not add up to what is missing to 1, since one error can hide another.
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
        scores: (n,) of detections.
        right: (n,) bool, whether each finds an object.
        labels: (n,) class ids.
        objects: (classes,) int, how many objects of each class there are to be found.

    Returns:
        (classes,) float64; 0 for a class without objects that is predicted, nan for one that is
        not.
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
    """The mean average precision at an IoU of 0.5, and what each kind of error costs of it.

    Args:
        pairing: Of the data set.
        classes: How many classes the data has; those without objects are left out.

    Returns:
        Both from 0 to 1; nan, and costs of 0, where there are no objects.
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
    """How many errors of each kind there are, however low their scores."""
    found = {name: int((pairing.kind == number).sum()) for number, name in enumerate(KINDS)}
    return found | {KINDS[MISSED]: int(pairing.missed.sum())}
