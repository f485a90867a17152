"""Whether a model runs as it did when its thresholds were chosen."""

from __future__ import annotations

import warnings
from typing import Any

from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import PvzooError, PvzooWarning
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task
from pvzoo.thresholds.values import Thresholds

_SIZE = (640, 480)
"""Of the image by which sizes are compared."""
_SHORT = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}


def fitted_with(adapter: Adapter, task: Task, precision: Any) -> dict[str, Any]:
    """What `Thresholds.fitted_with` records.

    Args:
        adapter: Prepares images.
        task: Of the model.
        precision: A dtype, or "int8" and the like.
    """
    text = str(precision).removeprefix("torch.")
    found: dict[str, Any] = {"image_size": None, "precision": _SHORT.get(text, text), "tiles": None}
    try:
        prompts, _ = task.options({}, adapter.labels)
        inputs, _ = adapter.preprocess(Image.new("RGB", _SIZE), **prompts)
        pixels = inputs.get(adapter.pixels)
    except (PvzooError, TypeError):  # it cannot prepare an image without a prompt
        pixels = None
    if pixels is not None and pixels.ndim == 4:
        found["image_size"] = [int(side) for side in pixels.shape[2:]]
    return found


def warn_if_otherwise(
    name: str, thresholds: Thresholds | None, adapter: Adapter, precision: Any
) -> None:
    """Warn of thresholds that were chosen for other sizes of images or another precision.

    Args:
        name: The model's, for the message.
        thresholds: Of the model, or None.
        adapter: As it runs now.
        precision: Likewise.
    """
    if thresholds is None:
        return
    task: Task = registry.get("tasks", adapter.task)()
    now = fitted_with(adapter, task, precision)
    before = thresholds.fitted_with
    other = [
        f"{key.replace('_', ' ')} {before[key]} (now {now[key]})"
        for key in now
        if key in before and before[key] != now[key]
    ]
    if other:
        warnings.warn(
            f"The thresholds of {name} were chosen with {' and '.join(other)}. "
            "Choose them again with model.tune_thresholds.",
            PvzooWarning,
            stacklevel=3,
        )
