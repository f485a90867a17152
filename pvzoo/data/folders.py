"""Folders of images whose places are their labels: folders of classes, and images with masks.

**Classes**: ``class/image.jpg``, with the splits above (``train/class/image.jpg``) or not. A class
is a folder of the first level, also when it has folders in it or is empty; but where that level is
a single folder of folders, as archives unpack to, the data is what is in it.

**Semantic masks**: ``images/`` and ``masks/`` (or labels, annotations, gt), with the splits below
(``images/train``) or above (``train/images``), or ``train`` and ``trainannot``. A mask has the
name of its image, with or without ``mask_`` before it or an ending such as ``_mask`` or
``_labelIds``, and is a PNG or another format without loss; it may be in another subfolder than the
image where no other has its name. Its values are greys (8 or 16 bit), palette indices or, in RGB,
R + 256 G + 65536 B.

The names of the values are in a file beside the two folders:

| file | contents |
| --- | --- |
| ``classes.txt``, ``labels.txt``, ``class_names.txt`` | a name a line, the first of the value 0 (-1 if it is ``__ignore__``, as labelme writes it) |
| ``id2label.json``, ``label_map.json``, ``labels.json``, ``classes.json`` | a list of names, or an object from values to names or names to values |
| ``classes.csv``, ``class_dict.csv``, ``labels.csv`` | columns name, r, g, b |
| ``labelmap.txt`` | CVAT's ``name:r,g,b::`` |

Masks in RGB need one with colours; in others a file with colours counts the values by its lines.
A value named void, unlabeled, unlabelled or ignore is void. Without a file the values are the
names, which is said in a `PvzooWarning`; 255 is void then, unless 0 and 255 are all there is.
"""  # noqa: E501

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

import numpy as np
from PIL import Image

from pvzoo.data.files import (
    Split,
    entries,
    folders,
    has_images,
    image_cell,
    images,
    is_image,
    listing,
    read_json,
    read_text,
    relative,
    split_name,
    whole,
)
from pvzoo.data.maps import read_map
from pvzoo.data.schema import CLASSIFICATION, SEMANTIC, SEMANTIC_VOID, VOID, VOID_NAMES, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset

# --- classes --------------------------------------------------------------------------------------


def class_splits(path: Path) -> list[Split]:
    """The splits of folders of classes; none if there are no folders with images."""
    tops = [f for f in folders(path) if has_images(f)]
    named = {split_name(f.name): f for f in tops if split_name(f.name)}
    split = {name: f for name, f in named.items() if any(map(has_images, folders(f)))}
    if not split:
        classes = any(f not in named.values() and not _is_of_images(f) for f in tops)
        return [Split(None, partial(_read_classes, path, None, [path]))] if classes else []
    if all(_is_of_images(g) for f in split.values() for g in folders(f) if has_images(g)):
        return []
    lost = [relative(f, path) for f in tops if f not in split.values()]
    if lost:
        _warn(f"{path}: left out, as no split with folders of classes: {listing(lost)}.")
    parts = list(split.values())
    return [Split(name, partial(_read_classes, path, f, parts)) for name, f in split.items()]


def wrapped(path: Path) -> Path | None:
    """The one folder in which all of the data is, as where an archive was unpacked; else None.

    Raises:
        DataError: There are several folders, and each holds its images in folders of its own.
    """
    tops = [f for f in folders(path) if has_images(f)]
    if any(split_name(f.name) or _is_of_images(f) for f in tops):
        return None
    if not tops or any(is_image(f.name) for top in tops for f in entries(top)):
        return None
    if len(tops) > 1:
        raise DataError(
            f"{path} has folders of folders: {listing(f.name for f in tops)}. Which level is that "
            "of the classes cannot be told.",
            f"Point at one of them, such as {tops[0]}. If they are the classes, move the images "
            "of each up into it; if they are splits, call them train, validation and test.",
        )
    return tops[0]


def _is_of_images(folder: Path) -> bool:
    """Whether it has the name of a folder of images of any class, as beside YOLO's labels."""
    return folder.name.lower() in _IMAGES


