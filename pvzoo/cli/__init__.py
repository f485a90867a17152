"""The command line: a module for the commands of each kind, `app` for what they share.

Results go to standard output, everything else to standard error. Exit codes:

* 0: success; also if the reader of the output, such as head, closes the pipe early.
* 1: the command failed (a `PvzooError`, in one line; ``--debug`` shows the traceback); or ``check``
  found errors in the data.
* 2: the command line is wrong, such as the value of an option.
* 3: some images have a result and others do not.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from typing import Any

from rich.markup import escape

from pvzoo.cli import (  # noqa: F401 (they register their commands)
    bulk,
    catalog,
    data,
    demo,
    develop,
    export,
    measure,
    predict,
    report,
    sample,
    serve,
    training,
)
from pvzoo.cli.app import app, debugging, err, show_warning
from pvzoo.errors import PvzooError, UsageError


def main() -> None:
    """Entry point: run a command and turn errors into one line and an exit code."""
    # PIL warns about images that pvzoo then refuses with a clear error of its own
    warnings.filterwarnings("ignore", module="PIL")
    warnings.showwarning = show_warning
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(_piped, before)
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # pvzoo shows its own
    try:
        app()
    except PvzooError as error:
        if debugging():
            traceback.print_exc()
        else:
            err.print(f"[red]error:[/] {escape(str(error))}")
        sys.exit(2 if isinstance(error, UsageError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        try:  # if this failed later, when Python exits, Python would print an error
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            sys.stdout, sys.stderr = before


class _Pipe(io.FileIO):
    """A file that ends the program with exit code 0 when nobody reads its output any more."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # takes what is still buffered
            raise SystemExit(0) from None


def _piped(stream: Any) -> Any:
    """Standard output or error; in UTF-8 if it is a pipe or a file, where Windows differs."""
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    try:
        raw = _Pipe(stream.fileno(), "w", closefd=False)
    except OSError:  # the stream is in memory
        stream.reconfigure(encoding="utf-8")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )
