"""Images of labelled data, drawn as predictions are."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from pvzoo.data.labels import splits
from pvzoo.data.quality.report import Report
from pvzoo.data.schema import class_names, task_for
from pvzoo.errors import DataError, ImageError, UsageError
from pvzoo.inputs.images import open_image
from pvzoo.results.drawing import (
    shorten,
    text_font,
)

if TYPE_CHECKING:
    from datasets import Dataset, Features

TILE = 480
"""Pixels: the longest side of an image on a contact sheet, without its legend."""

_ACROSS = 4
_GAP = 12


def draw(row: Mapping[str, Any], columns: Features) -> Image.Image:
    """The upright image of a row with its labels; small ones are enlarged.

    Crowds and ignored objects are marked as such in their names, and so is what stands for no
    class. What lies out of the frame is cut off; boxes that are no numbers are left out.

    Args:
        row: Of a canonical dataset (see `pvzoo.data.schema`), images decoded or not.
        columns: The features of that dataset.

    Raises:
        ImageError: The image cannot be read.
        DataError: The map cannot be read.
    """
    return _draw(row, columns, None)


def contact_sheet(
    data: Any,
    path: str | Path | None = None,
    *,
    count: int = 12,
    seed: int = 0,
    report: Report | None = None,
) -> Image.Image:
    """An image of samples with their labels drawn and the names of their files.

    Args:
        data: Anything that `pvzoo.data.load` takes.
        path: Where to write it; the suffix says in which format.
        count: How many samples at most.
        seed: Of the choice of samples.
        report: What `check` found in the data; images that it names come first.

    Raises:
        DataError: The source is no labelled data, or has no images.
        UsageError: `count` is less than 1, or the file cannot be written.
    """
    from pvzoo.data.load import load

    if count < 1:
        raise UsageError(f"count is {count}.", "It is a whole number from 1.")
    parts = splits(load(data))
    everything = [(name, row) for name, dataset in parts.items() for row in range(len(dataset))]
    if not everything:
        raise DataError("The data has no images.", "Check where they are.")
    first = list(report.rows if report else ())[:count]
    others = random.Random(seed).sample(everything, min(len(everything), count + len(first)))
    indices = list(dict.fromkeys([*first, *others]))[:count]
    return sheet_of([(parts[name], name, row) for name, row in indices], path)


def sheet_of(
    samples: Sequence[tuple[Dataset, str, int]], path: str | Path | None = None
) -> Image.Image:
    """`contact_sheet` of rows of canonical datasets, each with the name of its split, in order.

    Raises:
        UsageError: The file cannot be written.
    """
    sheet = _grid([_tile(*sample) for sample in samples])
    if path is not None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            sheet.save(path)
        except (OSError, ValueError) as error:  # a ValueError says that the suffix is no format
            raise UsageError(f"{path} cannot be written ({error}).", "Choose another.") from error
    return sheet


def _tile(dataset: Dataset, split: str, number: int) -> Image.Image:
    """A sample with its name above; or why it cannot be read."""
    part = dataset.with_format("arrow")
    row = part[number : number + 1].to_pylist()[0]
    try:
        image = _draw(row, dataset.features, TILE)
    except (ImageError, DataError) as error:
        image = Image.new("RGB", (TILE, TILE // 2), "white")
        words, lines = error.what.removeprefix(getattr(error, "source", "")).split(), [""]
        font = text_font(14, error.what)
        for word in words:
            if font.getlength(f"{lines[-1]} {word}") > TILE - 2 * _GAP:
                lines.append("")
            lines[-1] = shorten(f"{lines[-1]} {word}".strip(), TILE - 2 * _GAP, font)
        ImageDraw.Draw(image).text((_GAP, _GAP), "\n".join(lines[:10]), (192, 0, 0), font)
    name = row["file_name"] or f"row {number}"
    return _captioned(image, f"{split}: {name}" if split else name)


def _captioned(image: Image.Image, text: str) -> Image.Image:
    font = text_font(16, text)
    tile = Image.new("RGB", (TILE, image.height + 26), "white")
    ImageDraw.Draw(tile).text((2, 13), shorten(text, TILE - 4, font), "black", font, "lm")
    tile.paste(image, ((TILE - image.width) // 2, 26))
    return tile


def _grid(tiles: Sequence[Image.Image]) -> Image.Image:
    across = min(_ACROSS, len(tiles))
    lines = [tiles[i : i + across] for i in range(0, len(tiles), across)]
    heights = [max(tile.height for tile in line) + _GAP for line in lines]
    sheet = Image.new("RGB", (across * (TILE + _GAP) + _GAP, sum(heights) + _GAP), "white")
    top = _GAP
    for line, height in zip(lines, heights, strict=True):
        for i, tile in enumerate(line):
            sheet.paste(tile, (_GAP + i * (TILE + _GAP), top))
        top += height
    return sheet


def _draw(row: Mapping[str, Any], columns: Features, longest: int | None) -> Image.Image:
    """See `draw`; scaled down first to what is at most `longest`, so that names can be read."""
    image = open_image(row["image"])
    size = image.size
    if longest and max(size) > longest:
        image.thumbnail((longest, longest))
    return task_for(columns).draw_labels(image, row, class_names(columns), size)
