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
            help="Catalogue names, Hub repo ids or folders; several are compared. By default the "
            "default model of --task, or a page where you can pick any model of the catalogue.",
            metavar="NAME",
        ),
    ] = None,
    task: Task = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="An example image, instead of pvzoo's own; can be repeated."),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address of the page; 0.0.0.0 lets other machines open it.")
    ] = ("127.0.0.1"),
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port of the page; by default the first free one from 7860."
        ),
    ] = None,
    share: Annotated[
        bool, typer.Option("--share", help="Get a public address from Gradio.")
    ] = False,
    mcp: Annotated[
        bool, typer.Option("--mcp", help="Also serve the models as tools for agents (MCP).")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Do not open a browser.")
    ] = False,
    device: Device = None,
    dtype: DType = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
) -> None:
    """Open a page where you can try models on images."""
    from pvzoo.demo import serve

    # SIGTERM, which ends a service, acts like Ctrl-C: the folder of the demo's files is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    loaded = []
    default: list[str | None] = [None] if task else []
    names: list[str | None] = [*models] if models else default
    for name in names:
        err.print(f"loading {escape(name or f'the default model for {task}')}")
        loaded.append(
            pvzoo.load(
                name, task=task, device=device, dtype=dtype, trust_remote_code=trust_remote_code
            )
        )
    for image in example or ():
        pvzoo.open_image(image)
    try:
        serve(
            loaded,
            examples=example,
            server_name=host,
            server_port=port,
            share=share,
            mcp_server=mcp,
            inbrowser=not no_browser and sys.stdout.isatty() and "SSH_CONNECTION" not in os.environ,
        )
    except OSError as error:  # the message of Gradio names its own options, not ours
        address = host if port is None else f"{host}:{port}"
        raise PvzooError(
            f"The page cannot be served at {address}.",
            "The port may be in use: choose another --port.",
        ) from error


@app.command()
def space(
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="FOLDER")],
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Model to show: a catalogue name, a Hub repo id or the folder of a fine-tuned "
            "model, which is copied; can be repeated. By default any model of the catalogue.",
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Title of the Space.")] = None,
    example: Annotated[
        list[Path] | None,
        typer.Option(help="An example image, which is copied; can be repeated."),
    ] = None,
    push: Annotated[
        str | None, typer.Option(metavar="OWNER/NAME", help="Create this Space, or update it.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Space private.")] = False,
    debug: Debug = False,
) -> None:
    """Write a demo that Hugging Face can host as a Space; --push also uploads it."""
    from pvzoo import demo

    demo.write_space(folder, model or [], title=title, examples=example or [])
    err.print(f"wrote {escape(str(folder))}")
    if push:
        err.print(f"pushed to {escape(demo.push_space(folder, push, private=private))}")
