"""Whether scores are what they seem: of predictions with a score of 0.8, are 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvzoo.metrics.base import ratio

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: predictions in `BINS` bins of equal width by their scores.

    Attributes:
        confidence: (10,) float64, the mean score of each bin; nan where it is empty.
        accuracy: (10,) float64, the share of it that is right; likewise.
        count: (10,) int64, how many predictions it has.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error: the mean over the predictions of |score - accuracy| of
        their bins (Guo et al., arXiv:1706.04599); nan without predictions.
        """
        some = self.count > 0
        if not some.any():
            return float("nan")
        gaps = np.abs(self.confidence - self.accuracy)[some]
        return float(np.average(gaps, weights=self.count[some]))


def calibration(scores: np.ndarray, right: np.ndarray) -> Calibration:
    """The diagram of some predictions.

    Args:
        scores: (n,) in 0..1. A bin holds its upper edge, and the first one 0 too.
        right: (n,) bool.
    """
    bins = np.clip(np.ceil(scores.astype(np.float64) * BINS) - 1, 0, BINS - 1).astype(int)
    count = np.bincount(bins, minlength=BINS)
    total = np.bincount(bins, weights=scores, minlength=BINS)
    hits = np.bincount(bins, weights=right, minlength=BINS)
    return Calibration(ratio(total, count), ratio(hits, count), count)
