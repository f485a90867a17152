"""Where the average precision is lost, held against the package tidecv."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.detection import DetectionMetric
from pvzoo.metrics.error_kinds import average_precisions, costs, counts
from pvzoo.metrics.matching import KINDS, Pairing, match
from pvzoo.results.detections import Detections

tidecv = pytest.importorskip("tidecv")

CLASSES = 4
FOUND = [("image", "i8"), ("label", "i4"), ("score", "f8"), ("box", "f8", 4), ("mask", "O")]
OBJECT = [("image", "i8"), ("label", "i4"), ("crowd", "?"), ("box", "f8", 4), ("mask", "O")]
SHORT = {
    "class": "Cls",
    "location": "Loc",
    "both": "Both",
    "duplicate": "Dupe",
    "background": "Bkg",
    "missed": "Miss",
}


def ellipse(box: np.ndarray) -> bytes:
    left, top, width, height = box
    y, x = np.mgrid[:100, :120] + 0.5
    inside = ((x - left) / width * 2 - 1) ** 2 + ((y - top) / height * 2 - 1) ** 2 < 1
    return coco.encode(np.asfortranarray(inside.astype(np.uint8)))["counts"]


def random_tables(
    rng: np.random.Generator, *, images: int = 12, crowds: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Detections, many of them near an object, and objects; every class has an object."""
    objects, found = [], []
    for image in range(images):
        classes = range(CLASSES) if not image else rng.integers(0, CLASSES, rng.integers(0, 7))
        boxes = []
        for label in classes:
            size = rng.uniform(10, 60, 2)
            boxes.append((label, np.hstack([rng.random(2) * ((120, 100) - size), size])))
            objects.append((image, label, bool(image and rng.random() < crowds), boxes[-1][1], b""))
        for _ in range(rng.integers(0, 25)):
            label, size = rng.integers(0, CLASSES), rng.uniform(10, 60, 2)
            box = np.hstack([rng.random(2) * ((120, 100) - size), size])
            if boxes and rng.random() < 0.8:
                near, base = boxes[rng.integers(len(boxes))]
                label = near if rng.random() < 0.7 else label
                box = base + rng.normal(0, rng.choice([0.02, 0.2]), 4) * np.tile(base[2:], 2)
                box[2:] = np.maximum(box[2:], 3)
            found.append((image, label, rng.random(), box, b""))
    tables = np.array(found, FOUND), np.array(objects, OBJECT)
    for table in tables:
        table["mask"] = [ellipse(box) for box in table["box"]]
    return tables


def overlaps(kind: str) -> Any:
    def boxes(some: np.ndarray, others: np.ndarray) -> np.ndarray:
        return coco.iou(some["box"], others["box"], others["crowd"])

    def masks(some: np.ndarray, others: np.ndarray) -> np.ndarray:
        sides = [[{"size": (100, 120), "counts": m} for m in t["mask"]] for t in (some, others)]
        return coco.iou(*sides, others["crowd"])

    return masks if kind == "mask" else boxes


def reference(found: np.ndarray, objects: np.ndarray, kind: str) -> tuple[Any, dict[str, float]]:
    """tidecv's run, and what it says that each kind costs."""
    from tidecv.data import Data

    truth, predicted = Data("truth", max_dets=100), Data("predicted", max_dets=100)
    for number in range(int(max(found["image"].max(), objects["image"].max())) + 1):
        truth.add_image(number, str(number))
    for o in objects:
        mask = {"size": (100, 120), "counts": o["mask"]}
        add = truth.add_ignore_region if o["crowd"] else truth.add_ground_truth
        add(int(o["image"]), int(o["label"]), o["box"], mask)
    for d in found:
        mask = {"size": (100, 120), "counts": d["mask"]}
        predicted.add_detection(int(d["image"]), int(d["label"]), float(d["score"]), d["box"], mask)
    tide = tidecv.TIDE()
    run = tide.evaluate(truth, predicted, mode=tide.MASK if kind == "mask" else tide.BOX)
    lost = {error.short_name: cost for error, cost in run.fix_main_errors().items()}
    return run, lost


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("seed", range(8))
def test_the_split_is_that_of_tidecv(seed: int, kind: str) -> None:
    found, objects = random_tables(np.random.default_rng(seed))
    run, lost = reference(found, objects, kind)
    pairing = match(found, objects, overlaps(kind))
    ap, cost = costs(pairing, CLASSES)
    assert ap * 100 == pytest.approx(run.ap)
    assert {SHORT[name]: value * 100 for name, value in cost.items()} == pytest.approx(lost)
    named = {error.short_name: n for error, n in run.count_errors().items()}
    assert {SHORT[name]: n for name, n in counts(pairing).items()} == named


def test_the_random_cases_have_errors_of_every_kind_that_cost_something() -> None:
    every = [
        costs(match(*random_tables(np.random.default_rng(s)), overlaps("box")), CLASSES)[1]
        for s in range(8)
    ]
    assert all(max(cost[name] for cost in every) > 0.005 for name in KINDS)


def polygon(box: np.ndarray) -> list[list[float]]:
    """A box as COCO's polygons, which tidecv asks for."""
    left, top, width, height = box.tolist()
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


