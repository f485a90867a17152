"""Compare the time of COCO metrics for 5,000 images with 100 boxes each: pvzoo and pycocotools.

    python benchmarks/detection_metrics.py        # some minutes, nearly all for pycocotools
    python benchmarks/detection_metrics.py 500    # with 500 images

There are 80 classes; an image has 1 to 19 objects of up to six classes, 2% of them crowds. Of its
100 detections, 60 are objects with jittered boxes; the others have random places and classes. Each
library starts from its usual input: pycocotools from the dicts of a COCO results file, pvzoo from
results and rows, one image at a time. The benchmark compares CPU time of the process, so other
programs on the machine do not matter.
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.detection import DetectionMetric
from pvzoo.results.detections import Detections

CLASSES, WIDTH, HEIGHT, FOUND, NEAR = 80, 640, 480, 100, 60
NAMES = tuple(f"class {i}" for i in range(CLASSES))
FIGURES = (
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) left, top, width, height, from small to large."""
    sides = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
    return np.hstack([rng.random((count, 2)) * ((WIDTH, HEIGHT) - sides), sides])


def random_image(rng: np.random.Generator, image_id: int) -> tuple[Detections, dict[str, Any]]:
    """A result and its row."""
    truth = random_boxes(rng, int(rng.integers(1, 20)))
    classes = rng.choice(CLASSES, 6)[rng.integers(0, 6, len(truth))]
    near = rng.integers(0, len(truth), NEAR)
    jitter = rng.normal(0, 0.1, (NEAR, 4)) * np.tile(truth[near, 2:], 2)
    boxes = np.vstack([truth[near] + jitter, random_boxes(rng, FOUND - NEAR)])
    boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 1)
    labels = np.append(classes[near], rng.integers(0, CLASSES, FOUND - NEAR))
    result = Detections(
        size=(HEIGHT, WIDTH),
        boxes=boxes.astype(np.float32),
        scores=rng.random(FOUND).astype(np.float32),
        labels=labels,
        names=tuple(NAMES[i] for i in labels),
    )
    objects = {
        "bbox": truth.tolist(),
        "category": classes.tolist(),
        "area": truth[:, 2:].prod(1).tolist(),
        "iscrowd": (rng.random(len(truth)) < 0.02).tolist(),
        "ignore": [False] * len(truth),
    }
    return result, {"image_id": image_id, "file_name": f"{image_id}.jpg", "objects": objects}


def with_pycocotools(dataset: dict[str, Any], found: list[dict[str, Any]]) -> np.ndarray:
    """The twelve figures of pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dataset
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats == -1, np.nan, evaluation.stats)


def with_pvzoo(images: list[tuple[Detections, dict[str, Any]]]) -> np.ndarray:
    """The same figures from pvzoo."""
    metric = DetectionMetric(LabelMatch.of(NAMES, NAMES))
    for index, (result, row) in enumerate(images):
        metric.update(index, result, row)
    figures = metric.compute()
    return np.array([figures[name] for name in FIGURES])


def coco_file(images: list[tuple[Detections, dict[str, Any]]]) -> dict[str, Any]:
    """The content of a COCO annotation file."""
    annotations: list[dict[str, Any]] = []
    for _, row in images:
        objects = row["objects"]
        for values in zip(*(objects[k] for k in ("bbox", "area", "category")), strict=True):
            annotations.append(dict(zip(("bbox", "area", "category_id"), values, strict=True)))
            annotations[-1] |= {"image_id": row["image_id"], "id": len(annotations)}
        for index, crowd in enumerate(reversed(objects["iscrowd"]), 1):
            annotations[-index]["iscrowd"] = int(crowd)
    return {
        "info": {},
        "images": [{"id": row["image_id"], "width": WIDTH, "height": HEIGHT} for _, row in images],
        "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES)],
        "annotations": annotations,
    }


def main(count: int = 5000) -> None:
    """Print both times, their ratio and the largest difference between figures."""
    rng = np.random.default_rng(0)
    images = [random_image(rng, image_id) for image_id in range(1, count + 1)]
    dataset = coco_file(images)
    found = [entry for result, row in images for entry in result.to_coco(row["image_id"])]
    start = time.process_time()
    ours = with_pvzoo(images)
    middle = time.process_time()
    theirs = with_pycocotools(dataset, found)
    end = time.process_time()
    print(f"{count:,} images, {len(found):,} detections, {len(dataset['annotations']):,} objects")
    print(f"pvzoo {middle - start:.1f} s, pycocotools {end - middle:.1f} s")
    print(f"{(end - middle) / (middle - start):.1f} times as fast")
    print(f"largest difference of a figure: {np.abs(ours - theirs).max():.1e}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
