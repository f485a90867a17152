"""Match the classes of a model and of a dataset by name, never by number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pvzoo.data.files import quoted
from pvzoo.errors import DataError
from pvzoo.metrics.imagenet import description, synset, synsets


@dataclass(frozen=True)
class LabelMatch:
    """The classes of a model and of a dataset, matched by name.

    Equal names match first. Among the other classes, these match in turn: names that are equal
    except for case, hyphens and underscores; an id of ImageNet (see `pvzoo.metrics.imagenet`) and
    the class with this id; names with the same first synonym ("tabby, tabby cat"), if only one
    class has it. Several classes with the same name are matched by their indices if both sides are
    evidently the same list: more than half of the classes match, all of them with equal indices.

    Attributes:
        model: Class names of the model, in the order of its outputs; "" for an unused output.
        data: Class names of the dataset.
        to_data: For each class of the model, its index in the dataset, or -1.
    """

    model: tuple[str, ...]
    data: tuple[str, ...]
    to_data: tuple[int, ...]

    @classmethod
    def of(cls, model: Sequence[str], data: Sequence[str]) -> LabelMatch:
        """Match the classes of a model and of a dataset.

        Raises:
            DataError: The model does not know any class of the data.
        """
        to_data = [-1] * len(model)
        taken: set[int] = set()

        def match(named: Callable[[Sequence[str]], Sequence[str]]) -> None:
            """Pair classes with equal `named` names; classes that have a pair are left out."""
            theirs = [n if to_data[i] < 0 else "" for i, n in enumerate(named(model))]
            ours = [n if j not in taken else "" for j, n in enumerate(named(data))]
            indices = _unique(ours)
            for name, i in _unique(theirs).items():
                if name and (j := indices.get(name, -1)) >= 0:
                    to_data[i] = j
                    taken.add(j)

        match(list)
        match(lambda names: [_fold(name) for name in names])
        if any(map(synset, (*model, *data))):
            match(lambda names: synsets(names, _first))
        match(lambda names: [_first(name) for name in names])
        in_place = len(model) == len(data) and all(j in (-1, i) for i, j in enumerate(to_data))
        if in_place and 2 * len(taken) > len(data):
            words = [_first(name) for name in model]
            for i, word in enumerate(words):
                if to_data[i] < 0 and words.count(word) > 1 and word == _unnumbered(data[i]):
                    to_data[i] = i
                    taken.add(i)
        found = cls(tuple(model), tuple(data), tuple(to_data))
        if data and not taken:
            raise DataError(
                found._unclear()
                or "The model does not know any of the data's classes: the data has "
                f"{_few(data)}; the model has {_few([n for n in model if n])}.",
                "Rename the classes of one of them, or fine-tune the model on the data.",
            )
        return found

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
        """The classes of the data that the model has: indices of `data`, ascending."""
        return tuple(sorted(j for j in self.to_data if j >= 0))

    def translate(self, labels: np.ndarray) -> np.ndarray:
        """Convert class ids of the model, of any shape, to class ids of the data, or -1."""
        translated: np.ndarray = np.array([*self.to_data, -1], dtype=np.int64)[labels]
        return translated

    def __str__(self) -> str:
        """The classes without a match, a sentence for each side; empty if all classes match."""
        lines = []
        if self.only_in_data:
            lines.append(
                f"The model does not know {len(self.only_in_data):,} of the data's "
                f"{len(self.data):,} classes, which are left out: {_few(self.only_in_data)}."
            )
        if unclear := self._unclear():
            lines.append(unclear)
        if self.only_in_model:
            lines.append(
                f"The data does not have {len(self.only_in_model):,} of the model's "
                f"{sum(map(bool, self.model)):,} classes: {_few(self.only_in_model)}."
            )
        return " ".join(lines)

    def _unclear(self) -> str:
        """A message about classes of the data that may be one of several of the model, or ""."""
        indices: dict[str, list[int]] = {}
        for i, name in enumerate(self.model):
            if name and self.to_data[i] < 0:
                indices.setdefault(_first(name), []).append(i)
        several = {n: indices.get(_first(n), ()) for n in self.only_in_data}
        several = {name: found for name, found in several.items() if len(found) > 1}
        ids = synsets(self.model, _first) if several else []
        lines = []
        for name, found in several.items():
            such = " and ".join(f"{i} ({ids[i]})" if ids[i] else str(i) for i in found)
            lines.append(f"{quoted(name)} may be any of the model's classes {such}.")
        if lines and any(ids):
            lines.append("Use the id in brackets as the name of a class to choose one.")
        return " ".join(lines)


def _fold(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _first(name: str) -> str:
    """The first synonym of a class, even if its name is an id."""
    return _fold((description(name) or name).partition(",")[0])


def _unnumbered(name: str) -> str:
    """`_first` without the number at the end, as in "crane2"."""
    return _first(name).rstrip(" 0123456789")


def _unique(names: Sequence[str]) -> dict[str, int]:
    """The index of each name that occurs only once."""
    indices: dict[str, int] = {}
    for i, name in enumerate(names):
        indices[name] = -1 if name in indices else i
    return {name: i for name, i in indices.items() if i >= 0}


def _few(names: Sequence[str]) -> str:
    """All names if there are at most five; else three without synonyms, and how many more."""
    if len(names) <= 5:
        return ", ".join(
            f"{quoted(name)} ({words})" if (words := description(name)) else quoted(name)
            for name in names
        )
    shown = []
    for name in names[:3]:
        word = description(name).partition(",")[0]
        shown.append(f"{quoted(name)} ({word})" if word else quoted(name.partition(",")[0]))
    return f"{', '.join(shown)} and {len(names) - 3:,} more"
