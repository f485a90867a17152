"""COCO files, held against pycocotools and supervision reading or writing the same ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from labelled_files import (
    assert_same_but_for_the_border,
    corners,
    decoded,
    image_file,
    some_detections,
)
from PIL import Image
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from pvzoo.data.load import load
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")


def save(file: Path, content: dict) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def one_image(**annotation) -> dict:
    """A file with one image and one annotation: a box, unless said otherwise."""
    plain = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    entry = {key: value for key, value in {**plain, **annotation}.items() if value != "absent"}
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": 10, "height": 8}],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [entry],
    }


def random_coco(rng: np.random.Generator) -> dict:
    """Objects with masks in all three forms, crowds, ids with gaps, images without objects."""
    images, annotations = [], []
    image_ids = rng.choice(10_000, 15, replace=False) + 1
    category_ids = sorted((rng.choice(90, 6, replace=False) + 1).tolist())
    number = 100
    for index, image_id in enumerate(image_ids.tolist()):
        width, height = (int(n) for n in rng.integers(20, 60, 2))
        images.append(
            {"id": image_id, "file_name": f"{index}.png", "width": width, "height": height}
        )
        for _ in range(int(rng.integers(0, 5))):
            number += int(rng.integers(1, 9))
            form = rng.integers(3)
            mask = np.asfortranarray(rng.random((height, width)) < rng.random(), np.uint8)
            code = pycoco.encode(mask)
            if form == 0:
                count = int(rng.integers(3, 9))
                segmentation = [
                    (rng.random((count, 2)) * [width, height]).round(2).flatten().tolist()
                    for _ in range(int(rng.integers(1, 3)))
                ]
            elif form == 1:
                segmentation = {"size": [height, width], "counts": code["counts"].decode()}
            else:
                flat = mask.flatten(order="F")
                runs = np.flatnonzero(np.diff(np.concatenate([[0], flat, [2]])))
                counts = np.diff(np.concatenate([[0], runs])).tolist()
                segmentation = {"size": [height, width], "counts": counts}
            annotations.append(
                {
                    "id": number,
                    "image_id": image_id,
                    "category_id": int(rng.choice(category_ids)),
                    "bbox": (rng.random(4) * 20).tolist(),
                    "area": float(rng.random() * 100),
                    "iscrowd": int(form == 2),
                    "segmentation": segmentation,
                }
            )
    rng.shuffle(annotations)
    names = [f"class {i}" for i in category_ids]
    categories = [{"id": i, "name": n} for i, n in zip(category_ids, names, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories[::-1]}


@pytest.mark.parametrize("seed", range(5))
def test_instances_equal_what_pycocotools_reads_from_the_same_file(tmp_path, seed, capsys):
    file = save(tmp_path / "instances.json", random_coco(np.random.default_rng(seed)))
    for name in json.loads(file.read_text())["images"]:
        image_file(tmp_path / "images" / name["file_name"], name["width"], name["height"])
    reference = COCO(str(file))
    dataset = load(file)
    assert task_of(dataset.features) == "instance-segmentation"
    categories = reference.loadCats(sorted(reference.getCatIds()))
    assert class_names(dataset.features) == tuple(c["name"] for c in categories)
    assert len(dataset) == 15
    for row in dataset:
        told = reference.imgs[row["image_id"]]
        assert row["file_name"] == f"images/{told['file_name']}"
        assert (row["width"], row["height"]) == (told["width"], told["height"])
        assert row["image"].size == (told["width"], told["height"])
        objects = row["objects"]
        wanted = reference.imgToAnns[row["image_id"]]
        assert objects["id"] == [a["id"] for a in wanted]
        assert objects["bbox"] == [a["bbox"] for a in wanted]
        assert objects["area"] == [a["area"] for a in wanted]
        assert objects["iscrowd"] == [bool(a["iscrowd"]) for a in wanted]
        names = [categories[c]["id"] for c in objects["category"]]
        assert names == [a["category_id"] for a in wanted]
        for code, annotation in zip(objects["segmentation"], wanted, strict=True):
            assert np.array_equal(decoded(code), reference.annToMask(annotation))
    boxes = load(file, "object-detection")
    assert task_of(boxes.features) == "object-detection"
    assert [r["bbox"] for r in boxes["objects"]] == [r["bbox"] for r in dataset["objects"]]


@pytest.mark.parametrize("masks", [False, True])
def test_what_supervision_writes_is_read(tmp_path, masks):
    source = some_detections(tmp_path / "drawn", 3, masks=masks)
    folder = tmp_path / "coco"
    source.as_coco(str(folder / "images"), str(folder / "annotations.json"))
    dataset = load(folder)
    assert class_names(dataset.features) == ("zebra", "apple", "traffic light")
    assert task_of(dataset.features) == ("instance-segmentation" if masks else "object-detection")
    assert len(dataset) == len(source)
    for row, (path, pixels, wanted) in zip(dataset, source, strict=True):
        assert row["file_name"] == f"images/{Path(path).name}"
        assert row["image"].size == pixels.shape[1::-1]
        assert np.array_equal(corners(row["objects"]), wanted.xyxy)
        assert row["objects"]["category"] == wanted.class_id.tolist()
        if masks:
            for code, mask in zip(row["objects"]["segmentation"], wanted.mask, strict=True):
                assert_same_but_for_the_border(decoded(code), mask)


def test_the_folders_of_coco_itself_are_splits(tmp_path):
    for split, names in {"train2017": "abc", "val2017": "d"}.items():
        images = [
            {"id": i, "file_name": f"{n}.png", "width": 8, "height": 6} for i, n in enumerate(names)
        ]
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "x"}]}
        save(tmp_path / f"annotations/instances_{split}.json", content)
        captions = [{"id": 1, "image_id": 0, "caption": "a photo"}]
        save(
            tmp_path / f"annotations/captions_{split}.json",
            {"images": images, "annotations": captions},
        )
        people = {**content, "categories": [{"id": 1, "name": "x", "keypoints": ["nose"]}]}
        save(tmp_path / f"annotations/person_keypoints_{split}.json", people)
        for name in names:
            image_file(tmp_path / split / f"{name}.png")
    loaded = load(tmp_path)
    assert {k: v["file_name"] for k, v in loaded.items()} == {
        "train": ["train2017/a.png", "train2017/b.png", "train2017/c.png"],
        "validation": ["val2017/d.png"],
    }
    assert all(row["image"].size == (8, 6) for part in loaded.values() for row in part)
    assert load(tmp_path, split="validation")["file_name"] == ["val2017/d.png"]
    assert load(tmp_path, split="val")["file_name"] == ["val2017/d.png"]
    with pytest.raises(DataError, match=r"captions_val2017.json has captions"):
        load(tmp_path / "annotations/captions_val2017.json")


def test_roboflows_folders_are_splits_and_its_first_class_is_left_out(tmp_path):
    for split in ("train", "valid", "test"):
        content = one_image(image_id=0, category_id=2 if split == "test" else 1)
        content["images"][0]["id"] = 0
        content["categories"] = [
            {"id": 0, "name": "fish"},
            {"id": 1, "name": "fish"},
            {"id": 2, "name": "ray"},
        ]
        save(tmp_path / split / "_annotations.coco.json", content)
        image_file(tmp_path / split / "a.png", value=len(split))
    loaded = load(tmp_path)
    assert list(loaded) == ["train", "validation", "test"]
    assert all(class_names(part.features) == ("fish", "ray") for part in loaded.values())
    assert loaded["train"][0]["objects"]["category"] == [0]
    assert loaded["test"][0]["objects"]["category"] == [1]
    assert loaded["train"][0]["image"].getpixel((0, 0))[0] == 5


def test_mistakes_in_values_are_kept(tmp_path):
    content = one_image()
    content["categories"] = [{"id": i, "name": str(i)} for i in (2, 4, 5)]
    boxes = [[-5, 2, 3, 4], [50, 50, 3, 3], [4, 4, -2, 0], [0.1, 0.2, 0.3, 0.4]]
    content["annotations"] = [
        {"id": 10 + i, "image_id": 1, "category_id": c, "bbox": box, "ignore": i % 2}
        for i, (c, box) in enumerate(zip((5, 6, 3, 1), boxes, strict=True))
    ]
    said = r"x\.json: the category_id 1, 3, 6 is not among the categories; their ids are 2, 4, 5\."
    with pytest.warns(PvzooWarning, match=said):
        dataset = load(save(tmp_path / "x.json", content)).remove_columns("image")
    objects = dataset[0]["objects"]
    assert objects["bbox"] == boxes
    # above all ids, in a gap, and below all of them
    assert objects["category"] == [2, 3, 3 + 3, -1]
    assert objects["ignore"] == [False, True, False, True]
    assert objects["area"] == [12.0, 9.0, -0.0, pytest.approx(0.12)]


def test_crowds_and_objects_to_ignore_may_be_said_in_numbers_words_or_text(tmp_path):
    said = [0, 1, False, True, "0", "1", "false", "True", None, 0.0, 1.0, "absent"]
    wanted = [False, True] * 4 + [False, False, True, False]
    content = one_image()
    content["annotations"] = [
        one_image(id=i, iscrowd=value, ignore=value)["annotations"][0]
        for i, value in enumerate(said, 1)
    ]
    (row,) = load(save(tmp_path / "a.json", content)).remove_columns("image")
    assert row["objects"]["iscrowd"] == row["objects"]["ignore"] == wanted
    panoptic = random_panoptic(tmp_path / "b", np.random.default_rng(4))
    for annotation in panoptic["annotations"]:
        for index, info in enumerate(annotation["segments_info"]):
            info["iscrowd"] = str(index % 2)
    save(tmp_path / "b/annotations/panoptic_val2017.json", panoptic)
    for row in load(tmp_path / "b", "panoptic-segmentation")["validation"]:
        found = row["segments"]["iscrowd"]
        assert found == [bool(index % 2) for index in range(len(found))]


def test_the_images_of_lvis_are_found_by_the_end_of_their_address(tmp_path):
    content = one_image()
    del content["images"][0]["file_name"]
    content["images"][0]["coco_url"] = "http://images.cocodataset.org/train2017/000000000139.jpg"
    save(tmp_path / "lvis_v1_val.json", content)  # its val has images of COCO's train
    image_file(tmp_path / "train2017/000000000139.jpg", 10, 8)
    image_file(tmp_path / "val2017/000000000139.jpg", 3, 3)
    (row,) = load(tmp_path)["validation"]
    assert row["file_name"] == "train2017/000000000139.jpg"
    assert row["image"].size == (10, 8)


def test_an_image_that_is_not_there_does_not_stop_the_reader(tmp_path):
    dataset = load(save(tmp_path / "x.json", one_image()))
    assert dataset.with_format("arrow")[0]["image"][0]["path"].as_py() == str(tmp_path / "a.png")
    assert dataset["width"] == [10]


def test_the_size_is_that_of_the_image_where_the_file_does_not_say_it(tmp_path):
    content = one_image(segmentation=[[1, 1, 7, 1, 7, 5, 1, 5]])
    del content["images"][0]["width"]
    image_file(tmp_path / "a.png", 9, 7)
    row = load(save(tmp_path / "x.json", content))[0]
    assert (row["width"], row["height"]) == (9, 7)
    assert decoded(row["objects"]["segmentation"][0]).sum() == 24


def test_what_is_absent_is_made_up(tmp_path):
    content = one_image(id="absent", bbox="absent", segmentation=[[2, 1, 6, 1, 6, 4, 2, 4]])
    content["images"][0]["id"] = content["annotations"][0]["image_id"] = "frankfurt_01"
    row = load(save(tmp_path / "x.json", content), "object-detection").remove_columns("image")[0]
    assert row["image_id"] == 0
    assert row["objects"] == {
        "id": [1],
        "bbox": [[2.0, 1.0, 4.0, 3.0]],
        "category": [0],
        "area": [12.0],
        "iscrowd": [False],
        "ignore": [False],
    }


def test_an_object_without_a_mask_among_masks_has_an_empty_one(tmp_path):
    content = one_image(segmentation=[])
    content["annotations"].append(
        {**content["annotations"][0], "id": 8, "segmentation": [[0, 0, 4, 0, 4, 4]]}
    )
    dataset = load(save(tmp_path / "x.json", content)).remove_columns("image")
    codes = dataset[0]["objects"]["segmentation"]
    assert [code["size"] for code in codes] == [[8, 10]] * 2
    assert [decoded(code).any() for code in codes] == [False, True]


def test_repeated_ids_get_new_numbers_with_a_warning(tmp_path):
    content = one_image()
    content["annotations"] *= 3
    with pytest.warns(PvzooWarning, match=r"x\.json: several annotations have the same id \(7\)"):
        dataset = load(save(tmp_path / "x.json", content))
    assert dataset.remove_columns("image")[0]["objects"]["id"] == [1, 2, 3]


def test_a_changed_file_is_read_again_and_an_unchanged_one_is_not(tmp_path, monkeypatch):
    file = save(tmp_path / "data" / "x.json", one_image())
    first = load(file)
    with monkeypatch.context() as patch:
        patch.setattr("pvzoo.data.formats.coco.file.read_json", None)  # rows cannot be made
        assert load(file).cache_files == first.cache_files
    save(file, one_image(bbox=[0, 0, 1, 1]))
    assert load(file).remove_columns("image")[0]["objects"]["bbox"] == [[0, 0, 1, 1]]


def test_annotations_of_images_that_are_not_in_the_file_are_left_out_and_said(tmp_path):
    content = random_coco(np.random.default_rng(0))
    all_of_them = load(save(tmp_path / "all.json", content)).remove_columns("image")
    lost = content["images"][::2]
    ids = {image["id"] for image in lost}
    content["images"] = content["images"][1::2]
    count = sum(a["image_id"] in ids for a in content["annotations"])
    with pytest.warns(PvzooWarning, match=rf"part\.json: {count} annotations are left out.*in all"):
        part = load(save(tmp_path / "part.json", content)).remove_columns("image")
    assert list(part) == [row for row in all_of_them if row["image_id"] not in ids]
    assert len(part) == 7


def test_only_the_files_that_changed_are_parsed_again(tmp_path, monkeypatch):
    for split in ("train", "val", "test"):
        save(tmp_path / "boxes" / f"{split}.json", one_image())
        random_panoptic(tmp_path / "segments" / split, np.random.default_rng(0))
        (tmp_path / "segments" / split / "annotations/panoptic_val2017.json").rename(
            tmp_path / "segments" / split / "labels.json"
        )
    first = {name: load(tmp_path / name) for name in ("boxes", "segments")}
    assert all(list(loaded) == ["train", "validation", "test"] for loaded in first.values())
    parsed = []

    def read_json(file: Path):
        parsed.append(file.name)
        return json.loads(file.read_text(encoding="utf-8"))

    monkeypatch.setattr("pvzoo.data.formats.coco.file.read_json", read_json)
    for name, loaded in first.items():
        assert load(tmp_path / name).cache_files == loaded.cache_files
        part = load(tmp_path / name, split="validation")
        assert part.cache_files == loaded["validation"].cache_files
    assert parsed == []
    save(tmp_path / "boxes/val.json", one_image(segmentation=[[1, 1, 7, 1, 7, 5, 1, 5]]))
    part = load(tmp_path / "boxes", split="validation")
    assert task_of(part.features) == "instance-segmentation"
    assert parsed == ["val.json"]


BROKEN = {
    "no list": ([1], "is a JSON list"),
    "no images": ({"images": 3, "annotations": [], "categories": []}, "has no list of images"),
    "image without id": (
        {**one_image(), "images": [{"file_name": "a.png"}]},
        r"images\[0\] has no id",
    ),
    "image without name": ({**one_image(), "images": [{"id": 1}]}, r"images\[0\] has no file_name"),
    "two images of an id": (
        {**one_image(), "images": [{"id": 1, "file_name": "a"}, {"id": 1, "file_name": "b"}]},
        "two images have the id 1",
    ),
    "unknown images": (one_image(image_id="1"), "has image_id '1', and the first image has id 1"),
    "no image": (one_image(image_id="absent"), r"annotations\[0\] \(id 7\) has no image_id"),
    "three numbers": (one_image(bbox=[1, 2, 3]), r"\(id 7\) has the bbox \[1, 2, 3\]"),
    "text in a box": (one_image(bbox=[1, 2, "3", 4]), r"\(id 7\) has the bbox"),
    "no box": (one_image(bbox="absent"), "neither bbox nor segmentation"),
    "a word as crowd": (one_image(iscrowd="some"), r"\(id 7\) has iscrowd: 'some'"),
    "a number to ignore": (one_image(ignore=2), r"\(id 7\) has ignore: 2"),
    "no class": (one_image(category_id="absent"), "no category_id that is a whole number"),
    "no classes": ({**one_image(), "categories": []}, "has no categories"),
    "a class named by a truth": (
        {**one_image(), "categories": [{"id": 1, "name": False}]},
        r"categories\[0\] has no name, or its id is not a whole number",
    ),
    "two classes of an id": (
        {**one_image(), "categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]},
        "two categories have the id 1",
    ),
    "odd polygon": (one_image(segmentation=[[1, 2, 3, 4, 5, 6, 7]]), "not pairs of numbers"),
    "text polygon": (one_image(segmentation=[["a"] * 6]), "not pairs of numbers"),
    "text mask": (one_image(segmentation="abc"), "not a list or object"),
    "short runs": (one_image(segmentation={"size": [8, 10], "counts": [3, 4]}), "do not fill"),
    "negative runs": (one_image(segmentation={"size": [8, 10], "counts": [-3, 83]}), "do not fill"),
    "mangled code": (one_image(segmentation={"size": [8, 10], "counts": "~~oo"}), "do not fill"),
    "mask without size": (one_image(segmentation={"counts": "a"}), "mask of the size None"),
    "keypoints": (one_image(keypoints=[1, 2, 2]), "has keypoints.*object-detection"),
    "caption": (
        {**one_image(), "categories": None, "annotations": [{"image_id": 1, "caption": "x"}]},
        "has no list of categories|has captions",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_file_is_named_with_the_place(tmp_path, name):
    content, match = BROKEN[name]
    file = tmp_path / "broken.json"
    file.write_text(json.dumps(content) + " " * 5)
    if name == "no list":
        file.write_text('[{"images": 1, "annotations": 2, "categories": 3}]')
    with pytest.raises(DataError, match=match) as caught:
        load(file)
    assert str(file) in caught.value.what
    assert caught.value.hint


def test_a_cut_file_is_not_json(tmp_path):
    file = save(tmp_path / "x.json", one_image())
    file.write_text(file.read_text()[:-20])
    with pytest.raises(DataError, match=r"x\.json is not JSON"):
        load(file)


def test_keypoints_are_read_as_boxes_on_request(tmp_path):
    file = save(tmp_path / "x.json", one_image(keypoints=[1, 2, 2]))
    assert len(load(file, "object-detection")) == 1


def test_two_files_of_a_split_are_an_error(tmp_path):
    for name in ("a_train.json", "b_train.json"):
        save(tmp_path / name, one_image())
    with pytest.raises(DataError, match=r"split train: a_train.json and b_train.json"):
        load(tmp_path)


def test_splits_that_name_a_class_differently_are_an_error(tmp_path):
    save(tmp_path / "train.json", one_image())
    save(tmp_path / "val.json", {**one_image(), "categories": [{"id": 1, "name": "dog"}]})
    with pytest.raises(DataError, match="the class 1 'dog', but another split calls it 'cat'"):
        load(tmp_path)


# --- panoptic -------------------------------------------------------------------------------------


def random_panoptic(folder: Path, rng: np.random.Generator) -> dict:
    """A panoptic set: JSON, maps in a folder of its name, images in ``val2017``."""
    categories = [
        {"id": 3, "name": "person", "isthing": 1},
        {"id": 10, "name": "grass", "isthing": 0},
        {"id": 20, "name": "water", "isthing": 1},
        {"id": 21, "name": "water", "isthing": 0},
    ]
    images, annotations = [], []
    for index in range(6):
        width, height = (int(n) for n in rng.integers(8, 30, 2))
        ids = rng.choice(2**24 - 1, 4, replace=False) + 1
        values = rng.choice([0, *ids], (height, width))
        rgb = np.stack([values % 256, values // 256 % 256, values // 65536], axis=2)
        (folder / "annotations/panoptic_val2017").mkdir(parents=True, exist_ok=True)
        name = f"{index:03}.png"
        Image.fromarray(rgb.astype(np.uint8)).save(folder / "annotations/panoptic_val2017" / name)
        image_file(folder / "val2017" / name, width, height)
        images.append({"id": index + 5, "file_name": name, "width": width, "height": height})
        infos = [
            {"id": int(i), "category_id": c["id"], "iscrowd": int(rng.integers(2)), "area": 1}
            for i, c in zip(ids, categories, strict=True)
        ]
        annotations.append({"image_id": index + 5, "file_name": name, "segments_info": infos})
    content = {"images": images, "annotations": annotations[::-1], "categories": categories}
    save(folder / "annotations/panoptic_val2017.json", content)
    return content


def test_panoptic_segments_and_maps_are_those_of_the_file(tmp_path):
    content = random_panoptic(tmp_path, np.random.default_rng(0))
    loaded = load(tmp_path)
    assert list(loaded) == ["validation"]
    dataset = loaded["validation"]
    assert task_of(dataset.features) == "panoptic-segmentation"
    names = class_names(dataset.features)
    assert names == ("person", "grass", "water", "water (stuff)")
    by_image = {a["image_id"]: a for a in content["annotations"]}
    ids = [c["id"] for c in content["categories"]]
    for row in dataset:
        wanted = by_image[row["image_id"]]["segments_info"]
        segments = row["segments"]
        assert segments["id"] == [s["id"] for s in wanted]
        assert [ids[c] for c in segments["category"]] == [s["category_id"] for s in wanted]
        assert segments["isthing"] == [True, False, True, False]
        assert segments["iscrowd"] == [bool(s["iscrowd"]) for s in wanted]
        rgb = np.asarray(row["annotation"]).astype(int)
        values = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
        assert set(np.unique(values)) <= {0, *segments["id"]}
        assert row["image"].size == row["annotation"].size
        assert np.asarray(row["image"]).std() < 40  # the image, and not the map of its name
        assert row["file_name"] == f"val2017/{row['image_id'] - 5:03}.png"
    assert load(tmp_path / "annotations/panoptic_val2017.json")["image_id"] == dataset["image_id"]


def test_segments_of_undeclared_classes_are_said_by_the_ids_of_the_file(tmp_path):
    content = random_panoptic(tmp_path, np.random.default_rng(4))
    content["annotations"][0]["segments_info"][0]["category_id"] = 11
    file = save(tmp_path / "annotations/panoptic_val2017.json", content)
    with pytest.warns(PvzooWarning, match=r"category_id 11 is not .* ids are 3, 10, 20, 21\."):
        dataset = load(file)
    segments = dataset.remove_columns(["image", "annotation"])[-1]["segments"]
    assert segments["category"] == [4 + 11, 1, 2, 3]


def test_instances_beside_panoptic_labels_are_told_apart_by_the_task(tmp_path):
    random_panoptic(tmp_path, np.random.default_rng(1))
    content = one_image()
    save(tmp_path / "annotations/instances_val2017.json", content)
    with pytest.raises(DataError, match="several formats: COCO, COCO panoptic"):
        load(tmp_path)
    assert class_names(load(tmp_path, "object-detection")["validation"].features) == ("cat",)
    assert len(load(tmp_path, "panoptic-segmentation")["validation"]) == 6


PANOPTIC_BROKEN = {
    "no isthing": (lambda c: c["categories"][0].pop("isthing"), "'person' has no isthing"),
    "no map": (lambda c: c["annotations"][0].pop("file_name"), "image 10 has no file_name"),
    "no segments": (lambda c: c["annotations"][0].update(segments_info=3), "no list segments_info"),
    "no id": (
        lambda c: c["annotations"][0]["segments_info"][2].pop("id"),
        r"segments_info\[2\] are not whole numbers",
    ),
    "a word as crowd": (
        lambda c: c["annotations"][0]["segments_info"][1].update(iscrowd="some"),
        r"segments_info\[1\] has iscrowd: 'some'",
    ),
    "twice": (lambda c: c["annotations"].append(c["annotations"][0]), "10 has 2 annotations"),
}


@pytest.mark.parametrize("name", PANOPTIC_BROKEN)
def test_damaged_panoptic_files_are_named(tmp_path, name):
    breaks, match = PANOPTIC_BROKEN[name]
    content = random_panoptic(tmp_path, np.random.default_rng(2))
    breaks(content)
    file = save(tmp_path / "annotations/panoptic_val2017.json", content)
    with pytest.raises(DataError, match=match) as caught:
        load(file)
    assert str(file) in caught.value.what


def test_an_image_without_panoptic_annotation_is_left_out_and_said(tmp_path):
    content = random_panoptic(tmp_path, np.random.default_rng(3))
    del content["annotations"][0]
    save(tmp_path / "annotations/panoptic_val2017.json", content)
    with pytest.warns(PvzooWarning, match=r"1 images have no annotation.*005\.png"):
        assert len(load(tmp_path)["validation"]) == 5
