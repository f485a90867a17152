"""What a network is about to be trained on, as a picture: samples after their augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, Features
from PIL import Image

from pvzoo.data import schema
from pvzoo.data.maps import encode_colour, encode_grey
from pvzoo.data.pictures import contact_sheet
from pvzoo.results.masks import Masks
from pvzoo.training.augment import Target


def draw_batch(samples: Sequence[Any], columns: Features, path: Path) -> None:
    """Write a contact sheet of (picture, target, place) samples of a dataset with `columns`."""
    rows = [row_of(picture, target, i, columns) for i, (picture, target, _) in enumerate(samples)]
    contact_sheet(Dataset.from_list(rows, features=columns), path, count=len(rows))


def row_of(picture: Image.Image, target: Target, number: int, columns: Features) -> dict[str, Any]:
    """A sample as a row of a canonical dataset, the way back from `pvzoo.training.samples`."""
    width, height = picture.size
    row = {"image": picture, "image_id": number, "file_name": f"sample {number}"}
    if "label" in target:
        return {**row, "label": target["label"]}
    if "labels" in target:
        return {**row, "labels": target["labels"].nonzero().flatten().tolist()}
    if "boxes" in target:
        boxes = target["boxes"].numpy().astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        count = len(boxes)
        objects = {
            "id": list(range(1, count + 1)),
            "bbox": boxes.tolist(),
            "category": target["categories"].tolist(),
            "area": boxes[:, 2:].prod(axis=1).tolist(),
            "iscrowd": [False] * count,
            "ignore": [False] * count,
        }
        if "masks" in target:
            objects["segmentation"] = Masks.from_array(target["masks"].numpy()).to_coco()
        return {**row, "width": width, "height": height, "objects": objects}
    values = target["map"].numpy()
    if "categories" not in target:  # class ids; what is void has the value that follows them
        count = len(schema.class_names(columns))
        ids = list(range(count))
        void = np.where(values < 0, count, values)
        segments = {"id": [*ids, count], "category": [*ids, schema.VOID]}
        return {**row, "annotation": _cell(encode_grey(void)), "segments": segments}
    count = len(target["categories"])
    segments = {
        "id": list(range(1, count + 1)),
        "category": target["categories"].tolist(),
        "isthing": [True] * count,
        "iscrowd": [False] * count,
    }
    return {**row, "annotation": _cell(encode_colour(values + 1)), "segments": segments}


def _cell(png: bytes) -> dict[str, Any]:
    return {"bytes": png, "path": None}
