"""Pascal VOC: an XML file for each image, and maps of its pixels in ``SegmentationClass``.

Folders are found as in the devkit (``Annotations``, ``JPEGImages``, ``ImageSets/Main``), with
``images`` in the place of ``JPEGImages``, with the XML in the one folder of ``annotations`` that
has any, and with the XML beside the images. Folders called after splits may be in these
(``Annotations/train``, ``JPEGImages/train``) or around them (``train/Annotations``, or ``train``
with the XML beside the images, as Roboflow writes it). Edges of boxes are the devkit's: pixels
counted from 1, the last one included, so that left = xmin - 1 and width = xmax - xmin + 1.
(LabelImg and others write edges counted from 0; such boxes come out at most a pixel off.) Classes
are in the order of the alphabet. The image of an XML file is the one of its own name, else the one
that its ``<filename>`` says; where both are there and differ, a `PvzooWarning` says so.

Objects marked difficult are kept, with ``ignore`` set. Instance masks are the objects'
``<polygon>`` elements (vertices counted from 1) where there are any, else what
``SegmentationObject`` and ``SegmentationClass`` show: the class of an object is the one that most
of its pixels have, and difficult is that of the object of this class in the XML, if there is one,
whose box fits the mask best.

The names of the values of ``SegmentationClass`` are taken from a file beside it, as
`pvzoo.data.map_classes` says; without one they are VOC's 20 classes after the background if the XML
files name no others, else the values themselves. 255, the border of objects, is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn
from xml.etree import ElementTree

import numpy as np
from pycocotools import mask as pycoco

from pvzoo.data.codes import empty_code, polygon_code
from pvzoo.data.files import (
    Split,
    folders,
    image_cell,
    images,
    listing,
    objects_of,
    relative,
    side,
    truth,
    upright_size,
    walk,
)
from pvzoo.data.folders import semantic_rows
from pvzoo.data.map_classes import MapClasses, classes_of, find_map_classes, unnamed_classes
from pvzoo.data.maps import areas_of, read_map
from pvzoo.data.paths import Area, Located
from pvzoo.data.schema import DETECTION, INSTANCE, SEMANTIC, features
from pvzoo.data.store import write
from pvzoo.data.voc_layout import Part, map_folder, parts_of, picture_of, pictures_of
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.masks import Masks

if TYPE_CHECKING:
    from datasets import Dataset

CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
"""Of the VOC challenges; in their maps the first is 1 and the background is 0."""

_BORDER = (255, 224 + 256 * 224 + 65536 * 192)  # as an index, and as a colour of VOC's palette


def splits(path: Path, area: Area, *, reduce_labels: bool) -> list[Split]:
    """The splits of a folder of VOC data; none if it is not.

    Raises:
        DataError: It holds several such folders, as VOCdevkit does.
    """
    parts = parts_of(path)
    if not parts:
        inner = [f for f in folders(path) if f.name.upper().startswith("VOC") and parts_of(f)]
        if len(inner) > 1:
            raise DataError(
                f"{path} holds several VOC datasets: {', '.join(f.name for f in inner)}.",
                "Point at one of them.",
            )
        parts = parts_of(inner[0]) if inner else {}
    source = _Source(list(parts.values()), area, reduce_labels)
    return [Split(name, partial(source.read, part)) for name, part in parts.items()]


# --- XML ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Object:
    """An ``<object>``: its class, its edges, counted as in the file, its outlines."""

    name: str
    edges: tuple[float, float, float, float] | None
    polygons: tuple[tuple[float, ...], ...]
    difficult: bool


@dataclass(frozen=True)
class _Annotation:
    """An XML file: the name of the image, (height, width) or zeros, the objects."""

    file: Path
    image: str
    size: tuple[int, int]
    objects: tuple[_Object, ...]


def _read_xml(file: Path) -> _Annotation:
    try:
        root = ElementTree.fromstring(file.read_bytes())
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{file} is not XML ({error}).", "Mend or export it again.") from error
    height, width = (side(_number(root.find(f"size/{key}"))) for key in ("height", "width"))
    objects = [
        _read_object(item, f"{file}: object {place}")
        for place, item in enumerate(root.findall("object"), 1)
    ]
    name = (root.findtext("filename") or "").strip()
    return _Annotation(file, name, (height, width), tuple(objects))


def _read_object(item: ElementTree.Element, where: str) -> _Object:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise DataError(f"{where} has no name.", "Write its class in <name>.")
    where = f"{where} ({name[:100]})"
    box = item.find("bndbox")
    edges = None
    if box is not None:
        numbers = [_number(box.find(edge)) for edge in ("xmin", "ymin", "xmax", "ymax")]
        if None in numbers:
            raise DataError(
                f"{where} has a bndbox that is not four numbers.",
                "It has xmin, ymin, xmax and ymax.",
            )
        edges = tuple(numbers)
    polygons = [_vertices(polygon, where) for polygon in item.findall("polygon")]
    if edges is None and not polygons:
        raise DataError(f"{where} has no bndbox.", "It has xmin, ymin, xmax and ymax.")
    difficult = truth(item.findtext("difficult"), where, "difficult")
    return _Object(name, edges, tuple(polygons), difficult)


def _vertices(polygon: ElementTree.Element, where: str) -> tuple[float, ...]:
    """x1, y1, x2, y2, ... of elements of these names in any order, or of LabelMe's ``<pt>``."""
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
            f"{where} has a polygon that is not pairs of numbers.", "It has x1, y1, x2, y2, ..."
        )
    return tuple(n for n in numbers if n is not None)


