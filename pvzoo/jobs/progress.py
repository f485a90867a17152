"""The progress of a job: rows, rows per second, errors and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from pvzoo.progress import duration


@dataclass(frozen=True)
class Seen:
    """How far a job is.

    Attributes:
        rows: Written, with those of earlier runs.
        total: Of the job; None if it is not known, which is so for tar files.
        errors: Rows with an error.
        per_second: Rows per second in this run; 0 at first.
        seconds_left: Until the end; None if that is not known.
    """

    rows: int
    total: int | None
    errors: int
    per_second: float
    seconds_left: float | None

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"images: {self.rows:,}{of}", f"{self.per_second:,.1f} images/s"]
        parts.append(f"{self.errors:,} error{'s' * (self.errors != 1)}")
        if self.seconds_left:
            parts.append(f"{duration(self.seconds_left)} left")
        return ", ".join(parts)


class Clock:
    """Measures the speed of a run; rows of earlier runs do not count."""

    def __init__(self, rows: int, errors: int, total: int | None) -> None:
        self._start = time.monotonic()
        self._before = self.rows = rows
        self.errors = errors
        self._total = total

    def add(self, rows: int, errors: int) -> Seen:
        """Count what was done, and say how far the job is."""
        self.rows += rows
        self.errors += errors
        seconds = max(time.monotonic() - self._start, 1e-9)
        speed = (self.rows - self._before) / seconds
        left = (self._total - self.rows) / speed if self._total is not None and speed else None
        return Seen(self.rows, self._total, self.errors, speed, left)


Show = Callable[[Seen], None]


def shower(progress: bool | Show | None) -> Show:
    """A function that shows the progress on standard error, or calls the user's.

    Args:
        progress: None for a line on a terminal, True for lines anywhere, False for nothing, or a
            function.
    """
    if callable(progress):
        return progress
    terminal = sys.stderr.isatty()
    if progress is False or (progress is None and not terminal):
        return lambda seen: None
    due = 0.0

    def show(seen: Seen) -> None:
        nonlocal due
        now = time.monotonic()
        last = seen.total is not None and seen.rows >= seen.total
        if now < due and not last:
            return
        due = now + (0.5 if terminal else 10)
        sys.stderr.write(f"\r\x1b[K{seen}" + "\n" * last if terminal else f"{seen}\n")
        sys.stderr.flush()

    return show
