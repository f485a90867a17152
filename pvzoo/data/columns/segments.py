"""Convert maps of classes and of segments to canonical semantic and panoptic data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data import derive
from pvzoo.data.columns.classes import MOST_CLASSES, ColumnClasses, Naming
from pvzoo.data.columns.rows import Rows, build
from pvzoo.data.columns.source import CROWD, THING, Records, TaskColumns, is_grey
from pvzoo.data.columns.values import CLASS_TO_ID, said_names, seen_values, warn_of_numbers
from pvzoo.data.files import truth
from pvzoo.data.map_classes import is_grey_scale, named_by_value, seen_in, with_white
from pvzoo.data.maps import encode_grey, open_map, values_of
from pvzoo.data.schema import PANOPTIC, SEMANTIC, SEMANTIC_VOID, VOID, VOID_NAMES, features
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset
    from PIL import Image


def semantic(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: TaskColumns,
    column: str,
    names: Sequence[str] | None,
    reduce_labels: bool,
) -> dict[str, Dataset]:
    """The splits with a canonical `annotation`, and the same `segments` in every row.

    The maps are in `column`. Grey and palette maps are used as they are. RGB maps are rewritten if
    all their pixels are grey, or if they have classes in red and instances in green. Classes with a
    name in `schema.VOID_NAMES` are void. If the classes have no names, they are named after the
    values that occur. `pvzoo.data.map_classes` tells what 255 means.

    Raises:
        DataError: A map cannot be read or has colours, or it is not clear what 255 means.
    """
    known = said_names(naming, names, reduce_labels)
    source_of_names = "names" if names is not None else f"the column {CLASS_TO_ID}"
    first = next((part for part in parts.values() if len(part)), None)
    declared = first is not None and CLASS_TO_ID in first.features
    coloured = first is not None and _is_coloured(first, column)

    def values(image: Image.Image, name: str) -> np.ndarray:
        if not coloured:
            return values_of(image, name)
        pixels = np.asarray(image.convert("RGB"))
        if not declared and not is_grey(pixels):
            raise DataError(
                f"{name} is in colours, and it is not known what the colours mean.",
                "Save maps as grey or palette PNGs of class ids.",
            )
        return pixels[..., 0]

    def seen(cell: Any, name: str) -> set[int]:
        image = open_map(cell, name)
        return seen_in(image, values(image, name))

    if known is None:
        known = named_by_value(seen_values(naming, column, seen))
        if len(known) > MOST_CLASSES:
            raise DataError(
                f"The {column} has {len(known)} values, too many for classes.",
                "Save maps as grey or palette PNGs of class ids.",
            )
        known = {value: name for value, name in known.items() if value > 0 or not reduce_labels}
        warn_of_numbers(known)
    elif SEMANTIC_VOID not in known:
        void_names = {0: "void"} if reduce_labels else {}
        found = seen_values(naming, column, seen, enough=is_grey_scale)
        known = with_white(void_names | known, found, source_of_names)
    void = {value for value, name in known.items() if name.lower() in VOID_NAMES}
    void |= {0} if reduce_labels else set()
    classes = dict.fromkeys(known[value] for value in sorted(known.keys() - void))
    indices = {name: index for index, name in enumerate(classes)}
    ids = sorted(known.keys() | void)
    category = [VOID if value in void else indices[known[value]] for value in ids]
    meaning = {"id": ids, "category": category}
    rewritten = [column] if coloured else []

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        for i, (row, head, _) in enumerate(rows.read(rewritten)):
            if coloured:
                name = f"Row {i}: the {column}"
                pixels = values(open_map(row[column], name), name)
                head["annotation"] = {"path": None, "bytes": encode_grey(pixels)}
            yield head | {"segments": meaning}

    columns = features(SEMANTIC, [*classes])
    as_it_is = None if coloured else column
    return build(parts, source, columns, labels, meaning, files=rewritten, annotation=as_it_is)


def _is_coloured(dataset: Dataset, column: str) -> bool:
    cell = next(derive.rows(dataset, [column]))[column]
    return len(open_map(cell, f"Row 0: the {column}").getbands()) >= 3


def panoptic(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: TaskColumns,
    records: Records,
    names: Sequence[str] | None,
) -> dict[str, Dataset]:
    """The splits with the map as `annotation` and canonical `segments`, made from `records`.

    Raises:
        DataError: The segments have no id or category.
    """
    number, category = records.number(), records.category()
    if number is None or category is None:
        raise DataError(
            f"The segments have no id or category, only {', '.join(records.fields)}.",
            "Give each segment an id, which is its value in the map, and a category_id.",
        )
    thing, crowd = records.first(THING), records.first(CROWD)
    classes = ColumnClasses.of(naming, records.path(category), records.fields[category], names)
    if thing is None:
        warnings.warn(
            "The segments have no isthing, so all of them are taken as things.",
            PvzooWarning,
            stacklevel=4,
        )

    def flags(values: Sequence[Any], row: int, name: str) -> list[bool]:
        return [truth(v, f"Row {row}, segment {index}", name) for index, v in enumerate(values)]

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        fields = [name for name in (number, category, thing, crowd) if name]
        for i, (row, head, _) in enumerate(rows.read(records.columns)):
            lists = records.lists(row, fields, f"Row {i}")
            count = len(lists[number])
            if None in lists[number] or {len(v) for v in lists.values()} != {count}:
                raise DataError(
                    f"Row {i}: a segment lacks one of {', '.join(fields)}.",
                    "Give each segment all of them.",
                )
            segments = {
                "id": lists[number],
                "category": [classes.index(value) for value in lists[category]],
                "isthing": flags(lists[thing], i, thing) if thing else [True] * count,
                "iscrowd": flags(lists[crowd], i, crowd) if crowd else [False] * count,
            }
            yield head | {"segments": segments}

    columns = features(PANOPTIC, classes.names)
    return build(parts, source, columns, labels, annotation=source.map)
