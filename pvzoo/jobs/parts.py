"""What a job has written: a Parquet file for each shard, and the manifest that lists them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pvzoo.jobs.storage import WRITING, Place

MANIFEST = "_manifest.json"
_NAME = re.compile(r"part-(\d{6,})\.parquet")
_ROW_GROUP = 1000
_COUNTS = b"pvzoo.counts"


@dataclass(frozen=True)
class Part:
    """The file of one shard.

    Attributes:
        shard: Its index.
        rows: One for each input of the shard.
        errors: How many of them have an error instead of a result.
        bytes: Its size.
        drift: How its images differ from those that the model was validated on, as sentences.
    """

    shard: int
    rows: int
    errors: int
    bytes: int
    drift: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name of the file, which only depends on the shard."""
        return part_name(self.shard)


def part_name(shard: int) -> str:
    """The name of the file of a shard."""
    return f"part-{shard:06d}.parquet"


class PartWriter:
    """Writes the rows of one part to an open file, in bounded memory; a context manager."""

    def __init__(self, file: Any, schema: pa.Schema, about: Mapping[str, Any]) -> None:
        self.schema = schema.with_metadata({"pvzoo": json.dumps(about, ensure_ascii=False)})
        self.writer = pq.ParquetWriter(file, self.schema, compression="zstd")
        self.buffer: list[dict[str, Any]] = []
        self.rows = self.errors = 0
        self.drift: tuple[str, ...] = ()

    def add(self, row: dict[str, Any]) -> None:
        """Write a row."""
        self.rows += 1
        self.errors += row["error"] is not None
        self.buffer.append(row)
        if len(self.buffer) >= _ROW_GROUP:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Write what is left, and how many rows and errors there are."""
        if error is None:
            self._flush()
            found = {"rows": self.rows, "errors": self.errors, "drift": self.drift}
            counts = json.dumps(found)
            self.writer.add_key_value_metadata({_COUNTS.decode(): counts})
        self.writer.close()

    def _flush(self) -> None:
        if self.buffer:
            self.writer.write_table(pa.Table.from_pylist(self.buffer, schema=self.schema))
            self.buffer = []


def written(out: Place) -> dict[int, Part]:
    """All complete parts, by shard.

    The files themselves say which exist. The manifest of an earlier run only saves reading them.
    """
    found = [int(m[1]) for name, _ in out.entries() if (m := _NAME.fullmatch(name))]
    known = {part.shard: part for part in _listed(out)}
    parts = {shard: known[shard] for shard in found if shard in known}
    unknown = [shard for shard in found if shard not in known]
    with ThreadPoolExecutor(16) as pool:
        for part in pool.map(lambda shard: _examined(out, shard), unknown):
            if part is not None:
                parts[part.shard] = part
    return parts


def _examined(out: Place, shard: int) -> Part | None:
    """A part by its own footer; None if it has none, so that it is written again."""
    place = out / part_name(shard)
    try:
        with place.open() as file:
            metadata = pq.read_metadata(file).metadata or {}
        counts = json.loads(metadata[_COUNTS])
    except (pa.ArrowInvalid, KeyError, ValueError):
        return None
    return Part(shard, counts["rows"], counts["errors"], place.size(), tuple(counts["drift"]))


def _listed(out: Place) -> list[Part]:
    try:
        parts = json.loads((out / MANIFEST).read())["parts"]
        return [
            Part(
                int(p["shard"]),
                int(p["rows"]),
                int(p["errors"]),
                int(p["bytes"]),
                tuple(map(str, p["drift"])),
            )
            for p in parts
        ]
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError):
        return []  # the parts say it themselves


def write_manifest(
    out: Place, job: Mapping[str, Any], parts: Iterable[Part], shards: int
) -> dict[str, Any]:
    """Write which parts exist; returns what was written."""
    listed = sorted(parts, key=lambda part: part.shard)
    manifest = {
        "pvzoo_bulk": 1,
        "complete": len(listed) == shards,
        "rows": sum(part.rows for part in listed),
        "errors": sum(part.errors for part in listed),
        "shards": shards,
        "job": job,
        "parts": [{"name": part.name, **asdict(part)} for part in listed],
    }
    write_json(out, MANIFEST, manifest)
    return manifest


def write_json(out: Place, name: str, content: Mapping[str, Any]) -> None:
    """Write a JSON file; it is there as a whole or not at all."""
    text = json.dumps(content, ensure_ascii=False, indent=1)
    with (out / name).committed(out / WRITING) as file:
        file.write(text.encode())
