"""COCO: boxes and masks of objects in a JSON file, images beside it.

``annotations/instances_train2017.json`` with ``train2017/``, Roboflow's
``train/_annotations.coco.json``, and a JSON with its images beside it, in ``images/`` or ``data/``
are all found. Image and annotation ids are kept where they are whole numbers; images without
annotations are images without objects. LVIS, whose images have a ``coco_url`` in the place of a
``file_name``, is read too; its lists of the classes that were looked for are not.

Classes are in the order of their ids in the JSON. An annotation of an undeclared class gets a
number that is no class: counted on from the last class if its id is above all declared ids or in a
gap, and below zero if it is under them. A `PvzooWarning` says the ids of the file.

Masks are in the forms that `pvzoo.data.codes` reads. An object without a mask among others that
have one gets an empty mask.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from pycocotools import mask as pycoco

from pvzoo.data.coco_layout import LABEL_FOLDERS, image_folders, label_files, root_of
from pvzoo.data.codes import compressed, empty_code
from pvzoo.data.files import (
    Split,
    image_cell,
    listing,
    number,
    objects_of,
    quoted,
    read_json,
    side,
    split_in,
    truth,
    upright_size,
    whole,
)
from pvzoo.data.paths import Area, Located
from pvzoo.data.schema import DETECTION, INSTANCE, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset


def splits(path: Path, area: Area) -> list[Split]:
    """The splits of a JSON file or a folder with JSON files; none if it is no COCO data."""
    files = label_files(path, panoptic=False)
    sources = {name: Labels(file, name) for name, file in files.items()}

    @cache
    def common() -> tuple[Classes, str]:
        return Classes(sources.values()), _task(sources.values())

    def read(name: str | None, task: str | None) -> Dataset:
        if task is None:
            _refuse_keypoints(sources[name])
        classes, natural = common()
        chosen = task if task in (DETECTION, INSTANCE) else natural
        return _read(sources[name], classes, chosen, area)

    return [Split(name, partial(read, name)) for name in files]


# --- files ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pictures:
    """The images of a COCO JSON in its order.

    Attributes:
        names: Their file names.
        sized: Whether it says their width and height.
        maps: The names of the PNGs of panoptic labels, of images that have one.
    """

    names: list[str]
    sized: list[bool]
    maps: list[str | None]


class Labels:
    """One COCO JSON, parsed when it is first asked for, and where its images may be."""

    def __init__(self, file: Path, split: str | None) -> None:
        self.file = file
        self._split = split or split_in(file.stem)
        self._content: dict[str, list[Any]] | None = None

    @property
    def content(self) -> dict[str, list[Any]]:
        """Its lists of images, annotations and categories, the entries of which are objects."""
        if self._content is None:
            self._content = self._parse()
        return self._content

    def _parse(self) -> dict[str, list[Any]]:
        content = read_json(self.file)
        if not isinstance(content, dict):
            raise DataError(f"{self.file} is a JSON list, not a COCO object.", _LAYOUT)
        parsed: dict[str, list[Any]] = {}
        if "categories" not in content and "caption" in str(content.get("annotations"))[:10000]:
            raise DataError(
                f"{self.file} has captions, which pvzoo has no task for.",
                "Point at the file with the instances.",
            )
        for key in ("images", "annotations", "categories"):
            entries = content.get(key)
            if not isinstance(entries, list):
                raise DataError(f"{self.file} has no list of {key}.", _LAYOUT)
            for place, entry in enumerate(entries):
                if not isinstance(entry, dict):
                    raise DataError(f"{self.file}: {key}[{place}] is no object.", _LAYOUT)
            parsed[key] = entries
        for image in parsed["images"]:
            if not image.get("file_name") and isinstance(image.get("coco_url"), str):  # LVIS
                image["file_name"] = "/".join(image["coco_url"].split("/")[-2:])
        return parsed

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What reading any split needs of it; each state of the file is parsed for it once.

        The ``categories``, the ids of classes in use (``used``), whether there are ``masks``, and
        where the first ``keypoints`` are, or None.
        """
        from datasets import Features, Value

        kept = write(
            lambda: [{"summary": json.dumps(self._summarise())}],
            Features({"summary": Value("string")}),
            [self.file],
            "coco summary",
            str(self.file),  # which a message may name
        )
        return json.loads(kept[0]["summary"])

    def _summarise(self) -> dict[str, Any]:
        annotations = self.content["annotations"]
        infos = [i for a in annotations if isinstance(i := a.get("segments_info"), list)]
        things = chain(annotations, (s for info in infos for s in info if isinstance(s, dict)))
        posed = (self.where(place) for place, a in enumerate(annotations) if a.get("keypoints"))
        return {
            "categories": self.content["categories"],
            "used": sorted({whole(thing.get("category_id")) for thing in things} - {None}),
            "masks": any(a.get("segmentation") for a in annotations),
            "keypoints": next(posed, None),
        }

    @property
    def root(self) -> Path:
        """The folder that the JSON, or the folder ``annotations`` with it, is in."""
        return root_of(self.file)

    def image_folders(self) -> list[Path]:
        """Where an image may be, the likeliest first."""
        return image_folders(self.file, self._split)

    @cached_property
    def pictures(self) -> Pictures:
        """What each image of the file is called; each state of the file is parsed for it once."""
        from datasets import Features, Value

        kept = write(
            self._name_pictures,
            Features({"name": Value("string"), "sized": Value("bool"), "map": Value("string")}),
            [self.file],
            "coco pictures",
            str(self.file),
        )
        return Pictures(*(kept.data[name].to_pylist() for name in ("name", "sized", "map")))

    def _name_pictures(self) -> Iterator[dict[str, Any]]:
        maps = {}
        for annotation in self.content["annotations"]:
            if isinstance(image := annotation.get("image_id"), (int, float, str)):
                maps.setdefault(image, annotation.get("file_name"))
        for _, image in self.images():
            name, sizes = maps.get(image["id"]), (image.get("width"), image.get("height"))
            yield {
                "name": image["file_name"],
                "sized": all(map(side, sizes)),
                "map": name if isinstance(name, str) and name else None,
            }

    def locate(self, names: Sequence[str], places: Sequence[Path], area: Area) -> list[Located]:
        """Files that it names in folders of its own; see `Area.locate`."""
        apart = (p for p in places if p.name.lower() not in LABEL_FOLDERS)
        expected = next(apart, places[0])
        return area.locate(names, places, str(self.file), expected=expected)

    def images(self) -> list[tuple[int, dict[str, Any]]]:
        """The images with their ids; ids that are no whole numbers are made up.

        Raises:
            DataError: An image has no id or file name, or two have the same id.
        """
        seen = set()
        for place, image in enumerate(self.content["images"]):
            if not isinstance(image.get("file_name"), str) or not image["file_name"]:
                raise DataError(f"{self.file}: images[{place}] has no file_name.", _LAYOUT)
            if not isinstance(image.get("id"), (int, float, str)):
                raise DataError(f"{self.file}: images[{place}] has no id.", _LAYOUT)
            if image["id"] in seen:
                raise DataError(
                    f"{self.file}: two images have the id {quoted(image['id'])}; which one an "
                    "annotation belongs to cannot be told.",
                    "Give each image an id of its own.",
                )
            seen.add(image["id"])
        kept = [whole(image["id"]) for image in self.content["images"]]
        ids = list(range(len(kept))) if None in kept else kept
        return list(zip(ids, self.content["images"], strict=True))

    def by_image(self) -> dict[Any, list[dict[str, Any]]]:
        """The annotations by the ids of their images.

        Those of images that are not in the file are left out, which is said: a part of a dataset
        often comes with all of its annotations.

        Raises:
            DataError: One names no image, or there is none of the images of the file.
        """
        known = {image["id"] for _, image in self.images()}
        found = defaultdict(list)
        lost = []
        for place, annotation in enumerate(self.content["annotations"]):
            image = annotation.get("image_id")
            if not isinstance(image, (int, float, str)):
                raise DataError(f"{self.where(place)} has no image_id.", _LAYOUT)
            if image in known:
                found[image].append(annotation)
            else:
                lost.append(image)
        if lost and known and not found:
            raise DataError(
                f"{self.file}: no annotation is of an image of the file; the first names the image "
                f"{quoted(lost[0])}, and the first image is "
                f"{quoted(self.content['images'][0]['id'])}.",
                "Export it again, with the same ids in both lists.",
            )
        if lost:
            names = listing(map(repr, dict.fromkeys(lost)), 3)
            warn(
                f"{self.file}: {len(lost)} annotations are left out, as their images are not in "
                f"the file (image_id {names}).",
                PvzooWarning,
                stacklevel=2,
            )
        return found

    def where(self, place: int) -> str:
        """An annotation, for a message."""
        name = self.content["annotations"][place].get("id")
        return f"{self.file}: annotations[{place}]" + (f" (id {name})" if name is not None else "")


