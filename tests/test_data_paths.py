"""Paths in label files: those of other machines are found, and none leads where it should not."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import datasets
import pytest
import yaml
from label_layouts import coco, panoptic, voc, yolo_list
from labelled_files import image_file

from pvzoo import data
from pvzoo.data.load import load
from pvzoo.data.paths import Area
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")

LAYOUTS = {
    "COCO": (coco, "train/1.jpg"),
    "panoptic": (panoptic, "train/1.jpg"),
    "YOLO": (yolo_list, "images/train/1.jpg"),
    "VOC": (voc, "JPEGImages/1.jpg"),
}

PREFIXES = ("data/", "./", "/content/ds/", "C:\\Users\\me\\ds\\", "D:/", "https://host/files/", "")


def paths_in(dataset) -> list[str]:
    """Where the images of all splits are."""
    parts = dataset.values() if isinstance(dataset, dict) else [dataset]
    tables = (part.with_format("arrow")["image"] for part in parts)
    return [cell["path"] for table in tables for cell in table.to_pylist()]


# --- other machines -------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_paths_of_another_machine_are_found_here(tmp_path, layout, prefix):
    write, place = LAYOUTS[layout]
    text = prefix + (place.replace("/", "\\") if "\\" in prefix else place)
    root = write(tmp_path / "set", text)
    file = image_file(root / place, 20, 10)
    loaded = load(root)
    assert paths_in(loaded) == [str(file)]
    report = data.check(loaded)
    assert report.images == 1
    assert not report.errors, report


@pytest.mark.parametrize("seed", range(3))
def test_the_longest_end_of_a_path_that_is_there_is_meant(tmp_path, seed):
    rng = random.Random(seed)
    parts = [rng.choice("abc") for _ in range(5)] + ["1.jpg"]
    there = rng.sample(range(1, 6), 2)
    for start in there:
        image_file(tmp_path.joinpath("set", *parts[start:]))
    text = "/" + "/".join(parts)
    (found,) = Area(tmp_path / "set").locate([text], [tmp_path / "set"], "x")
    assert found.found
    assert found.path == tmp_path.joinpath("set", *parts[min(there) :])


def test_an_end_that_two_paths_share_is_neither_of_them(tmp_path):
    root = yolo_list(tmp_path / "set", "/x/a/1.jpg", "/x/b/1.jpg", "/x/b/2.jpg", labels=False)
    for name in ("1", "2"):
        image_file(root / f"{name}.jpg")
    with pytest.warns(PvzooWarning, match=r"2 paths lead to no file.*'/x/a/1\.jpg', '/x/b/1\.jpg'"):
        dataset = load(root, split="train")
    assert dataset["file_name"] == ["/x/a/1.jpg", "/x/b/1.jpg", "2.jpg"]
    (unreadable,) = (f for f in data.check(dataset).errors if f.rule == "unreadable-image")
    assert unreadable.count == 2


@pytest.mark.parametrize("other", ["/x/b/1.jpg", "/x/b/c/1.jpg", "1.jpg", "./b/../1.jpg"])
def test_a_file_is_the_one_whose_path_the_others_continue(tmp_path, other):
    root = tmp_path / "set"
    image_file(root / "1.jpg")
    area = Area(root)
    texts = ["/x/1.jpg", other]
    first = 0 if other.startswith("/") else 1
    for _ in range(2):
        with pytest.warns(PvzooWarning, match=r"1 paths lead to no file"):
            found = [index.found for index in area.locate(texts, [root], "x")]
        assert found.index(True) == first
        assert sum(found) == 1
        texts, first = texts[::-1], 1 - first


def test_a_part_of_the_images_does_not_stand_for_the_others(tmp_path):
    root = yolo_list(tmp_path / "set", "a/1.jpg", "b/1.jpg", labels=False)
    image_file(root / "a/1.jpg")
    image_file(root / "1.jpg")
    dataset = load(root, split="train")
    assert dataset["file_name"] == ["a/1.jpg", "1.jpg"]
    (root / "1.jpg").unlink()
    assert load(root, split="train")["file_name"] == ["a/1.jpg", "b/1.jpg"]


def test_a_folder_of_data_yaml_is_not_taken_for_another_splits(tmp_path):
    root = yolo_list(tmp_path / "set", "images/train/1.jpg")
    image_file(root / "images/train/1.jpg")
    text = "names: [cat]\ntrain: /content/set/images/train\nval: /content/set/val/images/train\n"
    (root / "data.yaml").write_text(text)
    with pytest.warns(PvzooWarning) as caught:
        assert list(load(root)) == ["train"]
    said = [str(w.message) for w in caught]
    assert any("val: /content/set/val/images/train, which does not exist" in text for text in said)


# --- what is missing ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["1.jpg", "deep/1.jpg", "/content/ds/1.jpg", "C:\\ds\\1.jpg"])
def test_a_missing_image_is_called_what_the_labels_call_it(tmp_path, name):
    root = coco(tmp_path / "set", name, width=20, height=10)
    image_file(root / "train/2.jpg")
    dataset = load(root)
    text = str(data.check(dataset))
    assert f"train: {name.replace(chr(92), '/')}: does not exist" in text
    assert "annotations" not in text
    with pytest.raises(DataError, match="is missing at") as caught:
        data.write(dataset, tmp_path / "new", "yolo")
    assert f"{root}/train/" in caught.value.what


# --- paths that lead out --------------------------------------------------------------------------


@pytest.fixture
def secret(tmp_path) -> Path:
    """An image that is none of the data's."""
    return image_file(tmp_path / "elsewhere/deep/secret.jpg", 20, 10)


