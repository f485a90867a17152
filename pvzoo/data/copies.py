"""Read the rows of a dataset that is written to a folder, and copy their images."""

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
        splits: The splits by name; the name is None for a dataset without splits.
        task: The task of all splits.
        names: The classes of all splits.
    """

    splits: Mapping[str | None, Dataset]
    task: str
    names: tuple[str, ...]
    _progress: Callable[[int, int], None] | None

    @classmethod
    def of(
        cls, splits: Mapping[str | None, Dataset], progress: Callable[[int, int], None] | None
    ) -> Parts:
        """Check that the splits are canonical and agree.

        Raises:
            DataError: The splits are not canonical, or differ in task or classes.
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
                raise DataError(
                    f"The split name {name!r} cannot be the name of a folder.", "Rename the split."
                )
        return cls(splits, task, names.pop(), progress)

    def rows(self, split: str | None) -> Iterator[dict[str, Any]]:
        """The rows of a split, from `sound_rows`; calls the progress function after each."""
        part = self.splits[split]
        sizes = {name: len(other) for name, other in self.splits.items()}
        before = sum(list(sizes.values())[: list(sizes).index(split)])
        for i, row in enumerate(sound_rows(part, list(part.features))):
            yield row
            if self._progress is not None:
                self._progress(before + i + 1, sum(sizes.values()))

    @property
    def scored(self) -> bool:
        """Whether the labels are predictions: there is a column ``scores``, with a score each."""
        return any("scores" in part.features for part in self.splits.values())

    def file_names(self, split: str | None) -> Iterator[str]:
        """The file names of a split."""
        return (row["file_name"] or "" for row in derive.rows(self.splits[split], ["file_name"]))


class Names:
    """Names for files in a folder. They stay in the folder, and differ in more than the suffix.

    Labels and maps have the name of their image with another suffix.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        """`names` are all names to come; the folders that they have in common are left out."""
        folders = {os.path.dirname(_inside(name)) for name in names}
        self._root = os.path.commonpath(folders) if folders and "" not in folders else ""
        self._taken: dict[str, int] = {}  # stem -> the last number tried after it

    def take(self, name: str, suffix: Callable[[], str]) -> str:
        """A free name like this one, with slashes.

        `suffix` returns the suffix to add if the name does not have the suffix of an image.
        """
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
        row: A row of a canonical dataset, its image not decoded.
        folder: The folder to copy to; created if it is missing.
        names: The names in that folder.
        name: The name to give the copy; by default the file name in the row.

    Returns:
        The name of the copy.

    Raises:
        DataError: The image is missing.
    """
    where = image_of(row)
    try:
        data = ImageHandle.of(row["image"]).data
    except ImageError as error:
        raise DataError(f"{where}: {error.what}", error.hint) from error
    if isinstance(data, Path) and not is_file(data):
        raise DataError(f"{where} is missing at {data}.", "Restore it, or leave the row out.")
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
    """Refuse labels that belong to another size than the image's: their fractions would be wrong.

    `upright` is the (width, height) of the upright image; (0, 0) if it cannot be read.

    Raises:
        DataError: The size in the labels is missing, or differs from the image's.
    """
    size = (row["width"], row["height"])
    if not all(size):
        raise DataError(
            f"The width and height of the image {row['file_name']} are not known, but the format "
            "needs them.",
            "Leave the image out, or set its width and height.",
        )
    if all(upright) and size != upright:
        raise DataError(
            f"The labels of {row['file_name']} are for {size[0]} x {size[1]} pixels, but the "
            f"upright image has {upright[0]} x {upright[1]}: fractions would be wrong.",
            "Run pvzoo.data.check; pvzoo.data.fix turns the labels of images that EXIF rotates.",
        )


def _inside(name: str) -> str:
    """A file name without the parts that lead out of a folder, and without leading dots."""
    parts = (part.strip().lstrip(".") for part in re.split(r"[\\/]", name.replace("\0", "")))
    return "/".join(part for part in parts if part and not re.fullmatch(r"[A-Za-z]:", part))
