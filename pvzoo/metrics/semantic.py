"""Intersection over union of semantic segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import SEMANTIC_VOID
from pvzoo.metrics.base import Evaluation, Metric, mean, ratio
from pvzoo.metrics.boundary import near_boundary
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.map_analysis import SemanticAnalysis
from pvzoo.metrics.tally import Tally
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
        self._tally = Tally(3, len(match.data))
        self._boundaries = Tally(2, len(match.data))

    def update(self, index: int, result: SemanticMap, row: Mapping[str, Any]) -> None:
        """Add the map of one image."""
        places, classes = read_truth(row, result.size, self.match, SEMANTIC_VOID)
        truth = classes[places]
        predicted = self.match.translate(result.map)
        predicted[predicted < 0] = len(self.match.data)
        judged = truth >= 0
        pairs = truth[judged] * self._confusion.shape[1] + predicted[judged]
        confusion = np.bincount(pairs, minlength=self._confusion.size).reshape(
            self._confusion.shape
        )
        self._confusion += confusion
        self._tally.add(
            index, np.stack([np.diagonal(confusion), confusion.sum(1), confusion.sum(0)[:-1]])
        )
        self._boundaries.add(index, self._near_boundaries(truth, predicted))

    def _near_boundaries(self, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """(2, classes) pixels near boundaries: in label and prediction, and in at least one."""
        classes = len(self.match.data)
        kind = np.int16 if classes < 2**15 - 2 else np.int32  # several times as fast as int64
        truth, predicted = truth.astype(kind), predicted.astype(kind)
        void = truth < 0
        truth[void] = predicted[void] = classes + 1  # void has the same outline in both
        a = near_boundary(truth) & ~void
        b = near_boundary(predicted) & (predicted < classes)
        counts = [
            np.bincount(ids, minlength=classes)
            for ids in (truth[a & b & (truth == predicted)], truth[a], predicted[b])
        ]
        return np.stack([counts[0], counts[1] + counts[2] - counts[0]])

    def state(self) -> tuple[np.ndarray, Any, Any]:
        """The confusion matrix of all images, and the counts of each class in each image."""
        return self._confusion, self._tally.state(), self._boundaries.state()

    def merge(self, states: Sequence[tuple[np.ndarray, Any, Any]]) -> None:
        """Add up the states."""
        self._confusion = np.sum([confusion for confusion, _, _ in states], axis=0)
        self._tally.merge([tally for _, tally, _ in states])
        self._boundaries.merge([tally for _, _, tally in states])

    def compute(self) -> Evaluation:
        """The metrics; see the class."""
        names = self.match.data
        kept = self._tally.per_image(_figures)
        sums = kept.sums(np.ones(len(kept.images), np.int64))
        _, pixels, _ = sums
        iou, accuracy = _shares(sums)
        per_class = {
            names[i]: {
                "iou": float(iou[i]),
                "accuracy": float(accuracy[i]),
                "pixels": float(pixels[i]),
            }
            for i in self.match.common
        }
        return Evaluation(
            _figures(sums),
            per_class,
            len(kept.images),
            self.match,
            confusion=self._confusion,
            confusion_names=(*names, "other"),
            per_image=kept,
            analysis=SemanticAnalysis(
                kept, self._boundaries.per_image(_figures), self.match, self._confusion
            ),
        )


def _shares(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """IoU and accuracy of each class from (3, classes) right, labelled and predicted pixels."""
    hits, pixels, predicted = sums
    return ratio(hits, pixels + predicted - hits), ratio(hits, pixels)


def _figures(sums: np.ndarray) -> dict[str, float]:
    hits, pixels, _ = sums
    iou, accuracy = _shares(sums)
    return {
        "miou": mean(iou),
        "pixel_accuracy": float(ratio(hits.sum(), pixels.sum())),
        "mean_accuracy": mean(accuracy),
    }
