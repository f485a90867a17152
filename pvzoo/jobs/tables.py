"""Parquet tables as sources: a column of images (bytes), or of paths."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pvzoo.errors import DataError, ImageError, UsageError, error_message
from pvzoo.jobs.entries import Entry, Source
from pvzoo.jobs.storage import Place

_BATCH = 64
"""Rows that are in memory at once; a row may have an image of some megabytes."""


def table(text: str, base: Place, paths: Iterable[str], column: str | None) -> Source:
    """The source that Parquet files are, which all have the column of the first.

    Raises:
        DataError: The first file is damaged. While the entries are listed: another file is, or it
            has no such column.
        UsageError: There is not exactly one column that could be meant, or none of this name.
    """
    paths = iter(paths)
    first = next(paths)
    with opened(base.at(first)) as file:
        schema = file.schema_arrow
    column = column or _only_column(text, schema)
    if column not in schema.names:
        raise UsageError(
            f"{text} has no column {column!r}.", f"Its columns: {', '.join(schema.names)}."
        )
    every = chain([first], paths)
    if _has_images(schema.field(column).type):
        entries = (entry for path in every for entry in _row_groups(base.at(path), column))
        return Source(text, "table", base, entries, column)
    if not _is_text(schema.field(column).type):
        raise UsageError(
            f"The column {column!r} of {text} has the type {schema.field(column).type}.",
            "A column has paths (text), images (bytes), or both (a struct of bytes and path).",
        )
    listed = (Entry(p) for path in every for p in _paths(base.at(path), column))
    # A folder of tables may be read from its own folder; a table, from the folder it is in.
    return Source(text, "listed", base, listed, column, foreign=True)


def opened(place: Place) -> pq.ParquetFile:
    """A Parquet file.

    Raises:
        DataError: It is damaged.
    """
    try:
        return pq.ParquetFile(place.open(), pre_buffer=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{place} is not a Parquet file that can be read ({error_message(error)}).",
            "Copy or write it again.",
        ) from error


def images(place: Place, column: str, start: int, stop: int) -> Iterator[tuple[str, Any]]:
    """(name, bytes or None or path) of the rows of some row groups.

    The name is the file and the index of the row in it. Instead of the value, each row that is left
    of a row group with a damage has an `ImageError`.
    """
    with opened(place) as file:
        row = sum(file.metadata.row_group(group).num_rows for group in range(start))
        for group in range(start, stop):
            end = row + file.metadata.row_group(group).num_rows
            damage = "it has fewer rows than it says"
            try:
                for value in _values(file, column, _BATCH, [group]):
                    yield f"{place}#{row}", value
                    row += 1
            except _Damaged as error:
                damage = str(error)
            for left in range(row, end):
                name = f"{place}#{left}"
                what = f"{name} is in a damaged part of the table ({damage})."
                yield name, ImageError(what, "Copy or write the table again.", source=name)
            row = end


class _Damaged(Exception):
    """A part of a table cannot be read."""


def _values(
    file: pq.ParquetFile, column: str, rows: int, groups: list[int] | None = None
) -> Iterator[Any]:
    """The values of a column; a text is bytes, because a path need not be valid text.

    Raises:
        _Damaged: The values that follow cannot be read.
        OSError: The disk fails.
        StorageError: The store fails again and again.
    """
    batches = file.iter_batches(rows, row_groups=groups, columns=[column])
    while True:
        try:
            batch = next(batches, None)
            values = [] if batch is None else _plain(batch.column(0)).to_pylist()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the disk, not of Arrow
            raise _Damaged(error_message(error)) from error
        if batch is None:
            return
        yield from values


def _plain(array: pa.Array) -> pa.Array:
    """An array with bytes instead of texts."""
    if _is_text(array.type):
        return array.cast(pa.large_binary())
    if pa.types.is_struct(array.type):
        fields = [
            (field.name, _plain(array.field(index)))
            for index, field in enumerate(array.type)
            if field.name in ("bytes", "path")
        ]
        names, arrays = zip(*fields, strict=True)
        return pa.StructArray.from_arrays(arrays, names, mask=array.is_null())
    return array


def _row_groups(place: Place, column: str) -> Iterator[Entry]:
    with opened(place) as file:
        _check_column(file, place, column, _has_images)
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if count:
                yield Entry(place.path, group, group + 1, count)


def _paths(place: Place, column: str) -> Iterator[str]:
    with opened(place) as file:
        _check_column(file, place, column, _is_text)
        try:
            for value in _values(file, column, 10_000):
                yield os.fsdecode(value or b"")
        except _Damaged as error:
            raise DataError(f"{place} is damaged ({error}).", "Copy or write it again.") from error


def _check_column(
    file: pq.ParquetFile, place: Place, column: str, wanted: Callable[[pa.DataType], bool]
) -> None:
    schema = file.schema_arrow
    if column not in schema.names or not wanted(schema.field(column).type):
        raise DataError(
            f"{place} has no column {column!r} of the type that it has in the first table.",
            "Write it with the columns of the other tables, or leave it out.",
        )


def _only_column(text: str, schema: pa.Schema) -> str:
    for wanted in (_has_images, _is_text):
        names = [field.name for field in schema if wanted(field.type)]
        if len(names) == 1:
            return str(names[0])
        if names:
            break
    raise UsageError(
        f"It is not clear which column of {text} has the images: {', '.join(schema.names)}.",
        "Name it with column= or --column.",
    )


def _has_images(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return any(f.name == "bytes" and _is_binary(f.type) for f in kind)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
