"""Convert columns of objects to canonical detection and instance-segmentation data."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pycocotools import mask as coco

from pvzoo.data.columns.classes import ColumnClasses, Naming, are_unique
from pvzoo.data.columns.rows import Rows, StoredImage, build
from pvzoo.data.columns.source import BOX, CROWD, IGNORE, MASK, Records, TaskColumns, is_number
from pvzoo.data.files import number, objects_of, quoted, side, truth, upright_size
from pvzoo.data.rle import compressed, empty_code
from pvzoo.data.schema import INSTANCE, features
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def objects(
    parts: Mapping[str, Dataset],
    naming: Naming,
    source: TaskColumns,
    records: Records,
    names: Sequence[str] | None,
) -> dict[str, Dataset]:
    """The splits with canonical `objects`, and the width and height of the dataset.

    Raises:
        DataError: The objects have no category, or an object is damaged.
    """
    masks = source.task == INSTANCE
    category = records.category()
    if category is None:
        raise DataError(
            f"The objects have no category, only {', '.join(records.fields)}.",
            "Add one with dataset.map, even if there is only one class.",
        )
    classes = ColumnClasses.of(naming, records.path(category), records.fields[category], names)
    roles = {
        "bbox": records.first(BOX),
        "category": category,
        "area": records.first(["area"]),
        "iscrowd": records.first(CROWD),
        "ignore": records.first(IGNORE),
        "segmentation": records.first(MASK) if masks else None,
    }

    def labels(rows: Rows) -> Iterator[dict[str, Any]]:
        kinds, number = rows.dataset.features, records.number()
        kept = number if number and are_unique(rows.dataset, records.path(number)) else None
        fields = {role: name for role, name in (roles | {"id": kept}).items() if name}
        sized = [n for n in ("width", "height") if is_number(kinds.get(n))]
        columns = [*{records.path(name)[0] for name in fields.values()}, *sized]
        numbers = itertools.count(1)  # pycocotools takes a match with 0 as no match
        for i, (row, head, image) in enumerate(rows.read(columns)):
            width, height = _size(row, image)
            lists = records.lists(row, list(fields.values()), f"Row {i}")
            found = []
            for index, given in enumerate(_each(lists, f"Row {i}")):
                given = {role: given[name] for role, name in fields.items()}
                if given.get("id") is None:
                    given["id"] = next(numbers)
                where = f"Row {i}, object {index}"
                found.append(_object(given, classes, (height, width), masks, where))
            head |= {"width": width, "height": height}
            yield head | {"objects": objects_of(found, masks=masks)}

    columns = features(source.task, classes.names)
    return build(parts, source, columns, labels, files=[source.image])


def _size(row: Mapping[str, Any], image: StoredImage) -> tuple[int, int]:
    """(width, height) from the row, else from the header of the image."""
    width, height = side(row.get("width")), side(row.get("height"))
    return (width, height) if width and height else upright_size(image.open())


def _each(lists: Mapping[str, list[Any]], where: str) -> Iterator[dict[str, Any]]:
    """The objects in the lists, one by one."""
    lengths = {name: len(values) for name, values in lists.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{length} of {name}" for name, length in lengths.items())
        raise DataError(f"{where}: the objects have {counts}.", "Give each object one of each.")
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))


def _object(
    given: Mapping[str, Any], classes: ColumnClasses, size: tuple[int, int], masks: bool, where: str
) -> dict[str, Any]:
    code = _code(given["segmentation"], size, where) if masks else None
    box = given["bbox"] if "bbox" in given else coco.toBbox(code).tolist()
    numbers = [number(v) for v in box] if isinstance(box, list) else []
    sides = [n for n in numbers if n is not None]
    if len(numbers) != 4 or len(sides) != 4:
        raise DataError(
            f"{where} has the box {quoted(box)}.", "Write left, top, width, height in pixels."
        )
    area = number(given.get("area"))
    if area is None:
        area = float(coco.area(code)) if code else sides[2] * sides[3]
    thing = {
        "id": given["id"],
        "bbox": sides,
        "category": classes.index(given["category"]),
        "area": float(area),
        "iscrowd": truth(given.get("iscrowd"), where, "iscrowd"),
        "ignore": truth(given.get("ignore"), where, "ignore"),
    }
    return thing | ({"segmentation": code} if masks else {})


def _code(given: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Convert a mask in any of COCO's forms, or its JSON, to a compressed run-length code."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise DataError(
                f"{where} has a mask that is text but not JSON ({error}).",
                "Write polygons or a run-length code as in COCO.",
            ) from error
    if isinstance(given, dict) and isinstance(given.get("counts"), bytes):
        given = {**given, "counts": given["counts"].decode("ascii", "replace")}
    if not given or (isinstance(given, list) and not any(part != [] for part in given)):
        return empty_code(size, where)
    return compressed(given, size, where)
