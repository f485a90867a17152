"""Write rows to a memory-mapped `datasets.Dataset`, once for each state of the source."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data.files import quoted
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features

FORMAT = 3
"""Increase this when a reader's rows change, so that files of an older pvzoo are not used."""

ROWS_AT_ONCE = 1000
BYTES_AT_ONCE = 32 * 2**20


def write(
    rows: Callable[[], Iterable[Mapping[str, Any]]],
    columns: Features,
    files: Iterable[Path],
    *about: Any,
) -> Dataset:
    """The dataset of `rows`, from the cache if none of the source's files has changed.

    Rows hold an image as ``{"path": str, "bytes": None}`` or with its bytes, and class ids as
    integers. Rows are not checked, so that mistakes in labels reach `pvzoo.data.check`.

    Args:
        rows: Returns the rows. Called only if the cache does not have them.
        columns: The columns, from `schema.features`.
        files: All files that the rows are made from, including missing ones: if one is changed,
            added or deleted, a new dataset is written.
        about: What else the rows depend on, such as the task and the paths of the images.
    """
    from datasets import Dataset, config

    folder = Path(config.HF_DATASETS_CACHE) / "pvzoo"
    target = folder / f"{_key(columns, files, about)}.arrow"
    if not target.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".part")
        os.close(handle)
        try:
            save(Path(name), rows(), columns)
            os.replace(name, target)  # other processes see the whole file or none
        finally:
            Path(name).unlink(missing_ok=True)
    return Dataset.from_file(str(target))


def save(path: Path, rows: Iterable[Mapping[str, Any]], columns: Features) -> None:
    """Write rows as an Arrow file for `Dataset.from_file`; see `write` for what rows hold."""
    import pyarrow as pa
    from datasets.arrow_writer import ArrowWriter

    with ArrowWriter(path=str(path), features=columns) as writer:
        for chunk in _chunks(rows):
            try:
                table = pa.Table.from_pylist(chunk, schema=columns.arrow_schema)
            except (UnicodeEncodeError, OverflowError, pa.ArrowException) as error:
                raise _unfit(chunk, columns.arrow_schema, error) from error
            writer.write_table(table)
        writer.finalize()


def _unfit(chunk: list[Any], schema: Any, error: Exception) -> DataError:
    """The error for rows with a value that no column can hold, such as half a character."""
    import pyarrow as pa

    for row in chunk:
        try:
            pa.Table.from_pylist([row], schema=schema)
        except (UnicodeEncodeError, OverflowError, pa.ArrowException) as cause:
            name = quoted(row.get("file_name") or row.get("name"))
            return DataError(
                f"The labels of the image {name} cannot be stored ({str(cause)[:200]}).",
                "Correct the text or number, or leave the image out.",
            )
    return DataError(f"The labels cannot be stored ({str(error)[:200]}).", "Correct them.")


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """The rows in chunks with a limited number of rows and a limited size of images."""
    chunk: list[Any] = []
    size = 0
    for row in rows:
        chunk.append(row)
        cells = (cell.get("bytes") for cell in row.values() if isinstance(cell, Mapping))
        size += sum(len(cell) for cell in cells if isinstance(cell, bytes))
        if len(chunk) == ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _key(columns: Features, files: Iterable[Path], about: tuple[Any, ...]) -> str:
    digest = hashlib.sha256(repr((FORMAT, columns, about)).encode())
    for file in files:
        try:
            stat = os.stat(file)
            state = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        except (OSError, ValueError):
            state = None
        digest.update(repr((os.path.abspath(file), state)).encode())
    return digest.hexdigest()[:32]
