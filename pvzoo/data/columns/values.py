"""Find the names of the values of maps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.files import listing
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset

CLASS_TO_ID = "semantic_class_to_id"
"""The column with the names in transformers' example of instance segmentation."""


def said_names(
    parts: Iterable[Dataset], names: Sequence[str] | None, reduce_labels: bool
) -> dict[int, str] | None:
    """The name of each value, from the caller or the column `semantic_class_to_id`; else None."""
    if names is not None:
        return dict(enumerate(names, start=1 if reduce_labels else 0))
    for part in parts:
        if len(part) and isinstance(part.features.get(CLASS_TO_ID), dict):
            row = next(derive.rows(part, [CLASS_TO_ID]))[CLASS_TO_ID]
            known = {int(value): name for name, value in row.items() if value is not None}
            return {v: name for v, name in known.items() if v > 0 or not reduce_labels}
    return None


def seen_values(
    parts: Iterable[Dataset],
    column: str,
    values: Callable[[Any, str], set[int]],
    enough: Callable[[set[int]], bool] | None = None,
) -> set[int]:
    """The values that `values` finds in the maps of all splits.

    Each state of a split is read once.

    Args:
        parts: The splits.
        column: The column of maps.
        values: Returns the values that matter, given a map, not decoded, and its name in messages.
        enough: Returns whether the values so far are enough, so that reading may stop. If given,
            maps that cannot be read are skipped.
    """
    from datasets import Features, Value

    def found(part: Dataset) -> Iterator[dict[str, int]]:
        seen: set[int] = set()
        for i, row in enumerate(derive.rows(part, [column])):
            try:
                seen |= values(row[column], f"Row {i}: the {column}")
            except DataError:
                if enough is None:
                    raise
            if enough is not None and enough(seen):
                break
        return ({"value": value} for value in sorted(seen))

    everything: set[int] = set()
    for part in parts:
        about = (column, values.__module__, enough and enough.__name__)
        kept = derive.write(
            part,
            partial(found, part),
            Features({"value": Value("int64")}),
            *about,
            files=derive.image_files(part, [column]),
        )
        everything |= set(kept["value"])
        if enough is not None and enough(everything):
            break
    return everything


def warn_of_numbers(known: Mapping[int, str]) -> None:
    """Warn that the numbers of the classes serve as their names."""
    warnings.warn(
        f"The classes of the maps have no names, so they are called {listing(known.values())}. "
        "Pass their names to pvzoo.data.columns.canonical.",
        PvzooWarning,
        stacklevel=5,
    )
