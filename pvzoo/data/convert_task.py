"""Convert the labels of one task into labels of another task that needs less.

| from | to | how |
| --- | --- | --- |
| instance-segmentation | object-detection | masks are left out |
| panoptic-segmentation | semantic-segmentation | maps are rewritten: the class of each segment, 255 for void |
| panoptic-segmentation | instance-segmentation | things, crowds included, become masks with the boxes around them |
| panoptic-segmentation | object-detection | the same without masks |
"""  # noqa: E501

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.files import objects_of
from pvzoo.data.maps import encode_grey, read_map, replaced
from pvzoo.data.rle import masked_object
from pvzoo.data.schema import (
    INSTANCE,
    SEMANTIC_VOID,
    VOID,
    class_names,
    features,
    labelled,
    labelled_tasks,
    task_of,
)
from pvzoo.data.validated import filled, sound_rows
from pvzoo.errors import DataError
from pvzoo.plugins import registry
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_FAR_VOID = 65535
"""The value of void in maps of more than 255 classes."""


def convert_task(data: Dataset | DatasetDict, task: str) -> Dataset | DatasetDict:
    """Convert a canonical dataset to another task; images are neither copied nor decoded.

    Datasets of objects do not get the classes that only occur as stuff. Give all splits at once,
    so that they keep the same classes.

    Raises:
        DataError: The labels do not contain what the task needs, the segments of an image are
            incomplete, or a map cannot be read.
    """
    from datasets import DatasetDict

    wanted = labelled(task)
    task = wanted.id
    parts: Mapping[str, Dataset] = data if isinstance(data, DatasetDict) else {"": data}
    found = {task_of(part.features) for part in parts.values()}
    if found == {task}:
        return data
    source = next(iter(found), None)
    if len(found) != 1 or source is None:
        raise DataError(
            "The dataset does not have the columns of one task.",
            "Make it canonical: pvzoo.data.load(dataset).",
        )
    if len({class_names(part.features) for part in parts.values()}) > 1:
        raise DataError("The splits have different classes.", "Load them together.")
    change = wanted.made_from.get(source)
    if change is None:
        ways = [other.id for other in labelled_tasks() if source in other.made_from]
        raise DataError(
            f"Labels of {source} cannot be converted to {task}.",
            f"They can be converted to {' or '.join(ways)}."
            if ways
            else "They contain too little for any other task.",
        )
    changed = registry.named(change)(parts, task)
    return DatasetDict(changed) if isinstance(data, DatasetDict) else changed[""]


def without_masks(parts: Mapping[str, Dataset], task: str) -> dict[str, Dataset]:
    """Convert objects of instance segmentation to boxes."""
    classes = class_names(_first(parts).features)
    columns = features(task, classes)

    def labels(part: Dataset) -> Iterator[dict[str, Any]]:
        names = ["image_id", "file_name", "width", "height", "objects"]
        for row in derive.rows(part, names):
            objects = filled(row["objects"], columns["objects"])  # the check reports mistakes
            yield row | {"objects": objects}

    return _changed(parts, task, classes, labels)


# --- panoptic to objects --------------------------------------------------------------------------


def to_objects(parts: Mapping[str, Dataset], task: str) -> dict[str, Dataset]:
    """Convert the things of panoptic maps to objects."""
    names = class_names(_first(parts).features)
    things: set[int] = set()
    stuff: set[int] = set()
    for part in parts.values():
        for row in sound_rows(part, ["segments"]):
            segments = row["segments"]
            for category, isthing in zip(segments["category"], segments["isthing"], strict=True):
                (things if isthing else stuff).add(category)
    kept = [i for i in range(len(names)) if i in things or i not in stuff]
    indices = {category: index for index, category in enumerate(kept)}

    def labels(part: Dataset) -> Iterator[dict[str, Any]]:
        numbers = itertools.count(1)  # a segment's own id is unique in its image only
        for i, row in enumerate(sound_rows(part, ["annotation", "segments"])):
            pixels = read_map(row.pop("annotation"), f"Row {i}: the annotation")
            found = _things(row.pop("segments"))
            codes = Masks.from_map(pixels, [thing["id"] for thing in found]).to_coco()
            objects = []
            for thing, code in zip(found, codes, strict=True):
                category = indices.get(thing["category"], _beyond(thing["category"], names, kept))
                objects.append(
                    masked_object(code, next(numbers), category, iscrowd=thing["iscrowd"])
                )
            row |= {"width": pixels.shape[1], "height": pixels.shape[0]}
            yield row | {"objects": objects_of(objects, masks=task == INSTANCE)}

    return _changed(parts, task, [names[i] for i in kept], labels, kept)


def _things(segments: Mapping[str, list[Any]]) -> list[dict[str, Any]]:
    rows = (
        dict(zip(segments, values, strict=True)) for values in zip(*segments.values(), strict=True)
    )
    return [row for row in rows if row["isthing"] and row["category"] != VOID]


def _beyond(category: int, names: tuple[str, ...], kept: list[int]) -> int:
    """A class id out of range, changed so that it is out of range of the kept classes too."""
    return category if category < 0 else category - len(names) + len(kept)


# --- panoptic to semantic -------------------------------------------------------------------------


def to_semantic(parts: Mapping[str, Dataset], task: str) -> dict[str, Dataset]:
    """Convert panoptic maps to maps of classes."""
    names = class_names(_first(parts).features)
    void = SEMANTIC_VOID if len(names) <= SEMANTIC_VOID else _FAR_VOID
    meaning = {"id": list(range(len(names))), "category": list(range(len(names)))}
    if void == _FAR_VOID:  # 255 is a class
        meaning = {"id": [*meaning["id"], void], "category": [*meaning["category"], VOID]}

    def labels(part: Dataset) -> Iterator[dict[str, Any]]:
        for i, row in enumerate(sound_rows(part, ["annotation", "segments"])):
            pixels = read_map(row["annotation"], f"Row {i}: the annotation")
            segments = row["segments"]
            classes = {
                value: category if 0 <= category < void else void
                for value, category in zip(segments["id"], segments["category"], strict=True)
            }
            encoded = encode_grey(replaced(pixels, classes, void))
            row["annotation"] = {"path": None, "bytes": encoded}
            yield row | {"segments": meaning}

    return _changed(parts, task, names, labels)


# --- all ------------------------------------------------------------------------------------------


def _first(parts: Mapping[str, Dataset]) -> Dataset:
    return next(iter(parts.values()))


def _changed(
    parts: Mapping[str, Dataset],
    task: str,
    names: list[str] | tuple[str, ...],
    labels: Callable[[Dataset], Iterator[dict[str, Any]]],
    *about: Any,
) -> dict[str, Dataset]:
    columns = features(task, names)
    return {
        name: derive.with_labels(
            part,
            {"image": "image"},
            columns,
            partial(labels, part),
            "convert_task",
            task,
            *about,
            files=derive.image_files(part, {"annotation"} & set(part.features)),
        )
        for name, part in parts.items()
    }
