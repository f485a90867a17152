"""The functions behind `predict`, `stream` and `outputs` of a model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from functools import partial
from typing import Any, Literal

from pvzoo.adapters.base import Adapter, Graphs, Meta
from pvzoo.errors import ImageError, UsageError
from pvzoo.inputs.sources import count_of, images_of
from pvzoo.inputs.video import Video
from pvzoo.pipeline import trial
from pvzoo.pipeline.batches import Outputs, run, run_one
from pvzoo.pipeline.frames import Part, following, frames_of, released
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.progress import Progress, showing
from pvzoo.results.base import Result
from pvzoo.results.several import Results
from pvzoo.tasks.base import Task
from pvzoo.thresholds.apply import applied
from pvzoo.thresholds.fitted import warn_of_tiles
from pvzoo.thresholds.values import Thresholds
from pvzoo.tiles.choose import plan_of
from pvzoo.tiles.geometry import Given
from pvzoo.tiles.joining import joining_of
from pvzoo.tiles.run import run_in_tiles

OnError = Literal["raise", "skip"] | Callable[[ImageError], None]


def predict(stream: Callable[..., Iterator[Any]], images: Any, on_error: OnError) -> Any:
    """See `Model.predict`; ``stream(images, on_error=...)`` returns the results of a list."""
    if isinstance(images, Iterator) and not hasattr(images, "read"):
        raise UsageError(
            "predict does not take an iterator, because its length is unknown.",
            "Use model.stream(iterator), or predict(list(iterator)).",
        )
    many = isinstance(images, Sequence) and not isinstance(
        images, str | bytes | bytearray | memoryview
    )
    if many:
        return Results(stream(images, on_error=on_error))
    if on_error != "raise":
        raise UsageError(
            "on_error is only for a list of images: a single image cannot be skipped.",
            "Leave on_error out and catch ImageError, or pass a list.",
        )
    (result,) = stream([images], on_error=on_error)
    return result


def stream(
    adapter: Adapter,
    runtime: Graphs,
    task: Task,
    source: Any,
    options: Mapping[str, Any],
    *,
    name: str,
    batch_size: int,
    progress: bool | Progress | None,
    on_error: OnError = "raise",
    thresholds: Thresholds | None = None,
    tiles: Given | None = None,
    part: Part | None = None,
    track: Any = False,
) -> Iterator[Any]:
    """See `Model.stream`.

    `options` are the task's options. `name` is the name of the model in messages. `thresholds` are
    the model's thresholds. `part` is the part of a video.
    """
    prompts, controls = task.options(options, adapter.labels)
    asked, finish = applied(thresholds, adapter.labels, controls, options)
    if thresholds is not None and options.get("threshold") is None:
        warn_of_tiles(name, thresholds, tiles)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError(f"batch_size is {batch_size!r}.", "Use an integer of at least 1.")
    if not callable(on_error) and on_error not in ("raise", "skip"):
        raise UsageError(f"on_error is {on_error!r}.", "Use 'raise', 'skip' or a function.")
    preprocess, forward = partial(adapter.preprocess, **prompts), partial(adapter.run, runtime)
    images = frames_of(images_of(source), part or Part())
    follower = following(track, task, images, asked, controls) if track else None
    done = finish
    if follower is not None:
        asked, controls, done = follower.asked, {**controls, **follower.asked}, _as_it_is
    running = partial(
        run,
        preprocess=preprocess,
        forward=forward,
        check=lambda: trial.check(name, preprocess, forward, way_out=trial.way_out(adapter)),
        batch_size=getattr(tiles, "batch_size", None) or batch_size,
    )
    postprocess = partial(_postprocessed, adapter, task)
    if tiles is None:
        results = running(
            images,
            postprocess=lambda outputs, meta: done(postprocess(outputs, meta, asked)),
            on_error=on_error,
        )
    else:
        plan = plan_of(tiles, adapter, task, prompts)
        joining = joining_of(adapter, task, postprocess, controls, asked, done)
        results = run_in_tiles(images, plan, joining, running, on_error)
    if follower is not None:
        results = follower.results(results, finish)
    if isinstance(images, Video):
        results = released(results)
    return _shown(results, count_of(source, images), progress)


def _as_it_is(result: Any) -> Any:
    return result


def plain_stream(
    adapter: Adapter, runtime: Graphs, task: Task, name: str, tiles: Given | None = None
) -> Callable[..., Iterator[Any]]:
    """``stream(images, batch_size=..., progress=..., **options)`` of a model without thresholds."""

    def plain(source: Any, *, batch_size: int, progress: Any, **options: Any) -> Iterator[Any]:
        return stream(
            adapter,
            runtime,
            task,
            source,
            options,
            name=name,
            batch_size=batch_size,
            progress=progress,
            tiles=tiles,
        )

    return plain


def _postprocessed(
    adapter: Adapter, task: Task, outputs: dict[str, Any], meta: Meta, controls: Mapping[str, Any]
) -> Result:
    """The result of the adapter, or a `PluginError` that names it."""
    with calling(adapter, "postprocess"):
        result = adapter.postprocess(outputs, meta, **controls)
    if not isinstance(result, task.result):
        fault = f"returned a {type(result).__name__}, not a {task.result.__name__}"
        raise fault_of(adapter, "postprocess", fault)
    return result


def _shown(
    results: Generator[Any, None, None], total: int | None, progress: bool | Progress | None
) -> Iterator[Any]:
    """The results, with a progress bar that also counts skipped images."""
    done = 0
    with showing(progress) as show, closing(results):
        for result in results:
            done = result.image.index + 1
            show(done, total)
            yield result
        if total is not None and done < total:
            show(total, total)


def outputs(
    adapter: Adapter,
    runtime: Graphs,
    task: Task,
    image: Any,
    prompts: Mapping[str, Any],
    name: str,
    thresholds: Thresholds | None = None,
) -> Outputs:
    """See `Model.outputs`; `name` and `thresholds` as for `stream`."""
    known = {field.name for field in fields(task.prompts)}
    if unknown := [name for name in prompts if name not in known]:
        raise UsageError(
            f"{unknown[0]} is not a prompt of {task.id}.",
            "Pass options that do not change the network's input to outputs.result(...).",
        )
    complete, _ = task.options(prompts, adapter.labels)
    preprocess, forward = partial(adapter.preprocess, **complete), partial(adapter.run, runtime)

    def postprocess(outputs: dict[str, Any], meta: Meta, controls: dict[str, Any]) -> Any:
        _, checked = task.options({**controls, **prompts}, adapter.labels)
        asked, finish = applied(thresholds, adapter.labels, checked, controls)
        return finish(_postprocessed(adapter, task, outputs, meta, asked))

    return run_one(
        image,
        preprocess=preprocess,
        forward=forward,
        check=lambda: trial.check(name, preprocess, forward, way_out=trial.way_out(adapter)),
        postprocess=postprocess,
    )
