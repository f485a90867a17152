"""`Model.tune_thresholds`: choose on one half of the labelled images, check on the other half."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.load import load
from pvzoo.errors import DataError, UnsupportedModelError
from pvzoo.extras import needs
from pvzoo.metrics.analysis import Analysis, Ranked
from pvzoo.metrics.base import Evaluation
from pvzoo.metrics.bootstrap import PerImage, intervals
from pvzoo.metrics.calibration import calibration
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.classification import ClassificationMetric
from pvzoo.metrics.evaluate import measure, one_split
from pvzoo.progress import Progress
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.tasks.base import Task
from pvzoo.thresholds.apply import tempered
from pvzoo.thresholds.choose import (
    Target,
    check_target,
    figures_of,
    steady_threshold,
    temperature_for,
    threshold_for,
)
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from pvzoo.results.base import Result

EXAMPLES = 25
"""The fewest examples for a threshold of its own. A class with fewer examples among the images for
choosing uses the common threshold."""
_POOLED = 100
"""With this many examples, a class's own threshold for F1 and the common one count equally."""
DEFAULT = 0.5
"""The default threshold, which a tuned threshold is compared with."""
_MOST_SCORES = 20_000_000
"""The largest number of scores that are kept to find a temperature: 80 MB."""


def tune(
    stream: Callable[..., Iterator[Any]],
    task: Task,
    labels: Sequence[str],
    data: Any,
    *,
    name: str,
    split: str | None,
    target: Target,
    per_class: bool,
    fitted_with: Mapping[str, Any],
    batch_size: int,
    progress: Progress,
) -> Thresholds:
    """See `Model.tune_thresholds`.

    Args:
        stream: As for `pvzoo.metrics.evaluate.evaluate`, without thresholds.
        task: The task of the results.
        labels: The classes of the model.
        data: As for `Model.evaluate`.
        name: The name of the model in messages.
        split: As for `Model.evaluate`.
        target: The target, such as "f1" or ``{"precision": 0.95}``.
        per_class: Whether classes get thresholds of their own.
        fitted_with: The settings the model runs with; they are recorded in the thresholds.
        batch_size: As for `Model.evaluate`.
        progress: As for `Model.evaluate`.
    """
    result: type[Result] = task.result
    if not issubclass(result, Detections | Classification):
        raise UnsupportedModelError(
            f"{name} is for {task.id}; its results have no threshold to tune.",
            "Tune a model for detection, instance segmentation or classification.",
        )
    if task.class_prompt is not None:
        raise UnsupportedModelError(
            f"{name} finds the classes that a prompt names, so they cannot have thresholds.",
            "Pass threshold= to predict.",
        )
    if not issubclass(result, Classification):
        check_target(target, ("precision", "recall"))  # before anything is predicted
    needs("Tuning thresholds", "datasets")
    dataset = one_split(load(data, task.result.task, split=split))
    single = issubclass(result, Classification) and "labels" not in dataset.column_names
    known = ("accuracy",) if single else ("precision", "recall")
    asked = check_target(target, known)
    step = -(-len(dataset) * len(labels) // _MOST_SCORES) or 1

    def metric(match: LabelMatch) -> ClassificationMetric:
        return _AllScores(match, step)

    found = measure(
        stream,
        task,
        labels,
        dataset,
        {},
        batch_size=batch_size,
        progress=progress,
        metric=metric if single else None,
    )
    chosen = (_single if single else _ranked)(found, asked, per_class)
    return Thresholds(
        task.id,
        **chosen,
        target=dict(target) if isinstance(target, Mapping) else target,
        data=str(getattr(dataset, "_fingerprint", "")),
        fitted_with=dict(fitted_with),
    )


def halves(images: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split the images at random into two halves; the same seed gives the same halves.

    Raises:
        DataError: There are fewer than two images.
    """
    images = np.unique(images)
    if len(images) < 2:
        raise DataError(
            f"Thresholds cannot be chosen on {len(images)} image{'s' * (len(images) != 1)}.",
            "Give labelled images, several hundred if possible.",
        )
    mixed = np.random.default_rng(seed).permutation(images)
    return np.sort(mixed[: len(mixed) // 2]), np.sort(mixed[len(mixed) // 2 :])


# --- objects, and images that may have several classes ------------------------------------------


def _ranked(found: Evaluation, asked: tuple[str, float], per_class: bool) -> dict[str, Any]:
    ranked = found.analysis.ranked()
    assert ranked is not None
    assert found.per_image is not None
    first, second = halves(found.per_image.images)
    common, own = thresholds_of(ranked, first, asked, per_class)
    names = found.labels.data
    in_data = {
        name: names[j]
        for name, j in zip(found.labels.model, found.labels.to_data, strict=True)
        if name and j >= 0
    }
    by_class = {name: own[other] for name, other in in_data.items() if other in own}
    few = tuple(n for n in dict.fromkeys(found.labels.model) if n and n not in by_class)
    least = np.array([own.get(name, common) for name in ranked.names])
    kept = _Kept.of(ranked, second, least)
    before = _Kept.of(ranked, second, np.full(len(ranked.names), DEFAULT))
    return {
        "common": common,
        "per_class": by_class,
        "fallback": few if per_class else (),
        "figures": _with_intervals(kept, before),
        "images": (len(first), len(second)),
    }


def thresholds_of(
    ranked: Ranked, images: np.ndarray, asked: tuple[str, float], per_class: bool
) -> tuple[float, dict[str, float]]:
    """The common threshold, and the thresholds of classes that have their own.

    Args:
        ranked: All predictions.
        images: The indices of the images to use, ascending.
        asked: The name and the value of the target.
        per_class: Whether classes get thresholds of their own.
    """
    here, asked_here = np.isin(ranked.image, images), np.isin(ranked.asked_image, images)

    def threshold(of: np.ndarray, asked_of: np.ndarray) -> float:
        scores, right = ranked.score[of], ranked.right[of]
        if asked[0] != "f1":
            return threshold_for(*asked, scores, right, int(asked_of.sum()))
        index = np.searchsorted(images, ranked.image[of])
        asked_index = np.searchsorted(images, ranked.asked_image[asked_of])
        return steady_threshold(scores, right, index, asked_index, len(images))

    common = threshold(here, asked_here)
    own: dict[str, float] = {}
    counts = np.bincount(ranked.asked_label[asked_here], minlength=len(ranked.names))
    for label, count in enumerate(counts.tolist()):
        if per_class and count >= EXAMPLES:
            of_class = here & (ranked.label == label)
            chosen = threshold(of_class, asked_here & (ranked.asked_label == label))
            if asked[0] == "f1":  # few examples are not reliable: pull towards the common one
                chosen = round((count * chosen + _POOLED * common) / (count + _POOLED), 6)
            own[ranked.names[label]] = chosen
    return common, own


@dataclass(frozen=True, eq=False)
class _Kept(PerImage):
    """Counts above the thresholds: (n, 3) right predictions, predictions, and labels to find."""

    images: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, ranked: Ranked, images: np.ndarray, least: np.ndarray) -> _Kept:
        """Count in some images, with a threshold for each class."""
        shown = ranked.score >= least[ranked.label].astype(np.float32)
        counts = np.zeros((len(images), 3), np.int64)
        for column, index in enumerate(
            (ranked.image[shown & ranked.right], ranked.image[shown], ranked.asked_image)
        ):
            index = index[np.isin(index, images)]
            counts[:, column] = np.bincount(np.searchsorted(images, index), minlength=len(images))
        return cls(images, counts)

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """Precision, recall and F1."""
        return {k: float(v) for k, v in figures_of(*(weights @ self.counts)).items()}


# --- images with one class -----------------------------------------------------------------------


class _AllScores(ClassificationMetric):
    """Keeps the scores of all classes of every `step`-th image."""

    def __init__(self, match: LabelMatch, step: int) -> None:
        super().__init__(match)
        self._step = step
        self._column = {label: i for i, label in enumerate(match.to_data) if label >= 0}
        self._kept = array("f")
        self._rows = array("q")  # for each image: its index and the column of its class

    def update(self, index: int, result: Classification, row: Mapping[str, Any]) -> None:
        super().update(index, result, row)
        label = row["label"]
        if index % self._step == 0 and label in self._column:
            assert result.probabilities is not None
            self._kept.frombytes(result.probabilities.astype(np.float32).tobytes())
            self._rows.extend((index, self._column[label]))

    def state(self) -> tuple[Any, Any]:
        return super().state(), (self._kept.tobytes(), self._rows.tobytes())

    def merge(self, states: Sequence[tuple[Any, Any]]) -> None:
        super().merge([state for state, _ in states])
        self._kept = array("f", b"".join(kept for _, (kept, _) in states))
        self._rows = array("q", b"".join(rows for _, (_, rows) in states))

    def compute(self) -> Evaluation:
        found = super().compute()
        rows = np.array(self._rows, dtype=np.int64).reshape(-1, 2)
        scores = np.array(self._kept, dtype=np.float32).reshape(len(rows), len(self.match.model))
        made = _Scores(rows[:, 0], rows[:, 1], scores)
        return Evaluation(found.metrics, found.per_class, found.images, found.labels, analysis=made)


class _Scores(Analysis):
    """The scores of all classes of (n,) images, and the columns of their classes."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> None:
        order = np.argsort(images)
        self.image, self.label, self.score = images[order], labels[order], scores[order]


def _single(found: Evaluation, asked: tuple[str, float], per_class: bool) -> dict[str, Any]:
    kept = found.analysis
    assert isinstance(kept, _Scores)
    first, second = halves(kept.image)
    here, there = np.isin(kept.image, first), np.isin(kept.image, second)
    temperature = temperature_for(kept.score[here], kept.label[here])
    least = 0.0
    if asked[0] == "accuracy":
        confidence, right = _answers(kept, here, temperature)
        least = threshold_for(*asked, confidence, right, int(here.sum()))
    before = _Answers(second, *_answers(kept, there, 1.0), least=0.0)
    after = _Answers(second, *_answers(kept, there, temperature), least=least)
    return {
        "common": least,
        "temperature": temperature,
        "figures": _with_intervals(after, before),
        "images": (len(first), len(second)),
    }


def _answers(kept: _Scores, some: np.ndarray, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """The best score of each of some images, and whether its class is right."""
    scores = tempered(kept.score[some], temperature)
    return scores.max(axis=1), scores.argmax(axis=1) == kept.label[some]


@dataclass(frozen=True, eq=False)
class _Answers(PerImage):
    """The answers for (n,) images: their scores, whether they are right, and the threshold."""

    images: np.ndarray
    scores: np.ndarray
    right: np.ndarray
    least: float

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """The accuracy of sure answers, their share of all, and the calibration error of all."""
        sure = self.scores >= np.float32(self.least)
        answered = weights @ sure
        again = np.repeat(np.arange(len(weights)), weights)
        return {
            "accuracy": float((weights @ (sure & self.right)) / answered) if answered else np.nan,
            "answered": float(answered / weights.sum()),
            "calibration_error": calibration(self.scores[again], self.right[again]).error,
        }


def _with_intervals(kept: PerImage, before: PerImage) -> dict[str, dict[str, Any]]:
    default = before.figures(np.ones(len(before.images), np.int64))
    return {
        name: {
            key: None if value != value else round(value, 6)
            for key, value in (
                ("value", found.value),
                ("low", found.low),
                ("high", found.high),
                ("before", default[name]),
            )
        }
        for name, found in intervals(kept).items()
    }
