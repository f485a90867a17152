"""``pvzoo new-plugin`` and ``verify-plugin``: the commands for authors of plugins."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pvzoo.cli.app import Debug, app, err, out
from pvzoo.cli.predict import option_of


class Kind(StrEnum):
    """What a new plugin adds."""

    CATALOGUE = "catalogue"
    ADAPTER = "adapter"
    DETECTOR = "detector"
    TASK = "task"
    FORMAT = "format"


@app.command("new-plugin")
def new_plugin(
    name: Annotated[
        str, typer.Argument(help="Name of the plugin, such as my-zoo.", metavar="NAME")
    ],
    kind: Annotated[Kind, typer.Option(help="What the plugin adds.")] = Kind.CATALOGUE,
    debug: Debug = False,
) -> None:
    """Write a plugin to start from, in a folder with its name."""
    from pvzoo.plugins.scaffold import write_plugin

    folder = write_plugin(name, kind.value, Path.cwd())
    err.print(f"wrote {escape(str(folder))}")
    out.print(f"pip install -e {escape(folder.name)}\npvzoo verify-plugin {escape(folder.name)}")


@app.command("verify-plugin")
def verify_plugin(
    name: Annotated[str, typer.Argument(help="Name of an installed plugin.", metavar="NAME")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Check this model, not the smallest one of each adapter and task; can be "
            "repeated.",
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="An option for each predict."),
    ] = None,
    debug: Debug = False,
) -> None:
    """Check an installed plugin with the rules of the conformance suite."""
    from pvzoo.testing import verify

    colours = {"kept": "green", "skipped": "cyan", "broken": "red"}
    counts = dict.fromkeys(colours, 0)
    options = dict(map(option_of, option or ()))
    for finding in verify(name, models=model or (), options=options):
        counts[finding.state] += 1
        text = f"{finding.rule} ({finding.subject})" if finding.state == "kept" else str(finding)
        out.print(f"[{colours[finding.state]}]{finding.state:8}[/] {escape(text)}")
    err.print(", ".join(f"{count} {state}" for state, count in counts.items()))
    if counts["broken"]:
        raise typer.Exit(1)
