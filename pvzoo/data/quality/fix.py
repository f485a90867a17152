"""`fix`: correct the mistakes in labelled data that can be fixed in only one way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.labels import box_array, fingerprint, is_uneven, repeated, splits
from pvzoo.data.quality import boxes as box
from pvzoo.data.quality import rules
from pvzoo.data.quality.check import check_loaded
from pvzoo.data.quality.report import Plan, Report
from pvzoo.data.rle import is_whole
from pvzoo.data.schema import VOID
from pvzoo.errors import DataError
from pvzoo.inputs.encoded import upright, upright_size
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def fix(
    source: Any, report: Report | None = None, task: str | None = None
) -> Dataset | DatasetDict:
    """Fix every mistake that `check` calls fixable, and change nothing else.

    * Boxes are converted to left, top, width, height in pixels. Inverted ones are put in order, all
      are cut off at the edges of the image, and those that lie outside are left out.
    * Class ids that are off by one are shifted.
    * Labels that were drawn on the stored pixels are turned upright with their image.
    * Images that cannot be read are left out. So are repeated images, and images of the training
      split that are in an evaluation split too.

    Args:
        source: Anything that `pvzoo.data.load` takes.
        report: What `check` found in the source; by default the source is checked now.
        task: The task to read the labels for; by default the task that they belong to.

    Returns:
        As `pvzoo.data.load`, memory-mapped; images are neither copied nor decoded.

    Raises:
        DataError: The source is not labelled data, or the report is about other data.
    """
    from datasets import DatasetDict

    from pvzoo.data.load import load

    data = load(source, task)
    if report is None:
        report = check_loaded(data)
    fixed = {}
    for name, dataset in splits(data).items():
        plan = report.plans.get(name)
        if plan is None or plan.fingerprint != fingerprint(dataset):
            raise DataError(
                "The report is about other data, or the data has changed since the check.",
                "Call fix without a report: it then checks the data again.",
            )
        fixed[name] = _fixed(dataset, plan)
    return DatasetDict(fixed) if isinstance(data, Mapping) else fixed[""]


def _fixed(dataset: Dataset, plan: Plan) -> Dataset:
    if plan.relabel:
        dataset = _relabelled(dataset, plan)
    if plan.drop:
        keep = np.setdiff1d(np.arange(len(dataset)), plan.drop)
        dataset = dataset.select(keep)
    return dataset


def _relabelled(dataset: Dataset, plan: Plan) -> Dataset:
    from pvzoo.data.derive import rows, with_labels

    columns = dataset.features
    images = [name for name in ("image", "annotation") if name in columns]
    if plan.turned and "annotation" in columns:
        images.remove("annotation")
    change = _change(dataset)

    def labels() -> Iterator[dict[str, Any]]:
        own = [name for name in columns if name not in images]
        for number, row in enumerate(rows(dataset, own)):
            yield {**row, **change(row, plan, plan.turned.get(number))}

    return with_labels(dataset, {n: n for n in images}, columns, labels, "fix", plan)


_Turned = tuple[int, tuple[int, int]] | None
_Change = Callable[[Mapping[str, Any], Plan, _Turned], dict[str, Any]]


def _change(dataset: Dataset) -> _Change:
    if "objects" in dataset.features:
        return _objects
    return _segments if "segments" in dataset.features else _labels


def _labels(row: Mapping[str, Any], plan: Plan, turned: _Turned) -> dict[str, Any]:
    if "labels" in row:
        labels = row["labels"]
        return {"labels": labels and [_shifted(label, plan) for label in labels]}
    label = row["label"]
    return {"label": label if label == VOID else _shifted(label, plan)}


def _shifted(label: int | None, plan: Plan) -> int | None:
    return None if label is None else label + plan.class_shift


def _segments(row: Mapping[str, Any], plan: Plan, turned: _Turned) -> dict[str, Any]:
    from pvzoo.data.maps import encode_map, read_map

    new: dict[str, Any] = {}
    segments = row["segments"]
    if segments and not is_uneven(segments):
        ids, labels = segments["id"], segments["category"]
        new["segments"] = {
            **segments,
            "id": [
                i if label == VOID else i + plan.value_shift
                for i, label in zip(ids, labels, strict=True)
            ],
            "category": [label if label == VOID else _shifted(label, plan) for label in labels],
        }
    if turned:
        values = read_map(row["annotation"], f"The map of {row['file_name']}")
        values = np.asarray(upright(Image.fromarray(values), turned[0]))
        new["annotation"] = {"bytes": encode_map(values), "path": None}
    return new


def _objects(row: Mapping[str, Any], plan: Plan, turned: _Turned) -> dict[str, Any]:
    objects = row["objects"]
    if not objects or is_uneven(objects):
        return {}
    given = box_array(objects)
    boxes, gone = given, np.zeros(len(given), bool)
    frame = turned[1] if turned else (row["width"] or 0, row["height"] or 0)
    if plan.convention not in box.UNCLEAR:
        boxes = box.to_pixels(given, frame, plan.convention)
        faults = box.faults(boxes, frame)
        boxes = np.where(faults[rules.INVERTED][:, None], box.positive(boxes), boxes)
        cut = faults[rules.OVERHANG]
        boxes[cut] = box.clip(boxes[cut], frame)
        gone = faults[rules.EMPTY] | faults[rules.OUTSIDE]
        gone[repeated(objects, boxes)] = True
    new = {**objects, "category": [_shifted(label, plan) for label in objects["category"]]}
    new["area"] = _areas(objects["area"], given, boxes)
    size: dict[str, Any] = {}
    if turned:
        orientation, raw = turned
        boxes = box.turn(boxes, orientation, raw)
        size = dict(zip(("width", "height"), upright_size(raw, orientation), strict=True))
        if "segmentation" in objects:
            codes = objects["segmentation"]
            new["segmentation"] = [_turned_code(code, orientation, raw) for code in codes]
    numbers = box.finite(boxes)  # boxes that are not numbers stay as they are
    new["bbox"] = [
        b.tolist() if is_number else old
        for b, is_number, old in zip(boxes, numbers, objects["bbox"], strict=True)
    ]
    kept = {key: [v for v, out in zip(new[key], gone, strict=True) if not out] for key in new}
    return {"objects": kept, **size}


def _areas(areas: list[float | None], given: np.ndarray, boxes: np.ndarray) -> list[float | None]:
    """The areas; those that were width times height of the box are computed from the new box."""
    return [
        float(np.prod(new[2:]))
        if area is not None
        and (old != new).any()
        and np.isclose(abs(area), abs(np.prod(old[2:])), rtol=1e-4)
        else area
        for area, old, new in zip(areas, given, boxes, strict=True)
    ]


def _turned_code(
    code: dict[str, Any] | None, orientation: int, raw: tuple[int, int]
) -> dict[str, Any] | None:
    if not code or not is_whole(code) or tuple(code["size"]) != raw[::-1]:
        return code
    mask = np.asarray(upright(Image.fromarray(coco.decode(code)), orientation)).view(bool)
    return Masks.from_array(mask[None]).to_coco()[0]
