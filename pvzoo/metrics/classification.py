"""Accuracy of classification, and average precision if an image may have several classes."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import VOID
from pvzoo.errors import UsageError
from pvzoo.metrics.base import Evaluation, Metric, check_numbers, class_ids, mean, ratio
from pvzoo.metrics.bootstrap import Means, PerImage
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.classification_analysis import (
    THRESHOLD,
    MultiLabelAnalysis,
    SingleLabelAnalysis,
)

if TYPE_CHECKING:
    from pvzoo.results.classification import Classification

MOST_CONFUSED = 1000
"""The most classes of a confusion matrix; with 20,000 classes it would need 3 GB."""


class ClassificationMetric(Metric):
    """`SingleLabelMetric` for data with a `label`, `MultiLabelMetric` for data with `labels`."""

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._single = SingleLabelMetric(match)
        self._multi = MultiLabelMetric(match)

    def update(self, index: int, result: Classification, row: Mapping[str, Any]) -> None:
        """Add the scores of one image."""
        (self._multi if "labels" in row else self._single).update(index, result, row)

    def state(self) -> tuple[Any, Any]:
        """The states of both metrics; one of them is empty."""
        return self._single.state(), self._multi.state()

    def merge(self, states: Sequence[tuple[Any, Any]]) -> None:
        """Join the states of both metrics."""
        self._single.merge([single for single, _ in states])
        self._multi.merge([multi for _, multi in states])

    def compute(self) -> Evaluation:
        """The result of the metric that was used."""
        multi = self._multi.compute()
        return multi if multi.images or multi.left_out else self._single.compute()


class SingleLabelMetric(Metric):
    """Accuracy if each image has one class.

    The metrics are ``top1`` and, for a model with at least five classes, ``top5``: the share of
    images whose class has the best score, or one of the best five scores, of the model's classes.
    If scores are equal, the later class ranks higher, as in scikit-learn's `top_k_accuracy_score`.
    Each class has ``precision``, ``recall``, ``f1`` (nan for 0 / 0) and ``support``, the number of
    its images. The confusion matrix has a row for each class of the data; its last column, "other",
    counts predictions that are not a class of the data. With more than `MOST_CONFUSED` classes
    there is no confusion matrix.

    Images without a class (`schema.VOID` or null), and images of a class that the model does not
    have, are left out and counted in ``left_out``. A prediction that is not a class of the data is
    simply wrong.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._output = {label: i for i, label in enumerate(match.to_data) if label >= 0}
        # for each image: its index, its class, the answer, the rank of its class
        self._answers = array("i")
        self._scores = array("f")  # for each image: the score of the answer, and of its class
        self._left_out = 0

    def update(self, index: int, result: Classification, row: Mapping[str, Any]) -> None:
        """Add the scores of one image."""
        scores = _scores(result, row)
        label = VOID if row["label"] is None else row["label"]
        classes = len(self.match.data)
        label = int(class_ids(row, "label", [label], classes, void=True)[0])
        if label not in self._output:
            self._left_out += 1
            return
        right = self._output[label]
        answer = len(scores) - 1 - int(scores[::-1].argmax())
        better = np.count_nonzero(scores > scores[right])
        better += np.count_nonzero(scores[right + 1 :] == scores[right])
        self._answers.extend((index, label, self.match.to_data[answer], int(better)))
        self._scores.extend((float(scores[answer]), float(scores[right])))

    def state(self) -> tuple[bytes, bytes, int]:
        """Four numbers and two scores for each image, and the number of images left out."""
        return self._answers.tobytes(), self._scores.tobytes(), self._left_out

    def merge(self, states: Sequence[tuple[bytes, bytes, int]]) -> None:
        """Join the images of all states."""
        self._answers = array("i", b"".join(answers for answers, _, _ in states))
        self._scores = array("f", b"".join(scores for _, scores, _ in states))
        self._left_out = sum(left_out for _, _, left_out in states)

    def compute(self) -> Evaluation:
        """The metrics; see the class."""
        names = self.match.data
        rows = np.array(self._answers, dtype=np.int64).reshape(-1, 4)
        order = rows[:, 0].argsort()
        images, labels, answers, better = rows[order].T
        scores = np.array(self._scores, dtype=np.float32).reshape(-1, 2)[order]
        answers = np.where(answers < 0, len(names), answers)  # "other"
        places = (1, 5) if len(self.match.model) >= 5 else (1,)
        right = (better[:, None] < places).astype(float)
        kept = Means(images, tuple(f"top{place}" for place in places), right)
        hits, predicted, support = (
            np.bincount(ids, minlength=len(names) + 1)[:-1]
            for ids in (labels[labels == answers], answers, labels)
        )
        confusion = None
        if len(names) <= MOST_CONFUSED:
            shape = (len(names), len(names) + 1)
            pairs = np.ravel_multi_index((labels, answers), shape)
            confusion = np.bincount(pairs, minlength=np.prod(shape)).reshape(shape)
        return Evaluation(
            kept.figures(np.ones(len(images), np.int64)),
            _per_class(self.match, hits, predicted, support),
            len(labels),
            self.match,
            confusion=confusion,
            confusion_names=() if confusion is None else (*names, "other"),
            left_out=self._left_out,
            per_image=kept,
            analysis=SingleLabelAnalysis(images, labels, answers, better, scores, names),
        )


