"""Turn predictions into labels, for review in an annotation tool."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data.files import objects_of
from pvzoo.data.rle import masked_object
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, features
from pvzoo.data.store import save
from pvzoo.errors import DataError
from pvzoo.extras import needs

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.results.base import Result


class Predicted:
    """Collects results and makes a canonical dataset of them.

    The results are kept in a file, so that there may be any number of them. Objects with masks,
    the classes of a semantic map and the segments of a panoptic map become objects of
    instance-segmentation; objects without masks become objects of object-detection. The best class
    of an image becomes its label; all its classes do if the model scores each on its own. A
    further column ``scores`` has the score of each object or class that has one. The dataset lasts
    as long as the process.
    """

    def __init__(self, kind: type[Result], names: Sequence[str]) -> None:
        """Prepare a file for results.

        Args:
            kind: The type of the model's results.
            names: The model's classes; further classes of the results come after these.

        Raises:
            DataError: Results of this type cannot be labels.
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
        self._folder = Path(tempfile.mkdtemp(prefix="pvzoo-predicted-"))
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._file = self._path("rows").open("w+", encoding="utf-8")
        self._count = 0
        self._several = False

    def add(self, result: Result) -> None:
        """Keep a result.

        Raises:
            DataError: The result has no image.
        """
        if result.image is None:
            raise DataError("A result has no image, so it cannot become a label.")
        content = result.to_dict()
        found = content["predictions"]
        if self.task == CLASSIFICATION:
            self._several |= (several := getattr(result, "multi_label", False))
            found = found if several else found[:1]
        self._names |= {row["name"]: None for row in found}
        data = result.image.data
        if result.frame is not None:
            data = self._path(f"{self._count}.png")
            result.image.open().save(data)
        elif not isinstance(data, Path):  # the image was never a file
            self._path(f"{self._count}").write_bytes(data)
            data = self._path(f"{self._count}")
        name = result.image.file_name or f"{self._count:06d}.png"
        head = {"path": os.path.abspath(data), "name": name}
        size = {"width": content["width"], "height": content["height"]}
        self._file.write(json.dumps(head | size | {"found": found}) + "\n")
        self._count += 1

    def dataset(self) -> Dataset:
        """The dataset of all results that were added."""
        needs("Labelled data", "datasets")
        from datasets import Dataset, List, Value

        columns = features(self.task, list(self._names), multi_label=self._several)
        columns["scores"] = List(Value("float64"))
        indices = {name: index for index, name in enumerate(self._names)}
        self._file.seek(0)
        lines = enumerate(map(json.loads, self._file))
        save(self._path("arrow"), (self._row(i, line, indices) for i, line in lines), columns)
        return Dataset.from_file(str(self._path("arrow")))

    def _path(self, name: str) -> Path:
        return self._folder / name

    def _row(
        self, image_id: int, line: Mapping[str, Any], indices: Mapping[str, int]
    ) -> dict[str, Any]:
        found = line["found"]
        row = {
            "image": {"path": line["path"], "bytes": None},
            "image_id": image_id,
            "file_name": line["name"],
            "scores": [thing["score"] for thing in found if "score" in thing],
        }
        if self.task == CLASSIFICATION:
            labels = [indices[thing["name"]] for thing in found]
            if self._several:
                return row | {"labels": labels}
            return row | {"label": labels[0] if labels else None}
        objects = [
            _object(number, thing, indices[thing["name"]]) for number, thing in enumerate(found, 1)
        ]
        size = {"width": line["width"], "height": line["height"]}
        return row | size | {"objects": objects_of(objects, masks=self.task == INSTANCE)}


def _object(number: int, thing: Mapping[str, Any], category: int) -> dict[str, Any]:
    """The object of `pvzoo.data.schema` for a row of a result."""
    if "mask" in thing:
        return masked_object(thing["mask"], number, category)
    left, top, right, bottom = (thing[side] for side in ("xmin", "ymin", "xmax", "ymax"))
    box = [left, top, right - left, bottom - top]
    flags = {"iscrowd": False, "ignore": False}
    return {"id": number, "bbox": box, "category": category, "area": box[2] * box[3]} | flags
