"""Detection models of every family against transformers' own model and post-processing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detection_families import FAMILIES, build
from PIL import Image
from torchvision.ops import batched_nms, nms
from transformers import AutoImageProcessor, AutoModelForObjectDetection, ViTImageProcessor

import pvzoo
from pvzoo.adapters.base import Spec
from pvzoo.errors import PvzooWarning, UnsupportedModelError, UsageError
from pvzoo.families import FAMILIES as FAMILY_RECORDS
from pvzoo.networks.base import TargetClasses
from pvzoo.results.detections import Detections

IMAGES = ("coffee", "astronaut", "china")

# Its sine embeddings are made in float32 whatever the weights are, so transformers cannot run it
# in another type.
FLOAT32_ONLY = "dab_detr"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small checkpoint, written when first asked for."""
    root = tmp_path_factory.mktemp("detectors")

    def folder(family: str) -> Path:
        if not (root / family).is_dir():
            build(family, root / family)
        return root / family

    return folder


@pytest.fixture(scope="session")
def detector(checkpoint: Callable[[str], Path]) -> Callable[..., pvzoo.Model]:
    """A family's model as pvzoo loads it, for tests that do not change it."""
    loaded: dict[tuple[str, Any], pvzoo.Model] = {}

    def load(family: str, dtype: Any = torch.float32) -> pvzoo.Model:
        if (family, dtype) not in loaded:
            loaded[family, dtype] = pvzoo.load(checkpoint(family), dtype=dtype, device="cpu")
        return loaded[family, dtype]

    return load


@pytest.fixture
def coffee(photographs: dict[str, Path]) -> Image.Image:
    return Image.open(photographs["coffee"]).convert("RGB")


@cache
def opened(folder: Path) -> tuple[Any, Any]:
    """Model and processor as transformers alone opens them."""
    module = AutoModelForObjectDetection.from_pretrained(folder).eval()
    return module, AutoImageProcessor.from_pretrained(folder)


def by_transformers(
    folder: Path, image: Image.Image, thresholds: tuple[float, ...]
) -> list[dict[str, np.ndarray]]:
    """Scores, labels and boxes from transformers alone, without rows that name no class."""
    module, processor = opened(folder)
    inputs = processor(images=image, return_tensors="pt")
    first = min(module.config.id2label)  # one checkpoint counts its names from 1
    named = [i - first for i, name in module.config.id2label.items() if name != "N/A"]
    with torch.inference_mode():
        outputs = module(**inputs)
        found = [
            processor.post_process_object_detection(
                outputs, threshold=threshold, target_sizes=[image.size[::-1]]
            )[0]
            for threshold in thresholds
        ]
    results = []
    for one in found:
        keep = np.isin(one["labels"].numpy(), named)
        results.append({n: one[n].numpy()[keep] for n in ("scores", "labels", "boxes")})
    return results


