"""Tiles in requests: the same as for `predict`, but at most so many of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.serve.errors import RefusedError
from pvzoo.tiles.choose import plan_of
from pvzoo.tiles.geometry import Grid

if TYPE_CHECKING:
    from pvzoo.model import Model
    from pvzoo.tasks.base import Task


def check_tiles(
    model: Model[Any],
    task: Task,
    options: Mapping[str, Any],
    sizes: Sequence[tuple[int, int]],
    most: int,
) -> None:
    """Refuse a request whose images would be cut into too many tiles.

    Args:
        model: The model that it is for.
        task: The task of the model.
        options: The options of the request, among them ``tiles``.
        sizes: (width, height) of each image.
        most: Most tiles of all images together.

    Raises:
        UsageError: The value of ``tiles`` is not possible, or the task has no tiles.
        RefusedError: There are too many (413).
    """
    given = dict(options)
    tiles = given.pop("tiles")
    if tiles is None:
        return
    prompts, _ = task.options(given, model.labels)
    plan = plan_of(tiles, model.adapter, task, prompts)
    count = 0
    for width, height in sizes:
        cut = plan((height, width)) if width and height else None  # an unreadable image fails later
        count += 1 if cut is None else len(Grid.of((height, width), cut))
    if count > most:
        raise RefusedError(
            413,
            f"The request needs {count:,} tiles, more than {most:,}.",
            "Use larger tiles or smaller images.",
        )
