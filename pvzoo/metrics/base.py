"""The contract of a metric and what `Model.evaluate` returns."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.metrics.labels import LabelMatch

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, float]):
    """The figures of a model on a dataset; reads like a dict: ``evaluation["map_50"]``.

    Attributes:
        figures: Name and value of each; nan where the data cannot say (no object of that size).
        per_class: The figures of each class, by its name in the data.
        confusion: (rows, columns) int64 counts where the task has them, else None; a row is a
            class of the data, a column a class of `confusion_names`.
        confusion_names: What the columns of `confusion` stand for; its rows are the first ones.
        images: How many images they are of.
        labels: How the classes of the model and of the data were matched.
    """

    figures: dict[str, float]
    per_class: dict[str, dict[str, float]]
    images: int
    labels: LabelMatch
    confusion: np.ndarray | None = None
    confusion_names: tuple[str, ...] = field(default=(), repr=False)

    def __getitem__(self, name: str) -> float:
        return self.figures[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.figures)

    def __len__(self) -> int:
        return len(self.figures)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON; nan as None."""
        return {
            "images": self.images,
            "metrics": _plain(self.figures),
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
        """One row a class."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.per_class, orient="index")


def _plain(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {k: None if np.isnan(v) else float(v) for k, v in figures.items()}


class Metric(ABC):
    """Takes the results of a dataset one by one and says the figures.

    Under several processes each has its own part of the images; `parts` of all of them, put
    together by `merge`, give what one process would have.
    """

    def __init__(self, match: LabelMatch) -> None:
        self.match = match

    @abstractmethod
    def update(self, index: int, result: Any, row: Mapping[str, Any]) -> None:
        """Take the result of one image.

        Args:
            index: The place of the image in the dataset.
            result: What the model predicts for it.
            row: Its row of the dataset (see `pvzoo.data.schema`), images not decoded.

        Raises:
            DataError: The row does not fit the image, or has labels that mean nothing.
        """

    @abstractmethod
    def state(self) -> Any:
        """What was taken so far, picklable and compact."""

    @abstractmethod
    def merge(self, states: Sequence[Any]) -> None:
        """Replace what was taken so far by what several `state` calls gave."""

    @abstractmethod
    def compute(self) -> Evaluation:
        """The figures of all that was taken."""
