"""The sections of a report about a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pvzoo.report.detection import reliability, thresholds
from pvzoo.report.parts import Lines, Section, Table

if TYPE_CHECKING:
    from pvzoo.metrics.classification_analysis import MultiLabelAnalysis, SingleLabelAnalysis


def single_label(analysis: SingleLabelAnalysis) -> list[Section]:
    """Confusions, accuracy by confidence, calibration."""
    accuracy, share = analysis.by_confidence()
    grid = (np.arange(101) / 100).tolist()
    rows = [(f"{t:.2f}", float(accuracy[i]), float(share[i])) for i, t in _tenths(grid)]
    return [
        Section(
            "Which classes are confused",
            "The most frequent wrong answers.",
            (Table(("label", "taken for", "how often"), analysis.top_confusions()),),
        ),
        Section(
            "Accuracy by confidence",
            "Suppose that the model answers only if its best score reaches the threshold. "
            "Accuracy is then the share of its answers that are right; answered is the share of "
            "the images that it answers. model.tune_thresholds stores a threshold for an accuracy "
            "that you choose.",
            (
                Lines(
                    "threshold",
                    grid,
                    {"accuracy": accuracy.tolist(), "answered": share.tolist()},
                ),
                Table(("threshold", "accuracy", "answered"), rows),
            ),
        ),
        reliability(analysis.calibration, "answers"),
    ]


def _tenths(grid: list[float]) -> list[tuple[int, float]]:
    return list(enumerate(grid))[::10]


def multi_label(analysis: MultiLabelAnalysis) -> list[Section]:
    """Thresholds, calibration."""
    return [thresholds(analysis.curves), reliability(analysis.calibration, "answers")]
