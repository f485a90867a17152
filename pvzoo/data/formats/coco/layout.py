"""Find COCO's files: the JSON of each split, and the folders that its images may be in."""

from __future__ import annotations

import mmap
from pathlib import Path

from pvzoo.data.files import entries, folders, is_utf16, read_text, relative, split_in, split_name
from pvzoo.errors import DataError

LABEL_FOLDERS = ("annotations", "annotation", "labels")
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "data", "jpegimages")


def label_files(path: Path, *, panoptic: bool) -> dict[str | None, Path]:
    """The JSON files of one kind by their splits; if `path` is a file, it has no split.

    Raises:
        DataError: Two files belong to the same split.
    """
    if path.is_file():
        kind = _kind(path) if path.suffix == ".json" else None
        return {None: path} if kind and kind[0] == panoptic else {}
    label_folders = [f for f in folders(path) if f.name.lower() in LABEL_FOLDERS]
    split_folders = [f for f in folders(path) if split_name(f.name)]
    places = [path, *label_folders, *split_folders]
    places += [f for p in split_folders for f in folders(p) if f.name.lower() in LABEL_FOLDERS]
    found = [f for p in places for f in entries(p) if f.suffix == ".json" and f.is_file()]
    kinds = {file: kind for file in found if (kind := _kind(file)) and kind[0] == panoptic}
    # COCO's own folder has keypoints and captions beside the instances
    plain = [f for f, (_, plain) in kinds.items() if plain] or list(kinds)
    chosen: dict[str | None, Path] = {}
    for file in plain:
        names = [file.stem, *(p.name for p in file.parents if p != path and path in p.parents)]
        split = next((s for s in map(split_in, names) if s), None)
        if split in chosen:
            raise DataError(
                f"{path} has two COCO files for "
                f"{f'the split {split}' if split else 'all the data'}: "
                f"{relative(chosen[split], path)} and {relative(file, path)}.",
                "Point at the one you mean, or name them after their splits.",
            )
        chosen[split] = file
    return chosen


def _kind(file: Path) -> tuple[bool, bool] | None:
    """(is it panoptic, does it have objects), judged by its keys; None if it is not COCO."""
    if file.stat().st_size == 0:
        return None
    if is_utf16(file):
        return _kind_of(read_text(file).encode())
    with file.open("rb") as opened:
        text = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
        with text:
            return _kind_of(text)


def _kind_of(text: mmap.mmap | bytes) -> tuple[bool, bool] | None:
    if any(text.find(f'"{k}"'.encode()) < 0 for k in ("images", "annotations")):
        return None
    captions = text.find(b'"caption"') >= 0 and text.find(b'"category_id"') < 0
    if text.find(b'"categories"') < 0 and not captions:
        return None
    plain = not (captions or text.find(b'"keypoints"') >= 0)
    return text.find(b'"segments_info"') >= 0, plain


def root_of(file: Path) -> Path:
    """The folder of a JSON, or the one above if the JSON is in ``annotations``."""
    inside = file.parent.name.lower() in LABEL_FOLDERS
    return file.parent.parent if inside else file.parent


def image_folders(file: Path, split: str | None) -> list[Path]:
    """The folders that the images of a JSON may be in, the likeliest first."""
    here, root, stem = file.parent, root_of(file), file.stem
    places = dict.fromkeys([here, root])
    inner = [f for p in places for f in folders(p)]
    inner += [g for f in inner if f.name.lower() in _IMAGE_FOLDERS for g in folders(f)]

    def rank(folder: Path) -> int:
        name = folder.name.lower()
        if stem.lower().endswith((f"_{name}", f"-{name}")):  # train2017 for instances_train2017
            return 0
        if split and split_in(name) == split:
            return 1
        return 3 if name in _IMAGE_FOLDERS else 4

    other = {f for f in inner if split_in(f.name) not in (None, split)}
    likely = sorted((f for f in inner if f not in other), key=rank)
    first = [f for f in likely if rank(f) < 2]
    first += [g for f in first for g in folders(f) if g.name.lower() in _IMAGE_FOLDERS]
    return list(dict.fromkeys([here, *first, root, *likely]))
