"""Lower the precision of an export, as far as the loss on labelled images allows.

int8 can ruin a network or make it slower. Several ways are therefore tried, from the whole network
to the convolutions of its backbone only. Each is compared with the export in float32: its speed on
this machine, and how much the task's metric falls on labelled images, with the upper end of the
95 % interval (the paired bootstrap of `pvzoo.metrics.bootstrap`). The fastest way whose upper end
is within the bound is taken, or none.
"""

from __future__ import annotations

import math
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import ExportError, UsageError
from pvzoo.export.ladder import Ladder, Trial, refused, way_out
from pvzoo.inputs.images import ImageHandle
from pvzoo.metrics.bootstrap import compare
from pvzoo.metrics.evaluate import measure
from pvzoo.pipeline import predict
from pvzoo.runtimes.base import Runtime
from pvzoo.tasks.base import Task
from pvzoo.thresholds.fitted import fitted_with
from pvzoo.thresholds.tune import tune
from pvzoo.thresholds.values import Thresholds
from pvzoo.tiles.choose import from_record
from pvzoo.tiles.geometry import Given

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.export.manifest import Graph
    from pvzoo.metrics.base import Evaluation

PRECISIONS = ("fp32", "fp16", "int8")
CALIBRATION = 200
"""The largest number of images that are used to find the ranges of activations."""
ROUNDS = 9
"""How many times each of two networks is timed, in turns."""
TIMED = 8
"""The number of images that are used for timing."""


def check_precision(precision: str, max_loss: float, runtime_class: type[Runtime]) -> None:
    """Check the precision and the bound before anything is exported.

    Raises:
        UsageError: The precision does not exist, the runtime does not support it, or the bound is
            not a number of at least 0.
    """
    if precision not in PRECISIONS:
        raise UsageError(
            f"{precision!r} is not a precision.", f"Choose from: {', '.join(PRECISIONS)}."
        )
    if precision != "fp32" and not runtime_class.rungs(precision):
        raise UsageError(f"{runtime_class.__name__} cannot lower the precision to {precision}.")
    if not 0 <= max_loss < math.inf:
        raise UsageError(
            f"max_loss is {max_loss!r}.", "It must be a number of at least 0, such as 0.01."
        )


