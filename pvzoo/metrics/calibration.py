"""Measure whether scores match accuracy: are 80 % of predictions with a score of 0.8 right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvzoo.metrics.base import ratio

BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: predictions in `BINS` bins of equal width, by their scores.

    Attributes:
        confidence: (10,) float64, the mean score of each bin; nan if the bin is empty.
        accuracy: (10,) float64, the share of right predictions; nan if the bin is empty.
        count: (10,) int64, the number of predictions in each bin.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """The expected calibration error (Guo et al., arXiv:1706.04599); nan without predictions.

        It is the mean of |confidence - accuracy| over the bins, weighted by their counts.
        """
        some = self.count > 0
        if not some.any():
            return float("nan")
        gaps = np.abs(self.confidence - self.accuracy)[some]
        return float(np.average(gaps, weights=self.count[some]))


def calibration(scores: np.ndarray, right: np.ndarray) -> Calibration:
    """The reliability diagram of some predictions.

    Args:
        scores: (n,) scores from 0 to 1. A bin includes its upper edge; the first includes 0 too.
        right: (n,) bool, whether each prediction is right.
    """
    bins = np.clip(np.ceil(scores.astype(np.float64) * BINS) - 1, 0, BINS - 1).astype(int)
    count = np.bincount(bins, minlength=BINS)
    total = np.bincount(bins, weights=scores, minlength=BINS)
    hits = np.bincount(bins, weights=right, minlength=BINS)
    return Calibration(ratio(total, count), ratio(hits, count), count)
