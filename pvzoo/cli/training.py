"""``pvzoo fine-tune``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

import pvzoo
from pvzoo.cli.app import (
    AllowOutside,
    Debug,
    Device,
    ModelName,
    Revision,
    Task,
    TrustRemoteCode,
    app,
    err,
    out,
)
from pvzoo.display import figure
from pvzoo.errors import UsageError
from pvzoo.plugins import registry


@app.command("fine-tune")
def fine_tune(
    train: Annotated[str, typer.Argument(help="Labelled data, as pvzoo check takes it.")],
    output_dir: Annotated[Path, typer.Option(help="A new folder, or that of the same run.")],
    epochs: Annotated[int, typer.Option(min=1, help="How often every image is seen.")],
    model: ModelName = None,
    eval: Annotated[
        str | None, typer.Option(help="Data to measure on; by default the split 'validation'.")
    ] = None,
    task: Task = None,
    allow_outside: AllowOutside = False,
    batch_size: Annotated[str, typer.Option(help="Images a step, or auto.")] = "auto",
    learning_rate: Annotated[
        str | None,
        typer.Option(help='By default the recipe\'s; or {"backbone": 1e-5, "rest": 1e-4}.'),
    ] = None,
    freeze: Annotated[str | None, typer.Option(help="backbone, to train the rest only.")] = None,
    augment: Annotated[bool, typer.Option(help="Whether pictures are varied.")] = True,
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Side of the network's input.")
    ] = None,
    early_stopping: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many epochs without a better figure.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Decides all that is drawn by lot.")] = 0,
    resume: Annotated[bool, typer.Option(help="Go on with the run of the folder.")] = True,
    lora: Annotated[
        str | None,
        typer.Option(
            help='Rank, to train low-rank matrices; or PEFT\'s arguments, {"r": 16, ...}.'
        ),
    ] = None,
    report_to: Annotated[
        list[str] | None, typer.Option(help="Such as tensorboard; more than once for several.")
    ] = None,
    trainer_args: Annotated[
        str | None, typer.Option(help="More of transformers' TrainingArguments, as JSON.")
    ] = None,
    push_to_hub: Annotated[
        str | None, typer.Option(help="A Hub repo to upload the tuned model to.")
    ] = None,
    device: Device = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
) -> None:
    """Train a model further on labelled data."""
    from pvzoo import data as data_module
    from pvzoo.catalog.catalogue import catalogue
    from pvzoo.data.schema import task_of
    from pvzoo.processes import processes

    rates = _parsed("--learning-rate", learning_rate, "1e-4")
    rank = _parsed("--lora", lora, "16")
    more = _parsed("--trainer-args", trainer_args, '{"max_grad_norm": 0.1}')
    task = registry.task_id(task) if task else None
    labelled: Any = train
    if model is None:
        labelled = data_module.load(train, task, allow_outside=allow_outside)
        first = next(iter(labelled.values())) if isinstance(labelled, dict) else labelled
        task = task_of(first.features)
        model = catalogue().default(task).qualified_name
    loaded = pvzoo.load(
        model, task=task, device=device, revision=revision, trust_remote_code=trust_remote_code
    )
    measured: Any = eval
    if allow_outside:
        labels = registry.get("tasks", loaded.task).result.task
        if labelled is train:
            labelled = data_module.load(train, labels, allow_outside=True)
        if eval is not None:
            measured = data_module.load(eval, labels, allow_outside=True)
    tuned = loaded.fine_tune(
        labelled,
        measured,
        output_dir=output_dir,
        epochs=epochs,
        batch_size=int(batch_size) if batch_size.isdecimal() else batch_size,
        learning_rate=rates,
        freeze=freeze,
        augment=augment,
        image_size=image_size,
        early_stopping=early_stopping,
        seed=seed,
        resume=resume,
        lora=rank,
        report_to=report_to or None,
        trainer_args=more,
        push_to_hub=push_to_hub,
    )
    if processes().is_main_process:
        for name, value in tuned.report.metrics.items():
            out.print(f"{name}  {figure(value)}")
        err.print(f"the tuned model is in {escape(str(output_dir))}")


def _parsed(option: str, text: str | None, example: str) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{option} is {text!r}, which is no JSON ({error}).",
            f"Write such as {option} '{example}'.",
        ) from error
