"""Find the columns of a dataset that matter, and the task that they belong to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data import derive
from pvzoo.data.files import listing
from pvzoo.data.maps import open_map
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, PANOPTIC, SEMANTIC
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, Features

BOX = ("bbox", "bboxes", "boxes", "box")
CLASS = (
    *("category", "categories", "category_id", "category_ids", "label", "labels", "class"),
    *("classes", "class_id", "class_ids", "class_label", "label_id", "category_name", "name"),
)
MASK = ("segmentation", "segmentations", "polygon", "polygons", "rle", "mask", "masks")
ID = ("id", "ids", "bbox_id", "object_id", "annotation_id")
CROWD = ("iscrowd", "is_crowd", "crowd")
IGNORE = ("ignore", "difficult", "is_difficult")
THING = ("isthing", "is_thing")

_IMAGE = (
    *("image", "img", "picture", "photo", "pixel_values", "image_path", "img_path", "path"),
    *("file_path", "filepath", "image_file", "file_name", "filename", "file"),
)
_MAP = re.compile(r"mask|seg|label|annot|ground.?truth|^gt$", re.IGNORECASE)
_OBJECTS = ("objects", "annotations", "annotation", "boxes", "bboxes", "faces", "instances")
_LABEL = re.compile(r"(^|_)(labels?|class|classes|category|target)$", re.IGNORECASE)

_NEEDED = (
    "image-classification needs `label`, object-detection `objects` with `bbox` and `category`, "
    "instance-segmentation `segmentation` in `objects` too, semantic-segmentation a second image "
    "`annotation`, panoptic-segmentation that and `segments_info`. Rename columns with "
    "dataset.rename_column(old, new)."
)


Way = tuple[str, *tuple[str | None, ...]]
"""The way to values in Arrow: a column, then None to enter a list, a name to enter a struct."""


@dataclass(frozen=True)
class Records:
    """The columns with the things in an image: a struct of lists, a list of structs, or lists.

    Attributes:
        column: The column of the struct or list; None if each field is a column of lists.
        fields: The type of the values of each field.
        listed: Whether the column is a list of structs.
    """

    column: str | None
    fields: Mapping[str, Any]
    listed: bool = False

    def first(self, names: Sequence[str]) -> str | None:
        """The first of these fields that exists."""
        return next((name for name in names if name in self.fields), None)

    def category(self) -> str | None:
        """The field with the class; fields with names are preferred to fields of numbers."""
        for kind in (is_class, is_text, is_number):
            for name in CLASS:
                if name in self.fields and kind(self.fields[name]):
                    return name
        return None

    def number(self) -> str | None:
        """The field with the id of each thing."""
        return next((n for n in ID if n in self.fields and is_number(self.fields[n])), None)

    def lists(
        self, row: Mapping[str, Any], fields: Sequence[str], where: str
    ) -> dict[str, list[Any]]:
        """Some fields of the things in a row; messages call the row `where`.

        Raises:
            DataError: One of the things is null.
        """
        value: Any = row if self.column is None else row[self.column]
        if self.listed:
            if None in (value or ()):
                raise DataError(
                    f"{where}: {self.column}[{value.index(None)}] is null.", "Remove or fill it."
                )
            return {name: [thing[name] for thing in value or ()] for name in fields}
        return {name: (value or {}).get(name) or [] for name in fields}

    @property
    def columns(self) -> list[str]:
        """The columns that hold the fields."""
        return list(self.fields) if self.column is None else [self.column]

    def path(self, field: str) -> Way:
        """The way to the values of a field."""
        if self.column is None:
            return (field, None)
        return (self.column, None, field) if self.listed else (self.column, field, None)


@dataclass(frozen=True)
class TaskColumns:
    """The columns of a dataset that matter, and the task that they belong to."""

    task: str
    image: str
    label: str | None = None
    records: Records | None = None
    map: str | None = None

    @classmethod
    def of(cls, dataset: Dataset, task: str | None) -> TaskColumns:
        """Find the columns; the first map is read to find its kind.

        If the columns fit several tasks, `task` decides; if they do not fit `task`, it has no
        effect.

        Raises:
            DataError: The columns fit no task, or several.
        """
        columns = dataset.features
        image = _image_column(columns)
        objects, segments = _objects(columns), _records(columns, "segments_info")
        map_ = _map_column(columns, image, task)
        found: dict[str, TaskColumns] = {}
        if objects and objects.first(MASK):
            found[INSTANCE] = cls(INSTANCE, image, records=objects)
        if objects and objects.first(BOX):
            found[DETECTION] = cls(DETECTION, image, records=objects)
        if map_ and segments:
            found[PANOPTIC] = cls(PANOPTIC, image, map=map_, records=segments)
        elif map_ and not objects:
            kind = task if task in (INSTANCE, SEMANTIC) else _kind_of_map(dataset, map_)
            found[kind] = cls(kind, image, map=map_)
        label = None
        if task == CLASSIFICATION or not found:
            label = _label_column(columns)
        elif task is None and any(other.map for other in found.values()):
            label = next(iter(_plain_labels(columns)), None)
        if label:
            found[CLASSIFICATION] = cls(CLASSIFICATION, image, label=label)
        if task in found:
            return found[task]
        kinds = [kind for kind in found if kind != DETECTION or INSTANCE not in found]
        if len(kinds) == 1:
            return found[kinds[0]]
        there = listing((f"{n} ({_kind_name(k)})" for n, k in columns.items()), 20)
        if kinds:
            raise DataError(
                f"The columns can be read as {' and as '.join(kinds)}: {there}.", "Pass the task."
            )
        raise DataError(f"The columns do not fit any task: {there}.", _NEEDED)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that matter."""
        named = [self.image, self.label, self.map]
        if self.records is not None:
            named += self.records.columns
        return tuple(dict.fromkeys(name for name in named if name))

    @property
    def naming(self) -> tuple[str, ...]:
        """The columns that are enough to find all classes."""
        apart = (self.image, self.map if self.task == PANOPTIC else None)
        return tuple(name for name in self.columns if name not in apart)


