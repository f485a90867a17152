"""Draw labelled data in the same style as predictions."""

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
from pvzoo.plugins.calls import calling, fault_of
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
    """Draw the labels of a row on its upright image; small images are enlarged.

    The names mark crowds, ignored objects and labels without a class. Labels are cut off at the
    edges of the image; boxes that are not numbers are left out.

    Args:
        row: A row of a canonical dataset (see `pvzoo.data.schema`), its image decoded or not.
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
    """Make one image of several samples with their labels drawn and the names of their files.

    Args:
        data: Anything that `pvzoo.data.load` takes.
        path: The file to write; its suffix is the image format.
        count: How many samples at most.
        seed: Seed for the random choice of samples.
        report: What `check` found in the data; images that it names come first.

    Raises:
        DataError: The source is not labelled data, or has no images.
        UsageError: `count` is less than 1, or the file cannot be written.
    """
    from pvzoo.data.load import load

    if count < 1:
        raise UsageError(f"count is {count}.", "Pass a whole number from 1.")
    parts = splits(load(data))
    everything = [(name, row) for name, dataset in parts.items() for row in range(len(dataset))]
    if not everything:
        raise DataError("The data has no images.", "Check where the images are.")
    first = list(report.rows if report else ())[:count]
    others = random.Random(seed).sample(everything, min(len(everything), count + len(first)))
    indices = list(dict.fromkeys([*first, *others]))[:count]
    return sheet_of([(parts[name], name, row) for name, row in indices], path)


def sheet_of(
    samples: Sequence[tuple[Dataset, str, int]], path: str | Path | None = None
) -> Image.Image:
    """Make the `contact_sheet` of samples in the given order.

    A sample is a canonical dataset, the name of its split, and the number of a row.

    Raises:
        UsageError: The file cannot be written.
    """
    return save_sheet([_tile(*sample) for sample in samples], path)


def save_sheet(tiles: Sequence[Image.Image], path: str | Path | None = None) -> Image.Image:
    """Put images of `captioned` into rows and write them to a file.

    Raises:
        UsageError: The file cannot be written.
    """
    sheet = _grid(tiles)
    if path is not None:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            sheet.save(path)
        except (OSError, ValueError) as error:  # ValueError: unknown suffix
            raise UsageError(f"{path} cannot be written ({error}).", "Choose another.") from error
    return sheet


def _tile(dataset: Dataset, split: str, number: int) -> Image.Image:
    """A sample with its name above it, or the reason why it cannot be read."""
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
    return captioned(image, f"{split}: {name}" if split else name)


def captioned(image: Image.Image, text: str) -> Image.Image:
    """A tile of a sheet: an image of at most `TILE` pixels with a line of text above it."""
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
    """`draw`, after scaling the image down to at most `longest`, so that names can be read."""
    image = open_image(row["image"])
    size = image.size
    if longest and max(size) > longest:
        image.thumbnail((longest, longest))
    task = task_for(columns)
    with calling(task, "draw_labels"):
        drawn = task.draw_labels(image, row, class_names(columns), size)
    if not isinstance(drawn, Image.Image):
        fault = f"returned a {type(drawn).__name__}, not an image"
        raise fault_of(task, "draw_labels", fault)
    return drawn