def _read_classes(
    root: Path, part: Path | None, parts: Sequence[Path], task: str | None
) -> Dataset:
    classes = [f for p in parts for f in folders(p) if has_images(f) or not entries(f)]
    names = sorted({f.name for f in classes})
    found = [
        (image, label)
        for label, name in enumerate(names)
        for image in images((part or root) / name)
    ]

    def rows() -> Iterator[dict[str, Any]]:
        for image_id, (image, label) in enumerate(found):
            yield {
                "image": image_cell(image),
                "image_id": image_id,
                "file_name": relative(image, root),
                "label": label,
            }

    files = [image for image, _ in found]
    return write(rows, features(CLASSIFICATION, names), files, "folders", str(root))


# --- images and masks -----------------------------------------------------------------------------

_IMAGES = ("images", "image", "imgs", "img", "jpegimages", "leftimg8bit")
_MASKS = (
    "masks",
    "mask",
    "labels",
    "label",
    "annotations",
    "annotation",
    "gt",
    "gtfine",
    "segmentations",
    "segmentation",
)
_BESIDE = ("annot", "_annot", "_labels", "_masks", "_mask", "_gt")  # train and trainannot
_IMAGE_ENDING = re.compile(r"[_-](leftImg8bit|image|img|rgb)$", re.IGNORECASE)
_MASK_ENDING = re.compile(
    r"[_-](gtFine_labelIds|labelIds|labels?|masks?|gt|seg|segmentation|annotation|L)$",
    re.IGNORECASE,
)
_MASK_START = re.compile(r"(?<![^/])masks?[_-]", re.IGNORECASE)
_LOSSY = frozenset({".jpg", ".jpeg", ".jpe", ".jfif"})


def mask_splits(path: Path, *, reduce_labels: bool) -> list[Split]:
    """The splits of folders of images and masks; none if there are none."""
    places = _mask_folders(path)
    for _, masks in places.values():
        found = images(masks)
        if found and all(f.suffix.lower() in _LOSSY for f in found):
            raise DataError(
                f"The masks in {masks} are JPEG files, in which values are not kept.",
                "Save them as PNG.",
            )

    @cache
    def common() -> MapClasses:
        maps = [f for _, masks in places.values() for f in images(masks) if _is_mask(f)]
        named = find_map_classes(path, maps, reduce_labels=reduce_labels)
        return named or unnamed_classes(path, maps, reduce_labels=reduce_labels)

    def read(pictures: Path, masks: Path, task: str | None) -> Dataset:
        return semantic_rows(_pairs(pictures, masks), common(), path)

    return [Split(name, partial(read, *pair)) for name, pair in places.items()]


def _mask_folders(root: Path) -> dict[str | None, tuple[Path, Path]]:
    """Where the images and the masks of each split are."""
    pair = _pair_in(root)
    if pair is not None:
        pictures, masks = (
            {split_name(f.name): f for f in folders(p) if split_name(f.name)} for p in pair
        )
        both = {name: (pictures[name], masks[name]) for name in pictures if name in masks}
        return {**both} or {None: pair}
    found: dict[str | None, tuple[Path, Path]] = {}
    for folder in folders(root):
        name = split_name(folder.name)
        if name is None:
            continue
        beside = [root / (folder.name + ending) for ending in _BESIDE]
        pair = _pair_in(folder) or next(((folder, b) for b in beside if b.is_dir()), None)
        if pair is not None and any(map(is_image, (f.name for f in images(pair[1])))):
            found[name] = pair
    return found


def _pair_in(folder: Path) -> tuple[Path, Path] | None:
    inner = {f.name.lower(): f for f in folders(folder)}
    pictures = next((inner[name] for name in _IMAGES if name in inner), None)
    masks = next((inner[n] for n in _MASKS if n in inner and has_images(inner[n])), None)
    return (pictures, masks) if pictures and masks else None


def _is_mask(file: Path) -> bool:
    """Whether it is not one of the further pictures of masks that Cityscapes has."""
    return not re.search(r"_(color|instanceIds|labelTrainIds)$", file.stem)


