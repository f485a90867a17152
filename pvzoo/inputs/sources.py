"""Convert what `Model.stream` accepts to an iterable of images."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sized
from itertools import chain
from pathlib import Path
from typing import Any

from pvzoo.errors import UsageError
from pvzoo.inputs.names import expand
from pvzoo.inputs.video import Video, video_of

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
)
"""Suffixes of the files in a folder that count as images."""


def images_of(source: Any) -> Iterable[Any]:
    """The images of a folder, a glob pattern, a dataset, a video or any other iterable.

    A `Video` is returned for the file of a video, for the address of one, and for the number of a
    camera.

    For a folder, these are its image files and those of its subfolders, in the order of names;
    hidden files (whose name begins with a dot, such as the ``._photo.jpg`` of macOS) are left out.
    For a pattern, these are all files that match.

    Raises:
        UsageError: The source is none of these, or the folder or pattern has no images.
    """
    if (video := video_of(source)) is not None:
        return video
    if isinstance(source, Path):
        return _folder(source)
    if isinstance(source, str):
        return _folder_or_pattern(source)
    if _is_a(source, "datasets", "Dataset", "IterableDataset"):
        return _image_column(source)
    if _is_a(source, "datasets.arrow_dataset", "Column") or _is_a(
        source, "datasets.iterable_dataset", "IterableColumn"
    ):
        return _column(source.source, source.column_name)
    if _is_one_image(source) or not isinstance(source, Iterable):
        raise UsageError(
            f"stream does not take a single {type(source).__name__}.",
            "Use model.predict for one image, or pass a folder, a pattern or an iterable.",
        )
    if isinstance(source, dict):
        keys = ", ".join(map(repr, list(source)[:5]))
        raise UsageError(
            f"stream does not take a {type(source).__name__} (its keys: {keys}).",
            "Pass one of its values, such as splits['test'].",
        )
    return source


def count_of(source: Any, images: Iterable[Any]) -> int | None:
    """The number of images, if it can be known before they are read; else None.

    That of the frames of a video is what its file states, and may be wrong by a few.

    Args:
        source: The argument of `images_of`.
        images: What `images_of` returned.
    """
    if isinstance(images, Video):
        return None if images.live else images.facts()[1]
    for thing in (images, source):
        if isinstance(thing, Sized) and not isinstance(thing, str):
            try:
                return len(thing)
            except TypeError:  # torch datasets may have a __len__ that fails
                continue
    return None


def _is_one_image(source: Any) -> bool:
    """Whether it is one image that Python would iterate by lines, rows or channels."""
    if isinstance(source, bytes | bytearray | memoryview) or hasattr(source, "read"):
        return True
    if isinstance(source, dict):
        return {"bytes", "path"} <= set(source)
    return getattr(source, "ndim", 4) in (2, 3) and (
        _is_a(source, "numpy", "ndarray") or _is_a(source, "torch", "Tensor")
    )


def _is_a(source: Any, module: str, *names: str) -> bool:
    """Whether it is an instance of another library's class; does not import the library."""
    found = sys.modules.get(module)
    kinds = tuple(getattr(found, name) for name in names if hasattr(found, name))
    return isinstance(source, kinds)


# --- files ----------------------------------------------------------------------------------------


_WINDOWS_NAME = 123
"""Windows' error for a name with characters that it forbids, such as ``*``."""


def stands_for_several(text: str) -> bool:
    """Whether a text names a folder, or is a glob pattern and not the name of a file."""
    path = expand(Path(text))
    is_pattern = glob.has_magic(text) and not os.path.exists(path)
    return not _is_address(text) and (os.path.isdir(path) or is_pattern)


def _is_address(text: str) -> bool:
    start = text[:32].lower()
    return "://" in start or start.startswith("data:")