class MultiLabelMetric(Metric):
    """Average precision and F1 if an image may have several classes, or none.

    The metrics are ``map``, the mean of scikit-learn's `average_precision_score` over the classes
    that occur, and ``f1_micro`` and ``f1_macro``; for F1, classes with a score of at least
    `THRESHOLD` count as predicted. Each class has ``ap``, ``precision``, ``recall``, ``f1`` and
    ``support``. 0 / 0 is nan, and is left out of the means.

    Classes that only the model or only the data has are left out. Images whose classes are null
    are left out too, and counted in ``left_out``.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._outputs = [match.to_data.index(label) for label in match.common]
        self._scores = array("f")  # a row of the common classes for each image
        self._truth = bytearray()  # the same rows, 1 for the classes of the image
        self._images = array("q")
        self._left_out = 0

    def update(self, index: int, result: Classification, row: Mapping[str, Any]) -> None:
        """Add the scores of one image."""
        scores = _scores(result, row)[self._outputs]
        if row["labels"] is None:
            self._left_out += 1
            return
        labels = class_ids(row, "labels", row["labels"], len(self.match.data))
        self._scores.frombytes(scores.astype(np.float32).tobytes())
        self._truth += np.isin(self.match.common, labels).tobytes()
        self._images.append(index)

    def state(self) -> tuple[bytes, bytes, bytes, int]:
        """The scores as float32 and the truth as bool, both (images, classes), in bytes.

        Then the indices of the images as int64, in bytes, and the number of images left out.
        """
        return self._scores.tobytes(), bytes(self._truth), self._images.tobytes(), self._left_out

    def merge(self, states: Sequence[tuple[bytes, bytes, bytes, int]]) -> None:
        """Join the images of all states."""
        self._scores = array("f", b"".join(scores for scores, *_ in states))
        self._truth = bytearray(b"".join(truth for _, truth, *_ in states))
        self._images = array("q", b"".join(images for _, _, images, _ in states))
        self._left_out = sum(left_out for *_, left_out in states)

    def compute(self) -> Evaluation:
        """The metrics; see the class."""
        images = np.array(self._images, np.int64)
        order = images.argsort()
        shape = (len(images), len(self.match.common))
        kept = ScoresAndTruth(
            images[order],
            np.frombuffer(self._scores, np.float32).reshape(shape)[order],
            np.frombuffer(self._truth, np.bool_).reshape(shape)[order],
        )
        ones = np.ones(len(images), np.int64)
        counts = np.zeros((3, len(self.match.data)), np.int64)
        counts[:, list(self.match.common)] = kept.counts(ones)
        per_class = _per_class(self.match, *counts)
        for row, ap in zip(per_class.values(), kept.average_precision(ones), strict=True):
            row["ap"] = float(ap)
        return Evaluation(
            kept.figures(ones),
            per_class,
            len(images),
            self.match,
            left_out=self._left_out,
            per_image=kept,
            analysis=MultiLabelAnalysis(
                kept.images,
                kept.scores,
                kept.truth,
                tuple(self.match.data[label] for label in self.match.common),
            ),
        )


@dataclass(frozen=True, eq=False)
class ScoresAndTruth(PerImage):
    """The scores and the truth of images that may have several classes.

    Attributes:
        images: See `PerImage`.
        scores: (n, classes) float32.
        truth: (n, classes) bool.
    """

    images: np.ndarray
    scores: np.ndarray
    truth: np.ndarray

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """See `PerImage`."""
        hits, predicted, support = self.counts(weights)
        return {
            "map": mean(self.average_precision(weights)),
            "f1_micro": float(ratio(2 * hits.sum(), predicted.sum() + support.sum())),
            "f1_macro": mean(ratio(2 * hits, predicted + support)),
        }

    def counts(self, weights: np.ndarray) -> np.ndarray:
        """(3, classes): the number of right predictions, of predictions and of labelled images."""
        found = self.scores >= THRESHOLD
        return np.stack([weights @ (found & self.truth), weights @ found, weights @ self.truth])

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """(classes,): the precision at each score, weighted with the gain in recall, added up.

        nan if the class does not occur.
        """
        order, last = self._order
        each = weights[order]
        hits = each * np.take_along_axis(self.truth, order, 0)
        precision = ratio(
            np.take_along_axis(hits.cumsum(0), last, 0), np.take_along_axis(each.cumsum(0), last, 0)
        )
        gained = np.where(hits > 0, hits * precision, 0).sum(0)
        return ratio(gained, hits.sum(0))

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray]:
        """The images in the order of their score for each class, highest first: (n, classes).

        Then, for each of these, the last index with the same score: (n, classes).
        """
        order = np.argsort(-self.scores, axis=0, kind="stable")
        scores = np.take_along_axis(self.scores, order, 0)
        n = len(scores)
        ends = np.vstack([scores[1:] != scores[:-1], np.ones((min(n, 1), scores.shape[1]), bool)])
        last = np.where(ends, np.arange(n)[:, None], n)[::-1]
        return order, np.minimum.accumulate(last, axis=0)[::-1]


def _scores(result: Classification, row: Mapping[str, Any]) -> np.ndarray:
    if result.probabilities is None:
        raise UsageError(
            "The result does not have the scores of all classes.",
            "Predict with probabilities=True.",
        )
    check_numbers(row, result.probabilities)
    return result.probabilities


def _per_class(
    match: LabelMatch, hits: np.ndarray, predicted: np.ndarray, support: np.ndarray
) -> dict[str, dict[str, float]]:
    """The metrics of each class that the model has, from three counts for each class."""
    precision, recall = ratio(hits, predicted), ratio(hits, support)
    f1 = ratio(2 * hits, predicted + support)
    return {
        match.data[label]: {
            "precision": float(precision[label]),
            "recall": float(recall[label]),
            "f1": float(f1[label]),
            "support": float(support[label]),
        }
        for label in match.common
    }
