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
    entries,
    folders,
    image_cell,
    images,
    listing,
    objects_of,
    read_text,
    relative,
    side,
    split_name,
    truth,
    upright_size,
)
from pvzoo.data.folders import semantic_rows
from pvzoo.data.map_classes import MapClasses, classes_of, find_map_classes, unnamed_classes
from pvzoo.data.maps import read_map
from pvzoo.data.schema import DETECTION, INSTANCE, SEMANTIC, features
from pvzoo.data.store import write
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

_SUFFIXES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".webp", ".tif")


def splits(path: Path, *, reduce_labels: bool) -> list[Split]:
    """The splits of a folder of VOC data; none if it is not.

    Raises:
        DataError: It holds several such folders, as VOCdevkit does.
    """
    parts = _parts(path)
    if not parts:
        inner = [f for f in folders(path) if f.name.upper().startswith("VOC") and _parts(f)]
        if len(inner) > 1:
            raise DataError(
                f"{path} holds several VOC datasets: {', '.join(f.name for f in inner)}.",
                "Point at one of them.",
            )
        parts = _parts(inner[0]) if inner else {}
    source = _Source(list(parts.values()), reduce_labels)
    return [Split(name, partial(source.read, part)) for name, part in parts.items()]


@dataclass(frozen=True, eq=False)
class _Part:
    """The files of one split.

    Attributes:
        root: The folder of the source.
        split: As its lists are called, or None for all that is there.
        xmls: Where the XML files are.
        pictures: Where the images are.
    """

    root: Path
    split: str | None
    xmls: Path
    pictures: Path

    def ids(self, kind: str) -> list[str] | None:
        """The images of the split by its list in ``ImageSets/Main`` or ``Segmentation``."""
        file = _lists(self.root, kind).get(self.split) if self.split else None
        if file is None:
            return None
        lines = [line.split() for line in read_text(file).splitlines()]
        return [words[0] for words in lines if words]


def _parts(path: Path) -> dict[str | None, _Part]:
    if not path.is_dir():
        return {}
    if path.name.lower() in ("annotations", "annotation") and _has_xml(path):
        path = path.parent
    xmls, pictures = _pair_in(path)
    deeper = [f for f in folders(xmls) if _has_xml(f)]
    if xmls != path and not _has_xml(xmls):
        found = {name: f for f in deeper if (name := split_name(f.name))}
        if found and not _map_folder(path, "Class"):  # Annotations/train and JPEGImages/train
            below = {split_name(f.name): f for f in folders(pictures)}
            return {n: _Part(path, None, f, below.get(n, pictures)) for n, f in found.items()}
        if len(deeper) == 1:
            pictures = deeper[0] if pictures == xmls else pictures
            xmls = deeper[0]
    if _has_xml(xmls) or (_map_folder(path, "Class") and pictures != xmls):
        names = {**_lists(path, "Main"), **_lists(path, "Segmentation")} or {None: path}
        return {name: _Part(path, name, xmls, pictures) for name in names}
    pairs = {name: _pair_in(f) for f in folders(path) if (name := split_name(f.name))}
    return {name: _Part(path, None, *pair) for name, pair in pairs.items() if _has_xml(pair[0])}


def _pair_in(folder: Path) -> tuple[Path, Path]:
    """Where the XML files and the images in a folder are; the folder itself if not apart."""
    inner = {f.name.lower(): f for f in reversed(folders(folder))}
    xmls = next((inner[n] for n in ("annotations", "annotation") if n in inner), folder)
    pictures = next((inner[n] for n in ("jpegimages", "images", "image") if n in inner), xmls)
    return xmls, pictures


def _has_xml(folder: Path) -> bool:
    file = next((f for f in entries(folder) if f.suffix.lower() == ".xml"), None)
    return file is not None and b"<annotation" in file.read_bytes()[:2000]


def _map_folder(root: Path, kind: str) -> Path | None:
    folder = root / f"Segmentation{kind}"
    return folder if folder.is_dir() else None


