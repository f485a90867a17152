"""Read rows with labels that are safe to use: nulls become empty, and damaged labels are refused.

Files and other tasks cannot store damaged labels. `pvzoo.data.check` reports such rows instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.labels import is_uneven
from pvzoo.data.rle import is_whole
from pvzoo.data.schema import VOID
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

_FLAGS = ("iscrowd", "ignore", "isthing")
_NEEDED = {"objects": ("bbox", "category", "segmentation"), "segments": ("id", "category")}


def sound_rows(dataset: Dataset, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of a canonical dataset row by row, images not decoded.

    Objects, segments and labels that are null become empty lists, null classes become `VOID`, and
    null flags become false.

    Raises:
        DataError: The lists of an image differ in length, an object or segment has no box, class or
            id, or a mask is damaged.
    """
    names = ("image_id", "file_name")
    for row in derive.rows(dataset, [*dict.fromkeys([*names, *columns])]):
        if "label" in row:
            row["label"] = VOID if row["label"] is None else row["label"]
        if "labels" in row:
            row["labels"] = [VOID if i is None else i for i in row["labels"] or ()]
        for name in _NEEDED.keys() & row.keys():
            row[name] = _sound(name, filled(row[name], dataset.features[name]), image_of(row))
        yield row


def filled(given: Mapping[str, Any] | None, kinds: Mapping[str, Any]) -> dict[str, list[Any]]:
    """A struct of lists, with empty lists instead of null."""
    return {name: (given or {}).get(name) or [] for name in kinds}


def image_of(row: Mapping[str, Any]) -> str:
    """The name of the image of a row in messages."""
    return f"The image {row['file_name']} (image_id {row['image_id']})"


def _sound(name: str, lists: dict[str, list[Any]], where: str) -> dict[str, list[Any]]:
    one = name.removesuffix("s")
    if is_uneven(lists):
        counts = ", ".join(f"{len(values)} of {key}" for key, values in lists.items())
        raise DataError(
            f"{where}: its {name} have {counts}.",
            f"Give each {one} one of each, or leave the image out.",
        )
    for key in lists.keys() & {*_FLAGS}:
        lists[key] = [bool(value) for value in lists[key]]
    for key in _NEEDED[name]:
        for i, value in enumerate(lists.get(key, ())):
            if value is None or (key == "bbox" and None in value):
                raise DataError(
                    f"{where}: its {one} {i} has no {key}.", f"Add it, or remove the {one}."
                )
            if key == "segmentation" and _is_damaged(value):
                raise DataError(
                    f"{where}: the mask of its {one} {i} is a damaged run-length code.",
                    f"Export it again, or remove the {one}.",
                )
    return lists


def _is_damaged(code: Mapping[str, Any]) -> bool:
    size = code.get("size")
    return not size or (0 not in size and not is_whole(code))  # an unknown size is not damage