# --- kinds of columns -----------------------------------------------------------------------------


def is_class(kind: Any) -> bool:
    """Whether a type is ClassLabel."""
    from datasets import ClassLabel

    return isinstance(kind, ClassLabel)


def is_number(kind: Any) -> bool:
    """Whether a type is whole numbers."""
    from datasets import Value

    return isinstance(kind, Value) and re.match(r"u?int\d", kind.dtype) is not None


def is_text(kind: Any) -> bool:
    """Whether a type is text."""
    from datasets import Value

    return isinstance(kind, Value) and "string" in kind.dtype


def item(kind: Any) -> Any:
    """The type of a list's items; None if the type is not a list."""
    from datasets import LargeList, List

    return kind.feature if isinstance(kind, List | LargeList) else None


def is_grey(pixels: np.ndarray) -> bool:
    """Whether (height, width, 3 or 4) pixels have no colour."""
    return bool((pixels[..., :1] == pixels[..., 1:3]).all())


def _is_stored(kind: Any) -> bool:
    return isinstance(kind, dict) and set(kind) == {"bytes", "path"}


def _kind_name(kind: Any) -> str:
    return "struct" if isinstance(kind, dict) else str(getattr(kind, "dtype", type(kind).__name__))


def paths_apart(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """The (column, path) of images that a dataset has by path only, not in its file."""
    from datasets import Image

    kinds = dataset.features
    images = [name for name, kind in kinds.items() if isinstance(kind, Image)]
    for name in images or [name for name in _IMAGE if name in kinds]:
        if not (name in images or _is_stored(kinds[name]) or is_text(kinds[name])):
            continue
        for table in derive.tables(dataset, [name]):
            for cells in table[name].chunks:
                if not is_text(kinds[name]):
                    cells = cells.field("path").filter(cells.field("bytes").is_null())
                yield from ((name, path) for path in cells.to_pylist() if path)


# --- finding them ---------------------------------------------------------------------------------


def _image_column(columns: Features) -> str:
    from datasets import Image

    images: list[str] = [name for name, kind in columns.items() if isinstance(kind, Image)]
    if "image" in images:
        return "image"
    likely = [name for name in images if not _MAP.search(name)] or images
    likely = [name for name in likely if name in _IMAGE] or likely
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise DataError(
            f"There are several image columns: {', '.join(likely)}.",
            f'Rename the right one: dataset.rename_column("{likely[0]}", "image").',
        )
    for name in _IMAGE:
        kind = columns.get(name)
        if (
            _is_stored(kind)
            or is_text(kind)
            or getattr(kind, "dtype", None) in ("binary", "large_binary")
        ):
            return name
    raise DataError(
        f"There is no image column among {', '.join(columns) or 'no columns at all'}.",
        'Add a column of paths or bytes, then dataset.cast_column("image", datasets.Image()).',
    )


def _label_column(columns: Features) -> str | None:
    """The column of classes for classification."""
    plain = _plain_labels(columns)
    other = [name for name, kind in columns.items() if is_class(item(kind) or kind)]
    found = (
        plain
        or other
        or [name for name in columns if _LABEL.search(name) and _names_class(columns[name])]
    )
    if len(found) > 1:
        raise DataError(
            f"Several columns name a class: {', '.join(found)}.",
            f'Keep one: dataset.remove_columns("{found[1]}").'
            if plain
            else f'Rename the right one: dataset.rename_column("{found[0]}", "label").',
        )
    return found[0] if found else None


def _plain_labels(columns: Features) -> list[str]:
    return [n for n in ("label", "labels") if n in columns and _names_class(columns[n])]


def _names_class(kind: Any) -> bool:
    """Whether a column of this type, or of lists of it, can be of classes."""
    kind = item(kind) or kind
    return is_class(kind) or is_number(kind) or is_text(kind)


def _map_column(columns: Features, image: str, task: str | None) -> str | None:
    from datasets import Image

    images = [n for n, kind in columns.items() if isinstance(kind, Image) and n != image]
    likely = [name for name in images if _MAP.search(name)]
    if task in (INSTANCE, SEMANTIC, PANOPTIC):
        likely = likely or images
    if len(likely) > 1 and "annotation" not in likely:
        raise DataError(
            f"Several image columns may be the map of labels: {', '.join(likely)}.",
            f'Rename the right one: dataset.rename_column("{likely[0]}", "annotation").',
        )
    return "annotation" if "annotation" in likely else next(iter(likely), None)


def _records(columns: Features, name: str) -> Records | None:
    kind = columns.get(name)
    if isinstance(kind, dict):
        return Records(name, {k: item(v) for k, v in kind.items() if item(v) is not None})
    if isinstance(item(kind), dict):
        return Records(name, item(kind), listed=True)
    return None


def _objects(columns: Features) -> Records | None:
    for name in _OBJECTS:
        found = _records(columns, name)
        if found and (found.first(BOX) or found.first(MASK)):
            return found
    lists = {name: item(kind) for name, kind in columns.items() if item(kind) is not None}
    apart = Records(None, lists)
    return apart if apart.first(BOX) and apart.category() else None


def _kind_of_map(dataset: Dataset, column: str) -> str:
    """Whether maps have classes, or classes and instances, judged by the first row."""
    if len(dataset) == 0:
        return SEMANTIC
    cell = next(derive.rows(dataset, [column]))[column]
    pixels = np.asarray(open_map(cell, f"Row 0: the {column}"))
    if pixels.ndim < 3 or pixels.shape[2] < 3 or is_grey(pixels):
        return SEMANTIC
    if (pixels[..., 2] == 0).all():
        return INSTANCE
    raise DataError(
        f"Row 0: the {column} is a colour image, and it is not known what the colours mean.",
        "Save maps as grey or palette PNGs of class ids.",
    )
