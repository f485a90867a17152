"""COCO's figures, held against pycocotools."""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pvzoo.errors import DataError, PvzooError
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.detection import DetectionMetric, InstanceMetric
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks

NAMES = (
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)
SIZE = (140, 160)
Case = list[tuple[Any, dict[str, Any]]]


# --- random cases ---------------------------------------------------------------------------------


def random_match(rng: np.random.Generator) -> LabelMatch:
    """Classes in different orders, some of which only one side has."""
    model = [f"class {i}" for i in rng.permutation(4)[: rng.integers(1, 5)]]
    data = [f"class {i}" for i in rng.permutation(4)[: rng.integers(1, 5)]]
    return LabelMatch.of(model, [*data, model[0]] if not set(model) & set(data) else data)


def random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) left, top, right, bottom in the image, of all of COCO's sizes."""
    height, width = SIZE
    scale = np.exp(rng.uniform(np.log(6), np.log(139), (count, 1)))
    sides = scale * rng.uniform(0.7, 1, (count, 2))
    corners = rng.random((count, 2)) * ((width, height) - sides)
    return np.hstack([corners, corners + sides])


def random_case(
    rng: np.random.Generator, match: LabelMatch, *, masks: bool, most: int = 12
) -> Case:
    """Results and rows; many detections are near an object, and many have the same score."""
    image_ids = rng.choice(1000, rng.integers(1, 6), replace=False)
    crowded, found_share = rng.choice([0.0, 0.2, 1.0], p=[0.4, 0.5, 0.1]), rng.random() * 1.2
    return [
        random_image(rng, match, int(i), masks, most, float(crowded), found_share)
        for i in image_ids
    ]


def random_image(
    rng: np.random.Generator,
    match: LabelMatch,
    image_id: int,
    masks: bool,
    most: int,
    crowded: float,
    found_share: float,
) -> tuple[Any, dict[str, Any]]:
    truth = random_boxes(rng, rng.integers(0, 8))
    classes = rng.integers(0, len(match.data), len(truth))
    boxes = random_boxes(rng, rng.integers(0, most) if rng.random() < found_share else 0)
    labels = rng.integers(0, len(match.model), len(boxes))
    for i in range(len(boxes)):
        if len(truth) and rng.random() < 0.7:
            near = rng.integers(len(truth))
            shake = rng.normal(0, 0.08, 4) * np.tile(truth[near][2:] - truth[near][:2], 2)
            boxes[i] = truth[near] + shake * (rng.random() < 0.8)
            known = [m for m, d in enumerate(match.to_data) if d == classes[near]]
            labels[i] = known[0] if known and rng.random() < 0.9 else labels[i]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    objects: dict[str, Any] = {
        "id": list(range(len(truth))),
        "bbox": np.hstack([truth[:, :2], truth[:, 2:] - truth[:, :2]]).tolist(),
        "category": classes.tolist(),
        "area": ((truth[:, 2:] - truth[:, :2]).prod(1) * rng.uniform(0.8, 1, len(truth))).tolist(),
        "iscrowd": (rng.random(len(truth)) < crowded).tolist(),
        "ignore": (rng.random(len(truth)) < crowded).tolist(),
    }
    values = {
        "size": SIZE,
        "boxes": boxes.astype(np.float32),
        "scores": rng.random(len(boxes)).round(1 if rng.random() < 0.5 else 6).astype(np.float32),
        "labels": labels,
        "names": tuple(match.model[i] for i in labels),
    }
    if masks:
        objects["segmentation"] = as_masks(rng, truth).to_coco()
        objects["area"] = as_masks(rng, truth).areas.astype(float).tolist()
    row = {"image_id": image_id, "file_name": f"{image_id}.png", "objects": objects}
    result = Instances(**values, masks=as_masks(rng, boxes)) if masks else Detections(**values)
    return result, row


