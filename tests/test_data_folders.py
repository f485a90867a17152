"""Folders of classes, and folders of images and masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import supervision as sv
from labelled_files import image_file
from PIL import Image

from pvzoo.data.load import load
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")

# --- classes --------------------------------------------------------------------------------------


def test_what_supervision_writes_is_read(tmp_path):
    rng = np.random.default_rng(0)
    paths = [str(image_file(tmp_path / "all" / f"{i:02}.png", value=i)) for i in range(20)]
    labels = rng.integers(0, 3, 20)
    source = sv.ClassificationDataset(
        classes=["dog", "ant", "cow", "unseen"],
        images=paths,
        annotations={
            p: sv.Classifications(class_id=np.array([c]))
            for p, c in zip(paths, labels, strict=True)
        },
    )
    source.as_folder_structure(str(tmp_path / "folders"))
    dataset = load(tmp_path / "folders")
    assert task_of(dataset.features) == "image-classification"
    names = class_names(dataset.features)
    assert names == ("ant", "cow", "dog", "unseen")
    found = {row["image"].getpixel((0, 0))[0]: names[row["label"]] for row in dataset}
    assert found == {i: source.classes[c] for i, c in enumerate(labels)}
    assert sorted(dataset["file_name"])[0].startswith("ant/")
    assert dataset["image_id"] == list(range(20))


def test_splits_have_the_classes_of_all_of_them(tmp_path):
    for name in ("train/b/1.png", "train/a/2.png", "train/a/deeper/3.jpg", "val/c/4.png"):
        image_file(tmp_path / name)
    for name in ("train/.hidden/5.png", "train/a/.6.png", "train/a/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    loaded = load(tmp_path)
    assert all(class_names(part.features) == ("a", "b", "c") for part in loaded.values())
    assert loaded["train"]["file_name"] == [
        "train/a/2.png",
        "train/a/deeper/3.jpg",
        "train/b/1.png",
    ]
    assert loaded["train"]["label"] == [0, 0, 1]
    assert loaded["validation"]["label"] == [2]


def test_a_class_may_be_called_like_a_split(tmp_path):
    for name in ("test/1.png", "train/2.png", "tram/3.png"):
        image_file(tmp_path / name)
    assert class_names(load(tmp_path).features) == ("test", "train", "tram")


@pytest.mark.parametrize(
    "names",
    [
        ("images/1.png",),  # YOLO without its data.yaml
        ("images/train/1.png", "images/val/2.png"),
        ("train/images/1.png", "valid/images/2.png"),
        ("train/1.png", "test/2.png"),
    ],
)
def test_folders_that_are_no_classes_are_not_taken_for_them(tmp_path, names):
    for name in names:
        image_file(tmp_path / name)
        label = tmp_path / name.replace("images", "labels").replace(".png", ".txt")
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text("0 0.5 0.5 0.1 0.1")
    with pytest.raises(DataError, match="not in a format that pvzoo reads"):
        load(tmp_path)


def test_a_folder_around_the_classes_is_no_class(tmp_path):
    for name in ("101_Obj/cat/1.png", "101_Obj/dog/2.png", "101_Obj/dog/deeper/3.png"):
        image_file(tmp_path / name)
    dataset = load(tmp_path)
    assert class_names(dataset.features) == ("cat", "dog")
    assert dataset["file_name"] == ["cat/1.png", "dog/2.png", "dog/deeper/3.png"]
    for name in ("a/b/train/cat/1.png", "a/b/test/dog/2.png"):
        image_file(tmp_path / "twice" / name)
    loaded = load(tmp_path / "twice")
    assert list(loaded) == ["train", "test"]
    assert class_names(loaded["test"].features) == ("cat", "dog")


def test_a_folder_around_masks_is_no_class(tmp_path):
    pair(tmp_path / "data", "images/1.png", "masks/1.png", 0, 1)
    named(tmp_path / "data", "x", "y")
    assert task_of(load(tmp_path).features) == "semantic-segmentation"


def test_several_folders_of_folders_are_not_taken_for_classes(tmp_path):
    for name in ("seg_a/cat/1.png", "seg_a/dog/1.png", "seg_b/cat/1.png"):
        image_file(tmp_path / name)
    with pytest.raises(DataError, match=r"folders of folders: seg_a, seg_b\..*such as .*seg_a\."):
        load(tmp_path)
    assert class_names(load(tmp_path / "seg_a").features) == ("cat", "dog")


def test_a_folder_of_other_files_is_no_class(tmp_path):
    image_file(tmp_path / "a/1.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/readme.md").write_text("about")
    assert class_names(load(tmp_path).features) == ("a", "empty")


def test_folders_beside_the_splits_are_left_out_and_said(tmp_path):
    for name in ("train/a/1.png", "val/a/1.png", "samples/1.png", "test/1.png"):
        image_file(tmp_path / name)
    with pytest.warns(PvzooWarning, match="samples, test"):
        assert set(load(tmp_path)) == {"train", "validation"}


def test_broken_images_do_not_stop_the_reader(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.jpg").write_bytes(b"")
    assert load(tmp_path)["label"] == [0]


# --- masks ----------------------------------------------------------------------------------------


def mask(file: Path, values: np.ndarray) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file)
    return values


def random_values(seed: int, *values: int, kind: type = np.uint8) -> np.ndarray:
    found = np.random.default_rng(seed).choice(values, (6, 8)).astype(kind)
    found.flat[: len(values)] = values
    return found


def pair(root: Path, image: str, label: str, *values: int, kind: type = np.uint8) -> np.ndarray:
    image_file(root / image)
    return mask(root / label, random_values(len(label), *values, kind=kind))


def named(root: Path, *names: str) -> Path:
    (root / "classes.txt").write_text("\n".join(names) + "\n")
    return root


LAYOUTS = {
    "no splits": ("images/1.jpg", "masks/1.png", None),
    "splits below": ("images/training/1.jpg", "annotations/training/1.png", "train"),
    "splits above": ("valid/images/1.jpg", "valid/labels/1.png", "validation"),
    "beginnings": ("images/a/1.jpg", "masks/a/mask_1.png", None),
    "subfolders": ("images/Cat_0.jpg", "annotations/trimaps/Cat_0.png", None),
    "endings": ("imgs/car_1.jpg", "gt/car_1_mask.png", None),
    "cityscapes": (
        "leftImg8bit/val/ulm/u_1_leftImg8bit.png",
        "gtFine/val/ulm/u_1_gtFine_labelIds.png",
        "validation",
    ),
    "camvid": ("train/1.png", "trainannot/1.png", "train"),
    "camvid labels": ("val/1.png", "val_labels/1_L.png", "validation"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_layouts_in_use_are_found(tmp_path, name):
    image, label, split = LAYOUTS[name]
    values = pair(named(tmp_path, "road", "void", "sky"), image, label, 0, 1, 2, 255)
    if name == "cityscapes":
        mask(tmp_path / label.replace("labelIds", "color"), values)
        mask(tmp_path / label.replace("labelIds", "instanceIds"), values)
    loaded = load(tmp_path)
    if split:
        assert list(loaded) == [split]
        loaded = loaded[split]
    assert task_of(loaded.features) == "semantic-segmentation"
    assert class_names(loaded.features) == ("road", "sky")
    (row,) = loaded
    assert row["file_name"] == image
    assert row["image"].size == (8, 6)
    assert np.array_equal(np.asarray(row["annotation"]), values)
    assert row["segments"] == {"id": [0, 1, 2], "category": [0, -1, 1]}


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_masks_that_nothing_names_are_named_by_their_values(tmp_path, kind):
    high = 300 if kind == np.uint16 else 200
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 7, 255, kind=kind)
    pair(tmp_path, "images/2.png", "masks/2.png", 7, high, kind=kind)
    with pytest.warns(PvzooWarning, match=r"classes\.txt"):
        dataset = load(tmp_path)
    assert class_names(dataset.features) == ("0", "7", str(high))
    assert dataset["segments"][0] == {"id": [0, 7, high], "category": [0, 1, 2]}


def test_masks_that_nothing_names_are_read_once_for_each_state_of_them(tmp_path, monkeypatch):
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 7)
    with pytest.warns(PvzooWarning, match=r"classes\.txt"):
        first = load(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("pvzoo.data.map_classes.open_map", None)  # a mask cannot be read
        with pytest.warns(PvzooWarning, match=r"classes\.txt"):
            assert load(tmp_path).features == first.features
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 3, 9)
    with pytest.warns(PvzooWarning, match=r"classes\.txt"):
        assert class_names(load(tmp_path).features) == ("0", "3", "9")


def test_black_and_white_masks_have_two_classes(tmp_path):
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 255)
    with pytest.warns(PvzooWarning):
        dataset = load(tmp_path)
    assert dataset["segments"][0] == {"id": [0, 255], "category": [0, 1]}


def test_a_palette_mask_counts_by_its_indices(tmp_path):
    image_file(named(tmp_path, "a", "b", "c") / "images/1.png")
    values = random_values(0, 0, 1, 2)
    image = Image.fromarray(values, "P")
    image.putpalette(bytes(range(255, 255 - 9, -1)))
    (tmp_path / "masks").mkdir()
    image.save(tmp_path / "masks/1.png")
    (row,) = load(tmp_path)
    assert np.array_equal(np.asarray(row["annotation"]), values)


NAMES_FILES = {
    "id2label.json": {"0": "sky", "4": "road", "9": "unlabeled"},
    "label_map.json": {"sky": 0, "unlabeled": 9, "road": 4},
    "labels.json": {"id2label": {"0": "sky", "4": "road", "9": "unlabeled"}},
}


@pytest.mark.parametrize("name", NAMES_FILES)
def test_json_names_values_in_either_direction(tmp_path, name):
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 4, 9)
    (tmp_path / name).write_text(json.dumps(NAMES_FILES[name]))
    dataset = load(tmp_path)
    assert class_names(dataset.features) == ("sky", "road")
    segments = dataset["segments"][0]
    assert dict(zip(segments["id"], segments["category"], strict=True)) == {0: 0, 4: 1, 9: -1}


def test_colour_masks_need_colours(tmp_path):
    colours = np.array([[10, 20, 30], [255, 0, 0], [0, 0, 0]], np.uint8)
    values = random_values(0, 0, 1, 2)
    image_file(tmp_path / "images/1.png")
    mask(tmp_path / "masks/1.png", colours[values])
    with pytest.raises(DataError, match=r"1\.png is in RGB.*classes\.csv"):
        load(tmp_path)
    named(tmp_path, "sky", "road", "void")
    with pytest.raises(DataError, match=r"classes\.txt has no colours"):
        load(tmp_path)
    (tmp_path / "classes.txt").unlink()
    lines = ["sky, 10, 20, 30", "road, 255, 0, 0", "Void, 0, 0, 0"]
    (tmp_path / "class_dict.csv").write_text("name, r, g, b\n" + "\n".join(lines))
    (row,) = load(tmp_path)
    rgb = np.asarray(row["annotation"]).astype(int) @ (1, 256, 65536)
    index = dict(zip(row["segments"]["id"], row["segments"]["category"], strict=True))
    assert np.array_equal(np.vectorize(index.get)(rgb), np.array([0, 1, -1])[values])


def test_reduced_labels_make_zero_void_and_move_the_rest(tmp_path):
    values = pair(named(tmp_path, "wall", "tree"), "images/1.png", "masks/1.png", 0, 1, 2)
    pair(tmp_path, "images/2.png", "masks/2.png", 0, 1)
    plain = load(tmp_path)
    reduced = load(tmp_path, reduce_labels=True)
    assert reduced.features == plain.features  # the same classes
    assert reduced["segments"] == [{"id": [0, 1, 2], "category": [-1, 0, 1]}] * 2
    assert np.array_equal(np.asarray(reduced[0]["annotation"]), values)
    image_file(tmp_path / "classes/cat/1.png")
    with pytest.raises(DataError, match="reduce_labels is only for semantic masks"):
        load(tmp_path / "classes", reduce_labels=True)


def test_images_and_masks_without_each_other_are_left_out_and_said(tmp_path):
    pair(named(tmp_path, "x", "y"), "images/1.png", "masks/1.png", 0, 1)
    image_file(tmp_path / "images/2.png")
    with pytest.warns(PvzooWarning, match=r"1 images .* have no mask .* \(2\)"):
        assert len(load(tmp_path)) == 1
    (tmp_path / "images/2.png").unlink()
    mask(tmp_path / "masks/3.png", random_values(0, 0, 1))
    with pytest.warns(PvzooWarning, match=r"1 masks .* have no image .* \(3\.png\)"):
        assert len(load(tmp_path)) == 1


def test_images_and_masks_of_which_none_pair_are_an_error_that_shows_their_names(tmp_path):
    pair(named(tmp_path, "x", "y"), "images/photo1.png", "masks/drawn1.png", 0, 1)
    with pytest.raises(DataError, match=r"such as 'photo1' and masks such as 'drawn1\.png'"):
        load(tmp_path)


def test_a_name_in_two_subfolders_does_not_pair_across_folders(tmp_path):
    pair(named(tmp_path, "x", "y"), "images/a/1.png", "masks/a/1.png", 0, 1)
    image_file(tmp_path / "images/b/1.png")
    with pytest.warns(PvzooWarning, match=r"1 images .* \(b/1\)"):
        assert load(tmp_path)["file_name"] == ["images/a/1.png"]


def test_masks_that_cannot_serve_are_named(tmp_path):
    root = named(tmp_path, "x")
    image_file(root / "images/1.jpg")
    image_file(root / "masks/1.jpg")
    with pytest.raises(DataError, match="are JPEG files"):
        load(root)
    (root / "masks/1.jpg").unlink()
    mask(root / "masks/1_mask.png", random_values(0, 0))
    mask(root / "masks/1_gt.png", random_values(0, 0))
    with pytest.raises(DataError, match=r"1\.jpg has several masks: 1_gt\.png, 1_mask\.png"):
        load(root)


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("classes.txt", "\n", "is empty"),
        ("id2label.json", '{"a": "b"}', "does not give names to values"),
        ("id2label.json", "[1, 2]", "does not give names to values"),
        ("id2label.json", "{", "is not JSON"),
        ("classes.csv", "name,r,g,b\nsky,1,2\n", r"class number 1 \(sky\) has no colour"),
        ("classes.csv", "name,r,g,b\nsky,1,2,900\n", r"class number 1 \(sky\) has no colour"),
    ],
)
def test_a_file_of_names_that_cannot_be_used_is_named(tmp_path, name, text, match):
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 1)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=match) as caught:
        load(tmp_path)
    assert caught.value.what.startswith(str(tmp_path / name))


def test_a_mask_that_cannot_be_read_is_named_only_if_its_values_are_needed(tmp_path):
    pair(tmp_path, "images/1.png", "masks/1.png", 0, 1)
    (tmp_path / "masks/1.png").write_bytes(b"no png")
    with pytest.raises(DataError, match=r"masks/1\.png cannot be read"):
        load(tmp_path)
    assert len(load(named(tmp_path, "x", "y"))) == 1
