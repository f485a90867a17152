"""Draw what a tuned model predicts for a few images of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset

from pvzoo.data.contact_sheet import TILE, captioned, save_sheet
from pvzoo.hub.publish import PREDICTIONS

_COUNT = 8


def draw_predictions(
    stream: Callable[..., Iterator[Any]], dataset: Dataset, folder: Path, batch_size: int
) -> None:
    """Write a sheet of images from all over a dataset with their predictions to `folder`.

    Args:
        stream: Predicts images; takes an iterator and a ``batch_size``.
        dataset: The images, in a canonical dataset (see `pvzoo.data.schema`).
        folder: Where the sheet is written.
        batch_size: Most network inputs in one forward pass.
    """
    count = min(_COUNT, len(dataset))
    rows = dataset.select([i * len(dataset) // count for i in range(count)])
    names = [name or f"row {i}" for i, name in enumerate(rows["file_name"])]
    tiles = []
    for name, result in zip(names, stream(rows["image"], batch_size=batch_size), strict=True):
        image = result.shown()
        if image is not None:
            image.thumbnail((TILE, TILE))
            tiles.append(captioned(image, name))
    if tiles:
        save_sheet(tiles, folder / PREDICTIONS)
