"""Read the XML files of Pascal VOC: the objects of an image with their edges and outlines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as pycoco

from pvzoo.data import xml_file
from pvzoo.data.files import side, truth
from pvzoo.data.rle import empty_code, outline_box, polygon_code
from pvzoo.data.schema import DETECTION
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element


@dataclass(frozen=True)
class Object:
    """An ``<object>``: its class, its edges counted as in the file, and its outlines."""

    name: str
    edges: tuple[float, float, float, float] | None
    polygons: tuple[tuple[float, ...], ...]
    difficult: bool

    def shape(self, size: tuple[int, int], task: str, where: str) -> dict[str, Any]:
        """The box, area and mask of the object, in an image of (height, width)."""
        polygons = [[v - 1 for v in polygon] for polygon in self.polygons]
        if self.edges is not None:
            left, top, right, bottom = self.edges
            box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
        else:
            box = outline_box(polygons)
        if task == DETECTION:
            return {"bbox": box, "area": box[2] * box[3]}
        code = polygon_code(polygons, size, where) if polygons else empty_code(size, where)
        return {"bbox": box, "area": float(pycoco.area(code)), "segmentation": code}


@dataclass(frozen=True)
class Annotation:
    """An XML file: the name of the image, its (height, width) or zeros, and the objects."""

    file: Path
    image: str
    size: tuple[int, int]
    objects: tuple[Object, ...]


def read_xml(file: Path) -> Annotation:
    """Read an XML file.

    Raises:
        DataError: The file is not XML, or an object has no name, or neither box nor polygon.
    """
    root = xml_file.read_xml(file)
    height, width = (side(_number(root.find(f"size/{key}"))) for key in ("height", "width"))
    objects = [
        _read_object(item, f"{file}: object {index}")
        for index, item in enumerate(root.findall("object"), 1)
    ]
    name = (root.findtext("filename") or "").strip()
    return Annotation(file, name, (height, width), tuple(objects))


def _read_object(item: Element, where: str) -> Object:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{where} has no name.", "Write its class in <name>.")
    where = f"{where} ({name[:100]})"
    box = item.find("bndbox")
    edges = None
    if box is not None:
        left, top, right, bottom = (
            _number(box.find(edge)) for edge in ("xmin", "ymin", "xmax", "ymax")
        )
        if left is None or top is None or right is None or bottom is None:
            raise DataError(
                f"{where} has a bndbox that is not four numbers.",
                "Write numbers for xmin, ymin, xmax and ymax.",
            )
        edges = (left, top, right, bottom)
    polygons = [_vertices(polygon, where) for polygon in item.findall("polygon")]
    if edges is None and not polygons:
        raise DataError(
            f"{where} has no bndbox.", "Add one with xmin, ymin, xmax and ymax, or a polygon."
        )
    difficult = truth(item.findtext("difficult"), where, "difficult")
    return Object(name, edges, tuple(polygons), difficult)


def _vertices(polygon: Element, where: str) -> tuple[float, ...]:
    """x1, y1, x2, y2, ... from elements with these names in any order, or LabelMe's ``<pt>``."""
    points = polygon.findall("pt")
    if points:
        pairs = [(p.find("x"), p.find("y")) for p in points]
    else:
        found = {axis: [e for e in polygon if e.tag.startswith(axis)] for axis in "xy"}
        ordered = [sorted(of, key=lambda e: e.tag[1:].zfill(9)) for of in found.values()]
        same = [[e.tag[1:] for e in of] for of in ordered]
        pairs = list(zip(*ordered, strict=True)) if same[0] == same[1] else []
        if len(polygon) != 2 * len(pairs):
            pairs = [(None, None)]
    numbers = [_number(item) for pair in pairs for item in pair]
    if None in numbers:
        raise DataError(
            f"{where} has a polygon that is not pairs of numbers.", "Write x1, y1, x2, y2, ..."
        )
    return tuple(n for n in numbers if n is not None)


def _number(item: Element | None) -> float | None:
    try:
        value = float(item.text) if item is not None and item.text else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None