_LAYOUT = "See cocodataset.org/#format-data for the layout, or export it again."


# --- classes --------------------------------------------------------------------------------------


class Classes:
    """The classes of all the files of a source: the same, in the same order, for each split.

    Of several classes with the same name those without annotations are left out: Roboflow's files
    begin with a class named after the project.

    Attributes:
        ids: In the files, ascending.
        names: In the order of `ids`.
        entries: The declared categories, likewise.
    """

    def __init__(self, sources: Collection[Labels]) -> None:
        declared: dict[int, dict[str, Any]] = {}
        used_in = {source.file: set(source.summary["used"]) for source in sources}
        for source in sources:
            for number_, entry in _categories(source).items():
                other = declared.setdefault(number_, entry)
                if other["name"] != entry["name"]:
                    raise DataError(
                        f"{source.file} names the class {number_} {entry['name']!r}, which is "
                        f"{other['name']!r} in another split.",
                        "Point at one of the files, or give a class the same id in all of them.",
                    )
        for file, ids in used_in.items():
            if undeclared := sorted(ids - declared.keys()):
                warn(
                    f"{file}: the category_id {listing(undeclared)} is not among the categories; "
                    f"their ids are {listing(sorted(declared))}.",
                    PvzooWarning,
                    stacklevel=2,
                )
        used = set().union(*used_in.values())
        last = {entry["name"]: number_ for number_, entry in sorted(declared.items())}
        repeated = {n for n, c in Counter(e["name"] for e in declared.values()).items() if c > 1}
        for name in repeated:
            same = [i for i, entry in declared.items() if entry["name"] == name]
            keep = [i for i in same if i in used] or [last[name]]
            for number_ in set(same) - set(keep):
                del declared[number_]
        self.ids = sorted(declared)
        self.entries = [declared[i] for i in self.ids]
        self.names = [entry["name"] for entry in self.entries]
        self._places = {number_: place for place, number_ in enumerate(self.ids)}

    def place(self, number_: int) -> int:
        """The place of a declared id in `names`; for another one a number that is no place."""
        if number_ in self._places:
            return self._places[number_]
        low, high = min(self._places), max(self._places)
        if number_ < low:
            return max(number_ - low, -(2**63))
        beyond = len(self._places) + (number_ - high - 1 if number_ > high else number_)
        return min(beyond, 2**63 - 1)


