"""`bulk`: predict millions of images into Parquet files, exactly one row for each input."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.errors import PvzooError, PvzooWarning, UsageError, error_message
from pvzoo.extras import needs

if TYPE_CHECKING:
    from pvzoo.jobs.entries import Source
    from pvzoo.jobs.here import Here
    from pvzoo.jobs.on_ray import OnRay
    from pvzoo.jobs.plan import Plan
    from pvzoo.jobs.progress import Seen
    from pvzoo.jobs.shard import Work
    from pvzoo.jobs.storage import Place

MANIFEST_SECONDS = 60.0
"""How often the manifest is written while a job runs."""


@dataclass(frozen=True)
class BulkReport:
    """What `bulk` wrote.

    Attributes:
        out: The output folder.
        rows: One for each input.
        errors: How many rows have an error instead of a result.
        parts: How many Parquet files there are.
        new: How many rows this call wrote; the others were there.
        seconds: How long this call took.
        drift: How many parts have images that differ from those that the model was validated on;
            the manifest says how.
    """

    out: str
    rows: int
    errors: int
    parts: int
    new: int
    seconds: float
    drift: int = 0


def bulk(
    source: str | Path,
    out: str | Path,
    *,
    model: str | Path,
    task: str | None = None,
    column: str | None = None,
    batch_size: int = 8,
    shard_size: int | None = None,
    workers: int | None = None,
    cpus_per_worker: float = 2,
    num_gpus: float = 0,
    ray_address: str | None = None,
    max_errors: int | None = None,
    allow_outside: bool = False,
    drift: bool = True,
    device: Any = None,
    dtype: Any = None,
    revision: str | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    trust_remote_code: bool = False,
    progress: bool | Callable[[Seen], None] | None = None,
    **options: Any,
) -> BulkReport:
    """Predict any number of images, and write one row for each into Parquet files.

    The inputs are listed once and cut into shards. Each shard becomes one file, which appears only
    when it is whole. If anything dies, the same call goes on, and in the end there is exactly one
    row for each input. An input that cannot be read is a row with an error (docs/bulk.md).

    Args:
        source: A folder, a pattern, a list file (``.txt``, a path or address in each line), Parquet
            files with a column of paths or images, tar files of a WebDataset, or the name of a
            dataset on the Hub; also on a file system of pyarrow or fsspec (``s3://``, ``hf://``).
        out: The output folder, on any of these file systems.
        model: A catalogue name, a Hub repo id, or a folder, as for `pvzoo.load`.
        task: As for `pvzoo.load`; also ``device``, ``dtype``, ``revision``, ``runtime``,
            ``threads`` and ``trust_remote_code``.
        column: The column of a table with the paths or images, if there are several.
        batch_size: Most network inputs in one forward pass.
        shard_size: Inputs in a shard; by default 1,000, or fewer if there are few. The more, the
            fewer files, and the more is lost if a worker dies.
        workers: Processes with one model each. By default as many as this machine or the cluster
            has room for; with Ray not installed, one. One worker runs in this process without Ray.
        cpus_per_worker: CPUs that Ray keeps for each worker.
        num_gpus: GPUs for each worker; 0.5 lets two workers share one.
        ray_address: A Ray cluster, such as ``"auto"`` or ``"ray://head:10001"``. Without one, Ray
            runs on this machine, listens on the loopback address only, and has no dashboard.
        max_errors: Stop if more rows than this have errors; by default no number is too many.
        allow_outside: Whether paths in a table may lead out of the folder of the table.
        drift: Whether images are compared with those that the model was validated on, if its export
            says how these look. A `PvzooWarning` reports the first shard that differs.
        progress: None for a line on a terminal, True for lines anywhere, False for nothing, or a
            function that is called with a `pvzoo.jobs.progress.Seen` after each shard.
        **options: ``tiles``, as for `Model.stream`, and options of the task, such as ``top_k`` or
            ``threshold``.

    Raises:
        MissingExtraError: pyarrow is not installed, or Ray where it is needed.
        PvzooError: The source has no images, the output belongs to another job, too many inputs
            have errors, or a store fails again and again. What is written stays; the same call goes
            on.
        UsageError: An argument has an impossible value.
    """
    started = time.monotonic()
    needs("Bulk prediction", "pyarrow")
    from pvzoo.jobs import identity
    from pvzoo.jobs.progress import shower
    from pvzoo.jobs.shard import Work
    from pvzoo.jobs.sources import source_of
    from pvzoo.jobs.storage import Place, StorageError

    _check(batch_size, shard_size, workers, cpus_per_worker, num_gpus, max_errors, options)
    home = Place.of(os.fspath(out))
    inputs = source_of(os.fspath(source), column, home)
    load = {
        "name": model if not isinstance(model, Path) else str(model),
        "task": task,
        "device": device,
        "dtype": dtype,
        "revision": revision,
        "runtime": runtime,
        "threads": threads,
        "trust_remote_code": trust_remote_code,
    }
    engine = _engine(load, workers, cpus_per_worker, num_gpus, ray_address)
    try:
        job = identity.job_of(engine.about(options), inputs.text, column, options)
        identity.settle(home, job)
        cut = _planned(inputs, home, shard_size)
        work = Work(home, cut, job, options, batch_size, allow_outside, drift)
        return _run(engine, work, max_errors, shower(progress), started)
    except OSError as error:  # a full disk, or a folder that nobody may write to
        raise StorageError(
            f"{home} cannot be used ({error_message(error)}).",
            "Check the disk and the permissions. The same command goes on where it stopped.",
        ) from error
    finally:
        engine.close()


def _check(
    batch_size: int,
    shard_size: int | None,
    workers: int | None,
    cpus: float,
    gpus: float,
    max_errors: int | None,
    options: dict[str, Any],
) -> None:
    least = {"batch_size": (batch_size, 1), "shard_size": (shard_size, 1), "workers": (workers, 1)}
    for name, (value, low) in {**least, "max_errors": (max_errors, 0)}.items():
        if value is not None and (not isinstance(value, int) or value < low):
            raise UsageError(f"{name} is {value!r}.", f"Use an integer of at least {low}.")
    if cpus <= 0 or gpus < 0:
        raise UsageError(
            f"A worker cannot have {cpus:g} CPUs and {gpus:g} GPUs.", "Use positive numbers."
        )
    if tracking := [name for name in options if name in ("track", "tracker")]:
        raise UsageError(
            f"{tracking[0]}: bulk jobs do not track, because the frames of a video must be seen in "
            "order, by one worker.",
            "Use model.stream for a video.",
        )


def _engine(
    load: dict[str, Any], workers: int | None, cpus: float, gpus: float, address: str | None
) -> Here | OnRay:
    """Ray if it is asked for, or if it is installed and this machine has room for two workers."""
    if workers is None and address is None and find_spec("ray") is not None:
        workers = max(1, int((os.cpu_count() or 1) / cpus)) if not gpus else None
    elif workers is None and address is None:
        workers = 1
    if workers == 1 and address is None and not gpus:
        from pvzoo.jobs.here import Here

        return Here(load)
    needs("Bulk prediction with several workers", "ray")
    from pvzoo.jobs.on_ray import OnRay

    return OnRay(load, address=address, workers=workers, cpus=cpus, gpus=gpus)


def _planned(source: Source, out: Place, shard_size: int | None) -> Plan:
    """The plan that an earlier run made, or a new one.

    Raises:
        DamagedPlan: There are parts, and it is not known any more which inputs they have.
    """
    from pvzoo.jobs import parts, plan

    try:
        return plan.read(out, source.base.root)
    except FileNotFoundError:
        return plan.make(source, out, shard_size)
    except plan.DamagedPlan:
        if parts.written(out):
            raise
        return plan.make(source, out, shard_size)


def _run(
    engine: Here | OnRay,
    work: Work,
    max_errors: int | None,
    show: Callable[[Seen], None],
    started: float,
) -> BulkReport:
    from pvzoo.jobs.parts import write_manifest, written
    from pvzoo.jobs.progress import Clock
    from pvzoo.jobs.shard import TooManyErrors
    from pvzoo.jobs.storage import WRITING

    parts = written(work.out)
    clock = Clock(
        sum(part.rows for part in parts.values()),
        sum(part.errors for part in parts.values()),
        work.plan.inputs,
    )
    before = clock.rows
    todo = [shard for shard in range(work.plan.shards) if shard not in parts]
    due = time.monotonic() + MANIFEST_SECONDS
    seen, warned = clock.add(0, 0), False
    try:
        left = None if max_errors is None else max_errors - clock.errors
        if left is not None and left < 0:
            raise TooManyErrors("")
        for part in engine.parts(work, todo, left) if todo else ():
            parts[part.shard] = part
            if part.drift and not warned:
                warned = True
                warnings.warn(
                    f"{part.name} has other images than the model was validated on: "
                    f"{'; '.join(part.drift)}.",
                    PvzooWarning,
                    stacklevel=3,
                )
            seen = clock.add(part.rows, part.errors)
            show(seen)
            if max_errors is not None and clock.errors > max_errors:
                raise TooManyErrors("")
            if time.monotonic() > due:
                write_manifest(work.out, work.job, parts.values(), work.plan.shards)
                due = time.monotonic() + MANIFEST_SECONDS
    except TooManyErrors as error:
        such = f", such as: {error.what}" if error.what else ""
        raise TooManyErrors(
            f"More than {max_errors:,} inputs have errors{such}",
            f"See the column error in {work.out}. The same command with a larger --max-errors "
            "goes on.",
        ) from error
    manifest = write_manifest(work.out, work.job, parts.values(), work.plan.shards)
    (work.out / WRITING).remove_folder()
    if not clock.rows:
        raise PvzooError(f"{work.job['source']} has no images.", "Check the path.")
    return BulkReport(
        str(work.out),
        manifest["rows"],
        manifest["errors"],
        len(parts),
        clock.rows - before,
        time.monotonic() - started,
        sum(bool(part.drift) for part in parts.values()),
    )
