"""The names of classes that a column of ClassLabel, whole numbers or text stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.columns.source import Way, is_class, is_number, is_text
from pvzoo.data.files import listing
from pvzoo.data.schema import VOID
from pvzoo.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, IterableDataset

MOST_CLASSES = 10_000
"""More are taken for something else than classes."""


class Naming:
    """The datasets that say together which classes there are, as often as they are asked for.

    Streams are held on the way to them: where the column names its classes that is never.
    """

    def __init__(
        self,
        held: Iterable[Dataset],
        others: Iterable[Dataset | IterableDataset],
        columns: Sequence[str],
    ) -> None:
        """`held` come first; of streams only `columns` are held, as far as they have them."""
        self._held = list(held)
        self._others = list(others)
        self._columns = columns

    def __iter__(self) -> Iterator[Dataset]:
        from datasets import IterableDataset

        yield from self._held
        while self._others:
            part = self._others.pop(0)
            if isinstance(part, IterableDataset):
                names = [name for name in self._columns if name in part.features]
                part = derive.hold(part.select_columns(names))
            self._held.append(part)
            yield part


@dataclass(frozen=True)
class ColumnClasses:
    """The names of classes, and the place of a value in them.

    Attributes:
        names: All classes.
        indices: By the values, if those are text.
    """

    names: tuple[str, ...]
    indices: Mapping[str, int] | None = None

    @classmethod
    def of(
        cls,
        parts: Iterable[Dataset],
        path: Way,
        kind: Any,
        names: Sequence[str] | None,
    ) -> ColumnClasses:
        """The classes of all splits together.

        Args:
            parts: The splits.
            path: The way to the values.
            kind: What they are.
            names: What the caller calls them, if they are numbers.

        Raises:
            DataError: The values are no classes.
            UsageError: `names` does not go with them.
        """
        import pyarrow.compute as pc

        column = path[0]
        if is_class(kind):
            if names is not None:
                raise UsageError(f"{column!r} names its classes itself.", "Leave names out.")
            return cls(tuple(kind.names))
        if not is_number(kind) and not is_text(kind):
            raise DataError(
                f"{column!r} is of {kind}, which names no classes.",
                "It is ClassLabel, whole numbers or text.",
            )
        if is_number(kind) and names is not None:
            return cls(tuple(names))
        chunks = (leaf for part in parts for leaf in leaves(part, path))
        values = {value for leaf in chunks for value in pc.unique(leaf).to_pylist()} - {None}
        if is_number(kind):
            highest = max(values, default=-1)
            if highest >= MOST_CLASSES:
                raise DataError(
                    f"{column!r} has the number {highest}, too high for the id of a class.",
                    f'Cast it to text: dataset.cast_column("{column}", datasets.Value("string")).',
                )
            return cls(tuple(str(i) for i in range(highest + 1)))
        known = tuple(sorted(values) if names is None else names)
        if unknown := sorted(values - set(known)):
            raise UsageError(
                f"{column!r} has classes not in names: {listing(unknown)}.", "Add them."
            )
        return cls(known, {name: i for i, name in enumerate(known)})

    def index(self, value: Any) -> int:
        """The place of a value; a number that is no place is kept, and None is void."""
        if value is None:
            return VOID
        return int(value) if self.indices is None else self.indices[value]


def leaves(dataset: Dataset, path: Way) -> Iterator[pa.ChunkedArray]:
    """The values of a column or of a field within it, some rows at once."""
    import pyarrow.compute as pc

    column, *steps = path
    for table in derive.tables(dataset, [column]):
        leaf = table[column]
        for step in steps:
            leaf = pc.list_flatten(leaf) if step is None else pc.struct_field(leaf, step)
        yield leaf


def are_unique(dataset: Dataset, path: Way) -> bool:
    """Whether no value occurs twice or is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for leaf in leaves(dataset, path) for chunk in leaf.chunks]
    values = pa.chunked_array(chunks, chunks[0].type if chunks else pa.int64())
    return bool(values.null_count == 0 and pc.count_distinct(values).as_py() == len(values))
