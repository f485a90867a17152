"""The command line: a module for the commands of each kind, `app` for what they share.

Answers go to standard output, everything else to standard error. Exit codes: 0 all went well;
1 nothing could be done (a `PvzooError`, in one line; ``--debug`` shows the traceback); 2 the
command line was wrong; 3 some images were answered and others were not. ``check`` ends with 1 if it
found errors in the data.
"""

from __future__ import annotations

import io
import os
import sys
import warnings

from rich.markup import escape

from pvzoo.cli import (  # noqa: F401 (they register their commands)
    catalog,
    data,
    demo,
    develop,
    predict,
    training,
)
from pvzoo.cli.app import app, debugging, err, show_warning
from pvzoo.errors import PvzooError


def main() -> None:
    """Entry point: run a command and turn errors into one line and an exit code."""
    # PIL warns of pictures that pvzoo then refuses with a clear error of its own
    warnings.filterwarnings("ignore", module="PIL")
    warnings.showwarning = show_warning
    for stream in (sys.stdout, sys.stderr):  # on Windows, files and pipes are not UTF-8 else
        if isinstance(stream, io.TextIOWrapper) and not stream.isatty():
            stream.reconfigure(encoding="utf-8")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # pvzoo shows its own
    try:
        app()
    except PvzooError as error:
        if debugging():
            raise
        err.print(f"[red]error:[/] {escape(str(error))}")
        sys.exit(1)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
