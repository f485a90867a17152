"""Read CVAT for images 1.1: one ``annotations.xml`` for all images.

The layout is described in docs.cvat.ai/docs/dataset_management/formats/format-cvat and on CVAT's
page about the XML format. Exports of jobs, tasks and projects are read. The images are in
``images/``, in folders of their subsets there, or beside the XML. Classes are in the order of the
labels in ``<meta>``; the colours of the labels are ignored.

Boxes, polygons and masks are objects; tags are classes of images. A mask is a list of run lengths
in a box, row by row; the first run is not part of the object. Groups are not joined: each shape is
an object. Rotated boxes, ellipses, points, polylines, cuboids and skeletons are refused, and so is
CVAT for video, which has ``<track>`` instead of ``<image>``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pvzoo.data.files import Split, entries, head, quoted, side, split_in, split_name
from pvzoo.data.formats.annotated import Annotated, Annotations, Shape
from pvzoo.data.formats.base import DataSource
from pvzoo.data.rle import empty_code
from pvzoo.data.xml_file import xml_elements
from pvzoo.errors import DataError
from pvzoo.results.masks import encode

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

TITLE = "CVAT for images"
MOST_CUT_OUT = 2**27
"""How many pixels the box of a mask may have: the mask is unpacked in memory."""

_OTHER = {
    "ellipse": "ellipses",
    "points": "points",
    "polyline": "polylines",
    "cuboid": "cuboids",
    "skeleton": "skeletons",
}
_AGAIN = "Export it again."
_DEFAULT = "default"
"""CVAT's name for the subset of images without one, if other images have a subset."""


def splits(source: DataSource) -> list[Split]:
    """The splits of an XML file or of the folder with it; none if it is not CVAT's."""
    path = source.path
    indices = [path] if path.is_file() else entries(path)
    files = [f for f in indices if f.suffix.lower() == ".xml" and "<annotations" in head(f)]
    if not files:
        return []
    names: dict[str, None] = {}
    images: list[Annotated] = []
    for file in files:
        images += _images(file, names)
    if not images:
        raise DataError(f"{path} ({TITLE}) has no images.", "Export the task with its images.")
    if len({image.split for image in images}) == 1 and images[0].split == _DEFAULT:
        images = [_with_split(image, None) for image in images]
    root = files[0].parent
    found = Annotations(TITLE, path, files, root, images, tuple(names), source.area)
    folders = {image.split: _folders(root, image.split) for image in images}
    return found.splits(folders)


def _with_split(image: Annotated, split: str | None) -> Annotated:
    return Annotated(image.name, image.size, image.shapes, image.tags, split, image.other)


def _folders(root: Path, split: str | None) -> list[Path]:
    """The folders that the images of a split may be in, the likeliest first."""
    inner = [f for f in entries(root / "images") if f.is_dir()]
    inner = [f for f in inner if split and split in (f.name, split_name(f.name))]
    return [*inner, root / "images", root]


def _images(file: Path, names: dict[str, None]) -> Iterator[Annotated]:
    """The images of a file; adds the labels that the file declares or uses to `names`."""
    given = split_in(file.stem)
    for index, element in enumerate(xml_elements(file, frozenset({"meta", "image", "track"}))):
        if element.tag == "track":
            raise DataError(
                f"{file} is in the format CVAT for video, which pvzoo does not read.",
                "Export the task as CVAT for images 1.1.",
            )
        if element.tag == "meta":
            for label in element.iter("label"):
                # labels with a parent are points of a skeleton, not classes of shapes
                if (name := label.findtext("name")) and label.find("parent") is None:
                    names[name] = None
            subset = (element.findtext("*/subset") or "").strip()
            given = split_name(subset) or subset or given
            continue
        image = _image(element, file, index, given)
        for name in (*(shape.label for shape in image.shapes), *image.tags):
            names.setdefault(name)
        yield image


def _image(element: Element, file: Path, index: int, given: str | None) -> Annotated:
    name = element.get("name") or ""
    if not name:
        raise DataError(f"{file}: the image {index} has no name.", _AGAIN)
    where = f"{file}: the image {quoted(name)}"
    height, width = (side(_number(element.get(key))) for key in ("height", "width"))
    shapes, tags, other = [], [], []
    for number, item in enumerate(element, 1):
        what = f"{where}, {item.tag} {number}"
        if item.tag in _OTHER:
            other.append(_OTHER[item.tag])
        elif item.tag == "box" and _number(item.get("rotation", "0")) != 0:
            other.append("rotated boxes")
        elif item.tag == "tag":
            tags.append(_label(item, what))
        elif item.tag in ("box", "polygon", "mask"):
            shapes.append(_shape(item, what, (height, width)))
    subset = element.get("subset")
    split = (split_name(subset) or subset) if subset else given
    return Annotated(name, (height, width), tuple(shapes), tuple(tags), split, tuple(other))


def _shape(item: Element, where: str, size: tuple[int, int]) -> Shape:
    label = _label(item, where)
    if item.tag == "box":
        left, top, right, bottom = _numbers(item, ("xtl", "ytl", "xbr", "ybr"), where)
        return Shape(label, where, box=(left, top, right - left, bottom - top))
    if item.tag == "polygon":
        pairs = [point.split(",") for point in (item.get("points") or "").split(";")]
        numbers = [_number(text) for pair in pairs for text in pair]
        if any(len(pair) != 2 for pair in pairs) or None in numbers:
            raise DataError(f"{where} has points that are not pairs of numbers.", _AGAIN)
        return Shape(label, where, polygon=tuple(n for n in numbers if n is not None))
    return Shape(label, where, code=_code(item, where, size))


def _code(item: Element, where: str, size: tuple[int, int]) -> dict[str, object]:
    """The run-length code of a ``<mask>``."""
    left, top, width, height = map(int, _numbers(item, ("left", "top", "width", "height"), where))
    empty = empty_code(size, where)
    damaged = DataError(f"{where} has run lengths that do not fit its box.", _AGAIN)
    try:
        runs = np.array([int(text) for text in (item.get("rle") or "").split(",")], np.int64)
    except (ValueError, OverflowError):
        raise damaged from None
    fits = min(width, height, left, top) >= 0 and width * height <= MOST_CUT_OUT
    fits &= left + width <= size[1] and top + height <= size[0]
    if not fits or runs.min() < 0 or runs.max() > width * height or runs.sum() != width * height:
        raise damaged
    cut = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    return empty | {"counts": encode(cut, top, left, size).decode("ascii")} if cut.any() else empty


def _label(item: Element, where: str) -> str:
    label = item.get("label")
    if not label:
        raise DataError(f"{where} has no label.", _AGAIN)
    return label


def _numbers(item: Element, keys: tuple[str, ...], where: str) -> list[float]:
    numbers = [_number(item.get(key)) for key in keys]
    if None in numbers:
        raise DataError(f"{where} has no numbers as {', '.join(keys)}.", _AGAIN)
    return [n for n in numbers if n is not None]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
