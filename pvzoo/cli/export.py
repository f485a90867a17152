"""``pvzoo export`` and ``verify``: models as files that run without PyTorch."""

from __future__ import annotations

import json as json_module
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from pvzoo.cli.app import Debug, Json, app, err, out, progress_bar
from pvzoo.cli.predict import option_of

if TYPE_CHECKING:
    from pvzoo.export.certificate import Certificate

Runtime = Annotated[str | None, typer.Option(help="onnxruntime, openvino or a plugin's runtime.")]
Data = Annotated[
    str | None,
    typer.Option(help="Your own images for the comparison: a folder or labelled data."),
]


class Precision(StrEnum):
    """Of the weights and, for int8, of what is computed."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A model: its name, Hub repo or folder.")],
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="A new folder for the files. Without one, pvzoo predict uses them as the default."
        ),
    ] = None,
    runtime: Runtime = None,
    image_size: Annotated[
        int | None, typer.Option(help="Scale images to a square of this side, in pixels.")
    ] = None,
    precision: Annotated[
        Precision, typer.Option(help="fp16 and int8 are measured on --data.")
    ] = Precision.FP32,
    max_loss: Annotated[
        float, typer.Option(help="The largest loss of the main metric at a lower precision.")
    ] = 0.01,
    allow_slower: Annotated[
        bool, typer.Option("--allow-slower", help="Write int8 even if it is slower here.")
    ] = False,
    data: Data = None,
    task: Annotated[str | None, typer.Option(help="For models that can do several.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-o", metavar="NAME=VALUE", help="A prompt to fix in the export."),
    ] = None,
    keep_failed: Annotated[
        Path | None, typer.Option(help="A new folder for the files if the comparison fails.")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a model as files that run without PyTorch, and check that results are the same."""
    import pvzoo

    loaded = pvzoo.load(model, task=task)
    folder = folder or _place_of_twin(loaded)
    with progress_bar() as show:

        def report(what: str, done: int, total: int) -> None:
            if what == "comparing":
                show(done, total)
            elif what == "exporting":
                err.print("exporting: this takes up to a few minutes" if not done else "exported")
            else:
                err.print(what)

        certificate = loaded.export(
            folder,
            runtime=runtime or "onnxruntime",
            image_size=image_size,
            precision=precision.value,
            max_loss=max_loss,
            allow_slower=allow_slower,
            data=data,
            progress=report,
            keep_failed=keep_failed,
            **dict(map(option_of, option or ())),
        )
    err.print(f"wrote {escape(str(folder))}")
    _say(certificate, json)


@app.command()
def verify(
    export: Annotated[
        Path, typer.Argument(help="An exported folder, or an ONNX file from elsewhere.")
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The original model; required for an ONNX file."),
    ] = None,
    task: Annotated[str | None, typer.Option(help="For models that can do several.")] = None,
    data: Annotated[str | None, typer.Option(help="Your own images; only with --model.")] = None,
    runtime: Runtime = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, gpu or npu.")] = None,
    threads: Annotated[int | None, typer.Option(help="Most threads per batch.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Check an export again on this machine, and measure the time per image."""
    from pvzoo.errors import UsageError
    from pvzoo.export import verify as verifying

    original: Any = None
    more: list[Any] = []
    if model is not None:
        import pvzoo
        from pvzoo.export.reference import Side
        from pvzoo.export.write import examples_of
        from pvzoo.plugins import registry

        loaded = pvzoo.load(model, task=task, device="cpu")
        if loaded.network is None:
            raise UsageError(f"{model} has no network to compare with.", "Name the original.")
        original = Side.original(loaded.network, loaded.runtime)
        more, _ = examples_of(data, registry.get("tasks", loaded.task)())
    with progress_bar() as show:
        if export.is_dir() or not export.exists():
            certificate = verifying.verify(
                export,
                original=original,
                more=more,
                runtime=runtime,
                device=device,
                threads=threads,
                progress=show,
            )
        elif original is None:
            raise UsageError(
                f"{export} is a file, and pvzoo does not know what results it should give.",
                "Name the model it came from with --model.",
            )
        else:
            certificate = verifying.verify_foreign(export, original, more=more, progress=show)
    _say(certificate, json)


def _place_of_twin(model: Any) -> Path:
    """The folder in which pvzoo looks for the export of a default model.

    Raises:
        UsageError: The model is not in the catalogue, or was exported already.
    """
    from pvzoo.errors import UsageError
    from pvzoo.export.manifest import is_in
    from pvzoo.export.twins import twin_folder

    if model.card is None:
        raise UsageError(f"{model.name} is not in the catalogue.", "Name a folder for the export.")
    folder = twin_folder(model.card)
    if is_in(folder):
        raise UsageError(
            f"{model.name} was exported already.", f"To do it again, remove {folder} first."
        )
    return folder


def _say(certificate: Certificate, json: bool) -> None:
    if json:
        text = json_module.dumps(certificate.to_json(), ensure_ascii=False)
        sys.stdout.write(text + "\n")
    else:
        out.print(escape(str(certificate)))
