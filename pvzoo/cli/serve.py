"""``pvzoo serve``: models that answer over HTTP."""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from pvzoo.cli.app import Debug, Device, Task, app, err
from pvzoo.errors import PvzooWarning, UsageError

TOKEN = "PVZOO_SERVE_TOKEN"
"""The environment variable with the token."""


@app.command()
def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Exported folders, catalogue names or Hub repo ids. NAME=MODEL sets the name in "
            "addresses; by default it is the last part of the folder or repo id.",
            metavar="MODEL",
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help=f"File with the token that requests must have; or set the variable {TOKEN}."
        ),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Download images from public web addresses.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Most images in a batch.")] = 8,
    queue: Annotated[
        int, typer.Option(min=1, help="Most images that wait; further ones are answered 503.")
    ] = 128,
    seconds: Annotated[float, typer.Option(min=0.1, help="Most seconds for an answer.")] = 30.0,
    max_mb: Annotated[int, typer.Option(min=1, help="Most MB of an image.")] = 20,
    max_pixels: Annotated[int, typer.Option(min=1, help="Most pixels of an image.")] = 32_000_000,
    memory: Annotated[
        float,
        typer.Option(
            min=0.01,
            help="Most GB of weights in memory; models that are not used then make room.",
        ),
    ] = 4.0,
    no_drift: Annotated[
        bool,
        typer.Option("--no-drift", help="Do not compare images with those of validation."),
    ] = False,
    task: Task = None,
    runtime: Annotated[
        str | None, typer.Option(help="onnxruntime, openvino or a plugin's runtime.")
    ] = None,
    device: Device = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Most threads per batch, for exported models.")
    ] = None,
    debug: Debug = False,
) -> None:
    """Answer over HTTP: images in, predictions as JSON out."""
    from pvzoo import serve as serving
    from pvzoo.serve.models import names_of

    token = _token(token_file)
    names = names_of(models)
    limits = serving.Limits(
        max_bytes=max_mb * 2**20,
        max_request=(max_mb * 8 // 5) * 2**20 + 2**16,  # base64 makes an image a third longer
        max_pixels=max_pixels,
        models=round(memory * 2**30),
        seconds=seconds,
        queue=queue,
        batch_size=batch_size,
        allow_urls=allow_urls,
    )
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if token is None and host not in ("127.0.0.1", "localhost", "::1"):
        err.print(f"[yellow]warning:[/] everybody who reaches {escape(host)} can use the server")
    for name, source in names.items():
        err.print(f"loading {escape(name)} from {escape(source)}")
    app = serving.build(
        names,
        limits=limits,
        token=token,
        drift=not no_drift,
        task=task,
        runtime=runtime,
        device=device,
        threads=threads,
    )
    # clients could fill the log with warnings about their images
    warnings.simplefilter("ignore", PvzooWarning)
    err.print(f"serving at http://{escape(host)}:{port}")
    serving.serve(app, host=host, port=port)


def _token(file: Path | None) -> str | None:
    """The token of the file or of the environment."""
    if file is None:
        return os.environ.get(TOKEN) or None
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The token file {file} cannot be read ({error}).", "Check the path."
        ) from error
    if not token or not token.isascii():
        raise UsageError(
            f"The token file {file} is empty or not ASCII.", "Write one line of ASCII into it."
        )
    return token
