"""`benchmark`: models and runtimes measured in turns, so that what else runs is fair to all."""

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
"""Seconds that a turn calls one thing for, at least once."""

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

    All take turns: in each round each one runs for a moment. So a program that takes the
    processor for a while slows all of them alike.

    Args:
        models: Names, Hub repos or folders, as for `pvzoo.load`.
        task: As for `pvzoo.load`.
        runtimes: Of "torch", "torch-channels-last", "torch-compile", "onnxruntime", "openvino";
            None for all that are installed. A model that was exported runs in its own alone.
        data: Labelled data, as for `Model.evaluate`; each row then has the task's main metric.
        split: The split of `data`.
        device: As for `pvzoo.load`, for PyTorch.
        rounds: How often each one has its turn.
        progress: Called with how many steps are done, and how many there are.

    Raises:
        UsageError: There is no such runtime, or `rounds` is not positive.
        MissingExtraError: A runtime is not installed.
        PvzooError: No model can be measured; the message says why the first one cannot.
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
    """Those of `ways`; for an exported folder, and a model without a network, its own way alone."""
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
    """A model in one runtime: what was measured of it so far."""

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
        """Load it, export it if need be, and run all that is measured once."""
        try:
            model = opened(self.name, self.way, self.task, self.device, self.folder)
            self._calls = {size: forward(model, size) for size in self._forward}
            for call in self._calls.values():
                call()
                call()
            self._all_photographs(model)
        except PvzooError as error:
            self.error = str(error)
        except Exception as error:  # compilers raise many things for what they cannot compile
            self.error = error_message(error)
        else:
            self.model = model

    def take_turn(self) -> None:
        """Call everything that is timed, each for a moment."""
        assert self.model is not None
        for size, call in self._calls.items():
            taken = [seconds(call)]
            while sum(taken) < _TURN:
                taken.append(seconds(call))
            self._forward[size] += taken
        model = self.model
        self._passes.append(seconds(lambda: self._all_photographs(model)))

    def finish(self, data: Any, split: str | None) -> None:
        """What needs no turns: memory, the size of the files, the metric."""
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
        """What was measured."""
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
    """The most memory a process takes that loads a model and predicts the photographs, in bytes."""
    asked = json.dumps([name, way, task, str(folder)])
    done = subprocess.run(
        [sys.executable, "-m", "pvzoo.benchmark.memory", asked],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return int(done.stdout)
    except ValueError:  # it failed, or nobody counts memory on this system
        return None
