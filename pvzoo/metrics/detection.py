"""COCO's average precision and recall, of boxes and of masks.

The results equal those of pycocotools. These are COCO's rules:

* Detections and objects of a class match by IoU, at the thresholds 0.50, 0.55, ..., 0.95. In each
  image, only the best 100 detections of a class count (10 for ``mar_10``, 1 for ``mar_1``).
* Small is up to 32 x 32 pixels, large from 96 x 96. The size of an object is `objects.area` in its
  row, even if boxes are compared; the size of a detection is that of its own box or mask.
* A model need not find a crowd, and finding one is not an error. pycocotools has no other such
  regions, so objects with `objects.ignore` are evaluated as crowds.
* Each metric is a mean over the classes that have objects to find.
* If detections have the same score, the one in the image with the lower `image_id` comes first;
  within an image, the one that comes first in the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pycocotools import mask as coco

from pvzoo.data.rle import is_whole
from pvzoo.errors import DataError
from pvzoo.metrics.average_precision import LIMITS, Matches, Overlaps, match
from pvzoo.metrics.base import Evaluation, Metric, check_numbers, class_ids, column
from pvzoo.metrics.bootstrap import PerImage
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.detection_analysis import DetectionAnalysis

if TYPE_CHECKING:
    from pvzoo.results.detections import Detections
    from pvzoo.results.instances import Instances

State = tuple[np.ndarray, np.ndarray, np.ndarray]

# boxes are left, top, width, height
_IMAGE = [("index", "i8"), ("image_id", "i8"), ("size", "i4", 2)]
_FOUND = [("image", "i8"), ("label", "i4"), ("score", "f4"), ("area", "f8"), ("box", "f4", 4)]
_OBJECT = [("image", "i8"), ("label", "i4"), ("crowd", "?"), ("area", "f8"), ("box", "f8", 4)]
_MASK = ("mask", "O")  # bytes: a compressed run-length code

_NO_OBJECTS = dict.fromkeys(("category", "bbox", "area", "iscrowd", "ignore"))


@dataclass(frozen=True, eq=False)
class MatchedImages(PerImage):
    """The matches of detections with objects, and the metrics computed from them.

    Attributes:
        images: See `PerImage`.
        places: (n,) int: the index of each image in `matches`, which are sorted by image id.
        matches: Matches of boxes, or of masks.
        box_matches: Matches of boxes, if `matches` are of masks.
    """

    images: np.ndarray
    places: np.ndarray
    matches: Matches
    box_matches: Matches | None = None

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """The numbers that pycocotools' ``summarize`` prints, under other names."""
        precision, recall = self._curves(self.matches, weights)
        figures = _precisions(precision)
        for limit, most in enumerate(LIMITS):
            figures[f"mar_{most}"] = _mean(recall[:, :, 0, limit])
        for area, name in enumerate(("small", "medium", "large"), 1):
            figures[f"mar_{name}"] = _mean(recall[:, :, area, -1])
        if self.box_matches:
            precision, _ = self._curves(self.box_matches, weights)
            boxes = _precisions(precision)
            figures |= {f"box_{name}": boxes[name] for name in ("map", "map_50")}
        return figures

    def per_class(self, weights: np.ndarray) -> list[dict[str, float]]:
        """The metrics of each class."""
        precision, recall = self._curves(self.matches, weights)
        return [
            {
                "map": _mean(precision[:, :, k, 0]),
                "map_50": _mean(precision[0, :, k, 0]),
                "mar_100": _mean(recall[:, k, 0, -1]),
            }
            for k in range(self.matches.classes)
        ]

    def _curves(self, matches: Matches, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        in_order = np.empty_like(weights)
        in_order[self.places] = weights
        return matches.curves(in_order)


class DetectionMetric(Metric):
    """COCO's metrics of boxes.

    The metrics have torchmetrics' names: ``map`` (the mean over all thresholds), ``map_50``,
    ``map_75``, ``map_small``, ``map_medium``, ``map_large``, ``mar_1``, ``mar_10``, ``mar_100``,
    ``mar_small``, ``mar_medium``, ``mar_large``. They are nan if there are no objects to find;
    pycocotools returns -1. Each class has ``map``, ``map_50``, ``mar_100`` and ``objects``, the
    number of objects to find.

    Objects of a class that the model does not have are left out, and so are detections of a class
    that the data does not have. An image whose `objects` are null has no objects.
    """

    found_fields: ClassVar[np.dtype] = np.dtype(_FOUND)
    object_fields: ClassVar[np.dtype] = np.dtype(_OBJECT)

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._classes = match.common
        self._known = np.isin(np.arange(len(match.data)), self._classes)
        self._images: list[np.ndarray] = []
        self._found: list[np.ndarray] = []
        self._objects: list[np.ndarray] = []

    def update(self, index: int, result: Detections, row: Mapping[str, Any]) -> None:
        """Add the boxes of one image."""
        image_id = column(row, "image_id", row["image_id"], (), np.int64)
        found, objects = self._found_in(result, row), self._objects_of(result, row)
        found["image"] = objects["image"] = index
        self._images.append(np.array([(index, image_id, result.size)], _IMAGE))
        self._found.append(found[found["label"] >= 0])
        self._objects.append(objects[self._known[objects["label"]]])

    def _found_in(self, result: Any, row: Mapping[str, Any]) -> np.ndarray:
        """The detections of an image, with the class ids of the data."""
        check_numbers(row, result.scores, result.boxes)
        found = np.zeros(len(result.labels), self.found_fields)
        found["label"] = self.match.translate(result.labels)
        found["score"] = result.scores
        found["box"][:, :2] = result.boxes[:, :2]
        found["box"][:, 2:] = result.boxes[:, 2:] - result.boxes[:, :2]
        found["area"] = found["box"][:, 2:].astype(np.float64).prod(axis=1)
        return found

    def _objects_of(self, result: Any, row: Mapping[str, Any]) -> np.ndarray:
        """The objects of the image in the data; null means no objects."""
        lists = {name: values or [] for name, values in (row["objects"] or _NO_OBJECTS).items()}
        count = len(lists["category"])
        objects = np.zeros(count, self.object_fields)
        classes = len(self.match.data)
        (height, width), (w, h) = result.size, (row.get("width") or 0, row.get("height") or 0)
        if count and min(w, h) > 0 and (w, h) != (width, height):
            raise DataError(
                f"{row['file_name']} is {width} x {height} pixels, but its boxes are for an image "
                f"of {w} x {h}.",
                "Run pvzoo.data.check; pvzoo.data.fix turns the labels of images that EXIF "
                "rotates.",
            )
        objects["label"] = class_ids(row, "objects.category", lists["category"], classes)
        objects["box"] = column(row, "objects.bbox", lists["bbox"], (count, 4), np.float64)
        objects["area"] = column(row, "objects.area", lists["area"], (count,), np.float64)
        crowd = column(row, "objects.iscrowd", lists["iscrowd"], (count,), np.bool_)
        ignore = column(row, "objects.ignore", lists["ignore"], (count,), np.bool_)
        objects["crowd"] = crowd | ignore
        return objects

    def state(self) -> State:
        """Structured arrays: the images, the detections and the objects."""
        return (
            _joined(self._images, np.dtype(_IMAGE)),
            _joined(self._found, self.found_fields),
            _joined(self._objects, self.object_fields),
        )

    def merge(self, states: Sequence[State]) -> None:
        """Join the arrays of all states."""
        self._images = [images for images, _, _ in states]
        self._found = [found for _, found, _ in states]
        self._objects = [objects for _, _, objects in states]

    def compute(self) -> Evaluation:
        """COCO's metrics; see the class."""
        kept = self.per_image()
        ones = np.ones(len(kept.images), np.int64)
        images, found, objects = self.state()
        counts = np.bincount(objects["label"][~objects["crowd"]], minlength=len(self.match.data))
        per_class = {
            self.match.data[label]: {**figures, "objects": float(counts[label])}
            for label, figures in zip(self._classes, kept.per_class(ones), strict=True)
        }
        return Evaluation(
            kept.figures(ones),
            per_class,
            len(kept.images),
            self.match,
            per_image=kept,
            analysis=DetectionAnalysis(
                found, objects, self.match.data, self._overlaps(images["index"], images["size"])
            ),
        )

    def _overlaps(self, images: np.ndarray, sizes: np.ndarray) -> Overlaps:
        """A function for the IoU of detections and objects of an image.

        Args:
            images: (n,) all values of the field ``image`` of detections and objects.
            sizes: (n, 2) height and width of each image.
        """
        return box_overlaps

    def per_image(self) -> MatchedImages:
        """Match detections with objects."""
        images, found, objects = self.state()
        order = np.lexsort((images["index"], images["image_id"]))
        images = images[order]
        # from here on, an image is its index among all images
        indices = np.argsort(images["index"])
        for table in (found, objects):
            table["image"] = indices[np.searchsorted(images["index"][indices], table["image"])]
        return MatchedImages(
            images["index"][indices], indices, *self._matches(images, found, objects)
        )

    def _matches(
        self, images: np.ndarray, found: np.ndarray, objects: np.ndarray
    ) -> tuple[Matches, ...]:
        return (match(found, objects, self._classes, box_overlaps),)


class InstanceMetric(DetectionMetric):
    """COCO's metrics of masks, with the names of `DetectionMetric`.

    ``box_map`` and ``box_map_50`` are for the boxes, which are not computed from the masks.
    """

    found_fields = np.dtype([*_FOUND, ("mask_area", "f8"), _MASK])
    object_fields = np.dtype([*_OBJECT, _MASK])

    def _found_in(self, result: Instances, row: Mapping[str, Any]) -> np.ndarray:
        found = super()._found_in(result, row)
        found["mask"] = result.masks.counts
        found["mask_area"] = result.masks.areas
        return found

    def _objects_of(self, result: Instances, row: Mapping[str, Any]) -> np.ndarray:
        objects = super()._objects_of(result, row)
        codes = (row["objects"] or {}).get("segmentation") or []
        if len(codes) != len(objects) or not all(code and is_whole(code) for code in codes):
            raise DataError(
                f"{row['file_name']} has an object whose mask is damaged or missing.",
                "Export the masks again; pvzoo.data.check finds all such rows.",
            )
        for index, code in enumerate(codes):
            if tuple(code["size"]) != result.size:
                (height, width), (h, w) = result.size, code["size"]
                raise DataError(
                    f"{row['file_name']} is {width} x {height} pixels, but it has a mask of "
                    f"{w} x {h}.",
                    "Export the masks at the size of the image.",
                )
            objects["mask"][index] = code["counts"].encode()
        return objects

    def _matches(
        self, images: np.ndarray, found: np.ndarray, objects: np.ndarray
    ) -> tuple[Matches, ...]:
        boxes = super()._matches(images, found, objects)
        found["area"] = found["mask_area"]

        overlaps = self._overlaps(np.arange(len(images)), images["size"])
        return (match(found, objects, self._classes, overlaps), *boxes)

    def _overlaps(self, images: np.ndarray, sizes: np.ndarray) -> Overlaps:
        order = np.argsort(images)
        return MaskOverlaps(images[order], sizes[order])


def box_overlaps(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """COCO's IoU of boxes, (d, o) float64."""
    shares: np.ndarray = coco.iou(some["box"], others["box"], others["crowd"])
    return shares


@dataclass(frozen=True, eq=False)
class MaskOverlaps:
    """COCO's IoU of masks, (d, o) float64.

    Attributes:
        images: (n,) all values of the field ``image`` of the masks, ascending.
        sizes: (n, 2) height and width of each image.
    """

    images: np.ndarray
    sizes: np.ndarray

    def __call__(self, some: np.ndarray, others: np.ndarray) -> np.ndarray:
        """See the class."""
        size = self.sizes[np.searchsorted(self.images, some["image"][0])].tolist()
        codes = (
            [{"size": size, "counts": mask} for mask in side["mask"].tolist()]
            for side in (some, others)
        )
        shares: np.ndarray = coco.iou(*codes, others["crowd"])
        return shares


def _joined(arrays: list[np.ndarray], fields: np.dtype) -> np.ndarray:
    return np.concatenate([np.empty(0, fields), *arrays], dtype=fields)


def _precisions(precision: np.ndarray) -> dict[str, float]:
    figures = {
        "map": _mean(precision[:, :, :, 0]),
        "map_50": _mean(precision[0, :, :, 0]),
        "map_75": _mean(precision[5, :, :, 0]),
    }
    for area, name in enumerate(("small", "medium", "large"), 1):
        figures[f"map_{name}"] = _mean(precision[:, :, :, area])
    return figures


def _mean(values: np.ndarray) -> float:
    """The mean without -1, which COCO uses for undefined values."""
    values = values[values > -1]
    return float(values.mean()) if values.size else float("nan")
