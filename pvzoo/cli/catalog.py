"""``pvzoo list``, ``info`` and ``plugins``."""

from __future__ import annotations

import gc
import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

import pvzoo
from pvzoo import about
from pvzoo.cli.app import Debug, Json, Task, app, err, out, print_columns, printable
from pvzoo.errors import ModelNotFoundError, UsageError

if TYPE_CHECKING:
    from pvzoo.catalog.cards import Card


def _size(params: str | None) -> float | None:
    """ "50M" -> 50e6."""
    if params is None:
        return None
    factor = {"k": 1e3, "m": 1e6, "b": 1e9}.get(params[-1:].lower())
    try:
        return float(params[:-1]) * factor if factor else float(params)
    except ValueError:
        raise UsageError(f"--max-params {params} is not a size.", "Write it like 50M.") from None


@app.command("list")
def list_(
    text: Annotated[str | None, typer.Argument(help="Words that the card must contain.")] = None,
    task: Task = None,
    family: Annotated[str | None, typer.Option(help="Family of networks, such as rt_detr.")] = None,
    license: Annotated[
        str | None, typer.Option(help="Licence, such as apache-2.0, permissive or unknown.")
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="Most parameters, such as 50M.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="A reported metric, such as AP; the best model comes first.")
    ] = None,
    min_metric: Annotated[float | None, typer.Option(help="Lowest value of --metric.")] = None,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Only models that load without the Hub: their weights are in an installed "
            "package, in a folder or in the Hub's cache.",
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the models of the catalogue."""
    gc.disable()  # the process ends soon, and thousands of cards hold no garbage
    cards = pvzoo.list_models(
        text,
        task=task,
        family=family,
        license=license,
        max_params=_size(max_params),
        metric=metric,
        min_metric=min_metric,
        offline=offline,
    )
    if json:
        for card in cards:
            sys.stdout.write(_card_json(card) + "\n")
        return
    print_columns(("model", "task", "size", "licence", "reported"), map(_row, cards), right="size")
    err.print(f"{len(cards)} models")


def _row(card: Card) -> tuple[str, ...]:
    cells = (card.name, card.task, card.size_text, card.license_text, card.reported)
    return cells if "".join(cells).isprintable() else tuple(map(printable, cells))


def _card_json(card: Card) -> str:
    import dataclasses
    import json

    plain = dataclasses.asdict(card)
    return json.dumps(plain, ensure_ascii=False, default=str)


@app.command()
def info(
    name: Annotated[
        str, typer.Argument(help="A catalogue name, a folder or a Hub repo id.", metavar="NAME")
    ],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show a model's card, or what its folder or repo says of it."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        lines, text = about.saved(name), _manifest_json(folder, name)
    else:
        try:
            card = pvzoo.info(name)
        except ModelNotFoundError:
            if "/" not in name:
                raise
            lines, text = about.saved(name), ""
        else:
            lines, text = card.lines, _card_json(card)
    if json:
        sys.stdout.write((text or json_module.dumps(dict(lines), ensure_ascii=False)) + "\n")
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for key, value in lines:
        table.add_row(f"[bold]{key}[/]", escape(value))
    out.print(table)


def _manifest_json(folder: Path, name: str) -> str:
    """What the manifest of an exported folder says; "" for any other folder."""
    from pvzoo.export import manifest  # numpy: cards need none

    if not manifest.is_in(folder):
        return ""
    return json_module.dumps(manifest.read(folder, name).to_json(), ensure_ascii=False)


@app.command()
def plugins(
    check: Annotated[
        bool, typer.Option("--check", help="Try to load each one, in a separate process.")
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How long --check waits for each plugin."),
    ] = 60.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List the installed plugins and what each one adds."""
    import dataclasses

    found = pvzoo.list_plugins(check=check, timeout=timeout)
    if json:
        for plugin in found:
            sys.stdout.write(json_module.dumps(dataclasses.asdict(plugin)) + "\n")
        return
    colours = {"ready": "green", "not loaded": "cyan", "disabled": "dim"}
    for plugin in found:
        contract = plugin.contract if plugin.contract is not None else "unknown"
        colour = colours.get(plugin.state, "red")
        out.print(
            f"[bold]{escape(plugin.name)}[/] {escape(plugin.version)}, contract {contract}, "
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
