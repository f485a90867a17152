"""Read Pascal VOC: an XML file for each image, and maps of pixels in ``SegmentationClass``.

Folders may be as in the devkit (``Annotations``, ``JPEGImages``, ``ImageSets/Main``), with
``images`` instead of ``JPEGImages``, with the XML in the only subfolder of ``annotations`` that has
any, or with the XML beside the images. Folders named after splits may be inside these folders
(``Annotations/train``, ``JPEGImages/train``) or around them (``train/Annotations``, or ``train``
with the XML beside the images, as Roboflow writes it). Classes are in alphabetical order.

Edges of boxes count pixels from 1 and include the last one, as in the devkit: left = xmin - 1 and
width = xmax - xmin + 1. (LabelImg and others count from 0; their boxes are then off by at most one
pixel.) The image of an XML file is the one with the same name, else the one in its ``<filename>``;
if both exist and differ, there is a `PvzooWarning`.

Objects marked difficult are kept, with ``ignore`` set. Instance masks are the ``<polygon>``
elements of objects (vertices counted from 1) if there are any, else the objects in
``SegmentationObject`` and ``SegmentationClass``: the class of an object is the class of most of its
pixels. It is difficult if the object of this class in the XML whose box fits the mask best is.

A file beside ``SegmentationClass`` names its values, as described in `pvzoo.data.map_classes`.
Without one, the names are the background and VOC's 20 classes if the XML files have no other
classes, else the values themselves. 255, the border of objects, is void.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from pvzoo.data.files import (
    Split,
    folders,
    image_cell,
    images,
    listing,
    objects_of,
    relative,
    upright_size,
    walk,
)
from pvzoo.data.formats.base import DataSource
from pvzoo.data.formats.folders.read import semantic_rows
from pvzoo.data.formats.voc.layout import VocSplit, image_of, images_of, map_folder, parts_of
from pvzoo.data.formats.voc.maps import drawn_objects, mark_difficult
from pvzoo.data.formats.voc.xml import Annotation, read_xml
from pvzoo.data.map_classes import MapClasses, classes_of, find_map_classes, unnamed_classes
from pvzoo.data.paths import Area, Located
from pvzoo.data.schema import DETECTION, INSTANCE, SEMANTIC, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

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
"""The classes of the VOC challenges; in their maps the first is 1 and the background is 0."""


def splits(source: DataSource) -> list[Split]:
    """The splits of a folder of VOC data; none if it is not VOC data.

    Raises:
        DataError: The folder contains several VOC datasets, as VOCdevkit does.
    """
    parts = parts_of(source.path)
    if not parts:
        inner = [
            f for f in folders(source.path) if f.name.upper().startswith("VOC") and parts_of(f)
        ]
        if len(inner) > 1:
            raise DataError(
                f"{source.path} holds several VOC datasets: {', '.join(f.name for f in inner)}.",
                "Point at one of them.",
            )
        parts = parts_of(inner[0]) if inner else {}
    data = _Source(list(parts.values()), source.area, source.reduce_labels)
    return [Split(name, partial(data.read, part)) for name, part in parts.items()]


@dataclass(frozen=True, eq=False)
class _Source:
    parts: Sequence[VocSplit]
    area: Area
    reduce_labels: bool

    @cached_property
    def annotations(self) -> dict[Path, dict[str, Annotation]]:
        """The contents of XML files, by folder and by the path in it without the suffix."""
        found: dict[Path, dict[str, Annotation]] = {}
        for folder in dict.fromkeys(part.xmls for part in self.parts):
            files = sorted(here / name for here, names in walk(folder) for name in names)
            found[folder] = {
                f.relative_to(folder).with_suffix("").as_posix(): read_xml(f)
                for f in files
                if f.suffix.lower() == ".xml"
            }
        return found

    def _all(self) -> Iterable[Annotation]:
        return (a for of in self.annotations.values() for a in of.values())

    @cached_property
    def names(self) -> list[str]:
        """The classes of the XML files of all splits."""
        return sorted({thing.name for a in self._all() for thing in a.objects})

    def read(self, part: VocSplit, task: str | None) -> Dataset:
        outlined = any(thing.polygons for a in self._all() for thing in a.objects)
        kinds, objects = map_folder(part.root, "Class"), map_folder(part.root, "Object")
        if task not in (DETECTION, INSTANCE, SEMANTIC):
            if self.names:
                task = INSTANCE if outlined else DETECTION
            else:
                task = INSTANCE if objects and kinds else SEMANTIC if kinds else DETECTION
        if task == SEMANTIC:
            if kinds is None:
                raise DataError(
                    f"{part.root} has no folder SegmentationClass.",
                    f"Its boxes can be read as {DETECTION}.",
                )
            return self._semantic(part, kinds)
        if self.names and (task == DETECTION or outlined):
            return self._from_xml(part, task)
        if kinds is None or objects is None:
            if not self.names and task == DETECTION:  # images without objects
                return self._from_xml(part, task)
            raise DataError(
                f"{part.root} has no masks of objects (SegmentationObject and SegmentationClass, "
                "or polygons in the XML files).",
                f"Its boxes can be read as {DETECTION}.",
            )
        return self._from_maps(part, kinds, objects, task)

    # the boxes and outlines of the XML files

    def _from_xml(self, part: VocSplit, task: str) -> Dataset:
        annotations = self.annotations[part.xmls]
        ids = part.ids("Main") or part.ids("Segmentation")
        chosen = [n for n in (annotations if ids is None else ids) if n in annotations]
        found = images_of(part, {name: annotations[name].image for name in chosen}, self.area)
        if ids is not None:
            lost = [name for name in ids if name not in annotations]
            _warn_left_out(lost, f"images of the split {part.split}", f"XML in {part.xmls}")
        else:
            used = {image.path for image in found.values()}
            lost = [relative(p, part.root) for p in images(part.images) if p not in used]
            _warn_left_out(
                lost, "images", "XML; an image without objects needs an XML without <object>"
            )
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
        self, part: VocSplit, found: dict[str, Located], task: str
    ) -> Iterator[dict[str, Any]]:
        indices = {name: index for index, name in enumerate(self.names)}
        number = 0
        for image_id, (name, image) in enumerate(found.items()):
            annotation = self.annotations[part.xmls][name]
            height, width = annotation.size
            if not height or not width:
                width, height = upright_size(image.path)
            objects = []
            for thing in annotation.objects:
                number += 1
                objects.append(
                    {
                        "id": number,  # from 1: pycocotools takes a match with 0 as no match
                        "category": indices[thing.name],
                        "iscrowd": False,
                        "ignore": thing.difficult,
                        **thing.shape((height, width), task, str(annotation.file)),
                    }
                )
            yield {
                "image": image_cell(image.path),
                "image_id": image_id,
                "file_name": relative(image.path, part.root),
                "width": width,
                "height": height,
                "objects": objects_of(objects, masks=task == INSTANCE),
            }

    # the maps

    def _maps(self, part: VocSplit, folder: Path) -> dict[str, Path]:
        """The maps of a split by the names of their images."""
        found = {f.relative_to(folder).with_suffix("").as_posix(): f for f in images(folder)}
        ids = part.ids("Segmentation")
        if ids is None:  # the list in Main also has images without a map
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

    def _semantic(self, part: VocSplit, folder: Path) -> Dataset:
        classes = self._map_classes(folder)
        maps = self._maps(part, folder)
        pairs = [(image_of(part, name), file) for name, file in maps.items()]
        return semantic_rows(pairs, classes, part.root)

    def _from_maps(
        self, part: VocSplit, kinds_folder: Path, objects_folder: Path, task: str
    ) -> Dataset:
        classes = self._map_classes(kinds_folder)
        names = [name for name in classes.labels if name != classes.names.get(0)]
        indices = {v: names.index(n) for v, n in classes.names.items() if n in names}
        kinds, maps = self._maps(part, kinds_folder), self._maps(part, objects_folder)
        maps = {name: maps[name] for name in maps if name in kinds}
        image_files = {name: image_of(part, name) for name in maps}
        state = [*maps.values(), *(kinds[name] for name in maps)]
        xmls = {n: a for n, a in self.annotations[part.xmls].items() if n in maps}
        state += [annotation.file for annotation in xmls.values()]

        def rows() -> Iterator[dict[str, Any]]:
            number = 1
            for image_id, (name, file) in enumerate(maps.items()):
                objects, size = drawn_objects(file, kinds[name], indices, number)
                number += len(objects)
                if name in xmls:
                    mark_difficult(objects, xmls[name].objects, names)
                path = image_files[name]
                yield {
                    "image": image_cell(path),
                    "image_id": image_id,
                    "file_name": relative(path, part.root),
                    "width": size[1],
                    "height": size[0],
                    "objects": objects_of(objects, masks=task == INSTANCE),
                }

        about = (task, "voc maps", indices, str(part.root), [str(p) for p in image_files.values()])
        return write(rows, features(task, names), state, *about)


def _warn_left_out(lost: Sequence[str], what: str, lack: str) -> None:
    if lost:
        warn(
            f"{len(lost)} {what} are left out, because they have no {lack} ({listing(lost, 3)}).",
            PvzooWarning,
            stacklevel=2,
        )
