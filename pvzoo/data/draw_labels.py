"""Draw the labels of pvzoo's tasks on images, in the same style as predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.labels import box_array, is_uneven
from pvzoo.data.maps import read_map, values_of
from pvzoo.data.quality import boxes as box
from pvzoo.data.rle import is_whole
from pvzoo.data.schema import SEMANTIC_VOID, VOID
from pvzoo.errors import DataError
from pvzoo.results import drawing
from pvzoo.results.drawing import add_legend, class_colour, enlarge
from pvzoo.results.masks import Masks
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap


def draw_classes(image: Image.Image, row: Mapping[str, Any], names: Sequence[str]) -> Image.Image:
    """Draw the classes of an image in a legend."""
    labels = row["labels"] or [] if "labels" in row else [row["label"]]
    legend = [(_name(names, label), class_colour(_known(label))) for label in labels]
    return add_legend(enlarge(image)[0], legend)


def _known(label: int | None) -> int:
    return VOID if label is None else label


def _name(names: Sequence[str], label: int | None) -> str:
    if label is not None and 0 <= label < len(names):
        return names[label]
    return "no class" if label in (None, VOID) else f"class id {label}?"


def draw_objects(
    image: Image.Image, objects: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    """Draw boxes, and masks if there are any; crowds and ignored objects are marked."""
    boxes = np.zeros((0, 4)) if is_uneven(objects) else box_array(objects)
    keep = np.flatnonzero(box.finite(boxes))
    boxes = box.positive(boxes[keep])
    boxes[:, 2:] += boxes[:, :2]
    boxes *= np.tile(np.divide(image.size, size), 2)
    called = []
    for i in keep:
        marks = ["crowd"] * bool(objects["iscrowd"][i]) + ["ignored"] * bool(objects["ignore"][i])
        name = _name(names, objects["category"][i])
        called.append(f"{name} ({', '.join(marks)})" if marks else name)
    masks = None
    if "segmentation" in objects:
        codes = [objects["segmentation"][i] for i in keep]
        layers = [_fitted(_decoded(code, size), size, image.size) for code in codes]
        masks = Masks.from_array(np.reshape(layers, (-1, image.height, image.width)))
    labels = np.array([_known(objects["category"][i]) for i in keep], dtype=np.int64)
    return drawing.draw_objects(image, boxes, None, labels, called, masks)


def _decoded(code: Mapping[str, Any] | None, size: tuple[int, int]) -> np.ndarray:
    """The mask of an object in an image of `size`; empty if it is damaged or far too large."""
    if code and is_whole(code) and np.prod(code["size"], dtype=float) <= 16.0 * np.prod(size):
        mask: np.ndarray = coco.decode(code)
        return mask
    return np.zeros((1, 1), np.uint8)


def _fitted(
    pixels: np.ndarray, size: tuple[int, int], shown: tuple[int, int], fill: int = 0
) -> np.ndarray:
    """Cut or pad a (h, w) array to the `size` of its image, then scale it to `shown`."""
    canvas = np.full((size[1], size[0]), fill, pixels.dtype)
    part = pixels[: size[1], : size[0]]
    canvas[: part.shape[0], : part.shape[1]] = part
    across = (np.arange(shown[0]) + 0.5) * size[0] / shown[0]
    down = (np.arange(shown[1]) + 0.5) * size[1] / shown[1]
    fitted: np.ndarray = canvas[np.ix_(down.astype(int), across.astype(int))]
    return fitted


def _values(row: Mapping[str, Any]) -> np.ndarray:
    name = f"The map of {row['file_name']}"
    if isinstance(row["annotation"], Image.Image):
        return values_of(row["annotation"], name)
    if row["annotation"] is None:
        raise DataError(f"{name} is missing.", "Leave the row out.")
    return read_map(row["annotation"], name)


def draw_semantic(
    image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    """Draw each class in its colour, with a legend; it lists values without a class too."""
    segments = row["segments"] or {}
    listed = dict(zip(segments.get("id") or [], segments.get("category") or [], strict=False))
    listed.setdefault(SEMANTIC_VOID, VOID)
    values = _fitted(_values(row), size, image.size, SEMANTIC_VOID)
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
    return SemanticMap.of(labels, tuple(called)).draw(image)


def draw_panoptic(
    image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: tuple[int, int]
) -> Image.Image:
    """Draw segments in the colours of their classes; segments that are not listed are marked."""
    segments = row["segments"] or {}
    lists = [segments.get(k) or [] for k in ("id", "category", "isthing", "iscrowd")]
    listed = {i: rest for i, *rest in zip(*lists, strict=False)}
    values = _fitted(_values(row), size, image.size)
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
    return drawn.draw(image)