def _number(item: ElementTree.Element | None) -> float | None:
    try:
        value = float(item.text) if item is not None and item.text else None
    except ValueError:
        return None
    return value if value is not None and np.isfinite(value) else None


# --- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Source:
    parts: Sequence[Part]
    area: Area
    reduce_labels: bool

    @cached_property
    def annotations(self) -> dict[Path, dict[str, _Annotation]]:
        """By folder and by the path in it without its suffix."""
        found: dict[Path, dict[str, _Annotation]] = {}
        for folder in dict.fromkeys(part.xmls for part in self.parts):
            files = sorted(here / name for here, names in walk(folder) for name in names)
            found[folder] = {
                f.relative_to(folder).with_suffix("").as_posix(): _read_xml(f)
                for f in files
                if f.suffix.lower() == ".xml"
            }
        return found

    def _all(self) -> Iterable[_Annotation]:
        return (a for of in self.annotations.values() for a in of.values())

    @cached_property
    def names(self) -> list[str]:
        """The classes of the XML files of all splits."""
        return sorted({thing.name for a in self._all() for thing in a.objects})

    def read(self, part: Part, task: str | None) -> Dataset:
        outlined = any(thing.polygons for a in self._all() for thing in a.objects)
        drawn, told = map_folder(part.root, "Class"), map_folder(part.root, "Object")
        if task not in (DETECTION, INSTANCE, SEMANTIC):
            if self.names:
                task = INSTANCE if outlined else DETECTION
            else:
                task = INSTANCE if told and drawn else SEMANTIC if drawn else DETECTION
        if task == SEMANTIC:
            if drawn is None:
                raise DataError(
                    f"{part.root} has no folder SegmentationClass.", f"Its boxes are {DETECTION}."
                )
            return self._semantic(part, drawn)
        if self.names and (task == DETECTION or outlined):
            return self._from_xml(part, task)
        if drawn is None or told is None:
            if not self.names and task == DETECTION:  # images without any object
                return self._from_xml(part, task)
            raise DataError(
                f"{part.root} has no masks of objects (SegmentationObject and SegmentationClass, "
                "or polygons in the XML files).",
                f"Its boxes are {DETECTION}.",
            )
        return self._from_maps(part, drawn, told, task)

    # the boxes and outlines of the XML files

    def _from_xml(self, part: Part, task: str) -> Dataset:
        annotations = self.annotations[part.xmls]
        ids = part.ids("Main") or part.ids("Segmentation")
        chosen = [n for n in (annotations if ids is None else ids) if n in annotations]
        found = pictures_of(part, {name: annotations[name].image for name in chosen}, self.area)
        if ids is not None:
            lost = [name for name in ids if name not in annotations]
            _warn_left_out(lost, f"images of the split {part.split}", f"XML in {part.xmls}")
        else:
            used = {picture.path for picture in found.values()}
            lost = [relative(p, part.root) for p in images(part.pictures) if p not in used]
            _warn_left_out(lost, "images", "XML; one without objects needs one without <object>")
        sizeless = [found[name].path for name in chosen if 0 in annotations[name].size]
        return write(
            lambda: self._xml_rows(part, found, task),
            features(task, self.names),
            [*(annotations[name].file for name in chosen), *sizeless],
            task,
            "voc",
            str(part.root),
            [(str(f.path), f.found) for f in found.values()],
        )

    def _xml_rows(
        self, part: Part, found: dict[str, Located], task: str
    ) -> Iterator[dict[str, Any]]:
        places = {name: place for place, name in enumerate(self.names)}
        number = 0
        for image_id, (name, picture) in enumerate(found.items()):
            annotation = self.annotations[part.xmls][name]
            height, width = annotation.size
            if not height or not width:
                width, height = upright_size(picture.path)
            objects = []
            for thing in annotation.objects:
                number += 1
                objects.append(
                    {
                        "id": number,  # from 1: pycocotools takes a match with 0 for none
                        "category": places[thing.name],
                        "iscrowd": False,
                        "ignore": thing.difficult,
                        **_shape(thing, (height, width), task, str(annotation.file)),
                    }
                )
            yield {
                "image": image_cell(picture.path),
                "image_id": image_id,
                "file_name": relative(picture.path, part.root),
                "width": width,
                "height": height,
                "objects": objects_of(objects, masks=task == INSTANCE),
            }

    # the maps

    def _maps(self, part: Part, folder: Path) -> dict[str, Path]:
        """The maps of a split by the names of their images."""
        found = {f.relative_to(folder).with_suffix("").as_posix(): f for f in images(folder)}
        ids = part.ids("Segmentation")
        if ids is None:  # the list in Main has images without a map, too
            ids = [name for name in part.ids("Main") or found if name in found]
        lost = [name for name in ids if name not in found]
        _warn_left_out(lost, f"images of the split {part.split}", f"map in {folder}")
        return {name: found[name] for name in ids if name in found}

    def _map_classes(self, folder: Path) -> MapClasses:
        maps = images(folder)
        classes = find_map_classes(folder.parent, maps, reduce_labels=self.reduce_labels)
        if classes is not None:
            return classes
        if self.names and set(self.names) <= set(CLASSES):
            names = dict(enumerate(("background", *CLASSES)))
            return classes_of(names, maps, "Pascal VOC")
        return unnamed_classes(folder, maps, reduce_labels=self.reduce_labels)

    def _semantic(self, part: Part, folder: Path) -> Dataset:
        classes = self._map_classes(folder)
        maps = self._maps(part, folder)
        pairs = [(picture_of(part, name), file) for name, file in maps.items()]
        return semantic_rows(pairs, classes, part.root)

    def _from_maps(self, part: Part, drawn: Path, told: Path, task: str) -> Dataset:
        classes = self._map_classes(drawn)
        names = [name for name in classes.labels if name != classes.names.get(0)]
        places = {v: names.index(n) for v, n in classes.names.items() if n in names}
        kinds, maps = self._maps(part, drawn), self._maps(part, told)
        maps = {name: maps[name] for name in maps if name in kinds}
        pictures = {name: picture_of(part, name) for name in maps}
        state = [*maps.values(), *(kinds[name] for name in maps)]
        told_of = {n: a for n, a in self.annotations[part.xmls].items() if n in maps}
        state += [annotation.file for annotation in told_of.values()]

        def rows() -> Iterator[dict[str, Any]]:
            number = 1
            for image_id, (name, file) in enumerate(maps.items()):
                objects, size = _drawn_objects(file, kinds[name], places, number)
                number += len(objects)
                if name in told_of:
                    _mark_difficult(objects, told_of[name].objects, names)
                path = pictures[name]
                yield {
                    "image": image_cell(path),
                    "image_id": image_id,
                    "file_name": relative(path, part.root),
                    "width": size[1],
                    "height": size[0],
                    "objects": objects_of(objects, masks=task == INSTANCE),
                }

        about = (task, "voc maps", places, str(part.root), [str(p) for p in pictures.values()])
        return write(rows, features(task, names), state, *about)