def _is_name(value: Any) -> bool:
    """Whether a class can be called so; a number can, but true is what became of a name."""
    return bool(value) if isinstance(value, str) else whole(value) is not None


def _categories(source: Labels) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for place, entry in enumerate(source.summary["categories"]):
        number_, name = whole(entry.get("id")), entry.get("name")
        if number_ is None or not _is_name(name):
            raise DataError(
                f"{source.file}: categories[{place}] has no whole number as id, or no name.",
                _LAYOUT,
            )
        if number_ in found:
            raise DataError(
                f"{source.file}: two categories have the id {number_}.", "Renumber one of them."
            )
        found[number_] = {**entry, "name": str(name)}
    if not found:
        raise DataError(f"{source.file} has no categories.", _LAYOUT)
    return found


# --- rows -----------------------------------------------------------------------------------------


def _task(sources: Iterable[Labels]) -> str:
    """What the labels of all splits are of."""
    return INSTANCE if any(source.summary["masks"] for source in sources) else DETECTION


def _refuse_keypoints(labels: Labels) -> None:
    if where := labels.summary["keypoints"]:
        raise DataError(
            f"{where} has keypoints, which pvzoo has no task for.",
            f'To read the boxes alone pass task="{DETECTION}".',
        )


def _read(labels: Labels, classes: Classes, task: str, area: Area) -> Dataset:
    pictures = labels.pictures
    found = labels.locate(pictures.names, labels.image_folders(), area)
    measured = [f.path for f, sized in zip(found, pictures.sized, strict=True) if not sized]
    rows = partial(_rows, labels, classes, task, found)
    about = (task, "coco", classes.ids, [(str(f.path), f.found) for f in found])
    return write(rows, features(task, classes.names), [labels.file, *measured], *about)


