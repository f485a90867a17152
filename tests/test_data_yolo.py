"""YOLO data, held against supervision, and the paths that data.yaml files in the wild have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from labelled_files import (
    NAMES,
    assert_same_but_for_the_border,
    corners,
    decoded,
    image_file,
    rotated_image,
    some_detections,
)

from pvzoo.data.load import load
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")


def write(root: Path, content: dict, files: dict[str, str] | None = None) -> Path:
    """A data.yaml and, by their paths, label files (".txt") and images (the rest, 20 x 10)."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    for name, text in (files or {}).items():
        if name.endswith(".txt"):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        else:
            image_file(root / name, 20, 10)
    return root


def labels(tmp_path: Path, text: str, **content) -> Path:
    """One image with these labels."""
    plain = {"names": ["cat", "dog"], "train": "images"}
    return write(tmp_path / "set", {**plain, **content}, {"images/a.png": "", "labels/a.txt": text})


def objects_of(source: Path, task: str | None = None) -> dict:
    return load(source, task, split="train").remove_columns("image")[0]["objects"]


@pytest.mark.parametrize("masks", [False, True])
def test_what_supervision_writes_is_read(tmp_path, masks):
    source = some_detections(tmp_path / "drawn", 5, masks=masks)
    root = tmp_path / "yolo"
    source.as_yolo(str(root / "images"), str(root / "labels"), str(root / "data.yaml"))
    dataset = load(root)
    assert class_names(dataset.features) == tuple(NAMES)
    assert task_of(dataset.features) == ("instance-segmentation" if masks else "object-detection")
    for row, (path, pixels, wanted) in zip(dataset, source, strict=True):
        assert row["file_name"] == f"images/{Path(path).name}"
        assert row["image"].size == (row["width"], row["height"]) == pixels.shape[1::-1]
        assert row["objects"]["category"] == wanted.class_id.tolist()
        if masks:
            for code, mask in zip(row["objects"]["segmentation"], wanted.mask, strict=True):
                assert_same_but_for_the_border(decoded(code), mask)
        else:  # written with five digits
            assert np.abs(corners(row["objects"]) - wanted.xyxy).max(initial=0) < 1e-3
    ids = [i for o in dataset["objects"] for i in o["id"]]
    assert ids == list(range(1, len(ids) + 1))


def test_random_boxes_equal_the_formula(tmp_path):
    values = np.random.default_rng(0).random((20, 4))
    text = "".join(f"{i % 2} {x} {y} {w} {h}\n" for i, (x, y, w, h) in enumerate(values.tolist()))
    objects = objects_of(labels(tmp_path, text))
    x, y, w, h = values.T
    wanted = np.stack([(x - w / 2) * 20, (y - h / 2) * 10, w * 20, h * 10], axis=1)
    assert np.allclose(objects["bbox"], wanted, rtol=0, atol=1e-12)
    assert np.allclose(objects["area"], wanted[:, 2] * wanted[:, 3], rtol=0, atol=1e-9)
    assert objects["category"] == [0, 1] * 10


def test_boxes_and_polygons_in_one_file_are_both_masks(tmp_path):
    root = labels(tmp_path, "0 0.5 0.5 0.2 0.4\n1 0.1 0.1 0.6 0.1 0.6 0.5 0.1 0.5\n")
    objects = objects_of(root)
    rectangle, polygon = (decoded(code) for code in objects["segmentation"])
    wanted = np.zeros((10, 20))
    wanted[3:7, 8:12] = 1
    assert np.array_equal(rectangle, wanted)
    wanted = np.zeros((10, 20))
    wanted[1:5, 2:12] = 1
    assert np.array_equal(polygon, wanted)
    assert objects["area"] == [16, 40]
    assert np.allclose(objects["bbox"], [[8, 3, 4, 4], [2, 1, 10, 4]])
    boxes = objects_of(root, "object-detection")
    assert "segmentation" not in boxes
    assert np.allclose(boxes["area"], [16, 40])


def test_fractions_are_of_the_upright_image(tmp_path):
    root = write(tmp_path, {"names": ["x"], "train": "images"}, {"labels/a.txt": "0 .5 .5 1 1"})
    rotated_image(root / "images/a.jpg", 40, 30)
    row = load(root, split="train")[0]
    assert row["image"].size == (row["width"], row["height"]) == (40, 30)
    assert row["objects"]["bbox"] == [[0, 0, 40, 30]]


def test_images_without_labels_have_no_objects(tmp_path):
    files = {
        "images/a.png": "",
        "images/b.png": "",
        "labels/b.txt": " \n",
        "images/c.png": "",
        "labels/c.txt": "0 .5 .5 .5 .5",
    }
    dataset = load(write(tmp_path, {"names": ["x"], "train": "images"}, files), split="train")
    assert [len(o["id"]) for o in dataset["objects"]] == [0, 0, 1]


