"""``pvzoo fine-tune``."""

from __future__ import annotations

import inspect
import json
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

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
from pvzoo.training.options import Options


def _with_options(command: Any) -> Any:
    """The command with an option of the command line for each field of `Options`."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    types = get_type_hints(Options)
    more = [_parameter(option, types[option.name]) for option in fields(Options)]
    command.__signature__ = signature.replace(parameters=[*own[:1], *more, *own[1:]])
    return command


def _parameter(option: Field[Any], kind: Any) -> inspect.Parameter:
    """A field of `Options` as a parameter that typer understands."""
    if list[str] in get_args(kind):
        kind = list[str] | None
    elif bool in get_args(kind):
        kind = bool
    elif kind not in (Path, int, bool, int | None):
        kind = str | None
    known = option.metadata
    off = [f" /--no-{option.name}"] if kind is bool else []
    shown = typer.Option(
        *off, min=known["least"], help=known["help"], show_default=kind is not bool
    )
    return inspect.Parameter(
        option.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if option.default is MISSING else option.default,
        annotation=Annotated[kind, shown],
    )


@app.command("fine-tune")
@_with_options
def fine_tune(
    train: Annotated[
        str, typer.Argument(help="Labelled data, as for pvzoo check.", metavar="DATA")
    ],
    *,
    model: ModelName = None,
    eval: Annotated[
        str | None, typer.Option(help="Data to evaluate on; by default the split 'validation'.")
    ] = None,
    task: Task = None,
    allow_outside: AllowOutside = False,
    push_to_hub: Annotated[
        str | None, typer.Option(help="A Hub repo to upload the tuned model to.")
    ] = None,
    device: Device = None,
    revision: Revision = None,
    trust_remote_code: TrustRemoteCode = False,
    debug: Debug = False,
    **options: Any,
) -> None:
    """Fine-tune a model on labelled data."""
    from pvzoo import data as data_module
    from pvzoo.data.schema import task_for
    from pvzoo.processes import processes

    read = {option.name: _read(option, options[option.name]) for option in fields(Options)}
    labelled: Any = train
    if model is None:
        labelled = data_module.load(train, task, allow_outside=allow_outside)
        first = next(iter(labelled.values())) if isinstance(labelled, dict) else labelled
        task = task_for(first.features).id
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
        push_to_hub=push_to_hub,
        **read,
    )
    if processes().is_main_process and tuned.report is not None:
        for name, value in tuned.report.metrics.items():
            out.print(f"{name}  {figure(value)}")
        err.print(f"the tuned model is in {escape(str(read['output_dir']))}")


def _read(option: Field[Any], value: Any) -> Any:
    """The value of an option, parsed if it is a text.

    Raises:
        UsageError: The text must be JSON, and is not.
    """
    if not isinstance(value, str):
        return value or None if option.default is None else value
    example = option.metadata["example"]
    if not example:
        return int(value) if value.isdecimal() else value
    flag = f"--{option.name.replace('_', '-')}"
    try:
        return json.loads(value)
    except ValueError as error:
        raise UsageError(
            f"{flag} is {value!r}, which is not JSON ({error}).",
            f"Write it like {flag} '{example}'.",
        ) from error
