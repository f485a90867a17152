"""Read COCO: boxes and masks of objects in a JSON file, with the images beside it.

These layouts are found: ``annotations/instances_train2017.json`` with ``train2017/``, Roboflow's
``train/_annotations.coco.json``, and a JSON with images beside it, in ``images/`` or in ``data/``.
Image and annotation ids are kept if they are whole numbers. Images without annotations are images
without objects. LVIS, whose images have a ``coco_url`` instead of a ``file_name``, is read too, but
without its lists of the classes that annotators looked for.

Classes are in the order of their ids in the JSON. An annotation of an undeclared class gets a class
id out of range: after the last class if its id is above all declared ids or in a gap, and below
zero if its id is below them. A `PvzooWarning` names the ids of the file.

Masks have the forms that `pvzoo.data.rle` reads. If only some objects have masks, the others get an
empty mask.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from warnings import warn

from pycocotools import mask as pycoco

from pvzoo.data.files import (
    Split,
    image_cell,
    listing,
    number,
    objects_of,
    quoted,
    side,
    truth,
    upright_size,
    whole,
)
from pvzoo.data.formats.base import DataSource
from pvzoo.data.formats.coco.classes import CocoClasses
from pvzoo.data.formats.coco.file import LAYOUT, Labels
from pvzoo.data.formats.coco.layout import label_files
from pvzoo.data.paths import Area, Located
from pvzoo.data.rle import compressed, empty_code
from pvzoo.data.schema import DETECTION, INSTANCE, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset


def splits(source: DataSource) -> list[Split]:
    """The splits of a JSON file or a folder with JSON files; none if it is not COCO data."""
    files = label_files(source.path, panoptic=False)
    sources = {name: Labels(file, name) for name, file in files.items()}

    @cache
    def common() -> tuple[CocoClasses, str]:
        return CocoClasses(sources.values()), _task(sources.values())

    def read(name: str | None, task: str | None) -> Dataset:
        if task is None:
            _refuse_keypoints(sources[name])
        classes, natural = common()
        chosen = task if task in (DETECTION, INSTANCE) else natural
        return _read(sources[name], classes, chosen, source.area)

    return [Split(name, partial(read, name)) for name in files]


def _task(sources: Iterable[Labels]) -> str:
    """The task that the labels of all splits belong to."""
    return INSTANCE if any(source.summary["masks"] for source in sources) else DETECTION


def _refuse_keypoints(labels: Labels) -> None:
    if where := labels.summary["keypoints"]:
        raise DataError(
            f"{where} has keypoints, which pvzoo has no task for.",
            f'To read only the boxes, pass task="{DETECTION}".',
        )


def _read(labels: Labels, classes: CocoClasses, task: str, area: Area) -> Dataset:
    image_names = labels.image_names
    found = labels.locate(image_names.names, labels.image_folders(), area)
    measured = [f.path for f, sized in zip(found, image_names.sized, strict=True) if not sized]
    rows = partial(_rows, labels, classes, task, found)
    about = (task, "coco", classes.ids, [(str(f.path), f.found) for f in found])
    return write(rows, features(task, classes.names), [labels.file, *measured], *about)


def _rows(
    labels: Labels, classes: CocoClasses, task: str, found: Sequence[Located]
) -> Iterator[dict[str, Any]]:
    by_image = labels.by_image()
    numbers = _annotation_ids(labels)
    positions = {id(a): index for index, a in enumerate(labels.content["annotations"])}
    for (image_id, image), located in zip(labels.images(), found, strict=True):
        width, height = side(image.get("width")), side(image.get("height"))
        if not width or not height:
            width, height = upright_size(located.path)
        objects = []
        for annotation in by_image.get(image["id"], ()):
            index = positions[id(annotation)]
            reader = _Annotation(annotation, labels.where(index))
            objects.append({"id": numbers[index], **reader.object(classes, task, (height, width))})
        yield {
            "image": image_cell(located.path),
            "image_id": image_id,
            "file_name": located.file_name(labels.root),
            "width": width,
            "height": height,
            "objects": objects_of(objects, masks=task == INSTANCE),
        }


def _annotation_ids(labels: Labels) -> list[int]:
    """The ids of the annotations; counted from 1 if some have no id, or the same id."""
    annotations = labels.content["annotations"]
    ids = [i for a in annotations if (i := whole(a.get("id"))) is not None]
    twice = [i for i, count in Counter(ids).items() if count > 1]
    if twice:
        warn(
            f"{labels.file}: several annotations have the same id ({listing(twice)}); all get new "
            "ids.",
            PvzooWarning,
            stacklevel=2,
        )
    if twice or len(ids) < len(annotations):
        return list(range(1, len(annotations) + 1))  # pycocotools takes a match with 0 as no match
    return ids


@dataclass(frozen=True)
class _Annotation:
    """One entry of ``annotations``, and its name in messages."""

    entry: Mapping[str, Any]
    where: str

    def object(self, classes: CocoClasses, task: str, size: tuple[int, int]) -> dict[str, Any]:
        """The object of `pvzoo.data.schema` for this entry, without its id."""
        category = whole(self.entry.get("category_id"))
        if category is None:
            raise DataError(f"{self.where} has no category_id that is a whole number.", LAYOUT)
        box = self._box()
        given = self.entry.get("segmentation")
        code = None
        if given and (task == INSTANCE or box is None or self.entry.get("area") is None):
            code = compressed(given, size, self.where)
        if box is None:
            if code is None:
                raise DataError(f"{self.where} has neither bbox nor segmentation.", LAYOUT)
            box = pycoco.toBbox(code).tolist()
        area = number(self.entry.get("area"))
        if area is None:
            area = float(pycoco.area(code)) if code else box[2] * box[3]
        found = {
            "bbox": box,
            "category": classes.index(category),
            "area": area,
            "iscrowd": truth(self.entry.get("iscrowd"), self.where, "iscrowd"),
            "ignore": truth(self.entry.get("ignore"), self.where, "ignore"),
        }
        if task == INSTANCE:
            found["segmentation"] = code or empty_code(size, self.where)
        return found

    def _box(self) -> list[float] | None:
        given = self.entry.get("bbox")
        if given is None or given == []:
            return None
        numbers = [number(v) for v in given] if isinstance(given, list) else []
        sides = [n for n in numbers if n is not None]
        if len(numbers) != 4 or len(sides) != 4:
            raise DataError(
                f"{self.where} has the bbox {quoted(given)}.", "Write [left, top, width, height]."
            )
        return sides