def test_an_image_that_cannot_be_read_does_not_stop_the_reader(tmp_path):
    root = labels(tmp_path, "0 0.5 0.5 0.2 0.4\n0 .1 .1 .5 .1 .5 .5")
    (root / "images/a.png").write_bytes(b"no image")
    row = load(root, split="train").remove_columns("image")[0]
    assert (row["width"], row["height"]) == (0, 0)
    assert row["objects"]["bbox"] == [[0, 0, 0, 0]] * 2


def test_values_that_mean_nothing_are_kept(tmp_path):
    objects = objects_of(labels(tmp_path, "7 2 2 -1 0.5\n-1.0 40 30 10 10"))
    assert objects["category"] == [7, -1]
    assert np.allclose(objects["bbox"], [[50, 17.5, -20, 5], [700, 250, 200, 100]])


LAYOUTS = {
    "ultralytics": (
        {"path": "..", "train": "set/images/train", "val": "set/images/val"},
        "images/train",
        "labels/train",
        "images/val",
    ),
    "roboflow as exported": (
        {"train": "../train/images", "val": "../valid/images"},
        "train/images",
        "train/labels",
        "valid/images",
    ),
    "folders with images in them": (
        {"train": "train", "val": "valid"},
        "train/images",
        "train/labels",
        "valid/images",
    ),
    "labels beside the images": ({"train": "a/", "val": "b"}, "a", "a", "b"),
    "of another machine": (
        {
            "path": "/content/set",
            "train": "/content/set/images/train",
            "val": "/content/set/images/val",
        },
        "images/train",
        "labels/train",
        "images/val",
    ),
    "lists of folders": (
        {"train": ["images/one", "images/train"], "val": ["images/val"]},
        "images/train",
        "labels/train",
        "images/val",
    ),
    "splits not named": ({}, "images/train", "labels/train", "images/val"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layouts_in_use_are_found(tmp_path, name):
    content, train, train_labels, val = LAYOUTS[name]
    root = write(
        tmp_path / "set",
        {"names": {0: "x", 2: "z"}, **content},
        {f"{train}/a.png": "", f"{train_labels}/a.txt": "2 .5 .5 .5 .5", f"{val}/b.png": ""},
    )
    if "one" in str(content):
        image_file(root / "images/one/c.png")
    loaded = load(root)
    assert class_names(loaded["train"].features) == ("x", "1", "z")
    assert loaded["train"]["file_name"][-1] == f"{train}/a.png"
    assert loaded["train"]["objects"][-1]["category"] == [2]
    assert loaded["validation"]["file_name"] == [f"{val}/b.png"]
    assert all(Path(row["image"].filename).is_file() for row in loaded["train"])
    assert load(root / "data.yaml", split="train")["file_name"] == loaded["train"]["file_name"]


def test_a_list_of_images_is_a_split(tmp_path):
    files = {
        "images/a.png": "",
        "images/b.png": "",
        "labels/a.txt": "0 .5 .5 .5 .5",
        "lists/val.txt": "../images/b.png\n\n",
        "train.txt": "./images/a.png\n",
    }
    content = {"names": ["x"], "train": "train.txt", "val": "lists/val.txt"}
    loaded = load(write(tmp_path, content, files))
    assert {k: v["file_name"] for k, v in loaded.items()} == {
        "train": ["images/a.png"],
        "validation": ["images/b.png"],
    }
    assert len(loaded["train"][0]["objects"]["id"]) == 1


def test_a_missing_split_is_left_out_with_a_warning(tmp_path):
    root = labels(tmp_path, "", test="../test/images")
    with pytest.warns(PvzooWarning, match=r"test: \.\./test/images, which does not exist"):
        assert list(load(root)) == ["train"]


def test_changed_labels_and_new_images_are_seen(tmp_path):
    root = labels(tmp_path, "0 .5 .5 .5 .5")
    assert len(objects_of(root)["id"]) == 1
    (root / "labels/a.txt").write_text("0 .5 .5 .5 .5\n1 .5 .5 .5 .5")
    assert objects_of(root)["category"] == [0, 1]
    image_file(root / "images/b.png")
    assert len(load(root, split="train")) == 2


BAD_LINES = {
    "a word": "0 0.5 zero 0.2 0.4",
    "four numbers": "0 0.5 0.5 0.2",
    "a score behind": "0 0.5 0.5 0.2 0.4 0.9",
    "an odd polygon": "0 .1 .1 .2 .2 .3 .3 .4",
    "half a class": "0.5 .5 .5 .5 .5",
    "a class by name": "cat .5 .5 .5 .5",
    "infinite": "0 .5 .5 inf .5",
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_line_that_is_no_label_is_named(tmp_path, name):
    root = labels(tmp_path, f"0 .5 .5 .5 .5\n\n{BAD_LINES[name]}\n")
    with pytest.raises(DataError, match="neither a box nor a polygon") as caught:
        load(root)
    assert caught.value.what.startswith(f"{root}/labels/a.txt:3 ")


BAD_YAML = {
    "names is a number": ({"names": 3}, "has names: "),
    "names by words": ({"names": {"cat": 0}}, "has names:"),
    "counts differ": ({"nc": 3}, "says nc: 3 but names 2 classes"),
    "a name twice": ({"names": ["x", "x"]}, "Two classes have the same name: 'x'"),
    "no such folder": ({"train": "nowhere"}, "train: nowhere, but there is no such folder"),
    "train is a mapping": ({"train": {"a": 3}}, "has train: "),
    "a name is a list": ({"names": ["a", ["b"]]}, r"has names: 1: \['b'\]"),
    "a negative number": ({"names": {-1: "a", 0: "b"}}, "has names: -1: 'a'"),
    "a number that is a word": ({"names": {True: "a", 0: "b"}}, "has names: true: 'a'"),
    "a number twice": ({"names": {0: "a", "0.0": "b"}}, "has names: 0.0: 'b'"),
    "keypoints": ({"kpt_shape": [2, 3]}, "describes keypoints"),
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_a_data_yaml_that_cannot_be_used_is_named(tmp_path, name):
    content, match = BAD_YAML[name]
    root = labels(tmp_path, "0 .5 .5 .5 .5", **content)
    with pytest.raises(DataError, match=match) as caught:
        load(root)
    assert str(root / "data.yaml") in caught.value.what
    assert caught.value.hint


WORDS = ["no", "yes", "on", "Off", "y", "TRUE", "null", "~", "007", "08", "1.0", "1e3", "0x10"]
WORDS += ["1_000", "12:30:45", "2024-01-01", ".inf", ".nan", "-1", "+1", "0b1", "0o7"]


@pytest.mark.parametrize("form", ["list", "mapping", "one line each"])
def test_names_are_the_texts_that_are_written(tmp_path, form):
    root = labels(tmp_path, "0 .5 .5 .5 .5\n1 .5 .5 .2 .2")
    text = {
        "list": f"[{', '.join(WORDS)}]",
        "mapping": f"{{{', '.join(f'{i}: {word}' for i, word in enumerate(WORDS))}}}",
        "one line each": "".join(f"\n- {word}" for word in WORDS),
    }[form]
    (root / "data.yaml").write_text(f"train: images\nnc: {len(WORDS)}\nnames: {text}\n")
    assert class_names(load(root)["train"].features) == tuple(WORDS)


def test_a_class_without_a_name_is_called_by_its_number(tmp_path):
    root = labels(tmp_path, "0 .5 .5 .5 .5")
    (root / "data.yaml").write_text("train: images\nnames:\n  0: cat\n  1:\n  3: dog\n")
    assert class_names(load(root)["train"].features) == ("cat", "1", "2", "dog")


@pytest.mark.parametrize("name", ["2024", "2024-05-01", "1.0", "no"])
def test_a_folder_may_be_called_by_a_number_or_date(tmp_path, name):
    files = {f"data/{name}/images/a.png": "", f"data/{name}/labels/a.txt": "0 .5 .5 .5 .5"}
    root = write(tmp_path, {}, files)
    (root / "data.yaml").write_text(f"path: data/{name}\ntrain: images\nnames: [a]\n")
    assert len(load(root)["train"]) == 1
    (root / "data/data.yaml").write_text(f"path: {name}\ntrain: images\nnames: [a]\nval: ~\n")
    assert list(load(root / "data/data.yaml")) == ["train"]


def test_a_data_yaml_that_is_no_yaml_is_named(tmp_path):
    root = labels(tmp_path, "")
    (root / "data.yaml").write_text("names: [a, b\ntrain: x")
    with pytest.raises(DataError, match=r"data\.yaml is not YAML"):
        load(root)
    (root / "data.yaml").write_text("names")
    with pytest.raises(DataError, match=r"data\.yaml is not a YAML mapping"):
        load(root / "data.yaml")


def test_the_boxes_of_keypoint_data_are_read_on_request(tmp_path):
    root = labels(tmp_path, "0 .5 .5 .5 .5 .1 .1 2 .2 .2 2", kpt_shape=[2, 3])
    assert objects_of(root, "object-detection")["bbox"] == [[5, 2.5, 10, 5]]