def _folder_or_pattern(text: str) -> Iterable[Any]:
    if _is_address(text):
        raise UsageError(
            f"stream does not take the single address of an image ({text[:200]}).",
            "Use model.predict for one image, or pass a list of addresses.",
        )
    if not text.strip():
        raise UsageError("The name of the folder is empty.", "Pass '.' for the current folder.")
    path = expand(Path(text))
    try:
        path.stat()
        exists = True
    except (FileNotFoundError, NotADirectoryError):
        exists = False
    except (OSError, ValueError) as error:  # too long, or with a null character
        if getattr(error, "winerror", None) != _WINDOWS_NAME:
            raise UsageError(
                f"{text[:200]!r} is not a folder or pattern ({str(error)[:60]}).",
                "Check the path.",
            ) from error
        exists = False
    return _folder(path) if exists or not glob.has_magic(text) else _glob(str(path))


def _folder(folder: Path) -> Iterable[Any]:
    folder = expand(folder)
    if folder.is_file() and folder.suffix.lower() not in SUFFIXES:
        return Video(folder)
    if folder.is_file():
        raise UsageError(
            f"{folder} is a file, not a folder.", "Use model.predict for one image, or a list."
        )
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder.", f"Check the path (the current folder is {Path.cwd()})."
        )
    files = _walk(folder)
    first = next(files, None)
    if first is None:
        raise UsageError(
            f"{folder} has no image files ({', '.join(sorted(SUFFIXES))}).", "Check the path."
        )
    return chain([first], files)


def _walk(folder: Path) -> Iterator[Path]:
    """Image files in the order of sorted paths; one folder is listed at a time."""
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name)
        elif Path(entry.name).suffix.lower() in SUFFIXES and entry.is_file():
            yield folder / entry.name


def _glob(pattern: str) -> list[Path]:
    files = sorted({path for p in _matches(pattern) if (path := Path(p)).is_file()})
    if not files:
        raise UsageError(
            f"No file matches {pattern!r}.",
            f"Check the pattern (the current folder is {Path.cwd()}).",
        )
    return files


def _matches(pattern: str) -> Iterator[str]:
    """Like `glob.glob`, but ``**`` enters each folder only once, because links may lead back."""
    anywhere = re.search(r"(^|[\\/])\*\*([\\/]|$)", pattern)
    if anywhere is None:
        yield from glob.glob(pattern)
        return
    head, tail = pattern[: anywhere.end(1)], pattern[anywhere.end() :] or "*"
    seen = set()
    for start in glob.glob(head) if head else [""]:
        for here, inner, _ in os.walk(start or os.curdir, followlinks=True):
            folder = os.stat(here)
            if (folder.st_dev, folder.st_ino) in seen:
                inner.clear()
                continue
            seen.add((folder.st_dev, folder.st_ino))
            inner[:] = [name for name in inner if not name.startswith(".")]
            yield from _matches(os.path.join(glob.escape(here), tail))


# --- datasets -------------------------------------------------------------------------------------


def _image_column(dataset: Any) -> Iterable[Any]:
    import datasets

    features = dataset.features or {}
    columns = [n for n, f in features.items() if isinstance(f, datasets.Image)]
    if len(columns) != 1:
        found = ", ".join(columns) or "none"
        raise UsageError(
            f"The dataset has {len(columns)} image columns ({found}); stream needs exactly one.",
            "Pass the column itself: dataset['image'].",
        )
    return _column(dataset, columns[0])


def _column(dataset: Any, name: str) -> Iterable[Any]:
    """The images of a column, still encoded if they are.

    pvzoo then decodes them in threads, and a damaged image raises an `ImageError` with its index
    instead of PIL's error from inside `datasets`.
    """
    import datasets

    whole = isinstance(dataset, datasets.Dataset | datasets.IterableDataset)
    feature = (dataset.features or {}).get(name) if whole else None  # else a column of a column
    if not isinstance(feature, datasets.Image) or _is_transformed(dataset):
        return _values(dataset, name)
    plain = dataset.with_format(None).cast_column(name, datasets.Image(decode=False))
    return _values(plain, name)


def _is_transformed(dataset: Any) -> bool:
    """Whether the images come from the user's own function (`set_transform`)."""
    return isinstance(getattr(dataset, "format", None), dict) and dataset.format["type"] == "custom"


def _values(dataset: Any, name: str) -> Iterator[Any]:
    yield from dataset[name]
