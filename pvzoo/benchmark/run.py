"""Measure models and runtimes in turns, so that other programs slow all of them equally."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.benchmark import machine as here
from pvzoo.benchmark.contenders import EXPORTED, checked, installed, opened, size_on_disk
from pvzoo.benchmark.table import Benchmark, Row
from pvzoo.benchmark.timing import PHOTOGRAPHS, Times, forward, prompts, seconds
from pvzoo.errors import PvzooError, UsageError, error_message

if TYPE_CHECKING:
    from pvzoo.model import Model

_TURN = 0.2
"""The length of a turn in seconds, for each batch size; a turn has at least one call."""

Progress = Callable[[int, int], None]


def benchmark(
    models: str | Path | Sequence[str | Path],
    *,
    task: str | None = None,
    runtimes: Sequence[str] | None = None,
    data: Any = None,
    split: str | None = None,
    device: Any = None,
    rounds: int = 9,
    progress: Progress | None = None,
) -> Benchmark:
    """Measure models on this machine, in every runtime that is installed.

    All rows take turns: in each round, each row runs for a moment. A program that uses the
    processor for a while therefore slows all rows equally.

    Args:
        models: Names, Hub repos or folders, as for `pvzoo.load`.
        task: As for `pvzoo.load`.
        runtimes: Any of "torch", "torch-channels-last", "torch-compile", "onnxruntime", "openvino";
            None for all that are installed. An exported model has one row, in its own runtime.
        data: Labelled data, as for `Model.evaluate`. Then each row has the task's main metric.
        split: The split of `data`.
        device: As for `pvzoo.load`, for PyTorch.
        rounds: The number of turns of each row.
        progress: A function that is called with the number of steps done and the number of all
            steps.

    Raises:
        UsageError: A runtime does not exist, there are no models, or `rounds` is not positive.
        MissingExtraError: A runtime is not installed.
        PvzooError: No model can be measured. The message has the reason for the first model.
    """
    names = [str(name) for name in ([models] if isinstance(models, str | Path) else models)]
    if not names or rounds < 1:
        raise UsageError(
            f"There are {len(names)} models and {rounds} rounds.", "At least one of each is needed."
        )
    ways = installed() if runtimes is None else checked(tuple(runtimes))
    load = here.load()
    here.warn_if_busy(load)
    with tempfile.TemporaryDirectory(prefix="pvzoo-benchmark-") as home:
        contenders = [
            _Contender(name, way, task, device, Path(home) / f"{number}-{way or 'own'}")
            for number, name in enumerate(names)
            for way in _ways_of(name, ways)
        ]
        steps = 2 * len(contenders) + rounds
        for done, contender in enumerate(contenders):
            _say(progress, done, steps)
            contender.open()
        able = [contender for contender in contenders if contender.model is not None]
        if not able:
            raise PvzooError(f"{names[0]} cannot be measured: {contenders[0].error}")
        for done in range(rounds):
            _say(progress, len(contenders) + done, steps)
            for contender in able:
                contender.take_turn()
        for done, contender in enumerate(able):
            _say(progress, len(contenders) + rounds + done, steps)
            contender.finish(data, split)
        _say(progress, steps, steps)
        rows = [contender.row() for contender in contenders]
    return Benchmark(tuple(rows), here.machine(), load, here.load(), rounds)


def _say(progress: Progress | None, done: int, steps: int) -> None:
    if progress is not None:
        progress(done, steps)


def _ways_of(name: str, ways: tuple[str, ...]) -> tuple[str, ...]:
    """`ways`; or ("",) for an exported folder and for a model without a network."""
    from pvzoo.catalog.resolve import resolve
    from pvzoo.export import manifest
    from pvzoo.plugins import registry

    card, source, _ = resolve(name, None)
    if source.path is not None and manifest.is_in(source.path):
        return ("",)
    if card is not None and registry.get("adapters", card.adapter).network is None:
        return ("",)
    return ways


class _Contender:
    """A model in one runtime, with its measurements."""

    def __init__(self, name: str, way: str, task: str | None, device: Any, folder: Path) -> None:
        self.name, self.way, self.task, self.device, self.folder = name, way, task, device, folder
        self.model: Model[Any] | None = None
        self.error = ""
        self._forward: dict[int, list[float]] = {1: [], 8: []}
        self._passes: list[float] = []
        self._calls: dict[int, Callable[[], Any]] = {}
        self._disk: int | None = None
        self._memory: int | None = None
        self._metric: tuple[str, float, float, float] | None = None

    def open(self) -> None:
        """Load the model, export it if needed, and run it for warming up."""
        try:
            model = opened(self.name, self.way, self.task, self.device, self.folder)
            self._calls = {size: forward(model, size) for size in self._forward}
            for call in self._calls.values():
                call()
                call()
            self._all_photographs(model)
        except PvzooError as error:
            self.error = str(error)
        except Exception as error:  # compilers raise many kinds of errors
            self.error = error_message(error)
        else:
            self.model = model

    def take_turn(self) -> None:
        """Measure the times, each for a moment."""
        assert self.model is not None
        for size, call in self._calls.items():
            taken = [seconds(call)]
            while sum(taken) < _TURN:
                taken.append(seconds(call))
            self._forward[size] += taken
        model = self.model
        self._passes.append(seconds(lambda: self._all_photographs(model)))

    def finish(self, data: Any, split: str | None) -> None:
        """Measure what needs no turns: the memory, the size on disk, the metric."""
        assert self.model is not None
        where = self.folder if self.way in EXPORTED else Path(self.name)
        self._disk = size_on_disk(self.model, where)
        self._memory = _peak_memory(self.name, self.way, self.task, self.folder)
        if data is not None:
            found = self.model.evaluate(data, split=split)
            from pvzoo.plugins import registry

            main = registry.get("tasks", self.model.task).main_metric
            main = main if main in found else next(iter(found))
            interval = found.intervals.get(main)
            low, high = (interval.low, interval.high) if interval else (math.nan, math.nan)
            self._metric = main, found[main], low, high

    def row(self) -> Row:
        """The measurements."""
        runtime = self.way or (type(self.model.runtime).__name__ if self.model else "")
        if self.model is None:
            return Row(self.name, runtime, error=self.error)
        rates = [len(PHOTOGRAPHS) / taken for taken in self._passes]
        return Row(
            self.name,
            runtime,
            batch_1=Times.of(self._forward[1]),
            batch_8=Times.of(self._forward[8]),
            images_per_s=float(np.median(rates)),
            images_per_s_low=min(rates),
            images_per_s_high=max(rates),
            memory=self._memory,
            disk=self._disk,
            metric=self._metric,
        )

    def _all_photographs(self, model: Model[Any]) -> None:
        for _ in model.stream(PHOTOGRAPHS, progress=False, **prompts(model)):
            pass


def _peak_memory(name: str, way: str, task: str | None, folder: Path) -> int | None:
    """The peak memory of a new process that predicts the photographs, in bytes."""
    asked = json.dumps([name, way, task, str(folder)])
    done = subprocess.run(
        [sys.executable, "-m", "pvzoo.benchmark.memory", asked],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return int(done.stdout)
    except ValueError:  # it failed, or the system does not count memory
        return None
