"""``pvzoo demo`` and ``pvzoo space``."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

import pvzoo
from pvzoo.cli.app import (
    Debug,
    Device,
    DType,
    Task,
    TrustRemoteCode,
    app,
    err,
)
from pvzoo.errors import PvzooError


@app.command()
def demo(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Catalogue names, Hub repo ids or folders; several are compared. None: any model "
            "of the catalogue can be picked on the page.",
            metavar="[NAME]...",
        ),
    ] = None,
    task: Task = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="A picture to begin with, in the place of pvzoo's; can be repeated."),
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be seen from other machines.")] = (
        "127.0.0.1"
    ),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Of the page; the first free one from 7860 by default."
        ),
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="A public address, by Gradio.")] = False,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Also serve the models as tools for agents (MCP).")
    ] = False,
    browser: Annotated[bool, typer.Option(" /--no-browser", help="Do not open a browser.")] = True,
    device: Device = None,
    dtype: DType = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
) -> None:
    """Open a page on which models can be tried on pictures."""
    from pvzoo.demo import serve

    # What ends a service ends it as Ctrl-C does: the folder of its files is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loaded = []
    for name in models or ():
        err.print(f"loading {escape(name)}")
        loaded.append(
            pvzoo.load(
                name, task=task, device=device, dtype=dtype, trust_remote_code=trust_remote_code
            )
        )
    for picture in example or ():
        pvzoo.open_image(picture)
    try:
        serve(
            loaded,
            examples=example,
            server_name=host,
            server_port=port,
            share=share,
            mcp_server=mcp,
            inbrowser=browser and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ,
        )
    except OSError as error:  # what Gradio says of it names its own options
        place = host if port is None else f"{host}:{port}"
        raise PvzooError(
            f"The page cannot be served at {place}.", "It may be taken: choose another --port."
        ) from error


@app.command()
def space(
    folder: Annotated[Path, typer.Argument(help="A new folder to write.")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="What it shows: a catalogue name, a Hub repo id or the folder of a fine-tuned "
            "model, which is copied. Can be repeated. None: any model of the catalogue.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the Space.")] = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="A picture to begin with, which is copied; can be repeated."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Create it on the Hub, or update it.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="A new Space is private.")] = False,
    debug: Debug = False,
) -> None:
    """Write a demo that Hugging Face hosts as a Space, and push it if asked to."""
    from pvzoo import demo

    demo.write_space(folder, model or [], title=title, examples=example or [])
    err.print(f"wrote {escape(str(folder))}")
    if push:
        err.print(f"pushed to {escape(demo.push_space(folder, push, private=private))}")
