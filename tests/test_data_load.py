"""What may be given to `pvzoo.data.load`, and how it says no."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import datasets
import numpy as np
import pytest
from labelled_files import image_file
from PIL import Image

from pvzoo.data import load
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, HubError, PvzooError, UsageError

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def labelled(tmp_path) -> datasets.Dataset:
    """Six images with labels in the Hub's usual columns; red is 10 times the label."""
    labels = [0, 1, 2, 2, 1, 0]
    paths = [
        str(image_file(tmp_path / f"flat/{i}.png", value=10 * c)) for i, c in enumerate(labels)
    ]
    return datasets.Dataset.from_dict(
        {"image": paths, "label": labels},
        features=datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b", "c"])}
        ),
    )


def assert_same_as_labelled(dataset: datasets.Dataset, count: int = 6) -> None:
    assert task_of(dataset.features) == "image-classification"
    assert class_names(dataset.features) == ("a", "b", "c")
    assert len(dataset) == count
    assert all(row["image"].getpixel((0, 0))[0] == 10 * row["label"] for row in dataset)


def test_the_package_gives_the_functions_also_once_their_modules_are_imported():
    import pvzoo.data.load

    assert callable(pvzoo.data.load)
    assert sys.modules["pvzoo.data.load"].load is pvzoo.data.load


