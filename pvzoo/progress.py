"""Show the progress of a long job: a bar on a terminal or in a notebook, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from pvzoo.errors import UsageError, short

if TYPE_CHECKING:
    from rich.console import Console

Progress = Callable[[int, int | None], Any]
"""Called with how many are done, and how many there are, or None if that is not known."""

SOON = 3.0
"""Seconds after which a job shows a bar by default."""


@contextmanager
def showing(
    progress: bool | Progress | None, what: str = "images", console: Console | None = None
) -> Iterator[Progress]:
    """A function (done, total) that shows the progress of a job on standard error.

    Args:
        progress: None for a bar on a terminal or in a notebook after `SOON` seconds. True for a bar
            at once, or lines if there is neither. False for nothing. A function is called instead.
        what: What is counted, in the plural.
        console: The console to use instead of standard error.

    Raises:
        UsageError: `progress` is none of these.
    """
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise UsageError(f"progress is {short(progress)}.", "Pass None, True, False or a function.")
    if callable(progress):
        yield progress
        return
    view = _view(progress, what, console)
    if view is None:
        yield lambda done, total: None
        return
    start = time.monotonic()
    began = progress is True

    def show(done: int, total: int | None) -> None:
        nonlocal began
        began = began or (time.monotonic() - start > SOON and done != total)
        if began:
            view.update(done, total, time.monotonic() - start)

    try:
        yield show
    finally:
        view.close()


class _View(Protocol):
    def update(self, done: int, total: int | None, seconds: float) -> None: ...

    def close(self) -> None: ...


def _view(progress: bool | None, what: str, console: Console | None) -> _View | None:
    if progress is False:
        return None
    if _in_notebook():
        return _Notebook(what)
    if sys.stderr.isatty() if console is None else console.is_terminal:
        return _Terminal(what, console)
    return _Log(what) if progress else None


def _in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel, not in IPython on a terminal."""
    ipython = sys.modules.get("IPython")
    return getattr(ipython and ipython.get_ipython(), "kernel", None) is not None


class _Terminal:
    """A bar that disappears when the job is done."""

    def __init__(self, what: str, console: Console | None) -> None:
        self._what, self._console = what, console
        self._bar: Any = None

    def update(self, done: int, total: int | None, seconds: float) -> None:
        if self._bar is None:
            self._begin(total)
        self._bar.update(self._job, completed=done, total=total)

    def _begin(self, total: int | None) -> None:
        from rich.console import Console
        from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        # prints appear above the bar, unless standard output goes to a file
        self._bar = Progress(
            *columns,
            console=self._console or Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._job = self._bar.add_task(self._what, total=total)
        self._bar.start()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


class _Notebook:
    """A bar in the output of the cell; when the job is done, only a line of text remains.

    (rich would need ipywidgets.)
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._handle: Any = None
        self._last = 0.0
        self._line = ""

    def update(self, done: int, total: int | None, seconds: float) -> None:
        self._line = _line(self._what, done, total, seconds)
        if seconds - self._last > 0.2 or self._handle is None:
            self._last = seconds
            size = "" if total is None else f' value="{done}" max="{total}"'
            self._show(f"<progress{size}></progress> {self._line}")

    def close(self) -> None:
        if self._handle is not None:
            self._show(self._line)

    def _show(self, html: str) -> None:
        from IPython.display import display

        bundle = {"text/html": html, "text/plain": self._line}
        if self._handle is None:
            self._handle = display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)


class _Log:
    """A line every ten seconds, and one at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._due = 0.0
        self._line = ""

    def update(self, done: int, total: int | None, seconds: float) -> None:
        self._line = _line(self._what, done, total, seconds)
        if seconds >= self._due:
            self._due = seconds + 10
            self._write()

    def close(self) -> None:
        self._write()

    def _write(self) -> None:
        if self._line:
            sys.stderr.write(f"{self._line}\n")
            self._line = ""


def _line(what: str, done: int, total: int | None, seconds: float) -> str:
    """A line such as "images: 120 of 400, 12 s, 28 s left"."""
    of = "" if total is None else f" of {total:,}"
    left = ""
    if total is not None and 0 < done < total:
        left = f", {duration(seconds / done * (total - done))} left"
    return f"{what}: {done:,}{of}, {duration(seconds)}{left}"


def duration(seconds: float) -> str:
    """A duration as text, such as "3 min 20 s"."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
