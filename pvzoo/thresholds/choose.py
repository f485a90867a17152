"""Choose thresholds from scores: for F1, for a precision, for a recall, for an accuracy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pvzoo.errors import UsageError
from pvzoo.metrics.base import ratio
from pvzoo.metrics.bootstrap import resamples
from pvzoo.thresholds.apply import tempered

Target = str | Mapping[str, float]

RESAMPLES = 50
"""The number of resamples of the images for choosing a threshold for F1."""


def check_target(target: Target, known: tuple[str, ...]) -> tuple[str, float]:
    """Check a target, and return its name and value; the value of "f1" is 1.

    Args:
        target: The target that the user gave.
        known: The names of metrics that are allowed, such as "precision"; "f1" is always allowed.

    Raises:
        UsageError: It is neither "f1" nor a dict such as ``{"precision": 0.95}``.
    """
    if target == "f1":
        return "f1", 1.0
    if isinstance(target, Mapping) and len(target) == 1:
        ((name, value),) = target.items()
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in known and number and 0 < value <= 1:
            return name, float(value)
    examples = " or ".join(f"{{{name!r}: 0.9}}" for name in known)
    raise UsageError(f"target is {target!r}.", f"It must be 'f1', or a dict such as {examples}.")


def threshold_for(
    name: str, value: float, scores: np.ndarray, right: np.ndarray, count: int
) -> float:
    """The best threshold for a target; if the target cannot be reached, the nearest one.

    For F1, it is the threshold with the highest F1. For a precision or an accuracy, it is the
    lowest threshold that reaches the target, which finds the most. For a recall, it is the highest
    such threshold, which makes the fewest errors. It is halfway between two scores.

    Args:
        name: "f1", "precision", "recall" or "accuracy" (of the answers above the threshold).
        value: The value to reach.
        scores: (n,) scores of predictions.
        right: (n,) bool, whether each prediction is right.
        count: The number of objects or labels to find.
    """
    if not len(scores):
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # the last of equal scores
    hits, predicted = np.cumsum(right[order])[last], last + 1
    if name == "f1":
        best = int(np.argmax(2 * hits / np.maximum(predicted + count, 1)))
    elif name == "recall":
        recall = hits / max(count, 1)
        best = int(np.argmax(recall >= min(value, recall[-1])))
    else:
        precision = hits / predicted
        reached = np.flatnonzero(precision >= min(value, precision.max()))
        best = int(reached[-1])
    least = ranked[last[best]]
    below = ranked[last[best] + 1] if last[best] + 1 < len(ranked) else 0.0
    return round(float(least + below) / 2, 8) if least > 0 else 0.0


def steady_threshold(
    scores: np.ndarray,
    right: np.ndarray,
    index: np.ndarray,
    asked_index: np.ndarray,
    images: int,
) -> float:
    """The threshold for the highest F1, found so that it does not depend on single images.

    F1 is flat around its highest value, so a few images decide where that value is. The threshold
    is therefore chosen on `RESAMPLES` bootstrap resamples of the images, and their median is
    taken.

    Args:
        scores: (n,) scores of predictions.
        right: (n,) bool, whether each prediction is right.
        index: (n,) int, the image of each prediction, from 0.
        asked_index: (m,) int, the image of each object or label to find.
        images: The number of images.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, right, index = scores[order].astype(np.float64), right[order], index[order]
    if not len(ranked):
        return 0.5
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    below = np.append(ranked[last[1:]], 0.0)
    found = []
    for weights in resamples(images, RESAMPLES):
        each = weights[index]
        hits, predicted = np.cumsum(each * right)[last], np.cumsum(each)[last]
        f1 = 2 * hits / np.maximum(predicted + weights[asked_index].sum(), 1)
        best = int(f1.argmax())
        found.append((ranked[last[best]] + below[best]) / 2)
    return round(float(np.median(found)), 8)


def temperature_for(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which the right classes are most likely (Guo et al., arXiv:1706.04599).

    Args:
        probabilities: (n, classes) probabilities of images.
        labels: (n,) the classes of the images, as column numbers.
    """

    def loss(log: float) -> float:
        chosen = tempered(probabilities, float(np.exp(log)))[np.arange(len(labels)), labels]
        return float(-np.log(np.maximum(chosen, 1e-12)).mean())

    low, high = np.log(0.05), np.log(20.0)
    golden = (np.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    loss_a, loss_b = loss(a), loss(b)
    while high - low > 1e-3:
        if loss_a < loss_b:
            high, b, loss_b = b, a, loss_a
            a = high - golden * (high - low)
            loss_a = loss(a)
        else:
            low, a, loss_a = a, b, loss_b
            b = low + golden * (high - low)
            loss_b = loss(b)
    return round(float(np.exp((low + high) / 2)), 4)


def figures_of(hits: np.ndarray, predicted: np.ndarray, count: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1, computed from counts."""
    return {
        "precision": ratio(hits, predicted),
        "recall": ratio(hits, count),
        "f1": ratio(2 * hits, predicted + count),
    }
