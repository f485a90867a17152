"""The errors of a classifier by class, image and confidence, and labels that may be mistakes."""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pvzoo.metrics.analysis import Analysis, ImageErrors, Ranked, Suspect
from pvzoo.metrics.calibration import Calibration, calibration
from pvzoo.metrics.curves import Curve, curve

if TYPE_CHECKING:
    from pvzoo.report.parts import Section

LEAST = 0.3
"""Smaller suspicions are not listed; for images with several classes, the limit is 1 - LEAST."""
THRESHOLD = 0.5
"""The smallest score of a class that counts as predicted, if an image may have several classes."""


class SingleLabelAnalysis(Analysis):
    """The analysis for images with one class.

    Args:
        images: (n,) indices in the dataset.
        labels: (n,) classes of the data.
        answers: (n,) the best class of the model, as a class id of the data; the id after the last
            one stands for all classes that the data does not have.
        better: (n,) the number of classes with a better score than the right class.
        scores: (n, 2) float32: the score of the answer, and the score of the right class.
        names: The classes of the data.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        answers: np.ndarray,
        better: np.ndarray,
        scores: np.ndarray,
        names: tuple[str, ...],
    ) -> None:
        self._images, self._labels, self._answers = images, labels, answers
        self._better = better
        self._confidence, self._own = scores.T
        self._names = (*names, "other")

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:  # type: ignore[override]
        """The number of wrong images: "near" if the right class is in the best five, else "far"."""
        return {kind: {"count": int((self._kinds == kind).sum())} for kind in ("near", "far")}

    @cached_property
    def _kinds(self) -> np.ndarray:
        """(n,) "near" if the right class is among the best five but not the best, "far", or ""."""
        return np.select([self._better < 1, self._better < 5], ["", "near"], "far")

    @cached_property
    def calibration(self) -> Calibration:  # type: ignore[override]
        """The calibration of the best class of each image."""
        return calibration(self._confidence, self._better < 1)

    def images(self) -> list[ImageErrors]:
        """The wrong images. If the model is more sure of a wrong answer, the loss is larger."""
        losses = self._confidence - self._own + 1e-6
        wrong = np.flatnonzero(self._better > 0)
        order = wrong[np.lexsort((self._images[wrong], -losses[wrong]))]
        return [
            ImageErrors(
                int(self._images[i]),
                float(losses[i]),
                (str(self._kinds[i]),),
                (self._names[self._labels[i]],),
                f"{self._names[self._labels[i]]} taken for {self._names[self._answers[i]]} "
                f"({self._confidence[i]:.2f} against {self._own[i]:.2f})",
            )
            for i in order.tolist()
        ]

    def suspects(self) -> list[Suspect]:
        """Wrong answers that the model is sure of."""
        suspicion = self._confidence * (1 - self._own)
        some = np.flatnonzero((self._better > 0) & (suspicion >= LEAST))
        order = some[np.lexsort((self._images[some], -suspicion[some]))]
        return [
            Suspect(
                int(self._images[i]),
                float(suspicion[i]),
                "wrong class",
                self._names[self._labels[i]],
                self._names[self._answers[i]],
                float(self._confidence[i]),
            )
            for i in order.tolist()
        ]

    def top_confusions(self, most: int = 20) -> list[tuple[str, str, int]]:
        """The most frequent wrong answers: (label, answer, count)."""
        wrong = self._better > 0
        answers = self._answers[wrong].tolist()
        pairs = Counter(zip(self._labels[wrong].tolist(), answers, strict=True))
        return [
            (self._names[label], self._names[answer], count)
            for (label, answer), count in pairs.most_common(most)
        ]

    def by_confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """(101,) accuracy of images with scores of at least 0.00, 0.01, ..., and their share."""
        found = curve(self._confidence, self._better < 1, len(self._labels))
        right = found.recall
        return found.precision, np.where(np.isnan(found.precision), 0, right / found.precision)

    def sections(self) -> list[Section]:
        """The report's sections: confusions, accuracy by confidence, calibration."""
        from pvzoo.report.classification import single_label

        return single_label(self)


