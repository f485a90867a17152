"""``pvzoo report`` and ``tune-thresholds``: what is behind the figures, and what follows."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from pvzoo.cli.data import Data, Split, load_data, task_of
from pvzoo.errors import UsageError
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

    from pvzoo.model import Model

NewFolder = Annotated[Path, typer.Option("--output-dir", "-o", help="A new folder.")]


def _opened(
    data: str,
    model: str | None,
    task: str | None,
    split: str | None,
    allow_outside: bool,
    **how: Any,
) -> tuple[Model[Any], Dataset | DatasetDict]:
    """The model, and the data read as the model needs it."""
    dataset = None
    if model is None:
        dataset = load_data(data, task, split, False, allow_outside)
        task = task_of(dataset)
    loaded = pvzoo.load(model, task=task, **how)
    if dataset is None:
        labels = registry.get("tasks", loaded.task).result.task
        dataset = load_data(data, labels, split, False, allow_outside)
    return loaded, dataset


@app.command()
def report(
    data: Data,
    output_dir: NewFolder,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help="Model: a catalogue name, Hub repo id or folder. A second one is compared "
            "with the first.",
        ),
    ] = None,
    task: Task = None,
    split: Split = None,
    allow_outside: AllowOutside = False,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: DType = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
) -> None:
    """Measure a model, and write a page that shows its errors."""
    from pvzoo.data.write import check_new
    from pvzoo.processes import processes

    models: list[str | None] = list(model) if model else [None]
    if len(models) > 2:
        raise UsageError(f"{len(models)} models were named.", "Name one model, or two.")
    check_new(output_dir)
    found = []
    for name in models:
        loaded, dataset = _opened(
            data,
            name,
            task,
            split,
            allow_outside,
            device=device,
            dtype=dtype,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
        with progress_bar() as show:
            found.append(loaded.evaluate(dataset, batch_size=batch_size, progress=show))
    if not processes().is_main_process:
        return
    with err.status("writing the report"):
        page = found[0].report(output_dir, other=found[1] if len(found) > 1 else None)
    err.print(f"wrote {escape(str(page))}")


@app.command("tune-thresholds")
def tune_thresholds(
    data: Data,
    output_dir: NewFolder,
    model: ModelName = None,
    target: Annotated[
        str,
        typer.Option(help="f1, or a figure to reach: precision=0.95, recall=0.9, accuracy=0.95."),
    ] = "f1",
    common: Annotated[
        bool, typer.Option("--common", help="Choose one threshold for all classes.")
    ] = False,
    task: Task = None,
    split: Split = None,
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
    """Choose thresholds on labelled data, and save the model with them."""
    from pvzoo.data.write import check_new
    from pvzoo.processes import processes

    check_new(output_dir)
    loaded, dataset = _opened(
        data,
        model,
        task,
        split,
        allow_outside,
        device=device,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    with progress_bar() as show:
        tuned = loaded.tune_thresholds(
            dataset,
            target=_target(target),
            per_class=not common,
            tiles=tiles_of(tiles),
            batch_size=batch_size,
            progress=show,
        )
    if not processes().is_main_process or tuned.thresholds is None:
        return
    tuned.save(output_dir)
    if json:
        text = json_module.dumps(tuned.thresholds.to_json(), ensure_ascii=False)
        sys.stdout.write(text + "\n")
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for heading, line in tuned.thresholds.lines:
            table.add_row(f"[bold]{heading}[/]", escape(line))
        out.print(table)
    err.print(f"wrote {escape(str(output_dir))}")


def _target(text: str) -> str | dict[str, float]:
    """``precision=0.95`` as a dict, anything else as it is."""
    name, _, value = text.partition("=")
    if not value:
        return text
    try:
        return {name: float(value)}
    except ValueError:
        raise UsageError(f"--target {text} has no number.", "Write precision=0.95.") from None
