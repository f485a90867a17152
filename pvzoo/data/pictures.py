"""Pictures of labelled data, drawn as predictions are."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from pvzoo.data import boxes as box
from pvzoo.data.codes import is_whole
from pvzoo.data.labels import box_array, is_uneven, splits
from pvzoo.data.report import Report
from pvzoo.data.schema import SEMANTIC_VOID, VOID, class_names
from pvzoo.errors import DataError, ImageError, UsageError
from pvzoo.inputs.images import open_image
from pvzoo.results.drawing import (
    add_legend,
    class_colour,
    draw_objects,
    enlarge,
    shorten,
    text_font,
)
from pvzoo.results.masks import Masks
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap

if TYPE_CHECKING:
    from datasets import Dataset, Features

TILE = 480
"""Pixels: the longest side of a picture on a contact sheet, without its legend."""

_ACROSS = 4
_GAP = 12


def draw(row: Mapping[str, Any], columns: Features) -> Image.Image:
    """The upright picture of a row with its labels; small ones are enlarged.

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
    """A picture of samples with their labels drawn and the names of their files.

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
    first = list(report.places if report else ())[:count]
    others = random.Random(seed).sample(everything, min(len(everything), count + len(first)))
    places = list(dict.fromkeys([*first, *others]))[:count]
    sheet = _grid([_tile(parts[name], name, row) for name, row in places])
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
        picture = _draw(row, dataset.features, TILE)
    except (ImageError, DataError) as error:
        picture = Image.new("RGB", (TILE, TILE // 2), "white")
        words, lines = error.what.removeprefix(getattr(error, "source", "")).split(), [""]
        font = text_font(14, error.what)
        for word in words:
            if font.getlength(f"{lines[-1]} {word}") > TILE - 2 * _GAP:
                lines.append("")
            lines[-1] = shorten(f"{lines[-1]} {word}".strip(), TILE - 2 * _GAP, font)
        ImageDraw.Draw(picture).text((_GAP, _GAP), "\n".join(lines[:10]), (192, 0, 0), font)
    name = row["file_name"] or f"row {number}"
    return _captioned(picture, f"{split}: {name}" if split else name)


def _captioned(picture: Image.Image, text: str) -> Image.Image:
    font = text_font(16, text)
    tile = Image.new("RGB", (TILE, picture.height + 26), "white")
    ImageDraw.Draw(tile).text((2, 13), shorten(text, TILE - 4, font), "black", font, "lm")
    tile.paste(picture, ((TILE - picture.width) // 2, 26))
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


# --- the labels of each task ----------------------------------------------------------------------


def _draw(row: Mapping[str, Any], columns: Features, longest: int | None) -> Image.Image:
    """See `draw`; scaled down first to what is at most `longest`, so that names can be read."""
    names = class_names(columns)
    picture = open_image(row["image"])
    size = picture.size
    if longest and max(size) > longest:
        picture.thumbnail((longest, longest))
    if "objects" in columns:
        return _draw_objects(picture, row["objects"] or {}, names, size)
    if "segments" in columns:
        panoptic = "isthing" in columns["segments"]
        return (_draw_panoptic if panoptic else _draw_semantic)(picture, row, names, size)
    labels = row["labels"] or [] if "labels" in columns else [row["label"]]
    legend = [(_name(names, label), class_colour(_known(label))) for label in labels]
    return add_legend(enlarge(picture)[0], legend)


def _known(label: int | None) -> int:
    return VOID if label is None else label


def _name(names: Sequence[str], label: int | None) -> str:
    if label is not None and 0 <= label < len(names):
        return names[label]
    return "no class" if label in (None, VOID) else f"class id {label}?"


def _draw_objects(
    picture: Image.Image, objects: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    boxes = np.zeros((0, 4)) if is_uneven(objects) else box_array(objects)
    keep = np.flatnonzero(box.finite(boxes))
    boxes = box.positive(boxes[keep])
    boxes[:, 2:] += boxes[:, :2]
    boxes *= np.tile(np.divide(picture.size, size), 2)
    called = []
    for i in keep:
        marks = ["crowd"] * bool(objects["iscrowd"][i]) + ["ignored"] * bool(objects["ignore"][i])
        name = _name(names, objects["category"][i])
        called.append(f"{name} ({', '.join(marks)})" if marks else name)
    masks = None
    if "segmentation" in objects:
        codes = [objects["segmentation"][i] for i in keep]
        layers = [_fitted(_decoded(code, size), size, picture.size) for code in codes]
        masks = Masks.from_array(np.reshape(layers, (-1, picture.height, picture.width)))
    labels = np.array([_known(objects["category"][i]) for i in keep], dtype=np.int64)
    return draw_objects(picture, boxes, None, labels, called, masks)


def _decoded(code: Mapping[str, Any] | None, size: tuple[int, int]) -> np.ndarray:
    """The mask of an object in a picture of `size`; nothing for one that is far larger."""
    if code and is_whole(code) and np.prod(code["size"], dtype=float) <= 16.0 * np.prod(size):
        return coco.decode(code)
    return np.zeros((1, 1), np.uint8)


def _fitted(
    pixels: np.ndarray, size: tuple[int, int], shown: tuple[int, int], fill: int = 0
) -> np.ndarray:
    """A (h, w) array of a picture of `size`, cut or filled up if it is of another, scaled."""
    canvas = np.full((size[1], size[0]), fill, pixels.dtype)
    part = pixels[: size[1], : size[0]]
    canvas[: part.shape[0], : part.shape[1]] = part
    across = (np.arange(shown[0]) + 0.5) * size[0] / shown[0]
    down = (np.arange(shown[1]) + 0.5) * size[1] / shown[1]
    return canvas[np.ix_(down.astype(int), across.astype(int))]


def _values(row: Mapping[str, Any]) -> np.ndarray:
    from pvzoo.data.maps import read_map, values_of

    name = f"The map of {row['file_name']}"
    if isinstance(row["annotation"], Image.Image):
        return values_of(row["annotation"], name)
    if row["annotation"] is None:
        raise DataError(f"{name} is missing.", "Leave the row out.")
    return read_map(row["annotation"], name)


def _draw_semantic(
    picture: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    segments = row["segments"] or {}
    listed = dict(zip(segments.get("id") or [], segments.get("category") or [], strict=False))
    listed.setdefault(SEMANTIC_VOID, VOID)
    values = _fitted(_values(row), size, picture.size, SEMANTIC_VOID)
    called = [*names, "void"]
    labels = np.empty(values.shape, np.int64)
    for value in np.unique(values).tolist():
        label = listed.get(value, len(names) + 1)
        if label == VOID:
            label = len(names)
        elif not (label is not None and 0 <= label < len(names)):
            label = len(called)
            called.append(f"value {value}?")
        labels[values == value] = label
    return SemanticMap.of(labels, tuple(called)).draw(picture)


def _draw_panoptic(
    picture: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    segments = row["segments"] or {}
    lists = [segments.get(k) or [] for k in ("id", "category", "isthing", "iscrowd")]
    listed = {i: rest for i, *rest in zip(*lists, strict=False)}
    values = _fitted(_values(row), size, picture.size)
    found, ids = np.unique(values, return_inverse=True)
    ids = ids.reshape(values.shape) + (found[0] != 0)  # from 1, so that 0 stays void
    shown = []
    for number, value in enumerate(found[found != 0].tolist(), start=1):
        label, is_thing, is_crowd = listed.get(value, (None, False, False))
        name = _name(names, label) if value in listed else f"segment {value}?"
        name = f"{name} (crowd)" if is_crowd else name
        area = int((ids == number).sum())
        shown.append(PanopticSegment(number, _known(label), name, bool(is_thing), 1.0, area))
    drawn = Panoptic(size=values.shape, map=ids.astype(np.int32), segments=tuple(shown))
    return drawn.draw(picture)