def check_same(ours: Detections, scores: Any, labels: Any, boxes: Any) -> None:
    """Up to rounding; of classes that one query is given, either may come first."""
    found = {"scores": ours.scores, "labels": ours.labels, "boxes": ours.boxes}
    mine, its = (
        _best_of_a_box_first(found),
        _best_of_a_box_first({"scores": scores, "labels": labels, "boxes": boxes}),
    )
    np.testing.assert_array_equal(mine["labels"], its["labels"])
    np.testing.assert_allclose(mine["scores"], its["scores"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(mine["boxes"], its["boxes"], rtol=0, atol=1e-6 * max(ours.size))


def _best_of_a_box_first(rows: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rows in their order, but those that follow each other with one box by score."""
    boxes = np.round(rows["boxes"], 2)
    new = np.ones(len(boxes), dtype=bool)
    new[1:] = (boxes[1:] != boxes[:-1]).any(axis=1)
    order = np.lexsort((-rows["scores"], np.cumsum(new)))
    return {name: values[order] for name, values in rows.items()}


def check_near(
    ours: Detections, theirs: Detections, *, score: float = 1e-5, box: float = 0.01
) -> None:
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=0, atol=score)
    np.testing.assert_allclose(ours.boxes, theirs.boxes, rtol=0, atol=box)


# --- every family ---------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_detections_equal_those_of_transformers(checkpoint, detector, photographs, family):
    if family == "pp_doclayout_v3":
        pytest.importorskip("cv2", reason="transformers' own post-processing draws polygons")
    model = detector(family)
    assert model.task == "object-detection"
    for name in IMAGES:
        thresholds = (0.0, 0.3, 0.5, 0.9) if name == "coffee" else (0.3, 0.5)
        image = Image.open(photographs[name]).convert("RGB")
        expected = by_transformers(checkpoint(family), image, thresholds)
        for threshold, theirs in zip(thresholds, expected, strict=True):
            ours = model.predict(image, threshold=threshold)
            check_same(ours, **theirs)
            assert ours.size == image.size[::-1]
            assert ours.names == tuple(model.labels[i] for i in ours.labels)
            if threshold == 0.3:
                assert len(ours) >= 20
                assert len(set(ours.labels.tolist())) >= 5


@pytest.mark.parametrize("family", FAMILIES)
def test_detections_do_not_depend_on_companions_or_batch_size(detector, photographs, family):
    # Small random networks magnify the rounding of float32 a thousandfold, which a batch of
    # another size changes; in float64 nothing is left of it.
    dtype = torch.float32 if family == FLOAT32_ONLY else torch.float64
    tolerance = {"score": 1e-3, "box": 0.1} if family == FLOAT32_ONLY else {}
    model = detector(family, dtype)
    coffee = Image.open(photographs["coffee"]).convert("RGB").resize((300, 200))
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    companions = [
        coffee.transpose(Image.Transpose.ROTATE_180),  # of the same size, so in the same batch
        Image.fromarray(noise),
        photographs["astronaut"],
        coffee.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    ]
    alone = model.predict(coffee, threshold=0.3)
    assert len(alone) >= 20
    for batch_size, index in ((1, 0), (2, 1), (5, 3)):
        images = [*companions[:index], coffee, *companions[index:]]
        results = model.predict(images, batch_size=batch_size, threshold=0.3)
        check_near(results[index], alone, **tolerance)


@pytest.mark.parametrize("family", ["detr_timm", "yolos", "lw_detr", "rf_detr"])
def test_detections_in_float32_do_not_depend_on_companions(detector, coffee, family):
    model = detector(family)
    turned = coffee.transpose(Image.Transpose.ROTATE_180)
    alone = model.predict(coffee, threshold=0.3)
    for images in ([coffee, turned], [turned, turned, coffee, turned, coffee]):
        together = model.predict(images, batch_size=5, threshold=0.3)
        check_near(together[images.index(coffee)], alone)


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_works_where_transformers_does(checkpoint, coffee, family):
    if family == FLOAT32_ONLY:
        with pytest.raises(UnsupportedModelError, match="float32"):
            pvzoo.load(checkpoint(family), dtype="bfloat16", device="cpu")
        return
    model = pvzoo.load(checkpoint(family), dtype="bfloat16", device="cpu")
    assert model.dtype == torch.bfloat16
    found = model.predict(coffee, threshold=0.3)
    assert len(found) >= 10
    assert found.boxes.dtype == found.scores.dtype == np.float32
    assert np.isfinite(found.boxes).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_no_object_is_an_empty_result(detector, coffee, family):
    found = detector(family).predict(coffee, threshold=1.0, classes=[1])
    assert (len(found), found.names, found.rows()) == (0, (), [])
    assert found.boxes.shape == (0, 4)
    assert (found.boxes.dtype, found.labels.dtype) == (np.float32, np.int64)
    assert found.to_coco() == []
    assert list(found.to_pandas().columns) == list(found.columns)


# --- options --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rt_detr(detector: Callable[..., pvzoo.Model]) -> pvzoo.Model:
    return detector("rt_detr")


def chosen(found: Detections, keep: Any) -> dict[str, np.ndarray]:
    return {n: getattr(found, n)[keep] for n in ("scores", "labels", "boxes")}


def test_the_threshold_is_one_half_unless_told(rt_detr, coffee):
    every = rt_detr.predict(coffee, threshold=0.1)
    assert every.scores.min() < 0.5
    check_same(rt_detr.predict(coffee), **chosen(every, every.scores > 0.5))


@pytest.mark.parametrize("family", ["detr_resnet", "rt_detr", "pp_doclayout_v2"])
@pytest.mark.parametrize("count", [1, 7, 1000])
def test_max_detections_keeps_the_best_in_their_order(detector, coffee, family, count):
    model = detector(family)
    every = model.predict(coffee, threshold=0.2)
    best = np.sort(np.argsort(-every.scores, kind="stable")[:count])
    ours = model.predict(coffee, threshold=0.2, max_detections=count)
    check_same(ours, **chosen(every, best))


def test_classes_are_chosen_by_name_or_id(rt_detr, coffee):
    every = rt_detr.predict(coffee, threshold=0.1)
    one, second = list(dict.fromkeys(every.labels.tolist()))[:2]
    names = rt_detr.labels
    expected = chosen(every, np.isin(every.labels, [one, second]))
    for classes in (
        [one, second],
        [names[one], names[second]],
        [names[one].upper(), second],
        (names[second].title(), np.int64(one)),
    ):
        check_same(rt_detr.predict(coffee, threshold=0.1, classes=classes), **expected)


def test_max_detections_counts_only_the_classes_chosen(rt_detr, coffee):
    every = rt_detr.predict(coffee, threshold=0.1)
    last = int(every.labels[-1])
    ours = rt_detr.predict(coffee, threshold=0.1, classes=[last], max_detections=1)
    assert ours.labels.tolist() == [last]


def test_an_unknown_class_names_the_nearest(rt_detr, coffee):
    with pytest.raises(UsageError, match="motorcicle") as caught:
        rt_detr.predict(coffee, classes=["motorcicle"])
    assert "motorcycle" in str(caught.value)
    for unknown in (80, -1):
        with pytest.raises(UsageError, match=str(unknown)):
            rt_detr.predict(coffee, classes=[unknown])


def test_a_class_without_a_name_cannot_be_chosen(detector, coffee):
    for classes in ([12], ["N/A"], [""]):
        with pytest.raises(UsageError, match="no class"):
            detector("detr_resnet").predict(coffee, classes=classes)


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7, 1.0])
def test_suppression_is_that_of_torchvision(detector, coffee, iou):
    model = detector("table_transformer")
    every = model.predict(coffee, threshold=0.1)
    boxes, scores, labels = map(torch.from_numpy, (every.boxes, every.scores, every.labels))
    of_class = batched_nms(boxes, scores, labels, iou).sort().values.numpy()
    ours = model.predict(coffee, threshold=0.1, nms=iou)
    check_same(ours, **chosen(every, of_class))
    of_all = nms(boxes, scores, iou).sort().values.numpy()
    ours = model.predict(coffee, threshold=0.1, nms=iou, class_agnostic=True)
    check_same(ours, **chosen(every, of_all))
    if iou == 0.3:
        assert len(of_all) < len(of_class) < len(every)


def test_boxes_are_suppressed_before_the_best_are_taken(detector, coffee):
    model = detector("table_transformer")
    suppressed = model.predict(coffee, threshold=0.1, nms=0.0, class_agnostic=True)
    best = np.sort(np.argsort(-suppressed.scores, kind="stable")[:2])
    ours = model.predict(coffee, threshold=0.1, nms=0.0, class_agnostic=True, max_detections=2)
    check_same(ours, **chosen(suppressed, best))


@pytest.mark.parametrize(
    "options",
    [
        {"threshold": 1.5},
        {"threshold": -0.1},
        {"threshold": "high"},
        {"threshold": float("nan")},
        {"max_detections": 0},
        {"max_detections": 2.5},
        {"nms": 2},
        {"nms": True},
        {"class_agnostic": 1},
        {"classes": "cat"},
        {"classes": 3},
        {"top_k": 5},
    ],
    ids=str,
)
def test_impossible_options_are_refused(rt_detr, coffee, options):
    with pytest.raises(UsageError, match=next(iter(options))):
        rt_detr.predict(coffee, **options)


# --- class names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "nameless"),
    [("detr_resnet", 12), ("yolos", 0), ("deformable_detr_box_refine", 0)],
)
def test_ids_that_name_no_class_never_come_out(checkpoint, coffee, tmp_path, family, nameless):
    folder = tmp_path / "m"
    shutil.copytree(checkpoint(family), folder)
    # Every query is sure of this class.
    module = AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    with torch.no_grad():
        for name, layer in module.named_modules():
            last = getattr(layer, "out_features", 0) in (80, 91, 92)
            if last and ("class_labels_classifier" in name or "class_embed" in name):
                layer.bias[nameless] += 1000
        logits = module(**processor(images=coffee, return_tensors="pt")).logits
    assert (logits.argmax(-1) == nameless).all()
    module.save_pretrained(folder)
    model = pvzoo.load(folder, device="cpu")
    assert model.labels[nameless] == ""
    found = model.predict(coffee, threshold=0.0)
    assert nameless not in found.labels
    assert all(found.names)
    assert "N/A" not in found.names


def test_labels_have_their_names_by_id(detector):
    labels = detector("detr_resnet").labels
    assert len(labels) == 91
    assert (labels[0], labels[1], labels[12], labels[90]) == ("", "person", "", "toothbrush")


def test_names_counted_from_one_name_the_outputs_in_their_order(detector):
    labels = detector("deformable_detr_single_scale").labels
    assert len(labels) == 80
    assert (labels[0], labels[1], labels[79]) == ("person", "bicycle", "toothbrush")


# --- what is refused, and old configurations ------------------------------------------------------


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [
        ("pp_ocrv5_mobile_det", "PPOCRV5MobileDetForObjectDetection"),
        ("pp_ocrv5_server_det", "PPOCRV5ServerDetForObjectDetection"),
        ("pp_ocrv6_medium_det", "PPOCRV6MediumDetForObjectDetection"),
        ("pp_ocrv6_small_det", "PPOCRV6SmallDetForObjectDetection"),
    ],
)
def test_text_detectors_are_refused_before_their_weights_are_read(
    hub, tmp_path, model_type, architecture
):
    config = json.dumps({"model_type": model_type, "architectures": [architecture]})
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(config)
    with pytest.raises(UnsupportedModelError, match="heat map"):
        pvzoo.load(tmp_path / "m")
    hub.add_repo("someone/text", {"config.json": config.encode()})
    with pytest.raises(UnsupportedModelError, match="heat map"):
        pvzoo.load("someone/text")


# --- families that no record names ----------------------------------------------------------------


@pytest.mark.parametrize("family", ["yolos", "rt_detr"])
def test_a_family_without_a_record_is_read_by_its_processor_with_a_warning(
    monkeypatch, checkpoint, coffee, family
):
    """Whatever thresholds and batches are: as transformers alone reads it."""
    monkeypatch.delitem(FAMILY_RECORDS, family)
    with pytest.warns(PvzooWarning, match=f"{family}.*post_process_object_detection"):
        model = pvzoo.load(checkpoint(family), device="cpu")
    thresholds = (0.0, 0.3, 0.5, 0.9)
    expected = by_transformers(checkpoint(family), coffee, thresholds)
    for threshold, theirs in zip(thresholds, expected, strict=True):
        check_same(model.predict(coffee, threshold=threshold), **theirs)
    turned = coffee.transpose(Image.Transpose.ROTATE_180)
    _, together = model.predict([turned, coffee], threshold=0.3, batch_size=2)
    check_near(together, model.predict(coffee, threshold=0.3), score=1e-3, box=0.1)
    assert Spec.from_json(json.loads(json.dumps(model.adapter.spec.to_json())))
    with pytest.raises(UnsupportedModelError, match="cannot be fine-tuned"):
        model.network.retarget(TargetClasses(("a", "b"), (None, None)), image_size=None, seed=0)


def test_a_family_without_a_record_whose_processor_reads_no_boxes_is_refused(
    monkeypatch, checkpoint, tmp_path
):
    shutil.copytree(checkpoint("yolos"), tmp_path / "m")
    ViTImageProcessor().save_pretrained(tmp_path / "m")
    monkeypatch.delitem(FAMILY_RECORDS, "yolos")
    with pytest.raises(UnsupportedModelError, match=r"'yolos'.*ViTImageProcessor"):
        pvzoo.load(tmp_path / "m", device="cpu")


def test_another_task_of_a_detector_is_refused(checkpoint):
    with pytest.raises(UnsupportedModelError, match="panoptic-segmentation"):
        pvzoo.load(checkpoint("detr_resnet"), task="panoptic")


def old_style(folder: Path) -> None:
    """Name the timm backbone as configs of 2022 do."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config |= {
        "backbone": "test_resnet",
        "backbone_config": None,
        "backbone_kwargs": {"in_chans": 3, "out_indices": [1, 2, 3, 4]},
        "use_timm_backbone": True,
        "use_pretrained_backbone": True,
        "dilation": False,
        "num_channels": 3,
    }
    file.write_text(json.dumps(config))


def test_a_backbone_named_in_the_old_way_opens_without_asking_the_hub(
    hub, checkpoint, detector, coffee, tmp_path
):
    shutil.copytree(checkpoint("detr_timm"), tmp_path / "m")
    old_style(tmp_path / "m")
    model = pvzoo.load(tmp_path / "m", device="cpu")
    assert hub.requests == []
    found = model.predict(coffee, threshold=0.3)
    check_same(found, **chosen(detector("detr_timm").predict(coffee, threshold=0.3), slice(None)))
