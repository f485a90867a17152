"""``pvzoo predict``."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

import pvzoo
from pvzoo.cli.app import (
    SOME_FAILED,
    BatchSize,
    Debug,
    Device,
    DType,
    Json,
    ModelName,
    Revision,
    Task,
    Tiles,
    TrustRemoteCode,
    app,
    debugging,
    err,
    out,
    progress_bar,
    tiles_of,
)
from pvzoo.errors import ImageError, PvzooError, UsageError
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.data.predicted import Predicted
    from pvzoo.results.base import Result


@app.command()
def predict(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files, folders, glob patterns or URLs. Or one video: a file, an address "
            "(rtsp://), or the number of a camera.",
            metavar="IMAGE",
        ),
    ],
    model: ModelName = None,
    task: Task = None,
    top_k: Annotated[int | None, typer.Option(min=1, help="Most classes per image.")] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score, from 0 to 1.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            "-o",
            metavar="NAME=VALUE",
            help="Any other option of the task, such as prompts='a cat,a dog' or nms=0.5.",
        ),
    ] = None,
    json: Json = False,
    save: Annotated[
        Path | None,
        typer.Option(
            help="Write the images, with the results drawn, to this folder. Of a video: a video "
            "file (.mp4, .mov, .mkv, .webm), with the sound kept."
        ),
    ] = None,
    save_maps: Annotated[
        Path | None,
        typer.Option(help="Write maps to this folder: whole numbers as PNG, fractions as .npy."),
    ] = None,
    review: Annotated[
        Path | None,
        typer.Option(help="Write the results to this new folder, as labels to correct."),
    ] = None,
    to: Annotated[
        str, typer.Option(help="Format of --review: cvat, label-studio or coco.")
    ] = "cvat",
    tiles: Tiles = None,
    every: Annotated[
        int | None, typer.Option(min=1, help="Of a video, only each frame of this many.")
    ] = None,
    start: Annotated[
        float | None, typer.Option(min=0, help="Of a video, the time to begin at, in seconds.")
    ] = None,
    stop: Annotated[
        float | None, typer.Option(min=0, help="Of a video, the time to stop at, in seconds.")
    ] = None,
    track: Annotated[
        str | None,
        typer.Option(
            help="Follow objects from frame to frame with this tracker, such as bytetrack."
        ),
    ] = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: DType = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
) -> None:
    """Predict what is in images or a video."""
    from pvzoo.cli.videos import video_in, written_to  # as numpy, only for this command

    options: dict[str, Any] = {"top_k": top_k, "threshold": threshold}
    options = {k: v for k, v in options.items() if v is not None}
    options |= dict(map(option_of, option or ()))
    images = video_in(inputs) or _expand(inputs)
    options |= {"every": every, "start": start, "stop": stop, "track": track or False}
    if model is None:
        model = _default(task or "image-classification", plain=not (device or dtype or revision))
    loaded = pvzoo.load(
        model,
        task=task,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    failed: list[ImageError] = []

    def report(error: ImageError) -> None:
        failed.append(error)
        err.print(f"[red]error:[/] {escape(str(error))}")
        if debugging():
            err.print(escape("".join(traceback.format_exception(error))))

    kind = registry.get("tasks", loaded.task).result
    predicted = _predicted(kind, loaded.labels, review, to) if review else None
    drawings, maps = _FileNames(), _FileNames()
    answered = 0
    with written_to(save, images) as annotated, progress_bar() as show:
        for result in loaded.stream(
            images,
            tiles=tiles_of(tiles),
            batch_size=batch_size,
            on_error=report,
            progress=show,
            **options,
        ):
            answered += 1
            if json:
                sys.stdout.write(result.to_json() + "\n")
            else:
                _print_result(result)
            if annotated:
                annotated.add(result)
            elif save:
                drawing = save / f"{drawings.of(result)}.png"
                err.print(f"wrote {escape(str(result.save(drawing)))}")
            if save_maps:
                from pvzoo.cli.maps import write_maps  # needs numpy, which other commands do not

                for file in write_maps(result, save_maps, maps.of(result)):
                    err.print(f"wrote {escape(str(file))}")
            if predicted:
                predicted.add(result)
    if annotated and answered:
        err.print(f"wrote {escape(str(save))}")
    if predicted and review and answered:
        from pvzoo import data

        data.write(predicted.dataset(), review, to)
        err.print(f"wrote {escape(str(review))}")
    if failed:
        raise typer.Exit(SOME_FAILED if answered else 1)


def _default(task: str, *, plain: bool) -> str:
    """The default model of a task: its export if there is one and no option needs PyTorch."""
    from pvzoo.catalog.catalogue import catalogue
    from pvzoo.export.twins import twin_of

    card = catalogue().default(registry.task_id(task))
    twin = twin_of(card) if plain else None
    if twin is None:
        return card.qualified_name
    err.print(f"using the export of {card.name}; --model {card.name} uses the original")
    return str(twin)


_OWN = ("source", "tiles", "batch_size", "on_error", "progress", "every", "start", "stop", "track")
"""Arguments of `Model.stream` that are not options of a task."""


def option_of(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` as a keyword argument: JSON, a list of texts with commas, or one text.

    Raises:
        UsageError: The name or the value is missing, or it is not an option of a task.
    """
    name, _, value = text.partition("=")
    if not name or not value:
        raise UsageError(
            f"--option {text} has no name or no value.", "Write NAME=VALUE, such as nms=0.5."
        )
    if name in _OWN:
        raise UsageError(
            f"--option {text}: {name} is not an option of a task.", "See pvzoo predict --help."
        )
    try:
        return name, loads(value)
    except ValueError:
        texts = [part.strip() for part in value.split(",")]
        return name, texts if len(texts) > 1 else value


def _expand(inputs: list[str]) -> list[str | Path]:
    """The images that the arguments name: patterns and folders are listed, the rest is kept."""
    from pvzoo.inputs.sources import images_of, stands_for_several

    images: list[str | Path] = []
    for text in inputs:
        if stands_for_several(text):
            try:
                images += images_of(text)
            except UsageError as error:  # exit code 1: a folder without images is not wrong usage
                raise PvzooError(error.what, error.hint) from error
        else:
            images.append(text)
    return images


def _predicted(kind: type[Result], names: Sequence[str], review: Path, to: str) -> Predicted:
    """A collector of the results, after a check of the folder and the format."""
    from pvzoo.data.predicted import Predicted
    from pvzoo.data.write import check_new, writer_of

    predicted = Predicted(kind, names)
    writer_of(to, predicted.task)
    check_new(review)
    return predicted


class _FileNames:
    """Gives the files of every result a name, without a suffix and never the same twice."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def of(self, result: Result) -> str:
        stem = Path(result.image.file_name if result.image else "").stem or "image"
        name, number = stem, 1
        while name.casefold() in self._taken:  # some file systems ignore case
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return name


def _print_result(result: Result) -> None:
    rows = result.rows()
    moment = "" if result.frame is None else f" frame {result.frame}, {result.time:.2f} s"
    out.print(f"[bold]{escape(result.source or '')}[/]{moment}")
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
