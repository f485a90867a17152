"""The result of a benchmark, as a table, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo import display

if TYPE_CHECKING:
    from pvzoo.benchmark.timing import Times

HEADINGS = (
    *("model", "runtime", "batch 1: p50", "p95", "batch 8: p50", "p95"),
    *("images/s", "from - to", "memory", "on disk", "metric"),
)


@dataclass(frozen=True)
class Row:
    """The measurements of one model in one runtime; None if it could not be measured.

    Attributes:
        model: The name that the user gave.
        runtime: The way in which it ran.
        batch_1: The times of a forward pass of one image.
        batch_8: The times of a forward pass of eight images.
        images_per_s: Images per second from JPEG files to results, the median of the rounds.
        images_per_s_low: Images per second of the slowest round.
        images_per_s_high: Images per second of the fastest round.
        memory: The peak memory in bytes of a process that loads it and predicts photographs.
        disk: The bytes of the exported files, or of the weights.
        metric: The name of the task's main metric, its value, and the ends of its 95 % interval.
        error: Why it could not be measured.
    """

    model: str
    runtime: str
    batch_1: Times | None = None
    batch_8: Times | None = None
    images_per_s: float | None = None
    images_per_s_low: float | None = None
    images_per_s_high: float | None = None
    memory: int | None = None
    disk: int | None = None
    metric: tuple[str, float, float, float] | None = None
    error: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, under `HEADINGS`."""
        if self.batch_1 is None or self.batch_8 is None or self.images_per_s is None:
            return (self.model, self.runtime, *("-",) * (len(HEADINGS) - 2))
        times = (t for batch in (self.batch_1, self.batch_8) for t in (batch.p50, batch.p95))
        metric = "-"
        if self.metric:
            name, value, low, high = self.metric
            metric = (
                f"{name} {display.figure(value)} ({display.figure(low)} - {display.figure(high)})"
            )
        return (
            self.model,
            self.runtime,
            *(f"{time:.1f} ms" for time in times),
            f"{self.images_per_s:.1f}",
            f"{self.images_per_s_low:.1f} - {self.images_per_s_high:.1f}",
            _megabytes(self.memory),
            _megabytes(self.disk),
            metric,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON. Units are in the names."""
        found: dict[str, Any] = {"model": self.model, "runtime": self.runtime, "error": self.error}
        for name, times in (("batch_1", self.batch_1), ("batch_8", self.batch_8)):
            found[f"{name}_p50_ms"] = times and times.p50
            found[f"{name}_p95_ms"] = times and times.p95
        found |= {
            "images_per_s": self.images_per_s,
            "images_per_s_low": self.images_per_s_low,
            "images_per_s_high": self.images_per_s_high,
            "memory_bytes": self.memory,
            "disk_bytes": self.disk,
        }
        metric = self.metric or (None, None, None, None)
        names = ("metric", "metric_value", "metric_low", "metric_high")
        return found | {
            name: None if value != value else value
            for name, value in zip(names, metric, strict=True)
        }


@dataclass(frozen=True)
class Benchmark(Sequence[Row]):
    """The rows of a benchmark, as a sequence, and where they were measured.

    Attributes:
        rows: One row for each model and runtime.
        machine: See `pvzoo.benchmark.machine.machine`.
        load_before: The load of the machine before the benchmark; None if it is not known.
        load_after: The load at the end; the benchmark is part of it.
        rounds: The number of turns of each row.
    """

    rows: tuple[Row, ...]
    machine: dict[str, Any]
    load_before: float | None
    load_after: float | None
    rounds: int

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        columns = list(zip(HEADINGS, *(row.cells for row in self.rows), strict=True))
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in zip(*columns, strict=True)
        ]
        return "\n".join([*lines, *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(map(display.note, self.notes))
        return display.table(HEADINGS, [row.cells for row in self.rows]) + notes

    @property
    def notes(self) -> list[str]:
        """Lines below the table: where it was measured, and what failed."""
        load = "not known" if self.load_before is None else f"{self.load_before:.1f}"
        about = f"{self.machine['processor']}, {self.machine['cpus']} processors"
        failed = [f"{r.model}, {r.runtime}: {r.error}" for r in self.rows if r.error]
        return [f"{about}; load before: {load}; {self.rounds} rounds in turns", *failed]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "machine": self.machine,
            "load_before": self.load_before,
            "load_after": self.load_after,
            "rounds": self.rounds,
            "rows": [row.to_dict() for row in self.rows],
        }

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """A line of headings, which have the units, and a line for each row."""
        rows = [row.to_dict() for row in self.rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.0f} MB"