def as_masks(rng: np.random.Generator, boxes: np.ndarray) -> Masks:
    """Ellipses and rectangles in the boxes."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    shapes = np.zeros((len(boxes), *SIZE), dtype=bool)
    for shape, (x0, y0, x1, y1) in zip(shapes, boxes, strict=True):
        u, v = (2 * x - x0 - x1) / (x1 - x0), (2 * y - y0 - y1) / (y1 - y0)
        shape[:] = u**2 + v**2 < 1 if (x1 + y1) % 3 < 2 else np.maximum(abs(u), abs(v)) < 1
    return Masks.from_array(shapes)


# --- pycocotools ----------------------------------------------------------------------------------


def pycocotools(case: Case, match: LabelMatch, kind: str) -> COCOeval:
    """Its evaluation of the classes that both sides have."""
    annotations = []
    for _, row in case:
        objects = row["objects"]
        for i, category in enumerate(objects["category"]):
            entry = {k: objects[k][i] for k in ("bbox", "area", "segmentation") if k in objects}
            entry |= {"id": len(annotations) + 1, "image_id": row["image_id"]}
            entry |= {"category_id": category, "iscrowd": objects["iscrowd"][i]}
            entry["iscrowd"] = int(entry["iscrowd"] or objects["ignore"][i])
            annotations.append(entry)
    truth, found = COCO(), COCO()
    shared = [i for i, name in enumerate(match.data) if name in match.model]
    truth.dataset = {
        "info": {},
        "images": [{"id": row["image_id"], "height": SIZE[0], "width": SIZE[1]} for _, row in case],
        "categories": [{"id": i, "name": match.data[i]} for i in shared],
        "annotations": annotations,
    }
    entries = []
    for result, row in case:
        for entry in result.to_coco(row["image_id"]):
            if (name := match.model[entry["category_id"]]) in match.data:
                entry["category_id"] = match.data.index(name)
                entry.pop("segmentation" if kind == "bbox" else "bbox", None)
                entries.append(entry)
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        if entries:
            found = truth.loadRes(entries)
        else:  # which loadRes cannot
            found.dataset = truth.dataset | {"annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def mean(values: np.ndarray) -> float:
    values = values[values > -1]
    return values.mean() if values.size else np.nan


def evaluated(metric: Any, case: Case) -> Any:
    for index, (result, row) in enumerate(case):
        metric.update(index, result, row)
    return metric.compute()


def assert_equal(found: Any, expected: COCOeval, match: LabelMatch) -> None:
    stats = np.where(expected.stats == -1, np.nan, expected.stats)
    np.testing.assert_allclose([found[name] for name in NAMES], stats, rtol=0, atol=1e-6)
    precision, recall = expected.eval["precision"], expected.eval["recall"]
    assert list(found.per_class) == [match.data[i] for i in expected.params.catIds]
    for k, row in enumerate(found.per_class.values()):
        assert row["map"] == pytest.approx(mean(precision[:, :, k, 0, 2]), abs=1e-6, nan_ok=True)
        assert row["map_50"] == pytest.approx(mean(precision[0, :, k, 0, 2]), abs=1e-6, nan_ok=True)
        assert row["mar_100"] == pytest.approx(mean(recall[:, k, 0, 2]), abs=1e-6, nan_ok=True)
        truths = expected.cocoGt.dataset["annotations"]
        category = expected.params.catIds[k]
        asked = [a for a in truths if a["category_id"] == category and not a["iscrowd"]]
        assert row["objects"] == len(asked)


@pytest.mark.parametrize("seed", range(150))
def test_figures_of_boxes_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    case = random_case(rng, match, masks=False, most=260 if seed % 10 == 0 else 12)
    assert_equal(evaluated(DetectionMetric(match), case), pycocotools(case, match, "bbox"), match)


@pytest.mark.parametrize("seed", range(100))
def test_figures_of_masks_are_those_of_pycocotools(seed: int) -> None:
    rng = np.random.default_rng(1000 + seed)
    match = random_match(rng)
    case = random_case(rng, match, masks=True)
    found = evaluated(InstanceMetric(match), case)
    assert_equal(found, pycocotools(case, match, "segm"), match)
    boxes = pycocotools(case, match, "bbox").stats[:2]
    boxes = np.where(boxes == -1, np.nan, boxes)
    np.testing.assert_allclose([found["box_map"], found["box_map_50"]], boxes, rtol=0, atol=1e-6)


def test_the_random_cases_have_figures_of_every_size_and_reach_both_ends() -> None:
    match = LabelMatch.of(["a", "b"], ["a", "b"])
    figures = [
        evaluated(DetectionMetric(match), random_case(np.random.default_rng(i), match, masks=False))
        for i in range(60)
    ]
    for name in NAMES:
        values = np.array([f[name] for f in figures])
        assert np.isnan(values).any()
        assert (values == 0).any()
        assert ((values > 0.05) & (values < 0.95)).sum() > 5


@pytest.mark.parametrize("kind", [DetectionMetric, InstanceMetric])
@pytest.mark.parametrize("seed", range(15))
def test_parts_merged_in_any_order_give_exactly_what_one_pass_gives(kind: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    match = random_match(rng)
    case = random_case(rng, match, masks=kind is InstanceMetric)
    whole = evaluated(kind(match), case).to_dict()
    parts = [kind(match) for _ in range(3)]
    for index in rng.permutation(len(case)):
        parts[rng.integers(3)].update(int(index), *case[index])
    merged = kind(match)
    merged.merge([pickle.loads(pickle.dumps(part.state())) for part in parts])
    assert merged.compute().to_dict() == whole
    assert merged.compute().to_dict() == whole  # computing changes nothing


# --- special cases --------------------------------------------------------------------------------

ONE = LabelMatch.of(["cat"], ["cat"])


def detections(*found: tuple[tuple[float, ...], float], labels: Any = None) -> Detections:
    labels = np.zeros(len(found), dtype=np.int64) if labels is None else np.array(labels)
    return Detections(
        size=(100, 100),
        boxes=np.array([box for box, _ in found], dtype=np.float32).reshape(-1, 4),
        scores=np.array([score for _, score in found], dtype=np.float32),
        labels=labels,
        names=("",) * len(found),
    )


def row(*boxes: tuple[float, ...], image_id: int = 1, **changes: Any) -> dict[str, Any]:
    objects = {
        "id": list(range(len(boxes))),
        "bbox": [list(map(float, box)) for box in boxes],
        "category": [0] * len(boxes),
        "area": [float(w * h) for _, _, w, h in boxes],
        "iscrowd": [False] * len(boxes),
        "ignore": [False] * len(boxes),
    }
    return {"image_id": image_id, "file_name": "a/1.png", "objects": objects | changes}


def test_without_images_or_objects_there_is_no_figure() -> None:
    empty = DetectionMetric(ONE).compute()
    assert empty.images == 0
    assert all(np.isnan(list(empty.values())))
    found = evaluated(DetectionMetric(ONE), [(detections(((0, 0, 9, 9), 0.9)), row())])
    assert all(np.isnan(list(found.values())))
    assert found.per_class == {
        "cat": pytest.approx(
            dict.fromkeys(("map", "map_50", "mar_100"), np.nan) | {"objects": 0}, nan_ok=True
        )
    }
    assert found.to_dict()["metrics"]["map"] is None


def test_without_detections_nothing_is_found() -> None:
    found = evaluated(DetectionMetric(ONE), [(detections(), row((0, 0, 9, 9)))])
    assert found["map"] == found["mar_100"] == found["map_small"] == 0
    assert np.isnan(found["map_large"])


@pytest.mark.parametrize("mark", ["iscrowd", "ignore"])
def test_an_ignored_object_is_neither_asked_for_nor_an_error_when_found(mark: str) -> None:
    first, second = ((0, 0, 9, 9), 0.8), ((50, 50, 60, 60), 0.9)
    both = row((0, 0, 9, 9), (50, 50, 10, 10))
    ignored = row((0, 0, 9, 9), (50, 50, 10, 10), **{mark: [False, True]})
    assert evaluated(DetectionMetric(ONE), [(detections(first), both)])["map"] < 0.6
    assert evaluated(DetectionMetric(ONE), [(detections(first), ignored)])["map"] == 1
    error = evaluated(DetectionMetric(ONE), [(detections(first, second), row((0, 0, 9, 9)))])
    assert error["map"] == pytest.approx(0.5)
    found = evaluated(DetectionMetric(ONE), [(detections(first, second), ignored)])
    assert found["map"] == 1
    assert found.per_class["cat"]["objects"] == 1


def test_of_equal_scores_the_image_with_the_lower_id_comes_first() -> None:
    hit = (detections(((0, 0, 9, 9), 0.5)), row((0, 0, 9, 9), image_id=1))
    miss = (detections(((50, 50, 60, 60), 0.5)), row(image_id=2))
    assert evaluated(DetectionMetric(ONE), [hit, miss])["map"] == 1
    assert evaluated(DetectionMetric(ONE), [miss, hit])["map"] == 1
    hit[1]["image_id"] = 3
    assert evaluated(DetectionMetric(ONE), [hit, miss])["map"] == pytest.approx(0.5)


def test_images_that_share_an_id_stay_two_images() -> None:
    images = [(detections(((0, 0, 9, 9), 0.5)), row((0, 0, 9, 9)))] * 2
    assert evaluated(DetectionMetric(ONE), images)["map"] == 1


def test_classes_that_one_side_lacks_count_for_nothing() -> None:
    match = LabelMatch.of(["cat", "dog"], ["cow", "cat"])
    found = detections(((0, 0, 9, 9), 0.5), ((20, 20, 29, 29), 0.9), labels=[0, 1])
    labels = row((0, 0, 9, 9), (50, 50, 9, 9), category=[1, 0])
    figures = evaluated(DetectionMetric(match), [(found, labels)])
    assert figures["map"] == figures["mar_1"] == 1
    assert list(figures.per_class) == ["cat"]


# --- bad labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"category": [1]}, r"class id 1, but the 1 classes"),
        ({"category": [-1]}, r"class id -1"),
        ({"category": [None]}, r"objects\.category .* \[None\]"),
        ({"bbox": [[1.0, 2.0, 3.0]]}, r"objects\.bbox"),
        ({"bbox": [[1.0, 2.0, 3.0], [1.0]]}, r"objects\.bbox"),
        ({"bbox": []}, r"objects\.bbox"),
        ({"area": [None]}, r"objects\.area"),
        ({"area": ["9"]}, r"objects\.area"),
        ({"iscrowd": [None]}, r"objects\.iscrowd"),
        ({"ignore": [True, False]}, r"objects\.ignore"),
    ],
)
def test_labels_that_mean_nothing_are_refused_with_the_name_of_the_image(
    changes: dict[str, Any], message: str
) -> None:
    metric = DetectionMetric(ONE)
    with pytest.raises(DataError, match=message) as error:
        metric.update(0, detections(), row((0, 0, 9, 9), **changes))
    assert "a/1.png" in error.value.what
    assert "pvzoo.data.check" in error.value.hint
    assert metric.compute().images == 0


@pytest.mark.parametrize("null", [None, dict.fromkeys(row()["objects"])])
def test_an_image_whose_objects_are_null_has_none(null: Any) -> None:
    found = detections(((0, 0, 9, 9), 0.5))
    masks = Masks.from_array(np.ones((1, 100, 100)))
    instances = Instances(
        **{k: getattr(found, k) for k in ("size", "boxes", "scores", "labels", "names")},
        masks=masks,
    )
    for kind, result in ((DetectionMetric, found), (InstanceMetric, instances)):
        metric = kind(ONE)
        metric.update(0, result, row() | {"objects": null})
        assert metric.compute().images == 1
        assert np.isnan(metric.compute()["map"])
    metric = DetectionMetric(ONE)
    metric.update(0, found, row((0, 0, 9, 9)))
    metric.update(1, detections(((0, 0, 9, 9), 0.9)), row(image_id=2) | {"objects": null})
    assert metric.compute()["map_50"] == 0.5  # the better one found nothing


def test_boxes_of_another_size_of_image_are_refused() -> None:
    found = detections(((0, 0, 9, 9), 0.5))
    turned = Detections(
        **{k: getattr(found, k) for k in ("boxes", "scores", "labels", "names")}, size=(100, 60)
    )
    for size in ({"width": 60, "height": 100}, {"width": 0, "height": 0}, {"width": None}):
        DetectionMetric(ONE).update(0, turned, row((0, 0, 9, 9)) | size)
    stored = {"width": 100, "height": 60}
    message = r"a/1\.png is 60 x 100 pixels, but its boxes are .* 100 x 60\..*fix"
    with pytest.raises(DataError, match=message):
        DetectionMetric(ONE).update(0, turned, row((0, 0, 9, 9)) | stored)
    DetectionMetric(ONE).update(0, turned, row() | stored)  # nothing that could be elsewhere


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_predictions_that_are_not_numbers_are_refused(value: float) -> None:
    for found in (detections(((0, 0, 9, 9), value)), detections(((0, 0, 9, value), 0.5))):
        with pytest.raises(PvzooError, match=r"a/1\.png are not numbers.*float16"):
            DetectionMetric(ONE).update(0, found, row())


def test_masks_of_another_size_and_damaged_masks_are_refused() -> None:
    found = Instances(
        **{k: getattr(detections(), k) for k in ("boxes", "scores", "labels", "names")},
        size=(100, 100),
        masks=Masks((100, 100)),
    )

    def labels(code: Any) -> dict[str, Any]:
        return row((0, 0, 9, 9), segmentation=[code])

    whole = Masks.from_array(np.ones((1, 100, 100))).to_coco()[0]
    InstanceMetric(ONE).update(0, found, labels(whole))
    turned = Masks.from_array(np.ones((1, 60, 100))).to_coco()[0]
    with pytest.raises(DataError, match=r"a/1\.png is 100 x 100 .* mask of 100 x 60"):
        InstanceMetric(ONE).update(0, found, labels(turned))
    for code in (None, {"size": [100, 100], "counts": None}, whole | {"counts": "zzz"}):
        with pytest.raises(DataError, match=r"a/1\.png has an object whose mask is damaged"):
            InstanceMetric(ONE).update(0, found, labels(code))
