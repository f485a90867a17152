"""The command line: a module for the commands of each kind, `app` for what they share.

Answers go to standard output, everything else to standard error. Exit codes: 0 all went well, or
the reader of the output, such as head, has seen enough; 1 nothing could be done (a `PvzooError`, in
one line; ``--debug`` shows the traceback); 2 the command line was wrong, such as the value of an
option; 3 some images were answered and others were not. ``check`` ends with 1 if it found errors in
the data.
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
    catalog,
    data,
    demo,
    develop,
    export,
    predict,
    sample,
    training,
)
from pvzoo.cli.app import app, debugging, err, show_warning
from pvzoo.errors import PvzooError, UsageError


def main() -> None:
    """Entry point: run a command and turn errors into one line and an exit code."""
    # PIL warns of images that pvzoo then refuses with a clear error of its own
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
        try:  # here and not when Python ends, which would say that it failed
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            sys.stdout, sys.stderr = before


class _Pipe(io.FileIO):
    """Ends the program, as if all had gone well, once nobody reads what it writes."""

    def write(self, content: Any, /) -> int:
        try:
            return super().write(content)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.fileno())  # for what is still buffered
            raise SystemExit(0) from None


def _piped(stream: Any) -> Any:
    """Standard output or error, for a pipe or a file: in UTF-8, which Windows would not choose."""
    if not isinstance(stream, io.TextIOWrapper) or stream.isatty():
        return stream
    try:
        raw = _Pipe(stream.fileno(), "w", closefd=False)
    except OSError:  # it is in memory
        stream.reconfigure(encoding="utf-8")
        return stream
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding="utf-8",
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )
