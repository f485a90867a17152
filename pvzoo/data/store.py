"""Rows -> a memory-mapped `datasets.Dataset`, written once for each state of the source."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datasets import Dataset, Features

FORMAT = 3
"""Raised when a reader's rows change, so that what an older pvzoo wrote is read anew."""

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
    integers. They are not checked, so that mistakes in labels reach the check as they are.

    Args:
        rows: Called, and gone through, only if the cache does not have them.
        columns: From `schema.features`.
        files: The files that say what the rows are; changed ones make a new dataset.
        about: What else the rows depend on, such as the task and the split.
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
            os.replace(name, target)  # other processes see all of it or nothing
        finally:
            Path(name).unlink(missing_ok=True)
    return Dataset.from_file(str(target))


def save(path: Path, rows: Iterable[Mapping[str, Any]], columns: Features) -> None:
    """Write rows as an Arrow file, for `Dataset.from_file`; see `write` for what they hold."""
    import pyarrow as pa
    from datasets.arrow_writer import ArrowWriter

    with ArrowWriter(path=str(path), features=columns) as writer:
        for chunk in _chunks(rows):
            writer.write_table(pa.Table.from_pylist(chunk, schema=columns.arrow_schema))
        writer.finalize()


def _chunks(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """The rows, so many at once that neither their number nor their pictures fill the memory."""
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
        stat = file.stat()
        state = (os.path.abspath(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
        digest.update(repr(state).encode())
    return digest.hexdigest()[:32]