def _rows(
    labels: Labels, classes: Classes, task: str, found: Sequence[Located]
) -> Iterator[dict[str, Any]]:
    by_image = labels.by_image()
    numbers = _annotation_ids(labels)
    positions = {id(a): place for place, a in enumerate(labels.content["annotations"])}
    for (image_id, image), picture in zip(labels.images(), found, strict=True):
        width, height = side(image.get("width")), side(image.get("height"))
        if not width or not height:
            width, height = upright_size(picture.path)
        objects = []
        for annotation in by_image.get(image["id"], ()):
            place = positions[id(annotation)]
            reader = _Annotation(annotation, labels.where(place))
            objects.append({"id": numbers[place], **reader.object(classes, task, (height, width))})
        yield {
            "image": image_cell(picture.path),
            "image_id": image_id,
            "file_name": picture.file_name(labels.root),
            "width": width,
            "height": height,
            "objects": objects_of(objects, masks=task == INSTANCE),
        }


def _annotation_ids(labels: Labels) -> list[int]:
    """The ids of the annotations; counted from 1 if they have none, or some have the same."""
    ids = [whole(a.get("id")) for a in labels.content["annotations"]]
    twice = [i for i, count in Counter(ids).items() if count > 1 and i is not None]
    if twice:
        warn(
            f"{labels.file}: annotations have the same id ({listing(twice)}); they are numbered "
            "anew.",
            PvzooWarning,
            stacklevel=2,
        )
    if twice or None in ids:
        return list(range(1, len(ids) + 1))  # pycocotools takes a match with 0 for none
    return ids


@dataclass(frozen=True)
class _Annotation:
    """One entry of ``annotations``, and how to name it in a message."""

    entry: Mapping[str, Any]
    where: str

    def object(self, classes: Classes, task: str, size: tuple[int, int]) -> dict[str, Any]:
        """What `pvzoo.data.schema` calls an object, but for its id."""
        category = whole(self.entry.get("category_id"))
        if category is None:
            raise DataError(f"{self.where} has no whole number as category_id.", _LAYOUT)
        box = self._box()
        given = self.entry.get("segmentation")
        code = None
        if given and (task == INSTANCE or box is None or self.entry.get("area") is None):
            code = compressed(given, size, self.where)
        if box is None:
            if code is None:
                raise DataError(f"{self.where} has neither bbox nor segmentation.", _LAYOUT)
            box = pycoco.toBbox(code).tolist()
        area = number(self.entry.get("area"))
        if area is None:
            area = float(pycoco.area(code)) if code else box[2] * box[3]
        found = {
            "bbox": box,
            "category": classes.place(category),
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
        if len(numbers) != 4 or None in numbers:
            raise DataError(
                f"{self.where} has the bbox {quoted(given)}.", "A box is left, top, width, height."
            )
        return numbers
