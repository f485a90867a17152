"""The contract of a metric and what `Model.evaluate` returns."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import VOID
from pvzoo.display import figure, heading, note, table
from pvzoo.errors import DataError, PvzooError, UsageError
from pvzoo.extras import needs
from pvzoo.metrics.bootstrap import Difference, Interval, PerImage, compare, intervals
from pvzoo.metrics.class_match import LabelMatch

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, float]):
    """The metrics of a model on a dataset; it can be read like a dict: ``evaluation["map_50"]``.

    Attributes:
        metrics: The name and value of each metric; nan if the data cannot tell (for example no
            object of that size).
        per_class: The metrics of each class, by its name in the data.
        confusion: (rows, columns) int64 counts, None if the task has no such counts. A row is a
            class of the data, a column is a class of `confusion_names`.
        confusion_names: The names of the columns of `confusion`; the first of them name its rows.
        images: The number of images that were evaluated.
        labels: How the classes of the model and of the data were matched.
        left_out: The number of images that were left out, because they have no class, or a class
            that the model does not have.
        note: What the metrics measure, if that is not the same for all models of the task.
        per_image: What the metric keeps of each image; `intervals` and `compare` need it.
    """

    metrics: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    labels: LabelMatch
    confusion: np.ndarray | None = None
    confusion_names: tuple[str, ...] = field(default=(), repr=False)
    left_out: int = 0
    note: str = ""
    per_image: PerImage | None = field(default=None, repr=False)

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
                "The plugin that brings the metric can pass per_image to Evaluation.",
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
        array = array if array.size else np.zeros(array.shape, dtype)  # [] has no type of its own
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
