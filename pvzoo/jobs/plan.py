"""The plan of a job: its inputs, listed once, cut into shards.

The list is a Parquet file in the output with one row group for each shard, so that a worker reads
only the inputs of its own shard. It never changes: whatever happens to the source, a shard always
means the same inputs, and its part always has the same name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice

import pyarrow as pa
import pyarrow.parquet as pq

from pvzoo.errors import PvzooError, error_message
from pvzoo.jobs.entries import Entry, Kind, Source
from pvzoo.jobs.storage import WRITING, Place

NAME = "_inputs.parquet"
LARGEST, SMALLEST = 1000, 16
"""How many inputs a shard has, unless the user says it."""
_SHARDS = 64  # at least, where there are enough inputs: so that several workers have work
# Paths are bytes, because names of files need not be valid text.
_SCHEMA = pa.schema([("path", pa.binary()), ("start", pa.int64()), ("stop", pa.int64())])
_KEY = b"pvzoo.plan"


class DamagedPlan(PvzooError):
    """The plan of an output folder cannot be read."""


@dataclass(frozen=True)
class Plan:
    """The inputs of a job.

    Attributes:
        kind: What the entries are.
        base: What paths are relative to.
        column: Of a table.
        foreign: Whether paths come from a table.
        shards: How many shards there are.
        inputs: How many inputs there are; None for tar files, which were not read yet.
    """

    kind: Kind
    base: Place
    column: str | None
    foreign: bool
    shards: int
    inputs: int | None


def make(source: Source, out: Place, shard_size: int | None) -> Plan:
    """List a source and write the plan.

    Args:
        source: The inputs.
        out: The output folder.
        shard_size: Inputs in a shard; None for 1,000, or fewer if there are few inputs. A tar file,
            and a row group of a table, is never cut.

    Raises:
        PvzooError: The source has no inputs, or cannot be listed.
    """
    shards, inputs = 0, 0
    known = True
    with (
        (out / NAME).committed(out / WRITING) as file,
        pq.ParquetWriter(file, _SCHEMA, compression="zstd") as writer,
    ):
        for entries in _shards(source, shard_size):
            columns = [
                [os.fsencode(entry.path) for entry in entries],
                [entry.start for entry in entries],
                [entry.stop for entry in entries],
            ]
            writer.write_table(pa.table(columns, schema=_SCHEMA))
            shards += 1
            counts = [entry.count for entry in entries]
            known = known and None not in counts
            inputs += sum(count or 0 for count in counts)
        if not shards:
            raise PvzooError(f"{source.text} has no inputs.", "Check the path.")
        about = {
            "kind": source.kind,
            "path": os.fsencode(source.base.path).hex(),
            "prefix": source.base.prefix,
            "column": source.column,
            "foreign": source.foreign,
            "inputs": inputs if known else None,
        }
        writer.add_key_value_metadata({_KEY.decode(): json.dumps(about)})
    return read(out, source.base.root)


def read(out: Place, root: str) -> Plan:
    """The plan of an output folder.

    Args:
        out: The output folder.
        root: What opens the file system of the source; it may have secrets, so no file has it.

    Raises:
        FileNotFoundError: There is no plan yet.
        DamagedPlan: The plan is damaged.
    """
    try:
        with (out / NAME).open() as file:
            metadata = pq.read_metadata(file)
        about = json.loads(metadata.metadata[_KEY])
        base = Place(os.fsdecode(bytes.fromhex(about["path"])), root, about["prefix"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, not of Arrow
        raise DamagedPlan(
            f"{out / NAME} is damaged ({error_message(error)}).", "Choose a new folder."
        ) from error
    return Plan(
        about["kind"],
        base,
        about["column"],
        about["foreign"],
        metadata.num_row_groups,
        about["inputs"],
    )


class Inputs:
    """Reads the entries of shards; the file stays open."""

    def __init__(self, out: Place) -> None:
        self._file = pq.ParquetFile((out / NAME).open())

    def of(self, shard: int) -> list[Entry]:
        """The entries of a shard."""
        table = self._file.read_row_group(shard)
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        return [Entry(os.fsdecode(path), start, stop) for path, start, stop in rows]


def _shards(source: Source, size: int | None) -> Iterator[list[Entry]]:
    entries = iter(source.entries)
    if source.kind == "tars":
        return ([entry] for entry in entries)
    if source.kind == "table":
        return _whole_groups(entries, size or LARGEST)
    if size is None:
        head = list(islice(entries, _SHARDS * LARGEST))
        size = min(LARGEST, max(SMALLEST, -(-len(head) // _SHARDS)))
        entries = chain(head, entries)
    return iter(lambda: list(islice(entries, size)), [])


def _whole_groups(groups: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    """Row groups that follow each other, until they have enough rows together."""
    shard: list[Entry] = []
    count = 0
    for group in groups:
        shard.append(group)
        count += group.count or 0
        if count >= size:
            yield shard
            shard, count = [], 0
    if shard:
        yield shard
