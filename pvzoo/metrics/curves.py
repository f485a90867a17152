"""Precision, recall and F1 over the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvzoo.metrics.base import ratio

THRESHOLDS = np.arange(101) / 100
"""The thresholds at which a curve is computed."""


@dataclass(frozen=True)
class Curve:
    """Precision, recall and F1 of the predictions with a score of at least each threshold.

    Attributes:
        precision: (101,) float64 at `THRESHOLDS`; nan if no prediction has such a score.
        recall: (101,) float64; nan if there is nothing to find.
        f1: (101,) float64; nan if there are no such predictions and there is nothing to find.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def best(self) -> float:
        """The threshold with the highest F1; the middle one of several; nan if F1 is undefined."""
        if np.isnan(self.f1).all():
            return float("nan")
        (indices,) = np.nonzero(self.f1 == np.nanmax(self.f1))
        return float(THRESHOLDS[indices[len(indices) // 2]])

    def at(self, threshold: float) -> dict[str, float]:
        """Precision, recall and F1 at the nearest of `THRESHOLDS`."""
        index = round(threshold * 100)
        return {name: float(getattr(self, name)[index]) for name in ("precision", "recall", "f1")}


def curve(scores: np.ndarray, right: np.ndarray, count: int) -> Curve:
    """The curve of some predictions.

    Args:
        scores: (n,) scores of the predictions, from 0 to 1.
        right: (n,) bool, whether each prediction is right; each object is found at most once.
        count: The number of objects or labels to find.
    """
    scores = scores.astype(np.float64).round(6)  # a float32 of 0.3 is at least 0.3
    predicted = _at_least(scores)
    hits = _at_least(scores[right])
    return Curve(
        ratio(hits, predicted),
        ratio(hits, np.full(len(THRESHOLDS), count)),
        ratio(2 * hits, predicted + count),
    )


def _at_least(scores: np.ndarray) -> np.ndarray:
    """(101,) the number of scores that are at least each of `THRESHOLDS`."""
    return len(scores) - np.searchsorted(np.sort(scores), THRESHOLDS, side="left")