@pytest.fixture
def home(tmp_path) -> Path:
    """A folder for data, out of which ``..`` leads beside it and ``../..`` out of the area."""
    (tmp_path / "home/me").mkdir(parents=True)
    return tmp_path / "home/me"


OUTSIDE = {"absolute": "{secret}", "upwards": "../../../elsewhere/deep/secret.jpg"}


@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_elsewhere_is_read_only_when_that_is_allowed(home, secret, layout, way):
    write, _ = LAYOUTS[layout]
    up = "../" if way == "upwards" and layout != "YOLO" else ""
    root = write(home / "set", up + OUTSIDE[way].format(secret=secret))
    with pytest.raises(DataError, match="leads out of the data's folder") as caught:
        load(root)
    assert str(root) in caught.value.what
    assert "secret.jpg" in caught.value.what
    assert "allow_outside=True" in caught.value.hint
    assert "--allow-outside" in caught.value.hint
    assert paths_in(load(root, allow_outside=True)) == [str(secret)]
    with pytest.raises(DataError, match="leads out"):  # nor by what was kept meanwhile
        load(root)


def test_a_panoptic_map_elsewhere_is_refused(home, secret):
    root = panoptic(home / "set", "1.jpg", map_name=str(secret))
    image_file(root / "train/1.jpg", 20, 10)
    with pytest.raises(DataError, match=r"panoptic_train\.json names .*secret\.jpg"):
        load(root)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_beside_the_folder_are_the_datas(home, layout):
    write, _ = LAYOUTS[layout]
    up = "../" if layout == "YOLO" else "../../"
    root = write(home / "set", f"{up}images/1.jpg")
    file = image_file(home / "images/1.jpg", 20, 10)
    assert paths_in(load(root)) == [str(file)]
    hidden = write(home / "other", f"{up}.ssh/1.jpg")
    image_file(home / ".ssh/1.jpg")
    with pytest.raises(DataError, match="leads out"):
        load(hidden)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_absolute_paths_into_the_folder_are_the_datas(home, layout):
    write, place = LAYOUTS[layout]
    root = write(home / "set", str(home / "set" / place))
    file = image_file(root / place, 20, 10)
    assert paths_in(load(root)) == [str(file)]


