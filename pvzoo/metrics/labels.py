"""Which class of a model is which class of a dataset: by name, never by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvzoo.errors import DataError


@dataclass(frozen=True)
class LabelMatch:
    """The classes of a model and of a dataset, matched by name.

    The same names match; then, among the others, those that are the same without regard to case,
    hyphens and underscores; then those with the same first of the synonyms that ImageNet lists in
    one name ("tabby, tabby cat"), if that points to one class only.

    Attributes:
        model: Class names of the model, in the order of its outputs; "" for one that means nothing.
        data: Class names of the dataset.
        to_data: For each class of the model its class in the dataset, or -1.
    """

    model: tuple[str, ...]
    data: tuple[str, ...]
    to_data: tuple[int, ...]

    @classmethod
    def of(cls, model: Sequence[str], data: Sequence[str]) -> LabelMatch:
        """Match them.

        Raises:
            DataError: Not one class of the data is known to the model.
        """
        to_data = [-1] * len(model)
        taken: set[int] = set()

        def match(theirs: Sequence[str], ours: Sequence[str]) -> None:
            places = _unique(ours)
            for name, i in _unique(theirs).items():
                j = places.get(name, -1)
                if name and to_data[i] < 0 and j >= 0 and j not in taken:
                    to_data[i] = j
                    taken.add(j)

        match(model, data)
        match(  # "a" and "A" may both be classes: what has its own name is in nobody's way
            [_fold(name) if to_data[i] < 0 else "" for i, name in enumerate(model)],
            [_fold(name) if j not in taken else "" for j, name in enumerate(data)],
        )
        match([_first(name) for name in model], [_first(name) for name in data])
        if data and not taken:
            raise DataError(
                "The model knows none of the data's classes: the data has "
                f"{_few(data)}; the model has {_few([n for n in model if n])}.",
                "Rename the classes of one of them, or fine-tune the model on the data.",
            )
        return cls(tuple(model), tuple(data), tuple(to_data))

    @property
    def only_in_data(self) -> tuple[str, ...]:
        """Classes of the data that the model does not have."""
        known = set(self.to_data)
        return tuple(name for j, name in enumerate(self.data) if j not in known)

    @property
    def only_in_model(self) -> tuple[str, ...]:
        """Classes of the model that the data does not have."""
        return tuple(
            name for name, j in zip(self.model, self.to_data, strict=True) if name and j < 0
        )

    @property
    def common(self) -> tuple[int, ...]:
        """The classes of the data that the model has: places in `data`, ascending."""
        return tuple(sorted(j for j in self.to_data if j >= 0))

    def translate(self, labels: np.ndarray) -> np.ndarray:
        """Class ids of the model, of any shape, as class ids of the data; -1 for those it lacks."""
        return np.array([*self.to_data, -1], dtype=np.int64)[labels]

    def __str__(self) -> str:
        """What matches nowhere, in a sentence for each side; empty when all classes match."""
        lines = []
        if self.only_in_data:
            lines.append(
                f"The model does not know {len(self.only_in_data)} of the data's "
                f"{len(self.data)} classes, which are left out: {_few(self.only_in_data)}."
            )
        if self.only_in_model:
            lines.append(
                f"The data does not have {len(self.only_in_model)} of the model's classes: "
                f"{_few(self.only_in_model)}."
            )
        return " ".join(lines)


def _fold(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _first(name: str) -> str:
    return _fold(name.partition(",")[0])


def _unique(names: Sequence[str]) -> dict[str, int]:
    """The place of each name that occurs once."""
    places: dict[str, int] = {}
    for i, name in enumerate(names):
        places[name] = -1 if name in places else i
    return {name: i for name, i in places.items() if i >= 0}


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:5]))
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
