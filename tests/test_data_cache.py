"""What is kept of data that was read is used for as long as nothing has changed that it is of."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from label_layouts import coco, panoptic, voc, yolo_list
from labelled_files import image_file
from PIL import Image

from pvzoo import data
from pvzoo.data.load import load

pytestmark = pytest.mark.usefixtures("own_cache")


def classes(root: Path) -> Path:
    """Folders of classes."""
    image_file(root / "cat/1.jpg", 20, 10)
    image_file(root / "dog/2.jpg", 20, 10, 30)
    return root


def masks(root: Path) -> Path:
    """An image with its mask and a list of names."""
    image_file(root / "images/1.png", 20, 10)
    (root / "masks").mkdir()
    Image.new("L", (20, 10)).save(root / "masks/1.png")
    (root / "classes.txt").write_text("road\nsky\n")
    return root


LAYOUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "COCO": (lambda root: coco(root, "1.jpg"), "train/1.jpg"),
    "COCO in a folder": (lambda root: coco(root, "a/b/1.jpg"), "train/a/b/1.jpg"),
    "COCO with sizes": (lambda root: coco(root, "1.jpg", width=20, height=10), "train/1.jpg"),
    "COCO with sizes in a folder": (
        lambda root: coco(root, "a/b/1.jpg", width=20, height=10),
        "train/a/b/1.jpg",
    ),
    "panoptic": (lambda root: panoptic(root, "a/1.jpg"), "train/a/1.jpg"),
    "YOLO": (lambda root: yolo_list(root, "images/train/1.jpg"), "images/train/1.jpg"),
    "VOC": (lambda root: voc(root, "1.jpg"), "JPEGImages/1.jpg"),
    "VOC in a folder": (lambda root: voc(root, "x/1.jpg"), "JPEGImages/x/1.jpg"),
}


@pytest.mark.filterwarnings("ignore:1 images are left out")  # of VOC, those without XML
@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_put_in_place_later_and_replaced_are_seen(tmp_path, layout):
    make, place = LAYOUTS[layout]
    root = make(tmp_path / "set")
    (root / place).parent.mkdir(parents=True, exist_ok=True)  # only what is deep in it changes
    image_file(root / Path(place).parts[0] / "other/9.jpg")
    assert "unreadable-image" in {f.rule for f in data.check(load(root)).errors}
    image_file(root / place, 20, 10)
    assert not data.check(load(root)).errors
    assert not data.check(load(root)).errors  # and what was kept says the same
    image_file(root / place, 40, 30)
    rules = {f.rule for f in data.check(load(root)).errors}
    stated = "sizes" in layout
    assert rules == ({"size-mismatch"} if stated else {"mask-size"} if "pan" in layout else set())
    (root / place).unlink()
    assert "unreadable-image" in {f.rule for f in data.check(load(root)).errors}


def test_the_other_missing_images_of_a_list_are_seen(tmp_path):
    root = yolo_list(tmp_path / "set", "images/train/1.jpg", "images/train/2.jpg")
    image_file(root / "images/train/1.jpg")
    assert load(root, split="train")["file_name"][1] == "images/train/2.jpg"
    (root / "train.txt").write_text("images/train/1.jpg\nimages/train/3.jpg\n")
    assert load(root, split="train")["file_name"][1] == "images/train/3.jpg"


def test_labels_put_in_place_later_are_seen(tmp_path):
    root = yolo_list(tmp_path / "set", "images/train/1.jpg", labels=False)
    image_file(root / "images/train/1.jpg")
    assert load(root, split="train")["objects"][0]["id"] == []
    (root / "labels/train/1.txt").write_text("0 .5 .5 .5 .5\n")
    assert load(root, split="train")["objects"][0]["id"] == [1]
    (root / "labels/train/1.txt").unlink()
    assert load(root, split="train")["objects"][0]["id"] == []


def test_a_nearer_image_takes_the_place_of_a_farther_one(tmp_path):
    root = coco(tmp_path / "set", "1.jpg")
    image_file(root / "1.jpg", 40, 30)
    assert load(root, split="train")[0]["width"] == 40
    image_file(root / "train/1.jpg", 20, 10)
    assert load(root, split="train")[0]["width"] == 20


def test_names_and_masks_of_maps_that_change_are_seen(tmp_path):
    root = masks(tmp_path / "set")
    assert load(root)[0]["segments"]["id"] == [0, 1]
    (root / "classes.txt").write_text("road\nsky\nsea\n")
    assert load(root)[0]["segments"]["id"] == [0, 1, 2]
    (root / "images/1.png").rename(root / "images/2.png")
    (root / "masks/1.png").rename(root / "masks/2.png")
    assert load(root)["file_name"] == ["images/2.png"]


def test_a_panoptic_map_that_changes_is_seen_in_what_is_made_of_it(tmp_path):
    root = panoptic(tmp_path / "set", "1.jpg")
    image_file(root / "train/1.jpg", 20, 10)
    task = "instance-segmentation"
    assert load(root, task, split="train")[0]["objects"]["area"] == [200]
    map_ = root / "annotations/panoptic_train/1.png"
    pixels = Image.open(map_).copy()
    pixels.paste((0, 0, 0), (0, 0, 10, 10))
    pixels.save(map_)
    assert load(root, task, split="train")[0]["objects"]["area"] == [100]


def test_a_class_that_moves_is_seen(tmp_path):
    root = classes(tmp_path / "set")
    assert load(root)["label"] == [0, 1]
    (root / "cat/1.jpg").rename(root / "dog/1.jpg")
    assert (load(root)["file_name"], load(root)["label"]) == (["dog/1.jpg", "dog/2.jpg"], [1, 1])


def test_metadata_that_changes_is_seen(tmp_path):
    image_file(tmp_path / "1.jpg", 20, 10)
    for label in ("cat", "dog"):
        (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "1.jpg", "label": label}))
        assert load(tmp_path, split="train").features["label"].names == [label]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_has_not_changed_is_not_written_again(tmp_path, own_cache, layout):
    make, place = LAYOUTS[layout]
    root = make(tmp_path / "set")
    image_file(root / place, 20, 10)
    load(root)
    kept = {file: file.stat().st_mtime_ns for file in own_cache.rglob("*.arrow")}
    load(root)
    assert {file: file.stat().st_mtime_ns for file in own_cache.rglob("*.arrow")} == kept


@pytest.mark.parametrize("sizes", [{}, {"width": 8, "height": 6}], ids=["unsized", "sized"])
def test_many_images_are_looked_at_quickly(tmp_path, sizes):
    root = coco(tmp_path / "set", "0.jpg")
    file = root / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    encoded = image_file(tmp_path / "one.jpg").read_bytes()
    content["images"] = [{"id": i, "file_name": f"{i}.jpg", **sizes} for i in range(5000)]
    for image in content["images"]:
        (root / "train" / image["file_name"]).write_bytes(encoded)
    file.write_text(json.dumps(content))
    first, again = [], []
    for seconds in (first, again, again, again):
        start = time.monotonic()
        load(root)
        seconds.append(time.monotonic() - start)
    assert min(again) < first[0]
    assert min(again) < 3
