"""Read rows with the columns that all tasks have: image, image_id and file_name."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.columns.classes import are_unique, leaves
from pvzoo.data.columns.source import TaskColumns, is_number, is_text
from pvzoo.data.schema import class_names, features
from pvzoo.inputs.encoded import opened

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

_IMAGE_ID = ("image_id", "img_id", "id")


@dataclass(frozen=True)
class StoredImage:
    """An image that is not decoded: its path, or its bytes if the dataset's file has them."""

    path: str | None
    stored: pa.Buffer | None

    def open(self) -> Any:
        """Something that PIL can open; only the bytes that PIL asks for are read."""
        if self.stored is None:
            return Path(self.path or "")
        return io.BufferedReader(_Stored(memoryview(self.stored).cast("B")))


class _Stored(io.RawIOBase):
    """A file object for bytes, without a copy.

    `pyarrow.BufferReader` cannot be used: some of PIL's readers read lines or go beyond the end
    before they see that a file is not theirs. It then raises errors that PIL does not expect.
    """

    def __init__(self, data: memoryview) -> None:
        self._data, self._place = data, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: len(self._data)}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, target: Any) -> int:
        found = self._data[self._place : self._place + len(target)]
        target[: len(found)] = found
        self._place += len(found)
        return len(found)


@dataclass(frozen=True)
class Rows:
    """A dataset to read row by row.

    Attributes:
        dataset: The dataset; it has an Image column.
        image: The name of that column.
    """

    dataset: Dataset
    image: str

    @classmethod
    def of(cls, dataset: Dataset, image: str) -> Rows:
        """The rows of a dataset; its images may also be paths or bytes."""
        from datasets import Image as ImageColumn

        if dataset.features[image] != ImageColumn():
            dataset = dataset.cast_column(image, ImageColumn())
        return cls(dataset, image)

    def read(
        self, columns: Sequence[str]
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any], StoredImage]]:
        """For each row: its `columns`, its ``image_id`` and ``file_name``, and its image."""
        kinds = self.dataset.features
        ids = (n for n in _IMAGE_ID if is_number(kinds.get(n)))
        id_column = next((n for n in ids if are_unique(self.dataset, (n,))), None)
        name_column = "file_name" if is_text(kinds.get("file_name")) else None
        root = "" if name_column else self._root()
        wanted = [*dict.fromkeys(n for n in (*columns, id_column, name_column) if n)]
        rows = (
            derive.rows(self.dataset, wanted) if wanted else ({} for _ in range(len(self.dataset)))
        )
        for i, (row, image) in enumerate(zip(rows, self._images(), strict=True)):
            name = row[name_column] if name_column else _name(image.path, root)
            head = {
                "image_id": row[id_column] if id_column else i,
                "file_name": name or f"{i:06d}{suffix_of(image.open())}",
            }
            yield row, head, image

    def _images(self) -> Iterator[StoredImage]:
        for table in derive.tables(self.dataset, [self.image]):
            for cells in table[self.image].chunks:  # combining the chunks would copy them
                paths = cells.field("path").to_pylist()
                for path, stored in zip(paths, cells.field("bytes"), strict=True):
                    yield StoredImage(path, stored.as_buffer() if stored.is_valid else None)

    def _root(self) -> str:
        """The common folder of all images, if they are files on this computer; else ""."""
        root = None
        for leaf in leaves(self.dataset, (self.image, "path")):
            for path in leaf.to_pylist():
                if not path or not os.path.isabs(path):
                    return ""
                folder = os.path.dirname(path)
                root = folder if root in (None, folder) else os.path.commonpath([root, folder])
        return root or ""


def build(
    parts: Mapping[str, Dataset],
    source: TaskColumns,
    columns: Features,
    labels: Callable[[Rows], Iterator[dict[str, Any]]],
    *about: Any,
    files: Sequence[str] = (),
    annotation: str | None = None,
) -> dict[str, Dataset]:
    """The canonical dataset of each split.

    Args:
        parts: The splits.
        source: The columns that matter.
        columns: The canonical columns.
        labels: Returns the rows with all canonical columns except images.
        about: What else the labels depend on, beside the dataset.
        files: The image columns whose files the labels depend on.
        annotation: The column of maps to use unchanged as the canonical ``annotation``.
    """
    images = {"image": source.image} | ({"annotation": annotation} if annotation else {})
    built = {}
    for name, part in parts.items():
        rows = Rows.of(part, source.image)
        built[name] = derive.with_labels(
            rows.dataset,
            images,
            columns,
            partial(labels, rows),
            source,
            *about,
            files=derive.image_files(rows.dataset, files),
        )
    return built


def take(parts: Mapping[str, Dataset], names: Mapping[str, str], task: str) -> dict[str, Dataset]:
    """The canonical dataset of each split, for splits that have all columns of the task.

    Args:
        parts: The splits.
        names: Canonical column -> its name in the splits; see `Task.find_columns`.
        task: The task of the columns.
    """

    def heads(rows: Rows) -> Iterator[dict[str, Any]]:
        return (head for _, head, _ in rows.read([]))

    taken = {}
    for name, part in parts.items():
        rows = Rows.of(part, names["image"])
        taken[name] = derive.with_labels(
            rows.dataset,
            names,
            features(task, class_names(part.features)),
            partial(heads, rows),
            dict(names),
        )
    return taken


def suffix_of(source: Any) -> str:
    """The usual suffix for the format in an image's header; ``.png`` if it cannot be read."""
    try:
        with opened(source) as image:
            kind = image.format or "PNG"
    except Exception:  # PIL raises many types for damaged files
        kind = "PNG"
    return {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")


def _name(path: str | None, root: str) -> str:
    """A path as a file name with slashes, relative to the root if there is one."""
    path = path or ""
    if "://" in path:  # "zip://a/b.jpg::https://host/images.zip"
        path = path.partition("://")[2].partition("::")[0]
    elif root:
        path = os.path.relpath(path, root)
    return path.replace(os.sep, "/").lstrip("/")