def as_coco(found: np.ndarray, objects: np.ndarray, folder: Path) -> tuple[Path, Path]:
    """Files of labels and of results, as COCO has them."""
    images = [{"id": i, "width": 120, "height": 100, "file_name": f"{i}.png"} for i in range(12)]
    annotations = [
        {
            "id": number,
            "image_id": int(o["image"]),
            "category_id": int(o["label"]) + 1,
            "bbox": o["box"].tolist(),
            "segmentation": polygon(o["box"]),
            "area": float(o["box"][2] * o["box"][3]),
            "iscrowd": 0,
        }
        for number, o in enumerate(objects, 1)
    ]
    categories = [{"id": i + 1, "name": f"class {i}"} for i in range(CLASSES)]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    results = [
        {
            "image_id": int(d["image"]),
            "category_id": int(d["label"]) + 1,
            "bbox": d["box"].tolist(),
            "score": float(d["score"]),
        }
        for d in found
    ]
    files = folder / "instances.json", folder / "results.json"
    for file, content in zip(files, (truth, results), strict=True):
        file.write_text(json.dumps(content))
    return files


def test_an_evaluation_of_coco_files_has_the_split_that_tidecv_finds_in_them(
    tmp_path: Path,
) -> None:
    from tidecv import datasets

    found, objects = random_tables(np.random.default_rng(5))
    truth_file, results_file = as_coco(found, objects, tmp_path)
    tide = tidecv.TIDE()
    tide.evaluate(datasets.COCO(str(truth_file)), datasets.COCOResult(str(results_file)))
    lost = next(iter(tide.get_main_errors().values()))

    truth, results = json.loads(truth_file.read_text()), json.loads(results_file.read_text())
    names = [category["name"] for category in truth["categories"]]
    metric = DetectionMetric(LabelMatch.of(names, names))
    for image in truth["images"]:
        own = [a for a in truth["annotations"] if a["image_id"] == image["id"]]
        said = [r for r in results if r["image_id"] == image["id"]]
        boxes = np.array([r["bbox"] for r in said]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([r["category_id"] - 1 for r in said], dtype=int)
        result = Detections(
            size=(100, 120),
            boxes=boxes.astype(np.float32),
            scores=np.array([r["score"] for r in said], np.float32),
            labels=labels,
            names=tuple(names[label] for label in labels),
        )
        row = {
            "category": [a["category_id"] - 1 for a in own],
            "bbox": [a["bbox"] for a in own],
            "area": [a["area"] for a in own],
            "iscrowd": [False] * len(own),
            "ignore": [False] * len(own),
        }
        image = {"image_id": image["id"], "file_name": image["file_name"], "objects": row}
        metric.update(image["image_id"], result, image)
    errors = metric.compute().errors
    ours = {SHORT[kind]: row["cost"] * 100 for kind, row in errors.items()}
    assert ours == pytest.approx(lost, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_what_lies_in_a_crowd_is_not_an_error_though_tidecv_counts_it(seed: int) -> None:
    """The average precision is the same; tidecv's errors are ours and those in crowds."""
    found, objects = random_tables(np.random.default_rng(seed), crowds=0.4)
    run, _ = reference(found, objects, "box")
    pairing = match(found, objects, overlaps("box"))
    assert costs(pairing, CLASSES)[0] * 100 == pytest.approx(run.ap)
    ignored = sum(hasattr(error, "pred") and error.pred["used"] is None for error in run.errors)
    assert ignored == int((pairing.kind == -2).sum()) > 0
    said = sum(counts(pairing).values()) - int(pairing.missed.sum())
    theirs = sum(hasattr(error, "pred") for error in run.errors)
    assert said == theirs - ignored


def by_hand(detections: list[Any], objects: list[Any]) -> Pairing:
    return match(
        np.array([(0, *d, b"") for d in detections], FOUND),
        np.array([(0, o[0], False, o[1], b"") for o in objects], OBJECT),
        overlaps("box"),
    )


@pytest.mark.parametrize(
    ("detection", "kind"),
    [
        ((1, 0.9, [0, 0, 10, 10]), "class"),
        ((0, 0.9, [6, 0, 10, 10]), "location"),
        ((1, 0.9, [6, 0, 10, 10]), "both"),
        ((0, 0.1, [0, 0, 10, 10]), "duplicate"),
        ((0, 0.9, [50, 50, 10, 10]), "background"),
    ],
)
def test_each_kind_of_error_is_what_its_name_says(detection: Any, kind: str) -> None:
    right = [(0, 0.5, [0, 0, 10, 10])]
    pairing = by_hand([*right, detection], [(0, [0, 0, 10, 10])])
    assert {KINDS[k] for k in pairing.kind if k >= 0} == {kind}
    assert not pairing.missed.any()


def test_an_object_is_missed_unless_an_error_of_class_or_location_would_find_it() -> None:
    assert by_hand([(0, 0.9, [50, 50, 9, 9])], [(0, [0, 0, 10, 10])]).missed.tolist() == [True]
    assert by_hand([(1, 0.9, [0, 0, 10, 10])], [(0, [0, 0, 10, 10])]).missed.tolist() == [False]


def test_a_class_without_objects_or_detections_has_no_average_precision() -> None:
    none = np.zeros(0)
    found = average_precisions(none, none.astype(bool), none.astype(int), np.array([0, 2]))
    assert np.isnan(found[0])
    assert found[1] == 0
