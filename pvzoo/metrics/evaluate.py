"""`Model.evaluate`: compare predictions with labels in bounded memory, in one or many processes."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.data.load import load
from pvzoo.data.schema import class_names
from pvzoo.errors import DataError, PvzooError, PvzooWarning
from pvzoo.extras import needs
from pvzoo.metrics.base import Evaluation, Metric, Source
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.processes import processes
from pvzoo.progress import Progress
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset


def evaluate(
    stream: Callable[..., Iterator[Any]],
    task: Task,
    labels: Sequence[str],
    data: Any,
    options: Mapping[str, Any],
    *,
    split: str | None,
    batch_size: int,
    progress: Progress,
    name: str = "the model",
    predict: Callable[..., Iterator[Any]] | None = None,
) -> Evaluation:
    """See `Model.evaluate`.

    Args:
        stream: ``stream(images, batch_size=..., progress=False, **options)`` returns the results of
            images, one by one and in order, as `Model.stream` does, but without the model's own
            thresholds.
        task: The task of the results; it has a metric.
        labels: Class names in the order of the results' classes.
        data: As for `Model.evaluate`.
        options: Options that replace the ones that the task's metrics are defined with.
        split: As for `Model.evaluate`.
        batch_size: As for `Model.evaluate`.
        progress: Called with the number of images done, and of all images.
        name: The name of the model; for messages and reports.
        predict: As `stream`, with the model's own thresholds, for the images of a report; None if
            the model has no thresholds.
    """
    needs("Evaluation", "datasets")
    dataset = one_split(load(data, task.result.task, split=split))
    found = measure(
        stream, task, labels, dataset, options, batch_size=batch_size, progress=progress
    )
    prompts = {}
    if task.class_prompt is not None:
        prompts = {task.class_prompt: options.get(task.class_prompt, list(found.labels.data))}

    def again(images: Sequence[Any]) -> Iterator[Any]:
        return (predict or stream)(images, batch_size=batch_size, progress=False, **prompts)

    return found.with_source(Source(name, task, dataset, again))


def measure(
    stream: Callable[..., Iterator[Any]],
    task: Task,
    labels: Sequence[str],
    dataset: Dataset,
    options: Mapping[str, Any],
    *,
    batch_size: int,
    progress: Progress | None = None,
    metric: Callable[[LabelMatch], Metric] | None = None,
) -> Evaluation:
    """`evaluate` on a dataset that is already loaded; `metric` can replace the task's metric."""
    asked = {**task.evaluation, **options}
    if not len(dataset):
        raise DataError("The dataset has no images.", "Evaluate on a dataset with images.")
    names = class_names(dataset.features)
    if task.class_prompt is not None:
        asked.setdefault(task.class_prompt, list(names))
        labels = task.options(asked, labels)[0][task.class_prompt]
    match = LabelMatch.of(labels, names)
    state = processes()
    if match.only_in_data and state.is_main_process:
        warnings.warn(str(match), PvzooWarning, stacklevel=4)  # the caller of Model.evaluate
    with calling(task, "metric"):
        taken = (metric or task.metric)(match)
    if not isinstance(taken, Metric):
        raise fault_of(task, "metric", f"returned a {type(taken).__name__}, not a Metric")
    # Each process has its own range of images, none twice; their lengths differ by at most one.
    count, rest = divmod(len(dataset), state.num_processes)
    start = state.process_index * count + min(state.process_index, rest)
    stop = start + count + (state.process_index < rest)
    failure: Exception | None = None
    try:
        for done, (index, result, row) in enumerate(
            _predictions(stream, dataset, start, stop, batch_size=batch_size, **asked), 1
        ):
            with calling(taken, "update"):
                taken.update(index, result, row)
            if progress is not None and state.is_main_process:
                progress(min(done * state.num_processes, len(dataset)), len(dataset))
    except Exception as error:  # the other processes are waiting and must know
        failure = error
    reason = failure and (str(failure) or repr(failure))
    if state.num_processes == 1:
        if failure is not None:
            raise failure
        return _computed(taken, [taken.state()])
    from accelerate.utils import broadcast_object_list, gather_object

    parts = gather_object([(state.process_index, reason, taken.state())])
    if failure is not None:
        raise failure
    for process, message, _ in parts:
        if message:
            raise PvzooError(f"Process {process} failed: {message}")
    outcome: list[Any] = [None]
    if state.is_main_process:
        outcome = [_computed(taken, [part for _, _, part in parts])]
    evaluation: Evaluation = broadcast_object_list(outcome)[0]
    return evaluation


def _computed(taken: Metric, states: Sequence[Any]) -> Evaluation:
    """Join the states of all processes, and compute the evaluation."""
    with calling(taken, "merge"):
        taken.merge(states)
    with calling(taken, "compute"):
        evaluation = taken.compute()
    if not isinstance(evaluation, Evaluation):
        kind = type(evaluation).__name__
        raise fault_of(taken, "compute", f"returned a {kind}, not an Evaluation")
    return evaluation


def has_figures(task: Task) -> bool:
    """Whether a task has a metric, so that its models can be evaluated."""
    return type(task).metric is not Task.metric


def one_split(data: Any) -> Dataset:
    """The dataset, or its only split.

    Raises:
        DataError: There are several splits; the message names them.
    """
    if not isinstance(data, dict):
        return data
    if len(data) == 1:
        return next(iter(data.values()))
    names = ", ".join(data)
    raise DataError(f"The data has several splits: {names}.", "Choose one with split=, or --split.")


def _predictions(
    stream: Callable[..., Iterator[Any]],
    dataset: Dataset,
    start: int,
    stop: int,
    **options: Any,
) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    """(index, result, row with images not decoded) for the images from `start` to `stop`."""
    from datasets import Image

    if start == stop:  # more processes than images
        return
    part = dataset.select(range(start, stop)).with_format(None)
    for name, feature in part.features.items():
        if isinstance(feature, Image):
            part = part.cast_column(name, Image(decode=False))
    waiting: deque[tuple[int, dict[str, Any]]] = deque()

    def images() -> Iterator[Any]:
        for index, row in enumerate(part, start):
            waiting.append((index, row))
            yield row["image"]

    for result in stream(images(), progress=False, **options):
        index, row = waiting.popleft()
        yield index, result, row
