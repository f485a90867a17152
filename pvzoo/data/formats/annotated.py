"""Convert images with shapes and tags, from files of annotation tools, to rows of a dataset.

A tool's reader makes an `Annotated` for each image. The task is instance segmentation if any shape
is a polygon or a mask, classification if there are tags but no shapes, and otherwise object
detection. Boxes, areas and masks are computed from shapes in the same way as for COCO.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pycocotools import mask as pycoco

from pvzoo.data.files import Split, image_cell, objects_of, upright_size
from pvzoo.data.paths import Area, Located
from pvzoo.data.rle import outline_box, polygon_code
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, features
from pvzoo.data.store import write
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Shape:
    """One shape in an image: a box, a polygon or a mask.

    Attributes:
        label: Its class.
        where: Its name in messages.
        box: Left, top, width, height in pixels.
        polygon: x1, y1, x2, y2, ... in pixels.
        code: COCO's compressed run-length code.
    """

    label: str
    where: str
    box: tuple[float, float, float, float] | None = None
    polygon: tuple[float, ...] | None = None
    code: Mapping[str, Any] | None = None

    def object(self, size: tuple[int, int], task: str) -> dict[str, Any]:
        """The box, area and mask of the shape in an image of (height, width)."""
        if self.box is not None and task == DETECTION:
            return {"bbox": list(self.box), "area": self.box[2] * self.box[3]}
        outline = self.polygon
        if self.box is not None:
            left, top, width, height = self.box
            right, bottom = left + width, top + height
            outline = (left, top, right, top, right, bottom, left, bottom)
        code = self.code or polygon_code([outline or ()], size, self.where)
        if self.box is not None:
            box = list(self.box)
        else:
            box = outline_box([self.polygon]) if self.polygon else pycoco.toBbox(code).tolist()
        found = {"bbox": box, "area": float(pycoco.area(code))}
        return found | ({"segmentation": code} if task == INSTANCE else {})


@dataclass(frozen=True)
class Annotated:
    """An image with its annotations.

    Attributes:
        name: Its path, as written in the file.
        size: (height, width) in pixels; zeros if the file does not have them.
        shapes: The shapes in the image.
        tags: The classes of the whole image.
        split: Its split, or None if there are no splits.
        other: The kinds of shapes that pvzoo does not read, such as "keypoints".
    """

    name: str
    size: tuple[int, int]
    shapes: tuple[Shape, ...] = ()
    tags: tuple[str, ...] = ()
    split: str | None = None
    other: tuple[str, ...] = ()


@dataclass(frozen=True)
class Annotations:
    """The images in the files of an annotation tool.

    Attributes:
        title: The name of the format in messages.
        source: The file or folder that was read.
        files: All files that contain labels.
        root: The folder that file names are relative to.
        images: The images.
        names: The classes in their order; () for the classes in use, in alphabetical order.
        area: The files that the labels may name.
    """

    title: str
    source: Path
    files: Sequence[Path]
    root: Path
    images: Sequence[Annotated]
    names: Sequence[str]
    area: Area

    @cached_property
    def natural(self) -> str:
        """The task that the labels belong to."""
        shapes = [shape for image in self.images for shape in image.shapes]
        if any(shape.box is None for shape in shapes):
            return INSTANCE
        tagged = any(image.tags for image in self.images)
        return CLASSIFICATION if tagged and not shapes else DETECTION

    def classes(self, task: str) -> list[str]:
        """The names of the classes for a task."""
        if self.names:
            return list(self.names)
        if task == CLASSIFICATION:
            used = {tag for image in self.images for tag in image.tags}
        else:
            used = {shape.label for image in self.images for shape in image.shapes}
        return sorted(used)

    def splits(self, folders: Mapping[str | None, Sequence[Path]]) -> list[Split]:
        """The splits; `folders` has the possible folders of their images, the likeliest first."""
        return [
            Split(name, partial(self._read, name, folders[name]))
            for name in dict.fromkeys(image.split for image in self.images)
        ]

    def _read(self, split: str | None, folders: Sequence[Path], task: str | None) -> Dataset:
        chosen = task if task in (CLASSIFICATION, DETECTION, INSTANCE) else self.natural
        if task is None:
            self._refuse_others()
        images = [image for image in self.images if image.split == split]
        texts = [image.name for image in images]
        found = self.area.locate(texts, folders, str(self.source))
        names = self.classes(chosen)
        tagged = any(len(image.tags) > 1 for image in self.images)
        multi_label = chosen == CLASSIFICATION and tagged
        columns = features(chosen, names, multi_label=multi_label)
        return write(
            lambda: self._rows(images, found, names, chosen, multi_label),
            columns,
            [*self.files, *(f.path for f, p in zip(found, images, strict=True) if 0 in p.size)],
            *(chosen, self.title, split, [(str(f.path), f.found) for f in found]),
        )

    def _refuse_others(self) -> None:
        others = sorted({kind for image in self.images for kind in image.other})
        if others:
            raise DataError(
                f"{self.source} ({self.title}) has {', '.join(others)}, which pvzoo does not read.",
                f'To read everything else, pass the task, such as task="{self.natural}".',
            )

    def _rows(
        self,
        images: Sequence[Annotated],
        found: Sequence[Located],
        names: Sequence[str],
        task: str,
        multi_label: bool,
    ) -> Iterator[dict[str, Any]]:
        indices = {name: index for index, name in enumerate(names)}
        numbers = itertools.count(1)  # from 1: pycocotools takes a match with 0 as no match
        for image_id, (image, at) in enumerate(zip(images, found, strict=True)):
            labels = (
                _tagged(image, indices, multi_label)
                if task == CLASSIFICATION
                else _drawn(image, at, indices, task, numbers)
            )
            name = at.file_name(self.root)
            yield {"image": image_cell(at.path), "image_id": image_id, "file_name": name} | labels


def _tagged(image: Annotated, indices: Mapping[str, int], multi_label: bool) -> dict[str, Any]:
    tags = [indices[tag] for tag in dict.fromkeys(image.tags)]
    return {"labels": tags} if multi_label else {"label": tags[0] if tags else None}


def _drawn(
    image: Annotated, at: Located, indices: Mapping[str, int], task: str, numbers: Iterator[int]
) -> dict[str, Any]:
    height, width = image.size
    if not height or not width:
        width, height = upright_size(at.path)
    objects = [
        {"id": next(numbers), "category": indices[shape.label], "iscrowd": False, "ignore": False}
        | shape.object((height, width), task)
        for shape in image.shapes
    ]
    listed = {"objects": objects_of(objects, masks=task == INSTANCE)}
    return {"width": width, "height": height} | listed
