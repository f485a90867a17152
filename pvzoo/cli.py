"""The command line: ``pvzoo predict``, ``list``, ``info``, ``plugins``.

Answers go to standard output, everything else to standard error. Exit codes: 0 all went well;
1 nothing could be done (a `PvzooError`, in one line; ``--debug`` shows the traceback); 2 the
command line was wrong; 3 some images were answered and others were not.
"""

from __future__ import annotations

import glob
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import pvzoo
from pvzoo import registry
from pvzoo.errors import ImageError, PvzooError, UsageError

if TYPE_CHECKING:
    from pvzoo.cards import Card
    from pvzoo.tasks.base import Result

SOME_FAILED = 3

app = typer.Typer(
    name="pvzoo",
    help="Pretrained vision models behind one interface.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
# Into a pipe or a file, tables keep their full width: nothing is cut to fit a screen.
out = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 1000)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_debug = False


def main() -> None:
    """Entry point: run a command and turn errors into one line and an exit code."""
    # PIL warns of pictures that pvzoo then refuses with a clear error of its own
    warnings.filterwarnings("ignore", module="PIL")
    warnings.showwarning = _show_warning
    try:
        app()
    except PvzooError as error:
        if _debug:
            raise
        err.print(f"[red]error:[/] {escape(str(error))}")
        sys.exit(1)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any) -> None:
    if _debug or issubclass(category, pvzoo.PvzooWarning):
        err.print(f"[yellow]warning:[/] {escape(str(message))}")


def _set_debug(value: bool) -> None:
    global _debug
    _debug = _debug or value


def _version(value: bool) -> None:
    if value:
        out.print(f"pvzoo {pvzoo.__version__}")
        raise typer.Exit


Debug = Annotated[
    bool, typer.Option("--debug", callback=_set_debug, help="Show tracebacks and all warnings.")
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, one object a line.")]


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Debug = False,
) -> None:
    pass


# --- predict --------------------------------------------------------------------------------------


@app.command()
def predict(
    inputs: Annotated[
        list[str], typer.Argument(help="Files, folders, glob patterns or URLs.", metavar="IMAGE...")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Catalogue name, Hub repo id or folder."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which task, such as object-detection.")] = None,
    top_k: Annotated[int | None, typer.Option(help="Most classes per image.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Least score, from 0 to 1.")] = None,
    json: Json = False,
    save: Annotated[
        Path | None, typer.Option(help="Write annotated pictures to this folder.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Most images in one forward pass.")] = 8,
    device: Annotated[str | None, typer.Option(help="Such as cpu or cuda:0.")] = None,
    dtype: Annotated[str | None, typer.Option(help="Such as float16.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit.")] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run Python code of the Hub repo.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what is in pictures."""
    from pvzoo.cards import catalogue

    images = _expand(inputs)
    task = registry.task_id(task) if task else None
    name = model or catalogue().default(task or "image-classification").qualified_name
    loaded = pvzoo.load(
        name,
        task=task,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    options = {"top_k": top_k, "threshold": threshold}
    options = {k: v for k, v in options.items() if v is not None}
    failed: list[ImageError] = []

    def report(error: ImageError) -> None:
        failed.append(error)
        err.print(f"[red]error:[/] {escape(str(error))}")
        if _debug:
            err.print_exception()

    pictures = _PictureNames(save) if save else None
    results = loaded.stream(images, batch_size=batch_size, on_error=report, **options)
    answered = 0
    for result in _progress(results, len(images), failed):
        answered += 1
        if json:
            sys.stdout.write(result.to_json() + "\n")
        else:
            _print_result(result)
        if pictures:
            err.print(f"wrote {escape(str(result.save(pictures.of(result))))}")
    if failed:
        raise typer.Exit(SOME_FAILED if answered else 1)


def _expand(inputs: list[str]) -> list[str | Path]:
    """The images that arguments mean: patterns and folders opened, the rest left as it is."""
    from pvzoo.sources import images_of

    images: list[str | Path] = []
    for text in inputs:
        path = Path(text).expanduser()
        is_url = text.startswith(("http://", "https://", "data:"))
        if not is_url and (path.is_dir() or (glob.has_magic(text) and not path.exists())):
            images += images_of(text)
        else:
            images.append(text)
    return images


def _progress(results: Iterator[Result], total: int, failed: list[ImageError]) -> Iterator[Result]:
    """A progress bar on standard error where there is something to wait for and someone to see."""
    if total < 10 or not err.is_terminal:
        yield from results
        return
    from rich.progress import Progress

    with Progress(console=err) as bar:
        job = bar.add_task("images", total=total)
        for done, result in enumerate(results, 1):
            bar.update(job, completed=done + len(failed))
            yield result


class _PictureNames:
    """A file name in a folder for every result, never the same twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._taken: set[str] = set()

    def of(self, result: Result) -> Path:
        source = (result.source or "image").partition("?")[0]
        stem = "image" if source.startswith(("data:", "image ")) else Path(source).stem or "image"
        name, number = stem, 1
        while name in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name)
        return self._folder / f"{name}.png"


