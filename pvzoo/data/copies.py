"""The rows of a dataset to be written, and the copies of their images."""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.columns.rows import suffix_of
from pvzoo.data.files import is_file
from pvzoo.data.schema import class_names, task_of
from pvzoo.data.validated import image_of, sound_rows
from pvzoo.errors import DataError, ImageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.sources import SUFFIXES

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Parts:
    """The splits of a canonical dataset.

    Attributes:
        splits: By name; None for a dataset that is not split.
        task: Of all of them.
        names: The classes of all of them.
    """

    splits: Mapping[str | None, Dataset]
    task: str
    names: tuple[str, ...]
    _progress: Callable[[int, int], None] | None

    @classmethod
    def of(
        cls, splits: Mapping[str | None, Dataset], progress: Callable[[int, int], None] | None
    ) -> Parts:
        """Take hold of them.

        Raises:
            DataError: They are not canonical, or differ in task or classes.
        """
        kinds = {task_of(part.features) for part in splits.values()}
        task = kinds.pop() if len(kinds) == 1 else None
        if task is None:
            raise DataError(
                "The dataset does not have the columns of one task.",
                "Make it canonical: pvzoo.data.load(dataset).",
            )
        names = {class_names(part.features) for part in splits.values()}
        if len(names) > 1:
            raise DataError("The splits have different classes.", "Load them together.")
        for name in splits:
            if name is not None and not re.fullmatch(r"\w[\w.-]*", name):
                raise DataError(f"The split {name!r} cannot name a folder.", "Rename it.")
        return cls(splits, task, names.pop(), progress)

    def rows(self, split: str | None) -> Iterator[dict[str, Any]]:
        """The rows of a split as `sound_rows` gives them; says how far it is."""
        part = self.splits[split]
        sizes = {name: len(other) for name, other in self.splits.items()}
        before = sum(list(sizes.values())[: list(sizes).index(split)])
        for i, row in enumerate(sound_rows(part, list(part.features))):
            yield row
            if self._progress is not None:
                self._progress(before + i + 1, sum(sizes.values()))

    @property
    def scored(self) -> bool:
        """Whether the labels are predictions: a column ``scores`` has one for each of a row's."""
        return any("scores" in part.features for part in self.splits.values())

    def file_names(self, split: str | None) -> Iterator[str]:
        """The file names of a split."""
        return (row["file_name"] or "" for row in derive.rows(self.splits[split], ["file_name"]))


class Names:
    """Names for files in a folder: none leaves it, and no two are the same but for the suffix.

    Labels and maps go by the name of their image without its suffix.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are those to come; the folders that all of them are in are left out."""
        folders = {os.path.dirname(_inside(name)) for name in names}
        self._root = os.path.commonpath(folders) if folders and "" not in folders else ""
        self._taken: dict[str, int] = {}  # a stem and the last number tried behind it

    def take(self, name: str, suffix: Callable[[], str]) -> str:
        """A name like this one, with slashes; `suffix` is asked if it has none of an image."""
        inside = _inside(name)
        if self._root:
            inside = os.path.relpath(inside, self._root)
        stem, ending = os.path.splitext(inside)
        if ending.lower() not in SUFFIXES:
            stem, ending = inside or "image", suffix()
        free, number = stem, self._taken.get(stem.casefold(), 1)
        while free.casefold() in self._taken:
            number += 1
            free = f"{stem}-{number}"
        self._taken[stem.casefold()] = number
        self._taken.setdefault(free.casefold(), 1)
        return free + ending


def copy_image(row: Mapping[str, Any], folder: Path, names: Names, name: str | None = None) -> str:
    """Copy the image of a row into a folder, byte for byte.

    Args:
        row: Of a canonical dataset, images not decoded.
        folder: Made where it is missing.
        names: Those of the folder.
        name: By default the row's own.

    Returns:
        The name it got.

    Raises:
        DataError: There is no such image.
    """
    where = image_of(row)
    try:
        data = ImageHandle.of(row["image"]).data
    except ImageError as error:
        raise DataError(f"{where}: {error.what}", error.hint) from error
    if isinstance(data, Path) and not is_file(data):
        raise DataError(f"{where} is not at {data}.", "Restore it, or leave the row out.")
    given = row["file_name"] or "" if name is None else name
    source = io.BytesIO(data) if isinstance(data, bytes) else data
    taken = names.take(given, lambda: suffix_of(source))
    target = folder / taken
    target.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(data, bytes):
        target.write_bytes(data)
    else:
        shutil.copyfile(data, target)
    return taken


def check_size(row: Mapping[str, Any], upright: tuple[int, int]) -> None:
    """Refuse labels whose fractions would be of another frame than the image's.

    `upright` is (0, 0) for an image that cannot be read.

    Raises:
        DataError: Its size is not known, or another.
    """
    size = (row["width"], row["height"])
    if not all(size):
        raise DataError(
            f"The image {row['file_name']} has no known size, which fractions need.",
            "Leave it out, or say its width and height.",
        )
    if all(upright) and size != upright:
        raise DataError(
            f"The labels of {row['file_name']} are of {size[0]} x {size[1]} pixels, but the "
            f"upright image has {upright[0]} x {upright[1]}: their fractions would be wrong.",
            "Run pvzoo.data.check; pvzoo.data.fix turns the labels of images that EXIF rotates.",
        )


def _inside(name: str) -> str:
    """A file name without what would lead out of a folder, or hide the file in it."""
    parts = (part.strip().lstrip(".") for part in re.split(r"[\\/]", name.replace("\0", "")))
    return "/".join(part for part in parts if part and not re.fullmatch(r"[A-Za-z]:", part))
