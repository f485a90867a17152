"""Read COCO panoptic: a JSON with the classes of the segments in PNG maps.

The maps are in a folder with the name of the JSON, in a folder of the right split beside it, or
beside the JSON itself. If a thing class and a stuff class have the same name, the stuff class gets
another one, such as ``"grass (stuff)"``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from pvzoo.data.files import Split, folders, image_cell, listing, number, truth, whole
from pvzoo.data.formats.base import DataSource
from pvzoo.data.formats.coco.classes import CocoClasses
from pvzoo.data.formats.coco.file import Labels
from pvzoo.data.formats.coco.layout import label_files
from pvzoo.data.paths import Area, Located
from pvzoo.data.schema import PANOPTIC, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset


def splits(source: DataSource) -> list[Split]:
    """The splits of a JSON file or a folder with JSON files; none if it is not panoptic."""
    files = label_files(source.path, panoptic=True)
    sources = {name: Labels(file, name) for name, file in files.items()}

    @cache
    def classes() -> CocoClasses:
        return CocoClasses(sources.values())

    def read(name: str | None, task: str | None) -> Dataset:
        return _read(sources[name], classes(), source.area)

    return [Split(name, partial(read, name)) for name in files]


def _read(labels: Labels, classes: CocoClasses, area: Area) -> Dataset:
    from datasets import List, Value

    things = _things(labels, classes)
    twice = {name for name, count in Counter(classes.names).items() if count > 1}
    names = [
        f"{name} (stuff)" if name in twice and not thing else name
        for name, thing in zip(classes.names, things, strict=True)
    ]
    image_names = labels.image_names
    indices, maps = _folders(labels)
    found = labels.locate(image_names.names, indices, area)
    drawn = iter(labels.locate([name for name in image_names.maps if name], maps, area))
    pairs = [
        (f, next(drawn) if name else None) for f, name in zip(found, image_names.maps, strict=True)
    ]
    columns = features(PANOPTIC, names)
    columns["areas"] = List(Value("int64"))
    about = [(str(f.path), f.found, m and str(m.path)) for f, m in pairs]
    return write(
        lambda: _rows(labels, classes, things, pairs),
        columns,
        [labels.file],
        "coco panoptic",
        classes.ids,
        about,
    )


def _things(labels: Labels, classes: CocoClasses) -> list[bool]:
    for entry in classes.entries:
        if entry.get("isthing") not in (0, 1):
            raise DataError(
                f"{labels.file}: the category {entry['name']!r} has no isthing of 0 or 1.",
                'Write "isthing": 1 for a thing, or 0 for stuff.',
            )
    return [bool(entry["isthing"]) for entry in classes.entries]


def _folders(labels: Labels) -> tuple[list[Path], list[Path]]:
    """The folders that images may be in, and those that maps may be in, the likeliest first."""
    places = labels.image_folders()
    maps = [f for p in (labels.file.parent, labels.root) for f in folders(p)]
    maps = [f for f in maps if f.name == labels.file.stem or "panoptic" in f.name.lower()]
    maps = sorted(dict.fromkeys(maps), key=lambda f: f.name != labels.file.stem)
    images = [p for p in places if p not in maps]
    return images, [*maps, labels.file.parent, *reversed(images)]


def _rows(
    labels: Labels,
    classes: CocoClasses,
    things: Sequence[bool],
    pairs: Sequence[tuple[Located, Located | None]],
) -> Iterator[dict[str, Any]]:
    by_image = labels.by_image()
    without = []
    for (image_id, image), (located, drawn) in zip(labels.images(), pairs, strict=True):
        annotations = by_image.get(image["id"], [])
        if not annotations:
            without.append(image["file_name"])
            continue
        where = f"{labels.file}: the annotation of the image {image['id']!r}"
        if len(annotations) > 1:
            raise DataError(
                f"{labels.file}: the image {image['id']!r} has {len(annotations)} annotations.",
                "Keep one annotation per image.",
            )
        if drawn is None:
            raise DataError(f"{where} has no file_name.", "Add the name of the PNG of segments.")
        yield {
            "image": image_cell(located.path),
            "image_id": image_id,
            "file_name": located.file_name(labels.root),
            "annotation": image_cell(drawn.path),
            "segments": _segments(annotations[0], classes, things, where),
            "areas": [_area(info) for info in annotations[0]["segments_info"]],
        }
    if without:
        warn(
            f"{labels.file}: {len(without)} images have no annotation and are left out "
            f"({listing(without, 3)}).",
            PvzooWarning,
            stacklevel=2,
        )


def _area(info: dict[str, Any]) -> int | None:
    """The area of a segment in pixels, as the file has it; None if it is not such a number."""
    area = number(info.get("area"))
    return round(area) if area is not None and 0 <= area < 2**63 else None


def _segments(
    annotation: dict[str, Any], classes: CocoClasses, things: Sequence[bool], where: str
) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {"id": [], "category": [], "isthing": [], "iscrowd": []}
    infos = annotation.get("segments_info")
    if not isinstance(infos, list):
        raise DataError(f"{where} has no list segments_info.", "Export it again.")
    for index, info in enumerate(infos):
        info = info if isinstance(info, dict) else {}
        number, category = whole(info.get("id")), whole(info.get("category_id"))
        if number is None or category is None:
            raise DataError(
                f"{where}: id and category_id of segments_info[{index}] are not whole numbers.",
                "Export it again.",
            )
        category = classes.index(category)
        lists["id"].append(number)
        lists["category"].append(category)
        lists["isthing"].append(0 <= category < len(things) and things[category])
        lists["iscrowd"].append(
            truth(info.get("iscrowd"), f"{where}: segments_info[{index}]", "iscrowd")
        )
    return lists
