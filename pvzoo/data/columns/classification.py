"""Convert columns of classes to canonical classification data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.data.columns.classes import ColumnClasses, Naming
from pvzoo.data.columns.rows import Rows, build
from pvzoo.data.columns.source import TaskColumns, Way, item
from pvzoo.data.schema import CLASSIFICATION, features

if TYPE_CHECKING:
    from datasets import Dataset


def classification(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: TaskColumns,
    column: str,
    names: Sequence[str] | None,
) -> dict[str, Dataset]:
    """The splits with `label`, or with `labels` if the column has lists."""
    kind = next(iter(parts.values())).features[column]
    each = item(kind)
    path: Way = (column,) if each is None else (column, None)
    classes = ColumnClasses.of(naming, path, each or kind, names)

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        for row, head, _ in rows.read([column]):
            value = row[column]
            if each is None:
                yield head | {"label": classes.index(value)}
            else:  # null: not known; an empty list: none of the classes
                indices = None if value is None else [classes.index(one) for one in value]
                yield head | {"labels": indices}

    columns = features(CLASSIFICATION, classes.names, multi_label=each is not None)
    return build(parts, source, columns, labels)
