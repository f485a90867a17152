"""Which class of a model is which class of a dataset: by name, never by number."""

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

    The same names match; then, among the others, those that are the same without regard to case,
    hyphens and underscores; then an id of ImageNet (see `pvzoo.metrics.imagenet`) and the class
    that has it; then those with the same first of the synonyms that ImageNet lists in one name
    ("tabby, tabby cat"), if that points to one class only. Several classes of one name are told
    apart by their places if both sides are evidently the same list: more than half of the classes
    match, all of them in their places.

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

        def match(named: Callable[[Sequence[str]], Sequence[str]]) -> None:
            """Pair what has the same of these names; what has a pair is in nobody's way."""
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
                or "The model knows none of the data's classes: the data has "
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
        """The classes of the data that the model has: places in `data`, ascending."""
        return tuple(sorted(j for j in self.to_data if j >= 0))

    def translate(self, labels: np.ndarray) -> np.ndarray:
        """Class ids of the model, of any shape, as class ids of the data; -1 for those it lacks."""
        translated: np.ndarray = np.array([*self.to_data, -1], dtype=np.int64)[labels]
        return translated

    def __str__(self) -> str:
        """What matches nowhere, in a sentence for each side; empty when all classes match."""
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
        """What is said of classes of the data that may be several of the model; else ""."""
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
            lines.append("Call a class by its id, as in brackets, to say which one it is.")
        return " ".join(lines)


def _fold(name: str) -> str:
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def _first(name: str) -> str:
    """The first synonym of a class, also of one that is called by its id."""
    return _fold((description(name) or name).partition(",")[0])


def _unnumbered(name: str) -> str:
    """The same without the number that tells "crane2" from "crane"."""
    return _first(name).rstrip(" 0123456789")


def _unique(names: Sequence[str]) -> dict[str, int]:
    """The place of each name that occurs once."""
    indices: dict[str, int] = {}
    for i, name in enumerate(names):
        indices[name] = -1 if name in indices else i
    return {name: i for name, i in indices.items() if i >= 0}


def _few(names: Sequence[str]) -> str:
    """All names if they are five at most, else three, without their synonyms, and a count."""
    if len(names) <= 5:
        return ", ".join(
            f"{quoted(name)} ({said})" if (said := description(name)) else quoted(name)
            for name in names
        )
    shown = []
    for name in names[:3]:
        said = description(name).partition(",")[0]
        shown.append(f"{quoted(name)} ({said})" if said else quoted(name.partition(",")[0]))
    return f"{', '.join(shown)} and {len(names) - 3:,} more"
