"""``pvzoo benchmark``, ``choose`` and ``compare``: which model, by measurement."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from pvzoo.cli.app import (
    BatchSize,
    Debug,
    Device,
    Json,
    Task,
    app,
    err,
    out,
    print_columns,
    progress_bar,
)
from pvzoo.display import figure

Split = Annotated[str | None, typer.Option(help="Split of the data, such as validation.")]


@app.command()
def benchmark(
    models: Annotated[
        list[str], typer.Argument(help="Names, Hub repos or folders.", metavar="MODEL")
    ],
    runtime: Annotated[
        list[str] | None,
        typer.Option(
            help="torch, torch-channels-last, torch-compile, onnxruntime or openvino; can be "
            "given several times. By default all that are installed."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Labelled data, by which each row is measured too.")
    ] = None,
    split: Split = None,
    task: Task = None,
    device: Device = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each one has its turn.")] = 9,
    csv: Annotated[Path | None, typer.Option(help="Write the table to this file too.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure speed, memory and quality of models in every runtime, on this machine."""
    from pvzoo.benchmark import benchmark
    from pvzoo.benchmark.table import HEADINGS

    with progress_bar() as show:
        found = benchmark(
            models,
            task=task,
            runtimes=runtime,
            data=data,
            split=split,
            device=device,
            rounds=rounds,
            progress=show,
        )
    if csv is not None:
        csv.write_text(found.to_csv(), encoding="utf-8")
        err.print(f"wrote {escape(str(csv))}")
    if json:
        sys.stdout.write(found.to_json() + "\n")
        return
    print_columns(HEADINGS, [row.cells for row in found])
    for line in found.notes:
        err.print(escape(line))


@app.command()
def choose(
    task: Annotated[str, typer.Option(help="Such as object-detection, or just detection.")],
    max_ms: Annotated[
        float | None, typer.Option(help="Most milliseconds of a forward pass of one image.")
    ] = None,
    license: Annotated[
        str | None, typer.Option(help='A licence, or "permissive" for any that allows all use.')
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What models are ranked by.")] = None,
    min_metric: Annotated[float | None, typer.Option(help="Its least value.")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Labelled data: models that are fast enough are measured on it."),
    ] = None,
    split: Split = None,
    budget: Annotated[float, typer.Option(help="Seconds for measuring.")] = 300,
    device: Device = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Choose a model of the catalogue: the best of those that are fast enough on this machine."""
    import pvzoo

    with progress_bar() as show:
        found = pvzoo.choose(
            task=task,
            max_ms=max_ms,
            license=license,
            metric=metric,
            min_metric=min_metric,
            data=data,
            split=split,
            budget_s=budget,
            device=device,
            progress=show,
        )
    if json:
        sys.stdout.write(json_module.dumps(found.to_dict(), ensure_ascii=False) + "\n")
    else:
        print_columns(found.headings, found.rows)
    if not found.chosen:
        err.print("No model meets all conditions. The last column says why.")
        raise typer.Exit(1)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="A model: its name, Hub repo or folder.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    data: Annotated[str, typer.Option(help="Labelled data to measure both on.")],
    split: Split = None,
    task: Task = None,
    batch_size: BatchSize = 8,
    device: Device = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say whether one of two models is better on labelled data, or how many images that takes."""
    import pvzoo
    from pvzoo import data as data_module
    from pvzoo.plugins import registry

    evaluations = []
    dataset: Any = None
    for name in (a, b):
        model = pvzoo.load(name, task=task, device=device)
        if dataset is None:
            labels = registry.get("tasks", model.task).result.task
            with err.status(f"reading {escape(data)}"):
                dataset = data_module.load(data, labels, split=split)
        with progress_bar() as show:
            evaluations.append(model.evaluate(dataset, batch_size=batch_size, progress=show))
    found = evaluations[0].compare(evaluations[1])
    if json:
        answer = {name: difference.to_dict() for name, difference in found.items()}
        sys.stdout.write(json_module.dumps(answer) + "\n")
        return
    names = {"a": a, "b": b}
    rows = []
    for name, d in found.items():
        if d.better:
            verdict = f"{names[d.better]} is better"
        elif d.images_needed:
            verdict = f"not decided: that takes about {d.images_needed:,} images"
        else:
            verdict = "no difference"
        between = f"{_signed(d.low)} to {_signed(d.high)}"
        rows.append((name, figure(d.a), figure(d.b), _signed(d.value), between, verdict))
    print_columns(("", a, b, "difference", "95 % interval", ""), rows)
    images = next(iter(found.values())).images if found else 0
    out.print(f"on {images:,} images that both were measured on")


def _signed(value: float) -> str:
    return "-" if value != value else f"{value:+.4f}"
