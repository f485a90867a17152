"""Predictions as labels: for a tool in which somebody reviews them."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.files import objects_of
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, features
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.tasks.base import Result


class Predicted:
    """Results that become a canonical dataset; they are kept in a file, however many come.

    Objects with masks become those of instance-segmentation, and so does each class of a semantic
    map and each segment of a panoptic one; objects without are object-detection, and classes of
    the image several labels an image, if the model gave several. The dataset has the column
    ``scores`` besides, one for each object or class.
    """

    def __init__(self, kind: type[Result], names: Sequence[str]) -> None:
        """Make room for results.

        Args:
            kind: What the model's results are.
            names: Its classes; those of the results that are not among them come after these.

        Raises:
            DataError: Such results are no labels.
        """
        if hasattr(kind, "masks") or "masks" in kind.__dataclass_fields__:
            self.task = INSTANCE
        elif "xmin" in kind.columns:
            self.task = DETECTION
        elif "name" in kind.columns:
            self.task = CLASSIFICATION
        else:
            raise DataError(f"Results of {kind.task} are neither objects nor classes.")
        self._names = {name: None for name in names if name}
        self._file = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._count = 0
        self._several = False

    def add(self, result: Result) -> None:
        """Keep a result.

        Raises:
            DataError: It does not know its image.
        """
        if result.image is None:
            raise DataError("A result does not know its image, which labels are of.")
        said = result.to_dict()
        found = said["predictions"]
        self._names |= {row["name"]: None for row in found}
        self._several |= len(found) > 1
        data = result.image.data
        if not isinstance(data, Path):  # the file has it: it may be gone, or was never anywhere
            data = derive.keep(data)
        name = (result.source or "").partition("?")[0]
        name = "" if name.startswith(("data:", "image ")) else os.path.basename(name)
        head = {"path": os.path.abspath(data), "name": name or f"{self._count:06d}.png"}
        size = {"width": said["width"], "height": said["height"]}
        self._file.write(json.dumps(head | size | {"found": found}) + "\n")
        self._count += 1

    def dataset(self) -> Dataset:
        """All that was kept."""
        from datasets import List, Value

        several = self._several and self.task == CLASSIFICATION
        columns = features(self.task, list(self._names), multi_label=several)
        columns["scores"] = List(Value("float64"))
        return derive.held(map(self._row, range(self._count), self._lines()), columns)

    def _lines(self) -> Iterator[dict[str, Any]]:
        self._file.seek(0)
        return map(json.loads, self._file)

    def _row(self, image_id: int, line: Mapping[str, Any]) -> dict[str, Any]:
        places = {name: place for place, name in enumerate(self._names)}
        found = line["found"]
        row = {
            "image": {"path": line["path"], "bytes": None},
            "image_id": image_id,
            "file_name": line["name"],
            "scores": [thing["score"] for thing in found if "score" in thing],
        }
        if self.task == CLASSIFICATION:
            labels = [places[thing["name"]] for thing in found]
            if self._several:
                return row | {"labels": labels}
            return row | {"label": labels[0] if labels else None}
        objects = [
            _object(number, thing, places[thing["name"]]) for number, thing in enumerate(found, 1)
        ]
        size = {"width": line["width"], "height": line["height"]}
        return row | size | {"objects": objects_of(objects, masks=self.task == INSTANCE)}


def _object(number: int, thing: Mapping[str, Any], category: int) -> dict[str, Any]:
    """An object of `pvzoo.data.schema` of a row of a result."""
    from pvzoo.data.codes import masked_object

    if "mask" in thing:
        return masked_object(thing["mask"], number, category)
    left, top, right, bottom = (thing[side] for side in ("xmin", "ymin", "xmax", "ymax"))
    box = [left, top, right - left, bottom - top]
    flags = {"iscrowd": False, "ignore": False}
    return {"id": number, "bbox": box, "category": category, "area": box[2] * box[3]} | flags
