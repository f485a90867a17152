"""What the commands share: the app, the two consoles, common options, a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Annotated, Any

import typer
import typer.core
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

import pvzoo
from pvzoo.progress import Progress, showing

SOME_FAILED = 3

_ORDER = (
    *("list", "info", "choose", "sample", "predict", "bulk", "demo", "serve", "check"),
    *("convert", "evaluate", "report", "compare", "fine-tune", "tune-thresholds"),
    *("benchmark", "export", "verify"),
    *("space", "plugins", "new-plugin", "verify-plugin"),
)
"""The order of the commands in the help: the order of use. Other commands come last."""


class _InOrder(typer.core.TyperGroup):
    """A group that lists its commands in the order of use, not in the order of the imports."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = {name: index for index, name in enumerate(_ORDER)}
        return sorted(super().list_commands(ctx), key=lambda name: order.get(name, len(order)))


app = typer.Typer(
    name="pvzoo",
    cls=_InOrder,
    help="Pretrained vision models behind one interface.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)
# In a pipe or a file, tables keep their full width: nothing is cut to fit a screen.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_debug = False


def debugging() -> bool:
    """Whether ``--debug`` was given."""
    return _debug


def _set_debug(value: bool) -> None:
    global _debug
    _debug = _debug or value


def show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """Show pvzoo's own warnings in one line, and warnings of other packages only when debugging."""
    if _debug or issubclass(category, pvzoo.PvzooWarning):
        err.print(f"[yellow]warning:[/] {escape(str(message))}")


def progress_bar() -> AbstractContextManager[Progress]:
    """A progress bar on standard error: gives a function (done, total) that updates it."""
    return showing(None, console=err)


def print_columns(headings: Iterable[str], rows: Iterable[Iterable[str]], right: str = "") -> None:
    """Write a table to standard output. Columns are as wide as needed; a screen cuts long lines.

    rich's own tables take a millisecond for every two rows: too slow for thousands of models.

    Args:
        headings: The headings of the columns.
        rows: The cells of each row, as plain text.
        right: The heading of a column to align at the right.
    """
    columns = []
    for cells in zip(headings, *rows, strict=True):
        heading = cells[0]
        if "".join(cells).isascii():  # one cell for each character: Python pads much faster
            width = max(map(len, cells))
            pad = str.rjust if heading == right else str.ljust
            columns.append([pad(cell, width) for cell in cells])
            continue
        widths = [_cells(cell) for cell in cells]
        spaces = [" " * (max(widths) - width) for width in widths]
        order = (
            zip(spaces, cells, strict=True) if heading == right else zip(cells, spaces, strict=True)
        )
        columns.append(list(map("".join, order)))
    lines = ["  ".join(cells).rstrip() for cells in zip(*columns, strict=True)]
    if out.is_terminal:
        lines = [
            x if _cells(x) <= out.width else set_cell_size(x, out.width - 1) + "…" for x in lines
        ]
    sys.stdout.write("\n".join(lines) + "\n")


def printable(text: str) -> str:
    """The text with a space for each character that could move the cursor or change colours."""
    return "".join(c if c.isprintable() else " " for c in text)


def _cells(text: str) -> int:
    """The width of a text on a screen, in character cells."""
    return len(text) if text.isascii() else cell_len(text)


def _version(value: bool) -> None:
    if value:
        out.print(f"pvzoo {pvzoo.__version__}")
        raise typer.Exit


Debug = Annotated[
    bool, typer.Option("--debug", callback=_set_debug, help="Show tracebacks and all warnings.")
]
Task = Annotated[
    str | None, typer.Option(help="Task, such as object-detection, or just detection.")
]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Model: a catalogue name, Hub repo id or folder."),
]
BatchSize = Annotated[int, typer.Option(min=1, help="Largest number of images per batch.")]
Tiles = Annotated[
    str | None,
    typer.Option(
        metavar="PIXELS",
        help="Cut images into tiles with sides of this many pixels; auto: of the network's size.",
    ),
]
Device = Annotated[str | None, typer.Option(help="Device to compute on, such as cpu or cuda:0.")]
DType = Annotated[str | None, typer.Option("--dtype", help="Type of the weights, such as float16.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the Hub repo.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the Hub repo.")
]
AllowOutside = Annotated[
    bool,
    typer.Option("--allow-outside", help="Read files outside the data if its labels name them."),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, one object per line.")]


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Debug = False,
) -> None:
    pass


def tiles_of(text: str | None) -> Any:
    """The option ``--tiles`` as `Model.predict` takes it."""
    return int(text) if text is not None and text.isascii() and text.isdecimal() else text
