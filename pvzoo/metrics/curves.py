"""Precision, recall and F1 over the threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvzoo.metrics.base import ratio

THRESHOLDS = np.arange(101) / 100
"""At which a curve is known."""


@dataclass(frozen=True)
class Curve:
    """What the predictions that score at least a threshold are worth.

    Attributes:
        precision: (101,) float64 at `THRESHOLDS`; nan where nothing scores as much.
        recall: (101,) float64; nan where there is nothing to be found.
        f1: (101,) float64; nan where there is neither.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray

    @property
    def best(self) -> float:
        """The threshold with the highest F1; in the middle of those that share it; nan if none."""
        if np.isnan(self.f1).all():
            return float("nan")
        (indices,) = np.nonzero(self.f1 == np.nanmax(self.f1))
        return float(THRESHOLDS[indices[len(indices) // 2]])

    def at(self, threshold: float) -> dict[str, float]:
        """The three figures at the nearest of `THRESHOLDS`."""
        index = round(threshold * 100)
        return {name: float(getattr(self, name)[index]) for name in ("precision", "recall", "f1")}


def curve(scores: np.ndarray, right: np.ndarray, count: int) -> Curve:
    """The curve of some predictions.

    Args:
        scores: (n,) of the predictions, in 0..1.
        right: (n,) bool, whether each is right; a thing is found once at most.
        count: How many things there are to be found.
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
    """(101,) how many score at least each of `THRESHOLDS`."""
    return len(scores) - np.searchsorted(np.sort(scores), THRESHOLDS, side="left")
