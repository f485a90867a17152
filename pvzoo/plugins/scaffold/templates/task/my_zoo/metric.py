"""The metric of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from my_zoo.task import Cover
from pvzoo.metrics.base import Evaluation, Metric, check_numbers, class_ids, column
from pvzoo.metrics.bootstrap import Means
from pvzoo.metrics.class_match import LabelMatch


class CoverMetric(Metric):
    """How well shares are predicted, as a mean over the images.

    Figures: ``overlap``, the sum over the classes of the smaller of the true and the predicted
    share (1 is perfect); for each class ``error``, the mean absolute error of its share.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._rows: dict[int, np.ndarray] = {}  # index -> (2, classes), true and predicted

    def update(self, index: int, result: Cover, row: Mapping[str, Any]) -> None:
        """Add the shares of one image."""
        check_numbers(row, result.shares)
        classes, cover = len(self.match.data), row["cover"]
        labels = class_ids(row, "cover.category", cover["category"], classes)
        shares = np.zeros((2, classes))
        shares[0, labels] = column(row, "cover.share", cover["share"], labels.shape, float)
        for label, share in zip(result.labels, result.shares, strict=True):
            own = self.match.to_data[label]
            if own >= 0:  # otherwise the data does not have this class
                shares[1, own] = share
        self._rows[index] = shares

    def state(self) -> Any:
        """The shares of each image."""
        return self._rows

    def merge(self, states: Sequence[Any]) -> None:
        """Combine the shares of several processes, in the order of the images."""
        self._rows = dict(sorted(item for rows in states for item in rows.items()))

    def compute(self) -> Evaluation:
        """See the class."""
        shares = np.array([*self._rows.values()]).reshape(-1, 2, len(self.match.data))
        truth, found = shares[:, 0], shares[:, 1]
        overlap = np.minimum(truth, found).sum(axis=1)
        errors = np.abs(truth - found).mean(axis=0)
        images = np.array([*self._rows], np.int64)
        kept = Means(images, ("overlap",), overlap[:, None])
        figures = kept.figures(np.ones(len(images), np.int64))
        of_classes = {
            name: {"error": float(error)}
            for name, error in zip(self.match.data, errors, strict=True)
        }
        return Evaluation(figures, of_classes, len(shares), self.match, per_image=kept)
