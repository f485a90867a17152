"""Find the class names of a column of ClassLabel, whole numbers or text."""

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
"""A column with more values is not taken as classes."""


class Naming:
    """The datasets that together determine the classes; they can be iterated more than once.

    Streams are written to a file only when the iteration reaches them. A column that names its
    classes needs no iteration.
    """

    def __init__(
        self,
        held: Iterable[Dataset],
        others: Iterable[Dataset | IterableDataset],
        columns: Sequence[str],
    ) -> None:
        """`held` come first; of streams in `others`, only the `columns` that they have are kept."""
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
    """The names of classes, and the index of a value in them.

    Attributes:
        names: All classes.
        indices: The index of each value, if values are text.
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
            path: The way to the values in the columns.
            kind: The type of the values.
            names: The caller's names of the classes, if any.

        Raises:
            DataError: The values cannot be classes.
            UsageError: `names` does not fit the values.
        """
        import pyarrow.compute as pc

        column = path[0]
        if is_class(kind):
            if names is not None:
                raise UsageError(
                    f"The column {column!r} has its own class names.", "Leave names out."
                )
            return cls(tuple(kind.names))
        if not is_number(kind) and not is_text(kind):
            raise DataError(
                f"The column {column!r} has values of type {kind}, which cannot be classes.",
                "Cast it to ClassLabel, whole numbers or text.",
            )
        if is_number(kind) and names is not None:
            return cls(tuple(names))
        chunks = (leaf for part in parts for leaf in leaves(part, path))
        values = {value for leaf in chunks for value in pc.unique(leaf).to_pylist()} - {None}
        if is_number(kind):
            highest = max(values, default=-1)
            if highest >= MOST_CLASSES:
                raise DataError(
                    f"The column {column!r} has the number {highest}, too high for a class id.",
                    f'Cast it to text: dataset.cast_column("{column}", datasets.Value("string")).',
                )
            return cls(tuple(str(i) for i in range(highest + 1)))
        known = tuple(sorted(values) if names is None else names)
        if unknown := sorted(values - set(known)):
            raise UsageError(
                f"The column {column!r} has classes that are not in names: {listing(unknown)}.",
                "Add them to names.",
            )
        return cls(known, {name: i for i, name in enumerate(known)})

    def index(self, value: Any) -> int:
        """The index of a value; a number out of range is kept, and None becomes void."""
        if value is None:
            return VOID
        return int(value) if self.indices is None else self.indices[value]


def leaves(dataset: Dataset, path: Way) -> Iterator[pa.ChunkedArray]:
    """The values of a column or of a field in it, several rows at a time."""
    import pyarrow.compute as pc

    column, *steps = path
    for table in derive.tables(dataset, [column]):
        leaf = table[column]
        for step in steps:
            leaf = pc.list_flatten(leaf) if step is None else pc.struct_field(leaf, step)
        yield leaf


def are_unique(dataset: Dataset, path: Way) -> bool:
    """Whether every value is present and none occurs twice."""
    import pyarrow as pa
    import pyarrow.compute as pc

    chunks = [chunk for leaf in leaves(dataset, path) for chunk in leaf.chunks]
    values = pa.chunked_array(chunks, chunks[0].type if chunks else pa.int64())
    return bool(values.null_count == 0 and pc.count_distinct(values).as_py() == len(values))
