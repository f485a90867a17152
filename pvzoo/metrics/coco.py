"""COCO's precision and recall by faster-coco-eval, which does in C++ what pycocotools does.

faster-coco-eval's own classes hold every box of the dataset as a Python dict, and an evaluation of
every class in every image. Its C++ functions are called here for one class and a few hundred
images at a time, and only for images that have something of the class. The figures are the same,
since in COCO no class knows of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

IMAGES_AT_ONCE = 256
"""Images whose boxes are Python dicts at one time."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]


def curves(
    found: np.ndarray, objects: np.ndarray, classes: Sequence[int], overlaps: Overlaps
) -> tuple[np.ndarray, np.ndarray]:
    """What pycocotools' ``COCOeval.eval`` has as "precision" and "recall".

    Args:
        found: (n,) detections, a structured array with the fields image, label, score and area. Of
            those with the same score the one in the lower `image` comes first, then the one that
            comes first here.
        objects: (m,) objects with the fields image, label, area and crowd.
        classes: The labels to evaluate.
        overlaps: COCO's IoU of some detections with some objects of their image: (d, o) float64.

    Returns:
        Precision, (thresholds, recalls, classes, sizes, limits), and the highest recall,
        (thresholds, classes, sizes, limits); -1 where there is no object to be found.
    """
    from faster_coco_eval import faster_eval_api_cpp as cpp
    from faster_coco_eval.core.cocoeval import Params

    params = Params("bbox")  # thresholds, sizes and limits are the same for masks
    params.catIds = [0]  # one class at a time
    shape = (len(classes), len(params.areaRng), len(params.maxDets))
    precision = np.full((len(params.iouThrs), len(params.recThrs), *shape), -1.0)
    recall = np.full((len(params.iouThrs), *shape), -1.0)
    found = found[np.lexsort((-found["score"], found["image"], found["label"]))]
    objects = objects[np.lexsort((objects["image"], objects["label"]))]
    for k, (some, others) in enumerate(_groups(found, objects, "label", classes)):
        if others["crowd"].all():  # none at all, or none to be found
            continue
        rank = np.arange(len(some)) - np.searchsorted(some["image"], some["image"])
        some = some[rank < params.maxDets[-1]]
        images = np.union1d(some["image"], others["image"])
        matches: list[list[Any]] = [[] for _ in params.areaRng]
        for start in range(0, len(images), IMAGES_AT_ONCE):
            chunk = images[start : start + IMAGES_AT_ONCE]
            detections, truths, ious = cpp.Dataset(), cpp.Dataset(), []
            for i, (d, o) in enumerate(_groups(some, others, "image", chunk)):
                _add_detections(detections, i, d)
                _add_truths(truths, i, o)
                ious.append([overlaps(d, o).tolist() if len(d) and len(o) else []])
            matched = cpp.COCOevalEvaluateImages(
                params.areaRng,
                params.maxDets[-1],
                params.iouThrs,
                ious,
                truths,
                detections,
                list(range(len(chunk))),
                params.catIds,
                True,
            )
            for size, part in enumerate(matches):  # all images of a size, then the next size
                part += matched[size * len(chunk) : (size + 1) * len(chunk)]
        params.imgIds = list(range(len(images)))
        curve = cpp.COCOevalAccumulate(params, [m for part in matches for m in part])
        precision[:, :, k] = curve["precision"][:, :, 0]
        recall[:, k] = curve["recall"][:, 0]
    return precision, recall


def _add_detections(dataset: Any, image: int, rows: np.ndarray) -> None:
    values = zip(rows["area"].tolist(), rows["score"].tolist(), strict=True)
    for id, (area, score) in enumerate(values, 1):  # an id 0 would mean "no match"
        dataset.append_ref(image, 0, {"id": id, "area": area, "score": score})


def _add_truths(dataset: Any, image: int, rows: np.ndarray) -> None:
    values = zip(rows["area"].tolist(), rows["crowd"].tolist(), strict=True)
    for id, (area, crowd) in enumerate(values, 1):
        dataset.append_ref(image, 0, {"id": id, "area": area, "iscrowd": crowd, "ignore": crowd})


def _groups(
    found: np.ndarray, objects: np.ndarray, field: str, values: Sequence[int] | np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of both tables for each of the values; both are sorted by the field."""
    bounds = [
        np.searchsorted(table[field], values, side).tolist()
        for table in (found, objects)
        for side in ("left", "right")
    ]
    for a, b, c, d in zip(*bounds, strict=True):
        yield found[a:b], objects[c:d]