class MultiLabelAnalysis(Analysis):
    """The analysis for images that may have several classes.

    Args:
        images: (n,) indices in the dataset.
        scores: (n, classes) float32 scores of the classes that both the model and the data have.
        truth: (n, classes) bool: whether the image has the class.
        names: The names of these classes.
    """

    def __init__(
        self, images: np.ndarray, scores: np.ndarray, truth: np.ndarray, names: tuple[str, ...]
    ) -> None:
        self._images, self._scores, self._truth, self._names = images, scores, truth, names

    @cached_property
    def curves(self) -> dict[str, Curve]:  # type: ignore[override]
        """The curve of each class that occurs in the labels, and of all classes together."""
        scores, truth = self._scores, self._truth
        made = {"": curve(scores.reshape(-1), truth.reshape(-1), int(truth.sum()))}
        for k, name in enumerate(self._names):
            if count := int(truth[:, k].sum()):
                made[name] = curve(scores[:, k], truth[:, k], count)
        return made

    @cached_property
    def calibration(self) -> Calibration:  # type: ignore[override]
        """The calibration over all classes of all images."""
        return calibration(self._scores.reshape(-1), self._truth.reshape(-1))

    @cached_property
    def _wrong(self) -> dict[str, np.ndarray]:
        """(n, classes) bool for each kind of error, at `THRESHOLD`."""
        found = self._scores >= THRESHOLD
        return {"missed": ~found & self._truth, "too much": found & ~self._truth}

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:  # type: ignore[override]
        """The number of classes that are missed, and that are wrongly predicted ("too much")."""
        return {kind: {"count": int(where.sum())} for kind, where in self._wrong.items()}

    def images(self) -> list[ImageErrors]:
        """The wrong images; the loss is the sum of |score - truth| over the wrong classes."""
        wrong = self._wrong["missed"] | self._wrong["too much"]
        losses = (np.abs(self._scores - self._truth) * wrong).sum(axis=1)
        some = np.flatnonzero(wrong.any(axis=1))
        made = []
        for i in some[np.lexsort((self._images[some], -losses[some]))].tolist():
            kinds = [kind for kind, where in self._wrong.items() if where[i].any()]
            errors = [
                f"{kind}: {self._names[k]}"
                for kind in kinds
                for k in np.flatnonzero(self._wrong[kind][i]).tolist()
            ]
            classes = tuple(self._names[k] for k in np.flatnonzero(wrong[i]).tolist())
            about = ", ".join(errors[:4]) + (" and more" if len(errors) > 4 else "")
            index = int(self._images[i])
            made.append(ImageErrors(index, float(losses[i]), tuple(kinds), classes, about))
        return made

    def suspects(self) -> list[Suspect]:
        """Labels that differ much from the scores."""
        suspicion = np.abs(self._scores - self._truth)
        rows, columns = np.nonzero(suspicion >= 1 - LEAST)
        made = []
        for i, k in zip(rows.tolist(), columns.tolist(), strict=True):
            has = bool(self._truth[i, k])
            made.append(
                Suspect(
                    int(self._images[i]),
                    float(suspicion[i, k]),
                    "nothing there" if has else "missing",
                    self._names[k] if has else "",
                    "" if has else self._names[k],
                    float(self._scores[i, k]),
                )
            )
        return sorted(made, key=lambda one: (-one.suspicion, one.index))

    def ranked(self) -> Ranked:
        """The score of every class of every image."""
        count = len(self._names)
        asked_image, asked_label = np.nonzero(self._truth)
        return Ranked(
            np.repeat(self._images, count),
            np.tile(np.arange(count), len(self._images)),
            self._scores.reshape(-1),
            self._truth.reshape(-1),
            self._images[asked_image],
            asked_label,
            self._names,
        )

    def sections(self) -> list[Section]:
        """The report's sections: thresholds, calibration."""
        from pvzoo.report.classification import multi_label

        return multi_label(self)