def _lists(root: Path, kind: str) -> dict[str, Path]:
    """The lists of images by split; trainval only where it is not told apart."""
    files = [f for f in entries(root / "ImageSets" / kind) if f.suffix == ".txt"]
    found = {split_name(f.stem): f for f in files if split_name(f.stem)}
    if "train" not in found and "validation" not in found:
        both = next((f for f in files if f.stem == "trainval"), None)
        found |= {"train": both} if both else {}
    return {name: found[name] for name in ("train", "validation", "test") if name in found}


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
    parts: Sequence[_Part]
    reduce_labels: bool

    @cached_property
    def annotations(self) -> dict[Path, dict[str, _Annotation]]:
        """By folder and by the path in it without its suffix."""
        found: dict[Path, dict[str, _Annotation]] = {}
        for folder in dict.fromkeys(part.xmls for part in self.parts):
            files = sorted(f for f in folder.rglob("*") if f.suffix.lower() == ".xml")
            found[folder] = {
                f.relative_to(folder).with_suffix("").as_posix(): _read_xml(f)
                for f in files
                if not f.name.startswith(".")
            }
        return found

    def _all(self) -> Iterable[_Annotation]:
        return (a for of in self.annotations.values() for a in of.values())

    @cached_property
    def names(self) -> list[str]:
        """The classes of the XML files of all splits."""
        return sorted({thing.name for a in self._all() for thing in a.objects})

    def read(self, part: _Part, task: str | None) -> Dataset:
        outlined = any(thing.polygons for a in self._all() for thing in a.objects)
        drawn, told = _map_folder(part.root, "Class"), _map_folder(part.root, "Object")
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

    def _from_xml(self, part: _Part, task: str) -> Dataset:
        annotations = self.annotations[part.xmls]
        ids = part.ids("Main") or part.ids("Segmentation")
        chosen = [n for n in (annotations if ids is None else ids) if n in annotations]
        paths = _pictures(part, {name: annotations[name].image for name in chosen})
        if ids is not None:
            lost = [name for name in ids if name not in annotations]
            _warn_left_out(lost, f"images of the split {part.split}", f"XML in {part.xmls}")
        else:
            used = set(paths.values())
            lost = [relative(p, part.root) for p in images(part.pictures) if p not in used]
            _warn_left_out(lost, "images", "XML; one without objects needs one without <object>")
        sizeless = [paths[n] for n in chosen if 0 in annotations[n].size and paths[n].is_file()]
        state = [part.pictures, *(annotations[name].file for name in chosen), *sizeless]
        return write(
            lambda: self._xml_rows(part, paths, task),
            features(task, self.names),
            state,
            task,
            "voc",
        )

    def _xml_rows(self, part: _Part, paths: dict[str, Path], task: str) -> Iterator[dict[str, Any]]:
        places = {name: place for place, name in enumerate(self.names)}
        number = 0
        for image_id, (name, path) in enumerate(paths.items()):
            annotation = self.annotations[part.xmls][name]
            height, width = annotation.size
            if not height or not width:
                width, height = upright_size(path)
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
                "image": image_cell(path),
                "image_id": image_id,
                "file_name": relative(path, part.root),
                "width": width,
                "height": height,
                "objects": objects_of(objects, masks=task == INSTANCE),
            }

    # the maps

    def _maps(self, part: _Part, folder: Path) -> dict[str, Path]:
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

    def _semantic(self, part: _Part, folder: Path) -> Dataset:
        classes = self._map_classes(folder)
        maps = self._maps(part, folder)
        pairs = [(_picture(part, name), file) for name, file in maps.items()]
        return semantic_rows(pairs, classes, part.root)

    def _from_maps(self, part: _Part, drawn: Path, told: Path, task: str) -> Dataset:
        classes = self._map_classes(drawn)
        names = [name for name in classes.labels if name != classes.names.get(0)]
        places = {v: names.index(n) for v, n in classes.names.items() if n in names}
        kinds, maps = self._maps(part, drawn), self._maps(part, told)
        maps = {name: maps[name] for name in maps if name in kinds}
        state = [*maps.values(), *(kinds[name] for name in maps), part.pictures]
        told_of = {n: a for n, a in self.annotations[part.xmls].items() if n in maps}
        state += [annotation.file for annotation in told_of.values()]

        def rows() -> Iterator[dict[str, Any]]:
            number = 1
            for image_id, (name, file) in enumerate(maps.items()):
                objects, size = _drawn_objects(file, kinds[name], places, number)
                number += len(objects)
                if name in told_of:
                    _mark_difficult(objects, told_of[name].objects, names)
                path = _picture(part, name)
                yield {
                    "image": image_cell(path),
                    "image_id": image_id,
                    "file_name": relative(path, part.root),
                    "width": size[1],
                    "height": size[0],
                    "objects": objects_of(objects, masks=task == INSTANCE),
                }

        return write(rows, features(task, names), state, task, "voc maps", places)


def _warn_left_out(lost: Sequence[str], what: str, lack: str) -> None:
    if lost:
        warn(
            f"{len(lost)} {what} are left out, as they have no {lack} ({listing(lost, 3)}).",
            PvzooWarning,
            stacklevel=2,
        )


def _pictures(part: _Part, stated: dict[str, str]) -> dict[str, Path]:
    """The image of each XML file, by its own name as in the devkit, else by what it states.

    What a file states is often left from before it was renamed.
    """
    found, other = {}, []
    for name, text in stated.items():
        own, said = _own_picture(part, name), _stated_picture(part, text)
        if own and said and own.with_suffix(said.suffix) == said:
            own = said  # of several of its name
        found[name] = own or said or part.pictures / (_last(text) or f"{name}.jpg")
        if own and said and own != said:
            other.append(f"{name}.xml, which says {text}")
    if other:
        warn(
            f"{part.xmls}: {len(other)} XML files say another image than that of their own name, "
            f"which is taken ({listing(other, 1)}).",
            PvzooWarning,
            stacklevel=2,
        )
    return found


def _stated_picture(part: _Part, text: str) -> Path | None:
    paths = (part.pictures / inner for inner in (text.replace("\\", "/"), _last(text)))
    return next((path for path in paths if path.is_file()), None)


def _last(text: str) -> str:
    return Path(text.replace("\\", "/")).name


def _own_picture(part: _Part, name: str) -> Path | None:
    """The image of the name of an XML file or map."""
    paths = (part.pictures / (name + suffix) for suffix in _SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def _picture(part: _Part, name: str) -> Path:
    """The same; where it should be if it is not there."""
    return _own_picture(part, name) or part.pictures / f"{name}.jpg"


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
    wanted = [v for v in np.unique(told).tolist() if v != 0]
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
