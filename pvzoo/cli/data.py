"""``pvzoo check``, ``convert`` and ``evaluate``: the commands for labelled data."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

import pvzoo
from pvzoo.cli.app import (
    AllowOutside,
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
    err,
    out,
    progress_bar,
    tiles_of,
)
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from pvzoo.metrics.base import Evaluation

Data = Annotated[
    str,
    typer.Argument(
        help="A folder, a file of labels, a zip, a Hub dataset id or the name of a plugin's data.",
        metavar="DATA",
    ),
]
_FORMATS = "coco, yolo, voc, folder, cvat, label-studio or a plugin's format"
Split = Annotated[str | None, typer.Option(help="Split to use, such as validation.")]
ReduceLabels = Annotated[
    bool,
    typer.Option("--reduce-labels", help="In semantic masks, 0 is void and 1 the first class."),
]


def load_data(
    data: str, task: str | None, split: str | None, reduce_labels: bool, allow_outside: bool
) -> Dataset | DatasetDict:
    """Labelled data; what is read is shown on a terminal."""
    from pvzoo import data as data_module

    with err.status(f"reading {escape(data)}"):
        return data_module.load(
            data, task, split=split, reduce_labels=reduce_labels, allow_outside=allow_outside
        )


def task_of(dataset: Dataset | DatasetDict) -> str:
    """The id of the task that the labels are of."""
    from pvzoo.data.schema import task_for

    first = next(iter(dataset.values())) if isinstance(dataset, Mapping) else dataset
    return task_for(first.features).id


def _images(dataset: Dataset | DatasetDict) -> int:
    parts = dataset.values() if isinstance(dataset, Mapping) else [dataset]
    return sum(map(len, parts))


@app.command()
def check(
    data: Data,
    task: Task = None,
    split: Split = None,
    reduce_labels: ReduceLabels = False,
    allow_outside: AllowOutside = False,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Write an image of samples with their labels to this file."),
    ] = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", "--mend", help="Write a fixed copy of the data to this new folder."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help=f"Format of the copy: {_FORMATS}; by default coco or folder."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Find mistakes in labelled data before you train on it."""
    from pvzoo import data as data_module
    from pvzoo.data.schema import CLASSIFICATION, SEMANTIC

    dataset = load_data(data, task, split, reduce_labels, allow_outside)
    with progress_bar() as show:
        report = data_module.check(dataset, progress=show)
    if not json:
        out.print(escape(str(report)))
    if sheet:
        data_module.contact_sheet(dataset, sheet, report=report)
        err.print(f"wrote {escape(str(sheet))}")
    found = report.to_dict()
    if fix:
        fixed = data_module.fix(dataset, report)
        task = task_of(fixed)
        to = to or ("folder" if task in (CLASSIFICATION, SEMANTIC) else "coco")
        with progress_bar() as show:
            data_module.write(fixed, fix, to, progress=show)
        err.print(f"wrote {escape(str(fix))}")
        if _images(fixed):  # data.load refuses folders of classes without images
            fixed = data_module.load(fix, task)
        with progress_bar() as show:
            left = data_module.check(fixed, progress=show)
        done = report.fixed(left)
        found |= {"fixed": done, "remaining": left.to_dict()}
        if not json:
            rules = ", ".join(f"{rule} ({count:,})" for rule, count in done.items()) or "nothing"
            out.print(escape(f"\nFixed: {rules}.\nWhat is in {fix} now: {left}"))
    if json:
        sys.stdout.write(json_module.dumps(found, ensure_ascii=False) + "\n")
    if report.errors:
        raise typer.Exit(1)


@app.command()
def convert(
    data: Data,
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="FOLDER")],
    to: Annotated[str, typer.Option(help=f"Format to write: {_FORMATS}.")],
    task: Task = None,
    split: Split = None,
    reduce_labels: ReduceLabels = False,
    allow_outside: AllowOutside = False,
    debug: Debug = False,
) -> None:
    """Write labelled data in another format."""
    from pvzoo import data as data_module

    dataset = load_data(data, task, split, reduce_labels, allow_outside)
    with progress_bar() as show:
        data_module.write(dataset, folder, to, progress=show)
    err.print(f"wrote {escape(str(folder))}")


@app.command()
def evaluate(
    data: Data,
    model: ModelName = None,
    task: Task = None,
    split: Split = None,
    reduce_labels: ReduceLabels = False,
    allow_outside: AllowOutside = False,
    tiles: Tiles = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: DType = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on labelled data."""
    from pvzoo.processes import processes

    dataset = None
    if model is None:
        dataset = load_data(data, task, split, reduce_labels, allow_outside)
        task = task_of(dataset)
    loaded = pvzoo.load(
        model,
        task=task,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    if dataset is None:  # the task of the model decides how to read the labels
        labels = registry.get("tasks", loaded.task).result.task
        dataset = load_data(data, labels, split, reduce_labels, allow_outside)
    with progress_bar() as show:
        found = loaded.evaluate(
            dataset, tiles=tiles_of(tiles), batch_size=batch_size, progress=show
        )
    if not processes().is_main_process:
        return
    if json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        _print_evaluation(loaded.name, found)


def _print_evaluation(model: str, found: Evaluation) -> None:
    from pvzoo.metrics.base import HEADINGS, class_cells

    out.print(f"[bold]{escape(model)}[/] on {found.images} images")
    figures = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in HEADINGS if found.intervals else HEADINGS[:2]:
        figures.add_column(heading)
    for row in found.rows():
        figures.add_row(*row[: len(figures.columns)])
    out.print(figures)
    if found.note:
        out.print(escape(found.note))
    if found.per_class:
        columns = next(iter(found.per_class.values()))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("class", *columns):
            table.add_column(heading, justify="left" if heading == "class" else "right")
        for name, values in found.per_class.items():
            table.add_row(escape(name), *class_cells(values))
        out.print(table)
    if found.left_out:
        err.print(f"Left out: {found.left_out} images without a class that the model has")
    if found.labels.only_in_model and not found.labels.only_in_data:  # else a warning named both
        err.print(escape(str(found.labels)))