def _warn_left_out(lost: Sequence[str], what: str, lack: str) -> None:
    if lost:
        warn(
            f"{len(lost)} {what} are left out, as they have no {lack} ({listing(lost, 3)}).",
            PvzooWarning,
            stacklevel=2,
        )


def _shape(thing: _Object, size: tuple[int, int], task: str, where: str) -> dict[str, Any]:
    polygons = [[v - 1 for v in polygon] for polygon in thing.polygons]
    if thing.edges is not None:
        left, top, right, bottom = thing.edges
        box = [left - 1, top - 1, right - left + 1, bottom - top + 1]
    else:
        xs, ys = ([v for p in polygons for v in p[axis::2]] for axis in (0, 1))
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    if task == DETECTION:
        return {"bbox": box, "area": box[2] * box[3]}
    code = polygon_code(polygons, size, where) if polygons else empty_code(size, where)
    return {"bbox": box, "area": float(pycoco.area(code)), "segmentation": code}


def _drawn_objects(
    file: Path, kinds_file: Path, places: dict[int, int], number: int
) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """The objects of a map of objects and one of classes, numbered from `number` on."""
    told, kinds = (read_map(image_cell(f), str(f)) for f in (file, kinds_file))
    if told.shape != kinds.shape:
        raise DataError(
            f"{file} and {kinds_file} are of different sizes.", "Export them from the same image."
        )
    found = []
    wanted = [v for v in areas_of(told) if v != 0]
    masks = Masks.from_map(told, wanted)
    for value, code, area, corners in zip(
        wanted, masks.to_coco(), masks.areas, masks.boxes.tolist(), strict=True
    ):
        inside, counts = np.unique(kinds[told == value], return_counts=True)
        votes = {v: c for v, c in zip(inside.tolist(), counts, strict=True) if v in places}
        if value in _BORDER and 2 * sum(votes.values()) <= area:  # else the one white object
            continue
        if not votes:
            raise DataError(
                f"{file}: the object {value} has no class in {kinds_file}.",
                "Remove it from one, or draw it in both.",
            )
        left, top, right, bottom = corners
        found.append(
            {
                "id": number + len(found),
                "bbox": [left, top, right - left, bottom - top],
                "category": places[max(votes, key=lambda v: votes[v])],
                "area": float(area),
                "iscrowd": False,
                "ignore": False,
                "segmentation": code,
            }
        )
    return found, (told.shape[0], told.shape[1])


def _mark_difficult(
    found: list[dict[str, Any]], things: Sequence[_Object], names: Sequence[str]
) -> None:
    """Give drawn objects the ``difficult`` of those in an XML, each to one at most."""
    if not found or not things:
        return
    boxes = np.array([_shape(thing, (0, 0), DETECTION, "")["bbox"] for thing in things], float)
    drawn = np.array([item["bbox"] for item in found], float)
    overlaps = pycoco.iou(drawn, boxes, [0] * len(things))
    pairs = [
        (overlaps[i, j], i, j)
        for i, item in enumerate(found)
        for j, thing in enumerate(things)
        if names[item["category"]] == thing.name and overlaps[i, j] > 0
    ]
    free_drawn, free_things = set(range(len(found))), set(range(len(things)))
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if i in free_drawn and j in free_things:
            free_drawn.remove(i)
            free_things.remove(j)
            found[i]["ignore"] = things[j].difficult
