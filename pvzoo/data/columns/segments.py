"""Maps of classes and of segments -> canonical semantic and panoptic data."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data import derive
from pvzoo.data.columns.classes import MOST_CLASSES, Classes, Naming
from pvzoo.data.columns.rows import Rows, build
from pvzoo.data.columns.source import CROWD, THING, Source, is_grey
from pvzoo.data.columns.values import CLASS_TO_ID, said_names, seen_values, warn_of_numbers
from pvzoo.data.files import truth
from pvzoo.data.maps import encode_grey, open_map, values_of
from pvzoo.data.schema import PANOPTIC, SEMANTIC, SEMANTIC_VOID, VOID, VOID_NAMES, features
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset


def semantic(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: Source,
    names: Sequence[str] | None,
    reduce_labels: bool,
) -> dict[str, Dataset]:
    """The splits with a canonical `annotation`, and the same `segments` in every row.

    Grey and palette maps are used as they are. Those saved in colours are written anew if they
    are grey in truth, or have classes as red and instances as green. Classes with one of
    `schema.VOID_NAMES` are void. Where nothing names the classes they are the values that occur,
    but for 255, unless the maps are of 0 and 255 alone.

    Raises:
        DataError: A map cannot be read, or has colours.
    """
    known = said_names(naming, names, reduce_labels)
    first = next((part for part in parts.values() if len(part)), None)
    declared = first is not None and CLASS_TO_ID in first.features
    coloured = first is not None and _is_coloured(first, source.map)

    def values(cell: Any, name: str) -> np.ndarray:
        picture = open_map(cell, name)
        if not coloured:
            return values_of(picture, name)
        pixels = np.asarray(picture.convert("RGB"))
        if not declared and not is_grey(pixels):
            raise DataError(
                f"{name} is in colours, which do not say what they stand for.",
                "Save maps as grey or palette PNG of class ids.",
            )
        return pixels[..., 0]

    def unique(cell: Any, name: str) -> set[int]:
        return set(np.unique(values(cell, name)).tolist())

    if known is None:
        found = seen_values(naming, source.map, unique)
        if found != {0, SEMANTIC_VOID}:  # a black and white mask
            found -= {SEMANTIC_VOID}
        if len(found) > MOST_CLASSES:
            raise DataError(
                f"The {source.map} has {len(found)} values, too many for classes.",
                "Save maps as grey or palette PNG of class ids.",
            )
        known = {value: str(value) for value in sorted(found) if value > 0 or not reduce_labels}
        warn_of_numbers(known)
    void = {value for value, name in known.items() if name.lower() in VOID_NAMES}
    void |= {0} if reduce_labels else set()
    places = {value: place for place, value in enumerate(sorted(known.keys() - void))}
    ids = sorted(places.keys() | void)
    meaning = {"id": ids, "category": [places.get(value, VOID) for value in ids]}

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        for i, (row, head, _) in enumerate(rows.read([source.map] if coloured else [])):
            if coloured:
                pixels = values(row[source.map], f"Row {i}: the {source.map}")
                head["annotation"] = {"path": None, "bytes": encode_grey(pixels)}
            yield head | {"segments": meaning}

    columns = features(SEMANTIC, [known[value] for value in places])
    files = [source.map] if coloured else []
    return build(parts, source, columns, labels, meaning, files=files, map_as_it_is=not coloured)


def _is_coloured(dataset: Dataset, column: str) -> bool:
    cell = next(derive.rows(dataset, [column]))[column]
    return len(open_map(cell, f"Row 0: the {column}").getbands()) >= 3


def panoptic(
    parts: Mapping[str, Dataset], naming: Naming, source: Source, names: Sequence[str] | None
) -> dict[str, Dataset]:
    """The splits with the map as `annotation` and canonical `segments`.

    Raises:
        DataError: The segments have no id or category.
    """
    records = source.records
    number, category = records.number(), records.category()
    if number is None or category is None:
        raise DataError(
            f"The segments have no id or category, only {', '.join(records.fields)}.",
            "Each needs id, its value in the map, and category_id.",
        )
    thing, crowd = records.first(THING), records.first(CROWD)
    classes = Classes.of(naming, records.path(category), records.fields[category], names)
    if thing is None:
        warnings.warn(
            "The segments do not say whether they are things (isthing): all are taken for things.",
            PvzooWarning,
            stacklevel=4,
        )

    def flags(values: Sequence[Any], row: int, name: str) -> list[bool]:
        return [truth(v, f"Row {row}, segment {place}", name) for place, v in enumerate(values)]

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        fields = [name for name in (number, category, thing, crowd) if name]
        for i, (row, head, _) in enumerate(rows.read([records.column])):
            lists = records.lists(row, fields, f"Row {i}")
            count = len(lists[number])
            if None in lists[number] or {len(v) for v in lists.values()} != {count}:
                raise DataError(
                    f"Row {i}: a segment lacks one of {', '.join(fields)}.", "Each needs all."
                )
            segments = {
                "id": lists[number],
                "category": [classes.place(value) for value in lists[category]],
                "isthing": flags(lists[thing], i, thing) if thing else [True] * count,
                "iscrowd": flags(lists[crowd], i, crowd) if crowd else [False] * count,
            }
            yield head | {"segments": segments}

    columns = features(PANOPTIC, classes.names)
    return build(parts, source, columns, labels, map_as_it_is=True)
