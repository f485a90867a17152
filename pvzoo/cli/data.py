"""``pvzoo check``, ``convert`` and ``evaluate``: what concerns labelled data."""

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
from pvzoo import registry
from pvzoo.cli.app import (
    BatchSize,
    Debug,
    Device,
    DType,
    Json,
    ModelName,
    Revision,
    Task,
    TrustRemoteCode,
    app,
    err,
    out,
    progress_bar,
)

if TYPE_CHECKING:
    from pvzoo.metrics.base import Evaluation

Data = Annotated[
    str, typer.Argument(help="A folder, a COCO file, a data.yaml or a Hub dataset id.")
]
Split = Annotated[str | None, typer.Option(help="Which split, such as validation.")]
Format = Annotated[str, typer.Option("--to", help="coco, yolo or folder.")]


@app.command()
def check(
    data: Data,
    task: Task = None,
    split: Split = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Write a picture of samples with their labels drawn.")
    ] = None,
    mend: Annotated[Path | None, typer.Option(help="Write mended data to this new folder.")] = None,
    to: Format = "coco",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is wrong with labelled data, before anything is trained on it."""
    from pvzoo import data as data_module

    dataset = data_module.load(data, registry.task_id(task) if task else None, split=split)
    with progress_bar("images") as show:
        report = data_module.check(dataset, progress=show)
    if json:
        sys.stdout.write(json_module.dumps(report.to_dict(), ensure_ascii=False) + "\n")
    else:
        out.print(escape(str(report)))
    if sheet:
        data_module.contact_sheet(dataset, sheet, report=report)
        err.print(f"wrote {escape(str(sheet))}")
    if mend:
        mended = data_module.mend(dataset, report)
        with progress_bar("images") as show:
            data_module.write(mended, mend, to, progress=show)
        err.print(f"wrote {escape(str(mend))}")
    if report.errors:
        raise typer.Exit(1)


@app.command()
def convert(
    data: Data,
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    to: Format,
    task: Task = None,
    split: Split = None,
    debug: Debug = False,
) -> None:
    """Write labelled data in another format."""
    from pvzoo import data as data_module

    dataset = data_module.load(data, registry.task_id(task) if task else None, split=split)
    with progress_bar("images") as show:
        data_module.write(dataset, folder, to, progress=show)
    err.print(f"wrote {escape(str(folder))}")


@app.command()
def evaluate(
    data: Data,
    model: ModelName = None,
    task: Task = None,
    split: Split = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: DType = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure a model on labelled data."""
    from pvzoo import data as data_module
    from pvzoo.cards import catalogue
    from pvzoo.data.schema import task_of
    from pvzoo.processes import processes

    task = registry.task_id(task) if task else None
    labelled = data
    if model is None:
        labelled = data_module.load(data, task, split=split)
        first = next(iter(labelled.values())) if isinstance(labelled, Mapping) else labelled
        task = task_of(first.features)
        model = catalogue().default(task).qualified_name
    loaded = pvzoo.load(
        model,
        task=task,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    with progress_bar("images") as show:
        found = loaded.evaluate(labelled, split=split, batch_size=batch_size, progress=show)
    if not processes().is_main_process:
        return
    if json:
        sys.stdout.write(found.to_json() + "\n")
    else:
        _print_evaluation(loaded.name, found)


def _print_evaluation(model: str, found: Evaluation) -> None:
    out.print(f"[bold]{escape(model)}[/] on {found.images} images")
    figures = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in found.items():
        figures.add_row(name, _number(value))
    out.print(figures)
    if found.per_class:
        columns = next(iter(found.per_class.values()))
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in ("class", *columns):
            table.add_column(heading, justify="left" if heading == "class" else "right")
        for name, row in found.per_class.items():
            table.add_row(escape(name), *map(_number, row.values()))
        out.print(table)
    if text := str(found.labels):
        err.print(escape(text))


def _number(value: float) -> str:
    """A share with four decimals, a count as it is; what the data cannot say as a dash."""
    if value != value:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
