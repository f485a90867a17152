"""What the option ``tiles`` means for a model, and for which tasks it cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Literal

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter
from pvzoo.errors import PvzooError, UnsupportedModelError, UsageError, short
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.results.panoptic import Panoptic
from pvzoo.results.semantic import SemanticMap
from pvzoo.tasks.base import Task
from pvzoo.tiles.geometry import Given, Size, Tiles

AUTO: Literal["auto"] = "auto"

_LARGER = 1.5
"""With "auto", an image is cut into tiles if a side is longer than this many sides of the input."""
_PLACES = ("points", "boxes")
"""Prompts that name places in the whole image."""


def plan_of(
    tiles: Given, adapter: Adapter, task: Task, prompts: Mapping[str, Any]
) -> Callable[[Size], Tiles | None]:
    """A function from the (height, width) of an image to its tiles; None for none.

    Args:
        tiles: The option.
        adapter: The model's.
        task: The model's.
        prompts: All prompts of the task, complete.

    Raises:
        UsageError: Its value is not possible, or the task cannot be predicted in tiles.
        UnsupportedModelError: The adapter does not give what tiles need.
    """
    check(adapter, task, prompts)
    if isinstance(tiles, Tiles):
        return lambda size: tiles
    if isinstance(tiles, int | np.integer) and not isinstance(tiles, bool):
        made = Tiles(int(tiles))
        return lambda size: made
    if tiles != AUTO:
        raise UsageError(
            f"tiles is {short(tiles)}.",
            'Use the side of a tile in pixels, "auto", or pvzoo.Tiles(size, overlap=0.2).',
        )
    side = input_size(adapter, prompts)

    def auto(size: Size) -> Tiles | None:
        fits = size[0] <= _LARGER * side[0] and size[1] <= _LARGER * side[1]
        return None if fits else Tiles(side)

    return auto


def recorded(tiles: Given | None) -> Any:
    """What is kept with thresholds that were chosen with tiles, as plain values."""
    if tiles is None or tiles == AUTO:
        return tiles
    return (tiles if isinstance(tiles, Tiles) else Tiles(tiles)).to_json()


def from_record(record: Any) -> Given | None:
    """The option that `recorded` was called with.

    Raises:
        UsageError: The record is damaged.
    """
    if not isinstance(record, Mapping):
        return AUTO if record == AUTO else None
    try:
        return Tiles(tuple(record["size"]), record["overlap"], record["whole"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"Recorded tiles are damaged: {short(record)}.", "Tune again.") from error


def have_tiles(task: type[Task]) -> bool:
    """Whether images of a task can be predicted in tiles, by what is known without a model."""
    places = {field.name for field in fields(task.prompts)} & {*_PLACES}
    return issubclass(task.result, Detections | SemanticMap) and not places


def check(adapter: Adapter, task: Task, prompts: Mapping[str, Any]) -> None:
    """Refuse tiles for a task whose results cannot be merged; the message has the reason.

    Raises:
        UsageError: The task cannot be predicted in tiles, or a prompt names places.
        UnsupportedModelError: The adapter does not give the scores of all classes.
    """
    if issubclass(task.result, Classification):
        raise UsageError(
            f"{task.id} cannot use tiles: the answer is one for the whole image.",
            "Leave tiles out, or cut the image yourself and predict the parts.",
        )
    if issubclass(task.result, Panoptic):
        raise UsageError(
            f"{task.id} cannot use tiles: no published method joins panoptic maps of tiles, so "
            "there is nothing to compare the result with.",
            "Use a model for instance or semantic segmentation.",
        )
    if not issubclass(task.result, Detections | SemanticMap):
        raise UsageError(
            f"{task.id} cannot use tiles: it is not known how its results are merged.",
            "Leave tiles out.",
        )
    if given := [name for name in _PLACES if prompts.get(name) is not None]:
        raise UsageError(
            f"tiles cannot be used with {given[0]}: they are places in the whole image.",
            "Leave tiles out, or cut out the part of the image around them.",
        )
    without = type(adapter).dense_scores is Adapter.dense_scores
    if issubclass(task.result, SemanticMap) and without:
        raise no_scores(adapter)


def no_scores(adapter: Adapter) -> UnsupportedModelError:
    """The error for an adapter of maps without `Adapter.dense_scores`."""
    return UnsupportedModelError(
        f"{type(adapter).__name__} cannot use tiles: it does not give the scores of all classes of "
        "a pixel.",
        "Leave tiles out. Its plugin can add the method dense_scores.",
    )


def input_size(adapter: Adapter, prompts: Mapping[str, Any]) -> Size:
    """(height, width) of the network's input for a square image.

    Raises:
        UsageError: The network has no input of pixels with a height and width.
    """
    try:
        inputs, _ = adapter.preprocess(Image.new("RGB", (640, 640)), **prompts)
        pixels = inputs.get(adapter.pixels)
    except (PvzooError, TypeError):
        pixels = None
    if pixels is None or pixels.ndim != 4 or min(pixels.shape[2:]) < 1:
        raise UsageError(
            "The size of tiles cannot be chosen for this model: the size of its input is not "
            "known.",
            "Give the side of a tile in pixels, such as tiles=640.",
        )
    return int(pixels.shape[2]), int(pixels.shape[3])
