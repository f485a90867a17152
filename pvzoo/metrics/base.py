"""The contract of a metric and what `Model.evaluate` returns."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import VOID
from pvzoo.display import figure, heading, note, table
from pvzoo.errors import DataError, PvzooError, UsageError
from pvzoo.extras import needs
from pvzoo.metrics.analysis import Analysis, ImageErrors, analysis_of
from pvzoo.metrics.bootstrap import Difference, Interval, PerImage, compare, intervals
from pvzoo.metrics.class_match import LabelMatch

if TYPE_CHECKING:
    import pandas as pd

    from pvzoo.metrics.curves import Curve
    from pvzoo.tasks.base import Task


@dataclass(frozen=True, eq=False)
class Source:
    """The model and the data of an evaluation.

    Attributes:
        model: The name of the model in messages.
        task: The task of the results.
        dataset: The labelled data, a `datasets.Dataset`.
        predict: ``predict(images)`` returns the results for a list of images, with the default
            options of `Model.predict`.
    """

    model: str
    task: Task
    dataset: Any
    predict: Callable[[Sequence[Any]], Iterator[Any]]


class _FromAnalysis:
    """A field whose default is the attribute of the same name of the analysis, computed lazily."""

    def __init__(self, default: Any) -> None:
        self._default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, made: Evaluation | None, owner: type | None = None) -> Any:
        if made is None:
            return self._default
        value = vars(made)[self._name]
        return getattr(made.analysis, self._name, value) if value is self._default else value

    def __set__(self, made: Evaluation, value: Any) -> None:
        vars(made)[self._name] = value


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, float]):
    """The metrics of a model on a dataset; it can be read like a dict: ``evaluation["map_50"]``.

    Attributes:
        metrics: The name and value of each metric; nan if the data cannot tell (for example no
            object of that size).
        per_class: The metrics of each class, by its name in the data.
        confusion: (rows, columns) int64 counts; None if the task has no such counts. A row is a
            class of the data; a column is a class of `confusion_names`. The matrix of a detector
            counts detections with a score of at least 0.5, at an IoU of 0.5. Its last row counts
            detections without an object; its last column counts objects without a detection.
        confusion_names: The names of the columns of `confusion`; the first of them name its rows.
        images: The number of images that were evaluated.
        labels: How the classes of the model and of the data were matched.
        left_out: The number of images that were left out, because they have no class, or a class
            that the model does not have.
        note: What the metrics measure, if that is not the same for all models of the task.
        per_image: What the metric keeps of each image; `intervals` and `compare` need it.
        analysis: The errors of the model, as far as the metric knows them.
        source: The model and the data; None in an evaluation that was pickled.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    labels: LabelMatch
    confusion: np.ndarray | None = _FromAnalysis(None)  # type: ignore[assignment]
    confusion_names: tuple[str, ...] = _FromAnalysis(())  # type: ignore[assignment]
    left_out: int = 0
    note: str = ""
    per_image: PerImage | None = field(default=None, repr=False)
    analysis: Analysis = field(default_factory=Analysis, repr=False)
    source: Source | None = field(default=None, repr=False)

    def with_source(self, source: Source) -> Evaluation:
        """A copy of the evaluation that knows its model and data."""
        made = copy(self)
        vars(made)["source"] = source
        if type(self.analysis) is Analysis:
            vars(made)["analysis"] = analysis_of(self.per_image, source.task.main_metric)
        return made

    def __getstate__(self) -> dict[str, Any]:
        """The state for pickling, without the model and the data; these stay in this process."""
        return {**vars(self), "source": None}

    @property
    def curves(self) -> Mapping[str, Curve]:
        """Precision, recall and F1 over the threshold, by class; "" is all classes together.

        Empty for a task without scores.
        """
        return self.analysis.curves

    @property
    def errors(self) -> Mapping[str, Mapping[str, float]]:
        """The number (``count``) of errors of each kind, and their ``cost`` if it is known.

        For detectors, ``cost`` is the loss of average precision at an IoU of 0.5.
        """
        return self.analysis.errors

    def worst(self, n: int = 20) -> list[ImageErrors]:
        """The `n` images with the worst predictions, worst first; fewer if fewer have errors.

        Their ``index`` is the index of the image in the dataset or the split.
        """
        return self.analysis.images()[:n]

    def report(self, folder: str | Path, *, other: Evaluation | None = None) -> Path:
        """Write a page that shows where the metrics come from, to a new folder.

        The page is ``index.html``; it needs no network access. ``report.json`` and CSV files
        beside it hold its numbers, and ``images`` holds at most 200 images (docs/report.md).

        Args:
            folder: A new folder.
            other: The evaluation of another model on the same data, for a comparison: which
                images the other model gets better or worse.

        Returns:
            The path of the page.

        Raises:
            UsageError: The folder is not empty or cannot be written, this evaluation comes from
                another process, or the other evaluation has other data or another task.
        """
        from pvzoo.report.write import write

        return write(self, Path(folder).expanduser(), other)

    @cached_property
    def intervals(self) -> dict[str, Interval]:
        """The 95 % interval of each metric, from the spread between images (the bootstrap).

        They are computed at the first use, which takes two seconds for 100,000 detections. The
        dict is empty if the task's metric keeps nothing of each image.
        """
        return {} if self.per_image is None else intervals(self.per_image)

    def compare(self, other: Evaluation) -> dict[str, Difference]:
        """The difference of another model from this one, for each metric, by a paired bootstrap.

        Args:
            other: The evaluation of another model on the same data.

        Raises:
            UsageError: They have no image in common, or the task's metric keeps nothing of each
                image.
        """
        if self.per_image is None or other.per_image is None:
            raise UsageError(
                "The metric of this task keeps nothing of each image, so models cannot be "
                "compared.",
                "The plugin that has the metric can pass per_image to Evaluation.",
            )
        return compare(self.per_image, other.per_image)

    def __getitem__(self, name: str) -> float:
        return self.metrics[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.metrics)

    def __len__(self) -> int:
        return len(self.metrics)

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {figure(value)}" for name, value in self.items())
        return f"<{self._title()}: {figures}>"

    def _repr_html_(self) -> str:
        parts = [
            heading(self._title()),
            table(HEADINGS, self.rows(), right=True),
            note(self.note),
        ]
        if self.per_class:
            columns = next(iter(self.per_class.values()))
            classes = [(name, *class_cells(row)) for name, row in self.per_class.items()]
            parts.append(table(("class", *columns), classes, right=True))
        return "".join(parts)

    def rows(self) -> list[tuple[str, ...]]:
        """The metrics as text, a row for each, under `HEADINGS`."""
        rows: list[tuple[str, ...]] = []
        for name, value in self.items():
            found = self.intervals.get(name)
            known = found is not None and not np.isnan(found.error)
            between = f"{figure(found.low)} to {figure(found.high)}" if found and known else ""
            shown = figure(found.smallest_difference) if found and known else ""
            rows.append((name, figure(value), between, shown))
        return rows

    def _title(self) -> str:
        left_out = f", {self.left_out:,} left out" if self.left_out else ""
        return f"Evaluation of {self.images:,} image{'s' * (self.images != 1)}{left_out}"

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON; nan as None."""
        return {
            "images": self.images,
            "left_out": self.left_out,
            "note": self.note,
            "metrics": _plain(self.metrics),
            "intervals": {
                name: _plain(interval.to_dict()) for name, interval in self.intervals.items()
            },
            "per_class": {name: _plain(row) for name, row in self.per_class.items()},
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "confusion_names": list(self.confusion_names),
            "unmatched": {
                "in_data": list(self.labels.only_in_data),
                "in_model": list(self.labels.only_in_model),
            },
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def to_pandas(self) -> pd.DataFrame:
        """One row per class."""
        needs("A table", "pandas")
        import pandas as pd

        return pd.DataFrame.from_dict(self.per_class, orient="index")


HEADINGS = ("metric", "value", "95 % interval", "smallest difference")
"""The headings of `Evaluation.rows`."""

_COUNTS = ("support", "objects", "pixels", "segments")
"""The metrics of a class that are counts; all others are shares."""


def class_cells(figures: Mapping[str, float]) -> list[str]:
    """The metrics of a class as text."""
    return [f"{v:.0f}" if name in _COUNTS else figure(v) for name, v in figures.items()]


def _plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {k: None if np.isnan(v) else float(v) for k, v in figures.items()}


class Metric(ABC):
    """Takes the results of a dataset one by one and computes the metrics.

    With several processes, each has its own part of the images. `merge` joins the `state` of all
    processes, which gives the same metrics as one process.
    """

    def __init__(self, match: LabelMatch) -> None:
        self.match = match

    @abstractmethod
    def update(self, index: int, result: Any, row: Mapping[str, Any]) -> None:
        """Add the result of one image.

        Args:
            index: The index of the image in the dataset.
            result: The model's prediction.
            row: The row of the dataset (see `pvzoo.data.schema`), images not decoded.

        Raises:
            DataError: The row does not fit the image, or has labels without a meaning.
        """

    @abstractmethod
    def state(self) -> Any:
        """Everything that was added so far, picklable and compact."""

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> None:
        """Replace the current state by the joined results of several `state` calls."""

    @abstractmethod
    def compute(self) -> Evaluation:
        """The metrics of everything that was added."""


def column(
    row: Mapping[str, Any], name: str, values: Any, shape: tuple[int, ...], dtype: type
) -> np.ndarray:
    """Convert lists of a row to an array of a shape.

    Raises:
        DataError: The lists do not fit, such as a null or a box of three numbers.
    """
    try:
        array = np.asarray(values)
        array = array if array.size else np.zeros(array.shape, dtype)  # numpy guesses a type for []
        fits = np.can_cast(
            array.dtype, dtype, "same_kind"
        )  # astype alone would also cast null and text
        fits &= array.shape == shape or array.size == 0 == np.prod(shape)
    except ValueError:  # lists of several lengths
        fits = False
    if not fits:
        text = repr(values)
        raise DataError(
            f"The {name} of {row['file_name']} is {text if len(text) < 80 else text[:80] + '...'}.",
            "pvzoo.data.schema describes the column; pvzoo.data.check finds all such rows.",
        )
    return array.reshape(shape).astype(dtype)


def class_ids(
    row: Mapping[str, Any],
    name: str,
    values: Sequence[int] | None,
    classes: int,
    *,
    void: bool = False,
) -> np.ndarray:
    """Class ids of a row as (n,) int64; with `void`, `schema.VOID` may be among them.

    Raises:
        DataError: The ids are missing, or one of them is not a class of the data.
    """
    ids = column(row, name, values, (len(values or ()),), np.int64)
    wrong = ids[(ids >= classes) | (ids < (VOID if void else 0))]
    if len(wrong):
        raise DataError(
            f"{row['file_name']} has the class id {wrong[0]}, but the {classes} classes of the "
            f"data are numbered from 0 to {classes - 1}.",
            "Correct the labels; pvzoo.data.check finds all such rows.",
        )
    return ids


def check_numbers(row: Mapping[str, Any], *predicted: np.ndarray) -> None:
    """Raise a `PvzooError` if the model predicts values that are not finite numbers."""
    if not all(np.isfinite(values).all() for values in predicted):
        raise PvzooError(
            f"The model's predictions for {row['file_name']} are not numbers.",
            "The network overflowed; if it ran in float16, use float32 or bfloat16.",
        )


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole as float64; nan where the whole is 0."""
    shares = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=shares, where=np.not_equal(whole, 0))
    return shares


def mean(values: np.ndarray) -> float:
    """The mean of the values that are not nan; nan if there are no such values."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if values.size else float("nan")