def test_importing_the_package_imports_no_heavy_library():
    code = (
        "import sys, pvzoo.data; from pvzoo.data import load;"
        "print({'datasets', 'pandas', 'torch', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# --- datasets -------------------------------------------------------------------------------------


def test_datasets_of_every_kind_become_canonical(labelled):
    assert_same_as_labelled(load(labelled))
    assert_same_as_labelled(load(labelled.to_iterable_dataset()))
    parts = datasets.DatasetDict(train=labelled, test=labelled.select([0, 3]))
    loaded = load(parts)
    assert isinstance(loaded, datasets.DatasetDict)
    assert_same_as_labelled(loaded["train"])
    assert_same_as_labelled(load(parts, split="test"), 2)
    streams = datasets.IterableDatasetDict(train=labelled.to_iterable_dataset())
    assert_same_as_labelled(load(streams, "image-classification", split="train"))
    assert load(loaded, split="test").to_dict() == loaded["test"].to_dict()


def test_what_save_to_disk_wrote_is_read(labelled, tmp_path):
    labelled.save_to_disk(tmp_path / "one")
    assert_same_as_labelled(load(tmp_path / "one"))
    datasets.DatasetDict(train=labelled).save_to_disk(tmp_path / "many")
    assert_same_as_labelled(load(tmp_path / "many")["train"])
    next((tmp_path / "one").glob("*.arrow")).write_bytes(b"broken")
    with pytest.raises(DataError, match="written by save_to_disk but cannot be read"):
        load(tmp_path / "one")


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_folder_with_metadata_is_read_by_datasets_own_rules(tmp_path, kind):
    rows = [{"file_name": f"{i}.png", "label": "ab"[i % 2]} for i in range(4)]
    for split in ("train", "validation"):
        for i in range(4):
            image_file(tmp_path / split / f"{i}.png", value=10 * (i % 2))
        lines = [json.dumps(row) for row in rows]
        if kind == "csv":
            lines = ["file_name,label", *(",".join(row.values()) for row in rows)]
        (tmp_path / split / f"metadata.{kind}").write_text("\n".join(lines))
    loaded = load(tmp_path)
    assert set(loaded) == {"train", "validation"}
    for part in loaded.values():
        assert class_names(part.features) == ("a", "b")
        assert [r["image"].getpixel((0, 0))[0] // 10 for r in part] == part["label"]


def test_damaged_metadata_is_an_error(tmp_path):
    image_file(tmp_path / "1.png")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "1.png"}\n{"file_name": \n')
    with pytest.raises(DataError, match="metadata of images that datasets cannot read"):
        load(tmp_path)


# --- what is no dataset ---------------------------------------------------------------------------


def test_other_objects_are_refused_with_the_way_to_a_dataset():
    with pytest.raises(DataError, match=r"A list is no.*Dataset\.from_list"):
        load([{"image": "a.png", "label": 1}])
    with pytest.raises(DataError, match=r"A int is no"):
        load(3)


def test_a_name_that_is_neither_a_path_nor_an_id_is_an_error_that_says_both():
    for name in ("no such folder", "./nowhere", "/nowhere/at/all", "beans"):
        with pytest.raises(DataError, match=r"neither a file or folder here nor the id") as caught:
            load(name)
        assert name in caught.value.what
        assert "owner/name" in caught.value.hint


def test_a_folder_in_no_format_says_what_is_in_it_and_what_was_looked_for(tmp_path):
    image_file(tmp_path / "a.png")
    (tmp_path / "notes").mkdir()
    with pytest.raises(
        DataError, match=r"not in a format that pvzoo reads; it holds a\.png, notes/\."
    ):
        load(tmp_path)
    with pytest.raises(DataError, match=r"COCO.*Pascal VOC.*YOLO"):
        load(tmp_path / "a.png")
    with pytest.raises(DataError, match="it is empty"):
        load(tmp_path / "notes")


def test_labels_in_two_formats_are_an_error_until_one_is_pointed_at(tmp_path):
    image_file(tmp_path / "images/a.png")
    (tmp_path / "data.yaml").write_text("names: [x]\ntrain: images\n")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations/a.xml").write_text("<annotation></annotation>")
    coco = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    with pytest.raises(DataError, match="several formats: COCO, Pascal VOC, YOLO"):
        load(tmp_path)
    assert len(load(tmp_path / "coco.json")) == 0
    assert len(load(tmp_path / "data.yaml")["train"]) == 1
    assert len(load(tmp_path / "Annotations")) == 1


def test_an_unknown_task_or_split_is_an_error_that_lists_those_there_are(tmp_path, labelled):
    with pytest.raises(UsageError, match=r"No task is called 'boxes'.*object-detection"):
        load(labelled, "boxes")
    with pytest.raises(UsageError, match=r"The dataset has no split 'train'\. It has no splits"):
        load(labelled, split="train")
    for name in ("train/a/1.png", "test/a/1.png"):
        image_file(tmp_path / "folders" / name)
    with pytest.raises(UsageError, match=r"folders has no split 'mini'\. It has train, test\."):
        load(tmp_path / "folders", split="mini")
    with pytest.raises(DataError, match="image-classification cannot be converted to"):
        load(tmp_path / "folders", "object-detection")


def test_a_task_that_is_measured_on_the_labels_of_another_names_that_one(labelled):
    with pytest.raises(UsageError, match="Use labelled data of object-detection"):
        load(labelled, "zero-shot-object-detection")


def test_masks_are_read_as_boxes_of_all_splits_alike(tmp_path):
    values = np.zeros((6, 8), np.uint8)
    values[2:5, 1:4] = 7
    for split in ("train2017", "val2017"):
        folder = tmp_path / f"annotations/panoptic_{split}"
        folder.mkdir(parents=True)
        Image.fromarray(np.stack([values, 0 * values, 0 * values], 2)).save(folder / "1.png")
        image_file(tmp_path / split / "1.jpg")
        infos = [{"id": 7, "category_id": 1}] if split == "train2017" else []
        categories = [{"id": i, "name": n, "isthing": 1} for i, n in enumerate("abc")]
        content = {
            "images": [{"id": 1, "file_name": "1.jpg", "width": 8, "height": 6}],
            "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": infos}],
            "categories": categories,
        }
        (tmp_path / f"annotations/panoptic_{split}.json").write_text(json.dumps(content))
    boxes = load(tmp_path, "object-detection")
    assert boxes["train"][0]["objects"]["bbox"] == [[1, 2, 3, 3]]
    assert load(tmp_path, "object-detection", split="train").to_dict() == boxes["train"].to_dict()
    assert len({class_names(part.features) for part in boxes.values()}) == 1


# --- the Hub --------------------------------------------------------------------------------------


def parquet(labelled: datasets.Dataset) -> bytes:
    file = io.BytesIO()
    labelled.map(lambda row: row).to_parquet(file)
    return file.getvalue()


