"""``pvzoo bulk``."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from pvzoo.cli.app import (
    SOME_FAILED,
    AllowOutside,
    BatchSize,
    Debug,
    Device,
    DType,
    Json,
    Revision,
    Task,
    Tiles,
    TrustRemoteCode,
    app,
    out,
    tiles_of,
)
from pvzoo.cli.predict import option_of


@app.command()
def bulk(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder, pattern, list (.txt), table (.parquet), WebDataset (.tar), or dataset "
            "of the Hub; also an address such as s3://bucket/folder."
        ),
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="A folder for the Parquet files, or its address.")
    ],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A catalogue name, Hub repo id or folder.")
    ],
    task: Task = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Lowest score, from 0 to 1.")
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option", "-o", metavar="NAME=VALUE", help="Any other option of the task, as top_k=3."
        ),
    ] = None,
    tiles: Tiles = None,
    column: Annotated[
        str | None, typer.Option(help="The column of a table with the paths or images.")
    ] = None,
    shard_size: Annotated[
        int | None, typer.Option(min=1, help="Inputs for each Parquet file; 1,000 by default.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default what there is room for.")
    ] = None,
    cpus_per_worker: Annotated[float, typer.Option(help="CPUs for each worker.")] = 2,
    num_gpus: Annotated[float, typer.Option(help="GPUs for each worker, such as 1 or 0.5.")] = 0,
    ray_address: Annotated[
        str | None, typer.Option(help="A Ray cluster, such as auto or ray://head:10001.")
    ] = None,
    max_errors: Annotated[
        int | None, typer.Option(min=0, help="Stop if more rows than this have errors.")
    ] = None,
    allow_outside: AllowOutside = False,
    no_drift: Annotated[
        bool, typer.Option("--no-drift", help="Do not compare images with those of validation.")
    ] = False,
    batch_size: BatchSize = 8,
    device: Device = None,
    dtype: DType = None,
    revision: Revision = None,
    runtime: Annotated[
        str | None, typer.Option(help="onnxruntime, openvino or a plugin's runtime.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Most threads for a batch of an exported model.")
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Predict millions of images into Parquet files; the same command goes on after a crash."""
    import pvzoo

    given = {"threshold": threshold, "tiles": tiles_of(tiles)}
    options = {name: value for name, value in given.items() if value is not None}
    report = pvzoo.bulk(
        source,
        output,
        model=model,
        task=task,
        column=column,
        batch_size=batch_size,
        shard_size=shard_size,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        num_gpus=num_gpus,
        ray_address=ray_address,
        max_errors=max_errors,
        allow_outside=allow_outside,
        drift=not no_drift,
        device=device,
        dtype=dtype,
        revision=revision,
        runtime=runtime,
        threads=threads,
        trust_remote_code=trust_remote_code,
        **{**options, **dict(map(option_of, option or ()))},
    )
    if json:
        sys.stdout.write(json_module.dumps(asdict(report), ensure_ascii=False) + "\n")
    else:
        out.print(
            f"{escape(report.out)}: {report.rows:,} rows in {report.parts:,} files, "
            f"{report.errors:,} with errors; {report.new:,} are new"
            + (f"; {report.drift:,} with drift" if report.drift else "")
        )
    if report.errors:
        raise typer.Exit(SOME_FAILED if report.errors < report.rows else 1)
