"""Check that a model runs in the same way as when its thresholds were chosen."""

from __future__ import annotations

import warnings
from typing import Any

from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import PvzooError, PvzooWarning
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task
from pvzoo.thresholds.values import Thresholds
from pvzoo.tiles.choose import recorded
from pvzoo.tiles.geometry import Given

_SIZE = (640, 480)
"""The (width, height) of the image that is used to compare input sizes."""
_SHORT = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}


def fitted_with(
    adapter: Adapter, task: Task, precision: Any, tiles: Given | None = None
) -> dict[str, Any]:
    """The value of `Thresholds.fitted_with` for a model.

    Args:
        adapter: Prepares images.
        task: The task of the model.
        precision: A dtype, or a text such as "int8".
        tiles: The option of `Model.predict`.
    """
    text = str(precision).removeprefix("torch.")
    found: dict[str, Any] = {"image_size": None, "precision": _SHORT.get(text, text)}
    found["tiles"] = recorded(tiles)
    try:
        prompts, _ = task.options({}, adapter.labels)
        inputs, _ = adapter.preprocess(Image.new("RGB", _SIZE), **prompts)
        pixels = inputs.get(adapter.pixels)
    except (PvzooError, TypeError):  # the adapter cannot prepare an image without a prompt
        pixels = None
    if pixels is not None and pixels.ndim == 4:
        found["image_size"] = [int(side) for side in pixels.shape[2:]]
    return found


def warn_if_otherwise(
    name: str, thresholds: Thresholds | None, adapter: Adapter, precision: Any
) -> None:
    """Warn if thresholds were chosen with another image size or another precision.

    Args:
        name: The name of the model, for the message.
        thresholds: The thresholds of the model, or None.
        adapter: The adapter that the model uses now.
        precision: The precision that the model has now.
    """
    if thresholds is None:
        return
    task: Task = registry.get("tasks", adapter.task)()
    now = fitted_with(adapter, task, precision)
    before = thresholds.fitted_with
    other = [
        f"{key.replace('_', ' ')} {before[key]} (now {now[key]})"
        for key in now
        if key != "tiles" and key in before and before[key] != now[key]
    ]
    if other:
        warnings.warn(
            f"The thresholds of {name} were chosen with {' and '.join(other)}. "
            "Choose them again with model.tune_thresholds.",
            PvzooWarning,
            stacklevel=3,
        )


def warn_of_tiles(name: str, thresholds: Thresholds, tiles: Given | None) -> None:
    """Warn of thresholds that were chosen with other tiles than those of a call.

    Args:
        name: The model's, for the message.
        thresholds: Of the model.
        tiles: The option of the call.
    """
    before, now = thresholds.fitted_with.get("tiles"), recorded(tiles)
    if before != now:
        warnings.warn(
            f"The thresholds of {name} were chosen with tiles {before} (now {now}). "
            "Choose them again with model.tune_thresholds, or pass threshold=.",
            PvzooWarning,
            stacklevel=4,
        )
