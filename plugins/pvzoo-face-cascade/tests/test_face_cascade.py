"""The cascade in pvzoo gives the same as scikit-image's own search, and does not need torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import skimage
from PIL import Image
from pvzoo_face_cascade.adapter import _groups, _overlap
from scipy.sparse.csgraph import connected_components
from skimage.data import lbp_frontal_face_cascade_filename
from skimage.feature import Cascade

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import DeviceError, UnsupportedModelError, UsageError

PHOTOGRAPH = Path(skimage.__file__).parent / "data" / "astronaut.png"
FACE = (180, 70, 270, 165)  # the astronaut's face, marked by eye, within some pixels


@pytest.fixture(scope="module")
def model() -> pvzoo.Model:
    return pvzoo.load("face-cascade")


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    return Image.open(PHOTOGRAPH).convert("RGB")


@pytest.fixture(scope="module")
def head(astronaut: Image.Image) -> Image.Image:
    """A small part of the image, which is searched quickly."""
    return astronaut.crop((130, 20, 330, 220))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    common = np.clip(high - low, 0, None).prod()
    area = [(box[2:] - box[:2]).prod() for box in (a, b)]
    return float(common / (sum(area) - common))


def test_the_astronauts_face_is_found_and_nothing_else(model, astronaut):
    result = model.predict(astronaut)
    assert result.names == ("face",)
    assert overlap(result.boxes[0], np.array(FACE)) > 0.8
    assert model.predict(astronaut.crop((300, 0, 512, 200))).names == ()


def test_the_face_is_where_scikit_image_has_it(model, head):
    cascade = Cascade(lbp_frontal_face_cascade_filename())
    found = cascade.detect_multi_scale(
        img=np.asarray(head), scale_factor=1.1, step_ratio=1, min_size=(60, 60), max_size=(200, 200)
    )
    assert len(found) == 1
    left, top, side = (found[0][key] for key in ("c", "r", "width"))
    theirs = np.array([left, top, left + side, top + side])
    assert overlap(model.predict(head).boxes[0], theirs) > 0.8


def test_windows_are_grouped_as_connected_components_are():
    random = np.random.default_rng(0)
    for count in (0, 1, 2, 40, 200):
        corner = random.integers(0, 300, (count, 2))
        side = random.integers(24, 60, (count, 1))
        windows = np.concatenate([corner, corner + side], axis=1).astype(np.float32)
        boxes, counts = _groups(windows)
        number, group = connected_components(_overlap(windows) > 0.4) if count else (0, [])
        means = [windows[group == g].mean(axis=0) for g in range(number)]
        np.testing.assert_allclose(boxes, np.reshape(means, (-1, 4)), rtol=1e-5)
        np.testing.assert_array_equal(counts, np.bincount(group, minlength=number))
    assert number < count


def test_boxes_are_in_pixels_of_the_image_whatever_its_size(model, head):
    small = model.predict(head).boxes[0]
    large = model.predict(head.resize((1400, 1400), Image.Resampling.BICUBIC)).boxes[0]
    assert overlap(large / 7, small) > 0.8


def test_what_is_found_does_not_depend_on_the_other_images(model, head):
    images = [head, head.crop((0, 0, 20, 20)), head.transpose(Image.FLIP_LEFT_RIGHT), head]
    alone = [model.predict(image, threshold=0) for image in images]
    together = model.predict(images, threshold=0)
    assert len(alone[0]) > 1
    assert len(alone[1]) == 0
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.boxes, b.boxes)
        np.testing.assert_array_equal(a.scores, b.scores)


def test_the_options_of_detection_hold(model, head):
    every = model.predict(head, threshold=0)
    assert (np.diff(every.scores) <= 0).all()
    assert len(model.predict(head, threshold=0, max_detections=1)) == 1
    assert len(model.predict(head, classes=["face"])) == 1
    assert len(model.predict(head, classes=[])) == 0
    kept = model.predict(head, threshold=0, nms=0.0).boxes
    assert len(kept) <= len(every)
    assert all(overlap(a, b) == 0 for i, a in enumerate(kept) for b in kept[:i])


def test_it_is_measured_like_any_detector(model, head):
    truth = model.predict(head).boxes[0]
    box = [truth[0], truth[1], truth[2] - truth[0], truth[3] - truth[1]]
    objects = {"id": 1, "bbox": box, "category": 0, "area": box[2] * box[3]}
    row = {
        "image": head,
        "image_id": 0,
        "file_name": "head.png",
        "width": 200,
        "height": 200,
        "objects": {k: [v] for k, v in objects.items()} | {"iscrowd": [False], "ignore": [False]},
    }
    data = datasets.Dataset.from_list([row], features=schema.features("object-detection", ["Face"]))
    assert model.evaluate(data)["map"] == 1


def test_neither_loading_nor_predicting_imports_torch():
    code = """
import sys, pvzoo
result = pvzoo.load("face-cascade").predict(sys.argv[1], threshold=0.4)
heavy = {"torch", "torchvision", "transformers", "timm", "accelerate", "datasets"}
print(len(result), *sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(PHOTOGRAPH)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"


def test_the_command_line_finds_the_face_and_draws_it(head, tmp_path):
    head.save(tmp_path / "head.png")
    command = ["predict", str(tmp_path / "head.png"), "--model", "face-cascade", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "pvzoo", *command, "--save", str(tmp_path / "drawn")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert [p["name"] for p in json.loads(done.stdout)["predictions"]] == ["face"]
    assert (tmp_path / "drawn" / "head.png").is_file()


def test_what_only_a_network_can_do_is_refused_with_the_reason(model, tmp_path):
    for options in ({"device": "cuda"}, {"device_map": "auto"}):
        with pytest.raises(DeviceError, match="only on the CPU"):
            pvzoo.load("face-cascade", **options)
    with pytest.raises(UsageError, match="no network that PyTorch can run"):
        pvzoo.load("face-cascade", runtime="torch")
    with pytest.raises(UsageError, match="PyTorch network; numpy cannot run it"):
        pvzoo.load("efficientnet-lite0-pip", runtime="numpy")
    with pytest.raises(UnsupportedModelError, match="no network to save"):
        model.save(tmp_path / "saved")
    with pytest.raises(UnsupportedModelError, match=r"face-cascade .* cannot be fine-tuned"):
        model.fine_tune("no-such-data/", epochs=1, output_dir=tmp_path / "run")
    assert pvzoo.load("face-cascade", device="cpu").device == "cpu"