def _print_result(result: Result) -> None:
    rows = result.rows()
    out.print(f"[bold]{escape(result.source or '')}[/]")
    if not rows:
        out.print("nothing above the threshold")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for column in result.columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*map(_cell, row.values()))
    out.print(table)


def _cell(value: Any) -> str:
    """A score with three decimals, pixels with one, anything else as it is."""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) <= 1 else f"{value:.1f}"
    return escape(str(value))


# --- list, info, plugins --------------------------------------------------------------------------


def _size(params: str | None) -> float | None:
    """ "50M" -> 50e6."""
    if params is None:
        return None
    factor = {"k": 1e3, "m": 1e6, "b": 1e9}.get(params[-1:].lower())
    try:
        return float(params[:-1]) * factor if factor else float(params)
    except ValueError:
        raise UsageError(f"--max-params {params} is no size.", "Write it like 50M.") from None


@app.command("list")
def list_(
    text: Annotated[str | None, typer.Argument(help="Words to look for.")] = None,
    task: Annotated[str | None, typer.Option(help="Such as object-detection.")] = None,
    family: Annotated[str | None, typer.Option(help="Such as rt_detr.")] = None,
    license: Annotated[
        str | None, typer.Option(help="Such as apache-2.0, or: permissive, unknown.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="Largest size, such as 50M.")] = None,
    metric: Annotated[str | None, typer.Option(help="Reported metric; best first.")] = None,
    min_metric: Annotated[float | None, typer.Option(help="Its least value.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the models of the catalogue."""
    cards = pvzoo.list_models(
        text,
        task=task,
        family=family,
        license=license,
        max_params=_size(max_params),
        metric=metric,
        min_metric=min_metric,
    )
    if json:
        for card in cards:
            sys.stdout.write(_card_json(card) + "\n")
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("model", "task", "size", "licence", "reported"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for card in cards:
        metrics = ", ".join(f"{m.name} {m.value:g}" for m in card.metrics)
        table.add_row(
            escape(card.name), card.task, _params(card), escape(card.license_text), escape(metrics)
        )
    out.print(table)
    err.print(f"{len(cards)} models")


def _params(card: Card) -> str:
    return f"{card.params / 1e6:.1f}M" if card.params else "unknown"


def _card_json(card: Card) -> str:
    import dataclasses
    import json

    plain = dataclasses.asdict(card)
    return json.dumps(plain, ensure_ascii=False, default=str)


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Catalogue name.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a model's card."""
    card = pvzoo.info(name)
    if json:
        sys.stdout.write(_card_json(card) + "\n")
        return
    lines = {
        "name": card.name,
        "also called": ", ".join(card.aliases),
        "what": card.summary,
        "task": card.task,
        "family": card.family or "unknown",
        "weights": str(card.source),
        "size": f"{_params(card)}{' parameters' if card.params else ''}",
        "input": f"{card.input_size} px" if card.input_size else "unknown",
        "licence": card.license_text,
        "about it": card.license_note,
        "trained on": card.dataset or "unknown",
        "adapter": card.adapter,
        "brought by": card.dist,
        "facts from": card.facts,
    }
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in lines.items():
        if value:
            table.add_row(f"[bold]{key}[/]", escape(value))
    for metric in card.metrics:
        on = f" on {metric.dataset}" if metric.dataset else ""
        source = f" ({metric.source})" if metric.source else ""
        table.add_row("[bold]reported[/]", escape(f"{metric.name} {metric.value:g}{on}{source}"))
    out.print(table)


@app.command()
def plugins(
    check: Annotated[
        bool, typer.Option("--check", help="Try to load each, in a process of its own.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the installed plugins and what each brings."""
    import dataclasses
    import json as json_module

    found = pvzoo.list_plugins(check=check)
    if json:
        for plugin in found:
            sys.stdout.write(json_module.dumps(dataclasses.asdict(plugin)) + "\n")
        return
    colours = {"ready": "green", "not loaded": "cyan", "failed": "red"}
    for plugin in found:
        contract = plugin.contract if plugin.contract is not None else "unknown"
        colour = colours[plugin.state]
        out.print(
            f"[bold]{escape(plugin.name)}[/] {plugin.version}, contract {contract}, "
            f"[{colour}]{plugin.state}[/]"
        )
        for group, names in plugin.provides.items():
            if group != "catalogs":
                listed = ", ".join(names) if len(names) <= 8 else f"{len(names)} of them"
                out.print(f"  {group}: {escape(listed)}")
        for error in plugin.errors:
            out.print(f"  [red]error:[/] {escape(error)}")
        for warning in plugin.warnings:
            out.print(f"  [yellow]warning:[/] {escape(warning)}")
