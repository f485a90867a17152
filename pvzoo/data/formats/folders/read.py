"""Read folders of classes, and folders of images with masks.

**Classes**: ``class/image.jpg``, with or without splits above (``train/class/image.jpg``). Each
folder of the first level is a class, even if it is empty or has subfolders. If the only folder of
the first level contains folders, as in an unpacked archive, its contents are read as the data.

**Semantic masks**: ``images/`` and ``masks/`` (or labels, annotations, gt), with the splits below
(``images/train``) or above (``train/images``), or ``train`` and ``trainannot``. A mask is a PNG or
another lossless format. It has the name of its image, optionally with ``mask_`` before it or an
ending such as ``_mask`` or ``_labelIds``. It may be in another subfolder than the image if no other
mask has its name. Its values are greys (8 or 16 bit), palette indices or, in RGB,
R + 256 G + 65536 B.

A file beside the two folders tells what the values mean: `pvzoo.data.map_classes`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from pvzoo.data.files import (
    Split,
    entries,
    folders,
    has_images,
    image_cell,
    images,
    is_image,
    listing,
    relative,
    split_name,
)
from pvzoo.data.formats.base import DataSource
from pvzoo.data.map_classes import MapClasses, find_map_classes, unnamed_classes
from pvzoo.data.schema import CLASSIFICATION, SEMANTIC, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset

# --- classes --------------------------------------------------------------------------------------


def class_splits(source: DataSource) -> list[Split]:
    """The splits of folders of classes; none if there are no folders with images."""
    path = source.path
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
        _warn(f"{path}: folders that are not splits with classes are left out: {listing(lost)}.")
    parts = list(split.values())
    return [Split(name, partial(_read_classes, path, f, parts)) for name, f in split.items()]


def wrapped(path: Path) -> Path | None:
    """The only folder, if all the data is in it, as in an unpacked archive; else None.

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
            f"{path} has folders of folders: {listing(f.name for f in tops)}. It is not clear "
            "which level names the classes.",
            f"Point at one of them, such as {tops[0]}. If they are classes, move the images of "
            "their subfolders up into them; if they are splits, call them train, validation and "
            "test.",
        )
    return tops[0]


def _is_of_images(folder: Path) -> bool:
    """Whether a folder has a name such as images, which is not a class (as in YOLO data)."""
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


def mask_splits(source: DataSource) -> list[Split]:
    """The splits of folders of images and masks; none if there are none."""
    path, reduce_labels = source.path, source.reduce_labels
    places = _mask_folders(path)
    for _, masks in places.values():
        found = images(masks)
        if found and all(f.suffix.lower() in _LOSSY for f in found):
            raise DataError(
                f"The masks in {masks} are JPEG files, which change the values of pixels.",
                "Save them as PNG.",
            )

    @cache
    def common() -> MapClasses:
        maps = [f for _, masks in places.values() for f in images(masks) if _is_mask(f)]
        named = find_map_classes(path, maps, reduce_labels=reduce_labels)
        return named or unnamed_classes(path, maps, reduce_labels=reduce_labels)

    def read(image_folder: Path, masks: Path, task: str | None) -> Dataset:
        return semantic_rows(_pairs(image_folder, masks), common(), path)

    return [Split(name, partial(read, *pair)) for name, pair in places.items()]


def _mask_folders(root: Path) -> dict[str | None, tuple[Path, Path]]:
    """The folders of images and of masks of each split."""
    pair = _pair_in(root)
    if pair is not None:
        inputs, masks = (
            {split_name(f.name): f for f in folders(p) if split_name(f.name)} for p in pair
        )
        both = {name: (inputs[name], masks[name]) for name in inputs if name in masks}
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
    image_folder = next((inner[name] for name in _IMAGES if name in inner), None)
    masks = next((inner[n] for n in _MASKS if n in inner and has_images(inner[n])), None)
    return (image_folder, masks) if image_folder and masks else None


def _is_mask(file: Path) -> bool:
    """Whether a file is lossless, and is not one of Cityscapes' other images of masks."""
    further = re.search(r"_(color|instanceIds|labelTrainIds)$", file.stem)
    return file.suffix.lower() not in _LOSSY and not further


def _pairs(image_folder: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Each image with its mask.

    Raises:
        DataError: An image has several masks, or no image has a mask.
    """
    whole_names: dict[str, list[Path]] = defaultdict(list)
    bare_names: dict[str, list[Path]] = defaultdict(list)
    last_names: dict[str, list[Path]] = defaultdict(list)
    for file in images(masks):
        if _is_mask(file):
            name = file.relative_to(masks).with_suffix("").as_posix()
            whole_names[name].append(file)
            bare = _MASK_START.sub("", _MASK_ENDING.sub("", name))
            bare_names[bare].append(file)
            last_names[bare.rsplit("/", 1)[-1]].append(file)
    photos = images(image_folder)
    stems = Counter(image.stem for image in photos)
    found = []
    without = []
    for image in photos:
        name = image.relative_to(image_folder).with_suffix("").as_posix()
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
            f"No image in {image_folder} has a mask in {masks}: there are images such as "
            f"{without[0]!r} and masks such as {over[0]!r}.",
            "Give each mask the name of its image.",
        )
    if without:
        _warn(
            f"{len(without)} images in {image_folder} have no mask in {masks} and are left out "
            f"({listing(without, 3)})."
        )
    if over:
        _warn(
            f"{len(over)} masks in {masks} have no image in {image_folder} and are left out "
            f"({listing(over, 3)})."
        )
    return found


def semantic_rows(pairs: Sequence[tuple[Path, Path]], classes: MapClasses, root: Path) -> Dataset:
    """The semantic dataset of (image, map) pairs."""
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


def _warn(text: str) -> None:
    warn(text, PvzooWarning, stacklevel=3)
