"""`Model.evaluate`: predictions against labels, in bounded memory, in one process or many."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.data.load import load
from pvzoo.data.schema import class_names
from pvzoo.errors import DataError, PvzooError, PvzooWarning
from pvzoo.extras import needs
from pvzoo.metrics.base import Evaluation
from pvzoo.metrics.class_match import LabelMatch
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
) -> Evaluation:
    """See `Model.evaluate`.

    Args:
        stream: ``stream(images, batch_size=..., progress=False, **options)`` gives the results of
            images, one by one and in order; such as `Model.stream`.
        task: What the results are of; it has a metric.
        labels: Class names in the order of the results' classes.
        data: As for `Model.evaluate`.
        options: Instead of those that the task's figures are defined with.
        split: As for `Model.evaluate`.
        batch_size: Likewise.
        progress: Called with the number of images done and of all.
    """
    needs("Evaluation", "datasets")
    dataset = one_split(load(data, task.result.task, split=split))
    return measure(stream, task, labels, dataset, options, batch_size=batch_size, progress=progress)


def measure(
    stream: Callable[..., Iterator[Any]],
    task: Task,
    labels: Sequence[str],
    dataset: Dataset,
    options: Mapping[str, Any],
    *,
    batch_size: int,
    progress: Progress | None = None,
) -> Evaluation:
    """`evaluate` on a dataset that is loaded."""
    asked = {**task.evaluation, **options}
    if not len(dataset):
        raise DataError("The dataset has no images.", "There is nothing to evaluate on.")
    names = class_names(dataset.features)
    if task.class_prompt is not None:
        asked.setdefault(task.class_prompt, list(names))
        labels = task.options(asked, labels)[0][task.class_prompt]
    match = LabelMatch.of(labels, names)
    state = processes()
    if match.only_in_data and state.is_main_process:
        warnings.warn(str(match), PvzooWarning, stacklevel=4)  # the caller of Model.evaluate
    taken = task.metric(match)
    # Each process has a run of images of its own, none twice; lengths may differ by one.
    count, rest = divmod(len(dataset), state.num_processes)
    start = state.process_index * count + min(state.process_index, rest)
    stop = start + count + (state.process_index < rest)
    failure: Exception | None = None
    try:
        for done, (index, result, row) in enumerate(
            _predictions(stream, dataset, start, stop, batch_size=batch_size, **asked), 1
        ):
            taken.update(index, result, row)
            if progress is not None and state.is_main_process:
                progress(min(done * state.num_processes, len(dataset)), len(dataset))
    except Exception as error:  # the others are waiting: they must hear of it
        failure = error
    said = failure and (str(failure) or repr(failure))
    if state.num_processes == 1:
        if failure is not None:
            raise failure
        taken.merge([taken.state()])
        return taken.compute()
    from accelerate.utils import broadcast_object_list, gather_object

    parts = gather_object([(state.process_index, said, taken.state())])
    if failure is not None:
        raise failure
    for process, message, _ in parts:
        if message:
            raise PvzooError(f"Process {process} failed: {message}")
    outcome: list[Any] = [None]
    if state.is_main_process:
        taken.merge([part for _, _, part in parts])
        outcome = [taken.compute()]
    evaluation: Evaluation = broadcast_object_list(outcome)[0]
    return evaluation


def has_figures(task: Task) -> bool:
    """Whether the models of a task can be measured."""
    return type(task).metric is not Task.metric


def one_split(data: Any) -> Dataset:
    """The dataset, or the only split there is.

    Raises:
        DataError: There are several; the message names them.
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
    """(place, result, row with images not decoded) of the images `start` to `stop`."""
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