def split_data(data: Any, task: Task) -> tuple[Dataset, Dataset]:
    """Split labelled data into images for calibration and images for measuring, without overlap.

    Args:
        data: As for `pvzoo.data.load`. It has a train split and another one, or a single split. Of
            a single split, at most half the images are picked at random for calibration.
        task: The task.

    Returns:
        (images for calibration, images for measuring).

    Raises:
        UsageError: There is no labelled data, or it has too few images.
    """
    if data is None:
        raise UsageError(
            "A lower precision is measured on labelled images, but there are none.",
            "Give them with data=, such as a folder with the splits train and validation.",
        )
    from pvzoo.data.load import load

    loaded = load(data, task.result.task)
    splits: Mapping[str, Dataset] = loaded if isinstance(loaded, dict) else {"": loaded}
    rest = {name: split for name, split in splits.items() if name != "train"}
    if "train" in splits and rest:
        name = next((name for name in ("validation", "test") if name in rest), next(iter(rest)))
        return splits["train"], rest[name]
    whole = next(iter(splits.values()))
    if len(splits) > 1 or len(whole) < 2:
        raise UsageError(
            f"The data has {len(whole)} images in the splits {', '.join(splits) or 'none'}.",
            "Give a train split for calibration and another one for measuring, or a single split "
            "with at least two images.",
        )
    order = np.random.default_rng(0).permutation(len(whole))
    first = min(CALIBRATION, len(whole) // 2)
    return whole.select(np.sort(order[:first])), whole.select(np.sort(order[first:]))


@dataclass(frozen=True)
class Export:
    """An export in float32 whose precision is to be lowered.

    Attributes:
        folder: The folder with the files.
        graphs: The graphs, as in the manifest.
        adapter: Makes the inputs and reads the outputs.
        runtime_class: Runs the files.
        task: The task.
        prompts: All prompts of the task.
        backbone: The prefixes of the names of the backbone's parameters; may be empty.
    """

    folder: Path
    graphs: Mapping[str, Graph]
    adapter: Adapter
    runtime_class: type[Runtime]
    task: Task
    prompts: Mapping[str, Any]
    backbone: Sequence[str]

    def files(self) -> list[Path]:
        """The files of the graphs: those that a runtime opens, and their weights beside them."""
        starts = tuple(f"{Path(graph.file).stem}." for graph in self.graphs.values())
        return [file for file in self.folder.iterdir() if file.name.startswith(starts)]

    def samples(self, graph: str, images: Dataset) -> Iterator[Arrays]:
        """The inputs that a graph gets for each of up to `CALIBRATION` images."""
        runtime = self.runtime_class.open(self.folder, self.graphs)
        count = min(CALIBRATION, len(images))
        for index in np.linspace(0, len(images) - 1, count).astype(int).tolist():
            seen: list[Arrays] = []

            def recorded(name: str, inputs: Arrays, seen: list[Arrays] = seen) -> dict[str, Any]:
                if name == graph:
                    seen.append(inputs)
                return runtime(name, inputs)

            image = ImageHandle.of(images[index]["image"], index).open()
            inputs, _ = self.adapter.preprocess(image, **self.prompts)
            self.adapter.run(recorded, inputs)
            yield from seen

    def lowered(self, precision: str, rung: str, images: Dataset, folder: Path) -> frozenset[str]:
        """Write the files in a lower precision to a new folder.

        Returns:
            The names of the layers that were lowered.
        """
        folder.mkdir()
        found: frozenset[str] = frozenset()
        for name, graph in self.graphs.items():
            found |= self.runtime_class.lower(
                self.folder / graph.file,
                folder / graph.file,
                precision,
                rung,
                partial(self.samples, name, images),
                self.backbone,
            )
            if not (folder / graph.file).exists():  # nothing in this graph could be lowered
                for file in self.files():
                    if file.name.startswith(f"{Path(graph.file).stem}."):
                        shutil.copyfile(file, folder / file.name)
        return found

    def evaluated(self, folder: Path, labelled: Dataset) -> Evaluation:
        """Measure the files in a folder on labelled images."""
        stream = self._stream(folder)
        return measure(stream, self.task, self.adapter.labels, labelled, {}, batch_size=8)

    def tuned(self, thresholds: Thresholds, precision: str, labelled: Dataset) -> Thresholds:
        """Choose thresholds for the same target again, with the results of the files as now."""
        tiles = from_record(thresholds.fitted_with.get("tiles"))
        return tune(
            self._stream(self.folder, tiles),
            self.task,
            self.adapter.labels,
            labelled,
            name="the export",
            split=None,
            target=thresholds.target,
            per_class=bool(thresholds.per_class or thresholds.fallback),
            fitted_with=fitted_with(self.adapter, self.task, precision, tiles),
            batch_size=8,
            progress=lambda done, total: None,
        )

    def _stream(self, folder: Path, tiles: Given | None = None) -> Callable[..., Iterator[Any]]:
        runtime = self.runtime_class.open(folder, self.graphs)
        return predict.plain_stream(self.adapter, runtime, self.task, "the export", tiles)


def lower(
    export: Export,
    precision: str,
    data: tuple[Dataset, Dataset],
    *,
    max_loss: float,
    allow_slower: bool,
    progress: Callable[[str, int, int], None],
) -> Ladder:
    """Replace the files of an export in float32 by files of a lower precision.

    Args:
        export: The export whose files are replaced.
        precision: "fp16" or "int8".
        data: From `split_data`.
        max_loss: The largest loss of the task's main metric that is allowed, in the metric's unit.
        allow_slower: Whether the export may be slower than float32 on this machine.
        progress: Called with the name of the current work, the number of steps done and the
            number of all steps.

    Raises:
        ExportError: No way is faster and keeps the bound; the message has the table.
        UsageError: The task has no metric that can measure the loss.
    """
    images, labelled = data
    with tempfile.TemporaryDirectory(dir=export.folder.parent) as work:
        tried = _tried(export, precision, images, Path(work), progress)
        progress(f"{precision}: measuring", 0, 1)
        fp32 = export.evaluated(export.folder, labelled)
        main = _main_metric(export.task, fp32)
        trials: list[Trial] = []
        taken: Path | None = None
        for trial, folder in sorted(tried, key=lambda pair: -pair[0].speed):
            if trial.speed <= 1 and precision == "int8" and not allow_slower:
                trials.append(replace(trial, verdict="slower than fp32"))
            elif taken is not None:
                trials.append(trial)
            else:
                lowered = export.evaluated(folder, labelled)
                trials.append(_judged(trial, fp32, lowered, main, max_loss))
                taken = folder if trials[-1].verdict == "taken" else None
        ladder = Ladder(
            precision,
            main,
            fp32[main],
            sum(file.stat().st_size for file in export.files()),
            max_loss,
            min(CALIBRATION, len(images)),
            len(labelled),
            tuple(trials),
        )
        progress(f"{precision}: measuring", 1, 1)
        if taken is None:
            raise ExportError(refused(ladder), way_out(ladder), stage="precision")
        for file in export.files():
            file.unlink()
        for file in taken.iterdir():
            shutil.move(file, export.folder / file.name)
    return ladder


def _tried(
    export: Export,
    precision: str,
    images: Dataset,
    work: Path,
    progress: Callable[[str, int, int], None],
) -> list[tuple[Trial, Path]]:
    """Try each way to lower the precision, and time it; skip ways that change the same layers.

    Returns:
        (trial, folder with its files) of each way.
    """
    plain = export.runtime_class.open(export.folder, export.graphs)
    feeds = {name: list(islice(export.samples(name, images), TIMED)) for name in export.graphs}
    found = []
    seen: set[frozenset[str]] = {frozenset()}
    rungs = export.runtime_class.rungs(precision)
    for index, rung in enumerate(rungs):
        progress(f"{precision}: {rung}", index, len(rungs))
        folder = work / str(index)
        layers = export.lowered(precision, rung, images, folder)
        if layers in seen:
            continue
        seen.add(layers)
        speed = _speed(plain, export.runtime_class.open(folder, export.graphs), feeds)
        found.append((Trial(rung, speed, sum(f.stat().st_size for f in folder.iterdir())), folder))
    return found


def _speed(plain: Runtime, lowered: Runtime, feeds: Mapping[str, Sequence[Arrays]]) -> float:
    """How many times as fast the second is as the first, on the same inputs, in turns."""
    ratios = []
    for index in range(ROUNDS + 1):
        taken = []
        for runtime in (plain, lowered):
            began = time.perf_counter()
            for name, inputs in feeds.items():
                for feed in inputs:
                    runtime(name, feed)
            taken.append(time.perf_counter() - began)
        if index:  # the first warms up
            ratios.append(taken[0] / taken[1])
    return statistics.median(ratios)


def _main_metric(task: Task, evaluation: Evaluation) -> str:
    main = "map" if task.main_metric not in evaluation and "map" in evaluation else task.main_metric
    if main is None or main not in evaluation or evaluation.per_image is None:
        raise UsageError(
            f"{task.id} has no metric that is kept for each image, so the loss of a lower "
            "precision cannot be measured.",
            "Export the model in fp32.",
        )
    return main


def _judged(
    trial: Trial, reference: Evaluation, lowered: Evaluation, main: str, max_loss: float
) -> Trial:
    assert reference.per_image is not None
    assert lowered.per_image is not None
    between = compare(reference.per_image, lowered.per_image)[main]
    loss, upper = -between.value, -between.low
    if between.lower_is_better:
        loss, upper = between.value, between.high
    if upper <= max_loss:
        verdict = "taken"
    else:
        verdict = "not decided" if loss <= max_loss else "loses too much"
    return replace(trial, metric=lowered[main], loss=loss, upper=upper, verdict=verdict)
