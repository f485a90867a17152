"""COCO's precision and recall, computed by faster-coco-eval: pycocotools in C++.

The classes of faster-coco-eval keep every box of the dataset as a Python dict, and an evaluation of
every class in every image. Here its C++ functions are called for one class and a few hundred images
at a time, and only for images with boxes of the class. The results are the same, because in COCO
classes do not depend on each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from pvzoo.extras import needs

IMAGES_AT_ONCE = 256
"""The number of images whose boxes are Python dicts at the same time."""

MANY = 20_000
"""With more detections of a class, sizes are evaluated one after another. This is slower, but not
all matches, which take 200 bytes for each detection and size, are in memory at the same time."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]


def curves(
    found: np.ndarray, objects: np.ndarray, classes: Sequence[int], overlaps: Overlaps
) -> tuple[np.ndarray, np.ndarray]:
    """The "precision" and "recall" of pycocotools' ``COCOeval.eval``.

    Args:
        found: (n,) detections, a structured array with the fields image, label, score and area. If
            scores are equal, detections with the lower `image` come first, then those that come
            first in this array.
        objects: (m,) objects with the fields image, label, area and crowd.
        classes: The labels to evaluate.
        overlaps: Returns COCO's IoU of detections with objects of the same image, (d, o) float64.

    Returns:
        Precision, (thresholds, recalls, classes, sizes, limits), and the highest recall,
        (thresholds, classes, sizes, limits); -1 where there is no object to find.
    """
    needs("COCO's average precision", "faster_coco_eval")
    from faster_coco_eval.core.cocoeval import Params

    params = Params("bbox")  # thresholds, sizes and limits are the same for masks
    params.catIds = [0]  # one class at a time
    sizes = params.areaRng
    shape = (len(classes), len(sizes), len(params.maxDets))
    precision = np.full((len(params.iouThrs), len(params.recThrs), *shape), -1.0)
    recall = np.full((len(params.iouThrs), *shape), -1.0)
    found = found[np.lexsort((-found["score"], found["image"], found["label"]))]
    objects = objects[np.lexsort((objects["image"], objects["label"]))]
    for k, (some, others) in enumerate(_groups(found, objects, "label", classes)):
        if others["crowd"].all():  # no objects, or none to find
            continue
        rank = np.arange(len(some)) - np.searchsorted(some["image"], some["image"])
        some = some[rank < params.maxDets[-1]]
        images = np.union1d(some["image"], others["image"])
        at_once = len(sizes) if len(some) <= MANY else 1
        for first in range(0, len(sizes), at_once):
            part = slice(first, first + at_once)
            params.areaRng = sizes[part]
            precision[:, :, k, part], recall[:, k, part] = _curves_of_class(
                params, images, some, others, overlaps
            )
    return precision, recall


def _curves_of_class(
    params: Any, images: np.ndarray, some: np.ndarray, others: np.ndarray, overlaps: Overlaps
) -> tuple[np.ndarray, np.ndarray]:
    """(thresholds, recalls, sizes, limits) and (thresholds, sizes, limits), for `params`' sizes."""
    from faster_coco_eval import faster_eval_api_cpp as cpp

    matches: list[list[Any]] = [[] for _ in params.areaRng]
    for start in range(0, len(images), IMAGES_AT_ONCE):
        chunk = images[start : start + IMAGES_AT_ONCE]
        d, o = _in_images(some, chunk), _in_images(others, chunk)
        ious: list[list[Any]] = [[[]] for _ in chunk]
        both = np.intersect1d(d["image"], o["image"])
        pairs = zip(np.searchsorted(chunk, both), _groups(d, o, "image", both), strict=True)
        for index, pair in pairs:
            ious[index][0] = overlaps(*pair).tolist()
        matched = cpp.COCOevalEvaluateImages(
            params.areaRng,
            params.maxDets[-1],
            params.iouThrs,
            ious,
            _truths(cpp.Dataset(), chunk, o),
            _detections(cpp.Dataset(), chunk, d),
            list(range(len(chunk))),
            params.catIds,
            True,
        )
        for size, part in enumerate(matches):  # all images of a size, then the next size
            part += matched[size * len(chunk) : (size + 1) * len(chunk)]
    params.imgIds = list(range(len(images)))
    curve = cpp.COCOevalAccumulate(params, [match for part in matches for match in part])
    return curve["precision"][:, :, 0], curve["recall"][:, 0]


def _in_images(rows: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The rows from the first to the last of the images; rows are sorted by image."""
    start, end = np.searchsorted(rows["image"], [images[0], images[-1] + 1])
    return rows[start:end]


def _detections(dataset: Any, images: np.ndarray, rows: np.ndarray) -> Any:
    """Add detections to faster-coco-eval's dataset, by the index of their image in `images`."""
    indices = np.searchsorted(images, rows["image"]).tolist()
    values = zip(indices, rows["area"].tolist(), rows["score"].tolist(), strict=True)
    for id, (index, area, score) in enumerate(values, 1):  # an id of 0 would mean "no match"
        dataset.append_ref(index, 0, {"id": id, "area": area, "score": score})
    return dataset


def _truths(dataset: Any, images: np.ndarray, rows: np.ndarray) -> Any:
    """Add objects to faster-coco-eval's dataset, by the index of their image in `images`."""
    indices = np.searchsorted(images, rows["image"]).tolist()
    values = zip(indices, rows["area"].tolist(), rows["crowd"].tolist(), strict=True)
    for id, (index, area, crowd) in enumerate(values, 1):
        dataset.append_ref(index, 0, {"id": id, "area": area, "iscrowd": crowd, "ignore": crowd})
    return dataset


def _groups(
    found: np.ndarray, objects: np.ndarray, field: str, values: Sequence[int] | np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of both tables for each value of a field; both tables are sorted by the field."""
    bounds = [
        np.searchsorted(table[field], values, side).tolist()
        for table in (found, objects)
        for side in ("left", "right")
    ]
    for a, b, c, d in zip(*bounds, strict=True):
        yield found[a:b], objects[c:d]