def test_links_on_the_disk_are_the_users_own(home, secret):
    root = coco(home / "set", "1.jpg")
    (root / "train").rmdir()
    secret.rename(secret.with_name("1.jpg"))
    (root / "train").symlink_to(secret.parent)
    assert not data.check(load(root)).errors
    (home / "link").symlink_to(root)
    assert not data.check(load(home / "link")).errors
    lines = yolo_list(home / "lists", str(home.resolve() / "lists/images/train/1.jpg"))
    image_file(lines / "images/train/1.jpg")
    (home / "lists-link").symlink_to(lines)
    assert len(load(home / "lists-link", split="train")) == 1


WALKED = ["/", "/proc/self/environ", "../../..", "..", "/proc", "../../../elsewhere"]


@pytest.mark.parametrize("text", WALKED)
@pytest.mark.parametrize("key", ["train", "path", "several"])
def test_data_yaml_leads_nowhere_else(home, secret, text, key, monkeypatch):
    root = yolo_list(home / "set", "1.jpg")
    content = {"names": ["cat"], "train": "."}
    content |= {"train": ["images", text]} if key == "several" else {key: text}
    if key == "path":
        content["train"] = "deep"
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    seen = []
    walk = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path=".": seen.append(str(path)) or walk(path))
    monkeypatch.setenv("TOKEN", "hidden-token")
    with pytest.raises(DataError) as caught:
        load(root)
    assert "hidden-token" not in str(caught.value)
    assert all(Path(path).resolve().is_relative_to(home) for path in seen)
    if key != "path":
        assert "leads out" in caught.value.what


def test_files_beside_the_folder_are_not_quoted(home):
    root = yolo_list(home / "set", "1.jpg")
    (home / "notes").mkdir()
    (home / "notes/diary.txt").write_text("a secret line\n")
    (root / "data.yaml").write_text("names: [cat]\ntrain: ../notes/diary.txt\n")
    with pytest.raises(DataError, match=r"diary\.txt:1 is not an image") as caught:
        load(root)
    assert "secret" not in str(caught.value)
    (root / "data.yaml").write_text("names: [cat]\ntrain: train.txt\n")
    (root / "train.txt").write_text("../notes/diary.jpg\n")
    with pytest.raises(DataError, match=r"diary\.txt:1 is neither a box nor a polygon") as caught:
        load(root)
    assert "secret" not in str(caught.value)


def test_what_save_to_disk_wrote_names_no_file_elsewhere(home, secret):
    table = datasets.Dataset.from_dict({"image_path": [str(secret)], "label": ["cat"]})
    table.save_to_disk(str(home / "text"))
    with pytest.raises(DataError, match=r"'image_path'.*leads out"):
        load(home / "text")
    assert len(load(home / "text", allow_outside=True)) == 1
    image = table.rename_column("image_path", "image").cast_column("image", datasets.Image())
    image.save_to_disk(str(home / "bytes"))  # which puts the image into the file
    secret.unlink()
    assert load(home / "bytes")[0]["image"].size == (20, 10)


@pytest.mark.parametrize("name", ["{secret}", "../../../elsewhere/deep/secret.jpg"])
def test_metadata_names_no_file_elsewhere(home, secret, name):
    image_file(home / "set/1.jpg")
    row = {"file_name": name.format(secret=secret), "label": "cat"}
    (home / "set/metadata.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"leads out of the data's folder|secret"):
        load(home / "set")


def test_a_file_at_the_top_of_a_disk_has_nothing_beside_it():
    assert not Area(Path("/data")).allows("/etc/x.jpg")
    assert Area(Path("/data")).allows("/data/x.jpg")
    assert Area(Path("/data/set")).allows("/data/images/x.jpg")
    assert not Area(Path("/data/set")).allows("/data")
    assert not Area(Path("/data/set")).allows("/data/settings/../../etc/x.jpg")