def _pairs(pictures: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Each image with its mask.

    Raises:
        DataError: An image has several masks, or none has one.
    """
    whole_names: dict[str, list[Path]] = defaultdict(list)
    bare_names: dict[str, list[Path]] = defaultdict(list)
    last_names: dict[str, list[Path]] = defaultdict(list)
    for file in images(masks):
        if file.suffix.lower() not in _LOSSY and _is_mask(file):
            name = file.relative_to(masks).with_suffix("").as_posix()
            whole_names[name].append(file)
            bare = _MASK_START.sub("", _MASK_ENDING.sub("", name))
            bare_names[bare].append(file)
            last_names[bare.rsplit("/", 1)[-1]].append(file)
    photos = images(pictures)
    stems = Counter(image.stem for image in photos)
    found = []
    without = []
    for image in photos:
        name = image.relative_to(pictures).with_suffix("").as_posix()
        bare = _IMAGE_ENDING.sub("", name)
        choice = whole_names.get(name) or bare_names.get(name) or bare_names.get(bare) or []
        if not choice and stems[image.stem] == 1 and len(last_names[image.stem]) == 1:
            choice = last_names[image.stem]  # in another subfolder
        if len(choice) > 1:
            raise DataError(
                f"{image} has several masks: {listing(f.name for f in choice)}.",
                "Keep one of them.",
            )
        if choice:
            found.append((image, choice[0]))
        else:
            without.append(name)
    used = {mask for _, mask in found}
    over = [f.name for files in whole_names.values() for f in files if f not in used]
    if not found and without and over:
        raise DataError(
            f"No image in {pictures} has a mask in {masks}: there are images such as "
            f"{without[0]!r} and masks such as {over[0]!r}.",
            "Give each mask the name of its image.",
        )
    if without:
        _warn(
            f"{len(without)} images in {pictures} have no mask in {masks} and are left out "
            f"({listing(without, 3)})."
        )
    if over:
        _warn(
            f"{len(over)} masks in {masks} have no image in {pictures} and are left out "
            f"({listing(over, 3)})."
        )
    return found


def semantic_rows(pairs: Sequence[tuple[Path, Path]], classes: MapClasses, root: Path) -> Dataset:
    """The semantic dataset of pairs of an image and a map."""
    segments = classes.segments()

    def rows() -> Iterator[dict[str, Any]]:
        for image_id, (image, mask) in enumerate(pairs):
            yield {
                "image": image_cell(image),
                "image_id": image_id,
                "file_name": relative(image, root),
                "annotation": image_cell(mask),
                "segments": segments,
            }

    files = [file for pair in pairs for file in pair]
    about = ("masks", str(root), repr(segments))
    return write(rows, features(SEMANTIC, classes.labels), files, *about)


# --- what the values of a map mean ----------------------------------------------------------------

_NAMES_FILES = (
    "classes.txt",
    "labels.txt",
    "class_names.txt",
    "id2label.json",
    "label_map.json",
    "labels.json",
    "classes.json",
    "classes.csv",
    "class_dict.csv",
    "labels.csv",
    "labelmap.txt",
)
_HOW = "Write a classes.csv beside the folders, with the columns name,r,g,b."


@dataclass(frozen=True)
class MapClasses:
    """The names of the values of semantic maps, void ones included."""

    names: Mapping[int, str]

    @property
    def labels(self) -> list[str]:
        """The classes, each once, without void."""
        return list(dict.fromkeys(n for n in self.names.values() if not _is_void(n)))

    def segments(self) -> dict[str, list[int]]:
        """The column `segments` of `pvzoo.data.schema`."""
        place = {name: number for number, name in enumerate(self.labels)}
        return {
            "id": list(self.names),
            "category": [place.get(name, VOID) for name in self.names.values()],
        }


def _is_void(name: str) -> bool:
    return name.lower() in VOID_NAMES


def find_map_classes(root: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses | None:
    """What a file in the root says about the values of these maps; None if there is none.

    Args:
        root: Where to look.
        maps: All of them; the first one shows whether they are in RGB.
        reduce_labels: Whether 0 is void, and the first name of the file that of the value 1.

    Raises:
        DataError: The file is damaged, or has no colours while the maps are in RGB.
    """
    file = next((root / name for name in _NAMES_FILES if (root / name).is_file()), None)
    if file is None:
        return None
    names, colours = _read_names(file)
    if maps and _is_rgb(maps[0]):
        if not colours:
            raise DataError(
                f"{maps[0]} is in RGB, and {file} says no colours for the classes.", _HOW
            )
        return MapClasses(colours)
    if reduce_labels:
        names = {0: "void"} | {value + 1: name for value, name in names.items()}
    return MapClasses(names)


def unnamed_classes(where: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses:
    """Classes named after the values that are in the maps; each state of these is read once."""
    from datasets import Features, Value

    kept = write(
        lambda: ({"value": value} for value in _values_in(maps)),
        Features({"value": Value("int64")}),
        maps,
        "values of maps",
    )
    values = set(kept["value"])
    if values != {0, SEMANTIC_VOID}:  # a mask in black and white
        values -= {SEMANTIC_VOID}
    _warn(
        f"{where} does not name the classes of its masks; they are called by their values. Write "
        "the names into a classes.txt there, a line each, beginning with that of the value 0."
    )
    names = {value: str(value) for value in sorted(values)}
    return MapClasses(names | {0: "void"} if reduce_labels else names)


def _values_in(maps: Sequence[Path]) -> list[int]:
    values: set[int] = set()
    for file in maps:
        if _is_rgb(file):
            raise DataError(
                f"{file} is in RGB, and nothing says which class a colour stands for.", _HOW
            )
        values.update(np.unique(read_map(image_cell(file), str(file))).tolist())
    return sorted(values)


def _is_rgb(file: Path) -> bool:
    try:
        with Image.open(file) as opened:
            return opened.mode in ("RGB", "RGBA")
    except Exception:  # the check names it
        return False


def _read_names(file: Path) -> tuple[dict[int, str], dict[int, str]]:
    """The names by values, and by colours as R + 256 G + 65536 B where the file has them."""
    if file.suffix == ".json":
        return _json_names(file), {}
    if file.suffix == ".csv":
        rows = csv.DictReader(read_text(file).splitlines(), skipinitialspace=True)
        table = [{str(k).strip().lower(): v for k, v in row.items()} for row in rows]
        items = [(row.get("name"), [row.get(c) for c in "rgb"]) for row in table]
        return _coloured(file, items)
    lines = [line.strip() for line in read_text(file).splitlines()]
    if file.name == "labelmap.txt":
        fields = [line.split(":") for line in lines if line and not line.startswith("#")]
        return _coloured(file, [(f[0], f[1].split(",") if len(f) > 1 else []) for f in fields])
    names = [line for line in lines if line]
    if not names:
        raise DataError(f"{file} is empty.", "Write the name of a class a line.")
    first = -1 if names[0] == "__ignore__" else 0
    return {v: name for v, name in enumerate(names, first) if v >= 0}, {}


def _coloured(
    file: Path, items: Iterable[tuple[str | None, Sequence[Any]]]
) -> tuple[dict[int, str], dict[int, str]]:
    names, colours = {}, {}
    for place, (name, colour) in enumerate(items):
        try:
            red, green, blue = map(int, colour)
        except (TypeError, ValueError):
            red = green = blue = -1
        if not name or not all(0 <= v <= 255 for v in (red, green, blue)):
            raise DataError(
                f"{file}: the class number {place + 1} ({name}) has no colour.",
                "It has a name and three numbers r, g, b from 0 to 255.",
            )
        names[place] = name.strip()
        colours[red + 256 * green + 65536 * blue] = name.strip()
    if not names:
        raise DataError(f"{file} has no classes.", "Its columns are name,r,g,b.")
    return names, colours


def _json_names(file: Path) -> dict[int, str]:
    content = read_json(file)
    if isinstance(content, dict) and isinstance(content.get("id2label"), dict):
        content = content["id2label"]
    if isinstance(content, list):
        content = dict(enumerate(content))
    if isinstance(content, dict) and content:
        pairs = list(content.items())
        if all(whole(value) is not None for _, value in pairs):  # from names to values
            pairs = [(value, name) for name, value in pairs]
        if all(_value(v) is not None and isinstance(name, str) for v, name in pairs):
            return dict(sorted((_value(v), name) for v, name in pairs))
    raise DataError(
        f"{file} does not name values.",
        'Write {"0": "background", "1": "road"}, or a list of names.',
    )


def _value(text: Any) -> int | None:
    """A number that a pixel can be (`pvzoo.data.maps.read_map`); None for anything else."""
    try:
        value = int(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if -(2**31) <= value < 2**31 else None


def _warn(text: str) -> None:
    warn(text, PvzooWarning, stacklevel=3)
