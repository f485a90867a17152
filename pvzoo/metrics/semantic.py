"""Intersection over union of semantic segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import SEMANTIC_VOID
from pvzoo.metrics.base import Evaluation, Metric, mean, ratio
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.truth import read_truth

if TYPE_CHECKING:
    from pvzoo.results.semantic import SemanticMap


class SemanticMetric(Metric):
    """IoU and accuracy over the pixels of all images together.

    The metrics are:

    * ``miou``: the mean IoU of the classes that occur in the labels or are predicted, as in
      mmsegmentation (scikit-learn's `jaccard_score` of these classes);
    * ``pixel_accuracy``: the share of pixels that are right;
    * ``mean_accuracy``: for each class in the labels, the share of its pixels that are right, and
      the mean of these shares.

    Each class has ``iou``, ``accuracy`` and ``pixels``, the number of its pixels. The confusion
    matrix counts pixels.

    Void pixels do not count, whatever is predicted there, and pixels of a class that the model does
    not have do not count either. A prediction of a class that the data does not have is wrong; the
    last column of the confusion matrix, "other", counts such predictions.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._confusion = np.zeros((len(match.data), len(match.data) + 1), np.int64)
        self._images = 0

    def update(self, index: int, result: SemanticMap, row: Mapping[str, Any]) -> None:
        """Add the map of one image."""
        places, classes = read_truth(row, result.size, self.match, SEMANTIC_VOID)
        truth = classes[places]
        predicted = self.match.translate(result.map)
        predicted[predicted < 0] = len(self.match.data)
        judged = truth >= 0
        pairs = truth[judged] * self._confusion.shape[1] + predicted[judged]
        self._confusion += np.bincount(pairs, minlength=self._confusion.size).reshape(
            self._confusion.shape
        )
        self._images += 1

    def state(self) -> tuple[np.ndarray, int]:
        """The confusion matrix and the number of images."""
        return self._confusion, self._images

    def merge(self, states: Sequence[tuple[np.ndarray, int]]) -> None:
        """Add up the states."""
        self._confusion = np.sum([confusion for confusion, _ in states], axis=0)
        self._images = sum(images for _, images in states)

    def compute(self) -> Evaluation:
        """The metrics; see the class."""
        names = self.match.data
        hits = np.diagonal(self._confusion)
        pixels = self._confusion.sum(1)
        predicted = self._confusion.sum(0)[:-1]
        iou, accuracy = ratio(hits, pixels + predicted - hits), ratio(hits, pixels)
        figures = {
            "miou": mean(iou),
            "pixel_accuracy": float(ratio(hits.sum(), pixels.sum())),
            "mean_accuracy": mean(accuracy),
        }
        per_class = {
            names[i]: {
                "iou": float(iou[i]),
                "accuracy": float(accuracy[i]),
                "pixels": float(pixels[i]),
            }
            for i in self.match.common
        }
        return Evaluation(
            figures,
            per_class,
            self._images,
            self.match,
            confusion=self._confusion,
            confusion_names=(*names, "other"),
        )
