"""Measure the time of a network's forward pass on a photograph."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.export.reference import IMAGES
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.model import Model

PHOTOGRAPHS = sorted(IMAGES.glob("*.jpg"))
"""JPEG files to predict; the first one is the image of the forward pass."""

_WORDS = ("cat", "dog", "car")
"""Classes for networks that have no classes of their own."""

CALLS, SECONDS = 10, 1.0
"""A latency is measured with `CALLS` calls, or with fewer if they take longer than `SECONDS`."""


@dataclass(frozen=True)
class Times:
    """The times of calls, in milliseconds.

    Attributes:
        p50: The median.
        p95: The 95th percentile.
        calls: The number of calls.
    """

    p50: float
    p95: float
    calls: int

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        """Compute the times from the seconds of each call."""
        p50, p95 = (float(np.quantile(seconds, share)) * 1000 for share in (0.5, 0.95))
        return cls(p50, p95, len(seconds))


def forward(model: Model[Any], batch_size: int) -> Callable[[], Any]:
    """A forward pass of a model, on a batch that repeats one preprocessed photograph."""
    inputs, _ = model.adapter.preprocess(
        Image.open(PHOTOGRAPHS[0]).convert("RGB"), **prompts(model)
    )
    batch = {name: np.concatenate([array] * batch_size) for name, array in inputs.items()}
    return lambda: model.adapter.run(model.runtime, batch)


def prompts(model: Model[Any]) -> dict[str, Any]:
    """All prompts of a model's task. If it needs classes, these are a few words."""
    task = registry.get("tasks", model.adapter.task)()
    given = {} if task.class_prompt is None else {task.class_prompt: list(_WORDS)}
    complete: dict[str, Any] = task.options(given, model.adapter.labels)[0]
    return complete


def seconds(call: Callable[[], Any]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def latency(call: Callable[[], Any], most_ms: float | None = None) -> Times:
    """The times of a call, after a first call for warming up.

    Args:
        call: The function to measure.
        most_ms: If the second call takes more than three times this long, only it is measured.
    """
    call()
    first = seconds(call)
    if most_ms is not None and first * 1000 > 3 * most_ms:
        return Times.of([first])
    taken = [seconds(call)]
    while len(taken) < CALLS and sum(taken) < SECONDS:
        taken.append(seconds(call))
    return Times.of(taken)
