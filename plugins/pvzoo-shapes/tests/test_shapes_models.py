"""The shipped networks: as good as their cards say, and openable by anybody."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pvzoo_shapes
import pytest
import torch
from transformers import (
    AutoImageProcessor,
    AutoModelForObjectDetection,
    AutoModelForUniversalSegmentation,
)

import pvzoo
from pvzoo.export.reference import Side
from pvzoo.export.twins import twin_of
from pvzoo.export.verify import verify

MODELS = Path(importlib.util.find_spec("pvzoo_shapes").origin).parent / "models"
HELD_OUT = 1000  # training used the seeds 0, 1 and 2
NAMES = {
    "shapes-detector": {"AP": "map", "AP50": "map_50"},
    "shapes-mask2former-panoptic": {"PQ": "pq"},
    "shapes-mask2former-instance": {"mask AP": "map"},
    "shapes-mask2former-semantic": {"mIoU": "miou"},
}


@pytest.fixture(scope="module")
def scenes():
    return pvzoo_shapes.scenes(count=8, seed=2000)


@pytest.mark.parametrize("name", NAMES)
def test_they_are_the_offline_default_of_their_task(name):
    from pvzoo.catalog.catalogue import catalogue

    task = pvzoo.info(name).task
    assert catalogue().default(task).name == name


@pytest.mark.parametrize("folder", ["detector", "mask2former"])
def test_the_weights_are_under_five_megabytes(folder):
    assert (MODELS / folder / "model.safetensors").stat().st_size < 5e6


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_export_of_a_network_answers_as_it_does(name):
    model, twin = pvzoo.load(name, device="cpu"), twin_of(pvzoo.info(name))
    assert twin.parent.name == "exports"
    assert sum(file.stat().st_size for file in twin.iterdir()) < 5e6
    found = verify(twin, original=Side.original(model.network, model.runtime))
    assert found.verdict == "certified"


def test_predicting_without_naming_a_model_uses_the_shipped_export(scenes, tmp_path):
    scenes[0]["image"].save(tmp_path / "scene.png")
    command = ["pvzoo", "predict", str(tmp_path / "scene.png"), "--json", "--task", "detection"]
    code = (
        "import sys; from pvzoo.cli import app\n"
        f"sys.argv = {command!r}\n"
        "try: app()\nexcept SystemExit: pass\n"
        "sys.stderr.write(repr('torch' in sys.modules))"
    )
    twin = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "using the export of shapes-detector" in twin.stderr
    assert twin.stderr.endswith("False")
    wanted = pvzoo.load("shapes-detector", device="cpu").predict(tmp_path / "scene.png")
    rows = json.loads(twin.stdout)["predictions"]
    assert [row["name"] for row in rows] == list(wanted.names)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_figures_of_the_cards_are_those_of_scenes_no_training_has_seen(name):
    card = pvzoo.info(name)
    data = pvzoo_shapes.scenes(card.task, count=500, seed=HELD_OUT)
    found = pvzoo.load(name, device="cpu").evaluate(data, batch_size=16)
    said = {metric.name: metric.value for metric in card.metrics}
    # other processors draw a few pixels differently
    assert {n: 100 * found[key] for n, key in NAMES[name].items()} == pytest.approx(said, abs=0.5)


def test_most_shapes_of_new_scenes_are_found_and_named(scenes):
    """Each true object has a box of its class that overlaps it by half; counted by hand."""
    model = pvzoo.load("shapes-detector", device="cpu")
    hits = total = false = 0
    for row in scenes:
        found = model.predict(row["image"], threshold=0.5)
        boxes = np.array(row["objects"]["bbox"]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        for box, category in zip(boxes, row["objects"]["category"], strict=True):
            same = found.boxes[found.labels == category]
            hits += bool(len(same)) and _overlap(box, same).max() >= 0.5
        total += len(boxes)
        false += len(found.boxes)
    assert hits / total > 0.6
    assert false < 1.5 * total


def test_plain_transformers_opens_the_detector_and_finds_the_same(scenes):
    processor = AutoImageProcessor.from_pretrained(MODELS / "detector")
    network = AutoModelForObjectDetection.from_pretrained(MODELS / "detector")
    ours = pvzoo.load("shapes-detector", device="cpu")
    for row in scenes:
        with torch.inference_mode():
            outputs = network(**processor(images=row["image"], return_tensors="pt"))
        (theirs,) = processor.post_process_object_detection(
            outputs, threshold=0.4, target_sizes=[row["image"].size[::-1]]
        )
        found = ours.predict(row["image"], threshold=0.4)
        np.testing.assert_allclose(found.boxes, theirs["boxes"].numpy(), atol=1e-3)
        assert found.names == tuple(network.config.id2label[i] for i in theirs["labels"].tolist())


def test_plain_transformers_opens_the_segmenter_and_sees_the_same(scenes):
    processor = AutoImageProcessor.from_pretrained(MODELS / "mask2former")
    network = AutoModelForUniversalSegmentation.from_pretrained(MODELS / "mask2former")
    ours = pvzoo.load("shapes-mask2former-semantic", device="cpu")
    same = total = 0
    for row in scenes:
        with torch.inference_mode():
            outputs = network(**processor(images=row["image"], return_tensors="pt"))
        (theirs,) = processor.post_process_semantic_segmentation(
            outputs, target_sizes=[row["image"].size[::-1]]
        )
        same += int((ours.predict(row["image"]).map == theirs.numpy()).sum())
        total += theirs.numel()
    # transformers sums the classes before it scales the masks, so that a few edges differ
    assert same > 0.98 * total


def test_the_command_line_says_nothing_but_what_was_found(scenes, tmp_path):
    scenes[0]["image"].save(tmp_path / "scene.png")
    command = [sys.executable, "-m", "pvzoo", "predict", str(tmp_path / "scene.png"), "-m"]
    done = subprocess.run(
        [*command, "shapes-mask2former-panoptic"], capture_output=True, text=True, check=True
    )
    assert "True" in done.stdout
    assert done.stderr == ""


def _overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """IoU of one box with others, all left, top, right, bottom."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[2:], others[:, 2:])
    inner = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1)
    return inner / (area - inner)