def pixels(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 6), (value, 0, 0)).save(file, "PNG")
    return file.getvalue()


def test_a_parquet_dataset_comes_from_the_hub(hub, labelled):
    files = {
        "data/train-00000-of-00001.parquet": parquet(labelled),
        "data/test-00000-of-00001.parquet": parquet(labelled.select([1, 2])),
    }
    hub.add_repo("datasets/me/letters", files)
    loaded = load("me/letters")
    assert_same_as_labelled(loaded["train"])
    assert_same_as_labelled(load("me/letters", split="test"), 2)
    hub.stop()  # what was loaded once is in the cache
    assert_same_as_labelled(load("me/letters", split="train"))


def test_an_image_folder_comes_from_the_hub(hub):
    files = {f"{'abc'[i]}/{i}{j}.png": pixels(10 * i) for i in range(3) for j in range(2)}
    hub.add_repo("datasets/me/folder", files)
    assert_same_as_labelled(load("me/folder", split="train"))


def test_one_of_several_configurations_is_named_behind_a_colon(hub, labelled):
    card = "---\nconfigs:\n" + "".join(
        f"- config_name: {name}\n  data_files: {name}.parquet\n" for name in ("small", "large")
    )
    files = {
        "README.md": f"{card}---\n".encode(),
        "small.parquet": parquet(labelled.select([0])),
        "large.parquet": parquet(labelled),
    }
    hub.add_repo("datasets/me/sizes", files)
    assert_same_as_labelled(load("me/sizes:small", split="train"), 1)
    assert_same_as_labelled(load("me/sizes:large", split="train"), 6)
    for name in ("me/sizes", "me/sizes:huge"):
        with pytest.raises(DataError, match=r"me/sizes.*small.*large.*me/sizes:config"):
            load(name)


def test_what_the_hub_refuses_is_said_with_the_way_out(hub, labelled):
    hub.add_repo("datasets/me/gated", {"a.parquet": parquet(labelled)}, gated=True)
    hub.add_repo("datasets/me/private", {"a.parquet": parquet(labelled)}, private=True)
    hub.add_repo("datasets/me/text", {"notes.zzz": b"nothing"})
    hub.add_repo("datasets/me/broken", {"train.parquet": b"PAR1 no parquet"})
    hub.add_repo("datasets/me/script", {"script.py": b"import datasets"})
    with pytest.raises(HubError, match=r"me/gated is gated.*HF_TOKEN"):
        load("me/gated")
    for name in ("me/private", "me/missing"):
        with pytest.raises(
            DataError, match=rf"no file or folder {name} \(here is .*the Hub has no"
        ):
            load(name)
    with pytest.raises(DataError, match="me/text has no files that datasets can read"):
        load("me/text")
    with pytest.raises(DataError, match="me/broken cannot be read"):
        load("me/broken")
    with pytest.raises(DataError, match="me/script"):
        load("me/script")


@pytest.mark.parametrize("offline", [True, False])
def test_a_mistyped_folder_gets_the_nearest_beside_it(hub, tmp_path, monkeypatch, offline):
    (tmp_path / "data" / "cells").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    with pytest.raises(PvzooError, match=r"no file or folder data/cels \(here is ") as caught:
        load("data/cels")
    assert caught.value.hint == "Did you mean 'data/cells'?"


def test_a_hub_out_of_reach_is_an_error_that_says_so(hub, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
        with pytest.raises(HubError, match=r"no file or folder me/letters \(here is .*cannot be"):
            load("me/letters")
    hub.fail_next(50, 503)
    with pytest.raises(HubError, match=r"the Hub .* cannot be reached"):
        load("me/letters")
    hub.clear_faults()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"refused the access token .*me/letters \(401\).*HF_TOKEN"):
        load("me/letters")


def test_a_folder_here_comes_before_a_dataset_of_that_name(hub, tmp_path, monkeypatch):
    for name in ("a", "b", "c"):
        image_file(tmp_path / f"me/letters/{name}/1.png", value=10 * "abc".index(name))
    monkeypatch.chdir(tmp_path)
    assert_same_as_labelled(load("me/letters"), 3)
    assert hub.requests == []
