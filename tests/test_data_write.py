"""What is written, as pycocotools, supervision and pvzoo itself read it."""

from __future__ import annotations

import errno
import io
import json
import shutil
import time
from pathlib import Path
from typing import Any

import colour_model
import datasets
import numpy as np
import pytest
import supervision as sv
import yaml
from datasets import Dataset, DatasetDict
from datasets import Image as ImageColumn
from PIL import Image
from pycocotools import mask as pycoco
from pycocotools.coco import COCO

from pvzoo.data.copies import Names
from pvzoo.data.load import load
from pvzoo.data.polygons import join
from pvzoo.data.quality.fix import fix
from pvzoo.data.schema import class_names, features, task_of
from pvzoo.data.write import write
from pvzoo.errors import DataError, PvzooWarning, UsageError
from pvzoo.results.masks import Masks

pytestmark = pytest.mark.usefixtures("own_cache")

NAMES = ["zebra", "ape", "traffic light"]


def canonical_dataset(task: str, names: list[str], rows: list[dict[str, Any]], **kind) -> Dataset:
    kinds = features(task, names, **kind)
    table = datasets.table.InMemoryTable.from_pylist(rows, schema=kinds.arrow_schema)
    return Dataset(table, info=datasets.DatasetInfo(features=kinds))


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return {"bytes": file.getvalue(), "path": None}


def head(rng: np.random.Generator, i: int, size: tuple[int, int]) -> dict[str, Any]:
    height, width = size
    image = encoded(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return {"image": image, "image_id": 7 + 3 * i, "file_name": f"p{i:02}.png"}


def code_of(mask: np.ndarray) -> dict[str, Any]:
    return Masks.from_array(mask[None]).to_coco()[0]


def objects_of(
    rng: np.random.Generator, size: tuple[int, int], first: int, *, masks: bool, plain: bool
) -> dict[str, list[Any]]:
    """Random objects; plain ones are no crowds, not ignored, and tight around their masks."""
    height, width = size
    count = int(rng.integers(0, 5))
    shapes = rng.random((count, height, width)) < rng.choice([0.02, 0.5, 0.9], (count, 1, 1))
    shapes[:, 0, 0] |= ~shapes.any(axis=(1, 2))
    codes = [code_of(shape) for shape in shapes]
    boxes = [pycoco.toBbox(code).tolist() for code in codes]
    if not (masks and plain):
        boxes = rng.uniform(0 if plain else -2, 50, (count, 4)).tolist()
    flags = (np.zeros if plain else rng.integers)(*((count,) if plain else (0, 2, count)))
    found = {
        "id": (first + 2 * np.arange(count)).tolist(),
        "bbox": boxes,
        "category": rng.integers(0, 3, count).tolist(),
        "area": [b[2] * b[3] for b in boxes] if plain else rng.uniform(0, 99, count).tolist(),
        "iscrowd": flags.astype(bool).tolist(),
        "ignore": np.roll(flags, 1).astype(bool).tolist(),
    }
    if masks and plain:
        found["area"] = shapes.sum(axis=(1, 2)).astype(float).tolist()
    return found | ({"segmentation": codes} if masks else {})


def objects(seed: int, task: str, count: int = 12, *, plain: bool = False) -> Dataset:
    rng = np.random.default_rng(seed)
    rows, number = [], 11
    for i in range(count):
        size = tuple(rng.integers(6, 40, 2).tolist())
        masks = task == "instance-segmentation"
        found = objects_of(rng, size, number, masks=masks, plain=plain)
        number += 2 * len(found["id"])
        frame = {"width": size[1], "height": size[0], "objects": found}
        rows.append(head(rng, i, size) | frame)
    assert number > 12 + count
    return canonical_dataset(task, NAMES, rows)


def panoptic(seed: int, count: int = 8) -> Dataset:
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        size = tuple(rng.integers(6, 30, 2).tolist())
        numbers = np.array([0, *rng.choice(2**24 - 1, 4, replace=False) + 1])
        ids = rng.choice(numbers, size)
        there = [n for n in numbers.tolist() if n and (ids == n).any()]
        kinds = rng.integers(0, 3, len(there)).tolist()
        octets = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1)
        segments = {
            "id": there,
            "category": kinds,
            "isthing": [k != 1 for k in kinds],
            "iscrowd": [k != 1 and bool(rng.integers(2)) for k in kinds],
        }
        annotation = encoded(octets.astype(np.uint8))
        rows.append(head(rng, i, size) | {"annotation": annotation, "segments": segments})
    return canonical_dataset("panoptic-segmentation", NAMES, rows)


def semantic(
    seed: int, meaning: dict[int, int], *, extra: tuple[int, ...] = (), mode: str = "L"
) -> Dataset:
    rng = np.random.default_rng(seed)
    segments = {"id": list(meaning), "category": list(meaning.values())}
    rows = []
    for i in range(5):
        size = tuple(rng.integers(6, 30, 2).tolist())
        pixels = rng.choice([*meaning, 255, *extra], size).astype(np.int64)
        if mode == "RGB":
            pixels = np.stack([pixels % 256, pixels // 256 % 256, pixels // 65536], axis=-1)
        wide = mode == "L" and pixels.max() > 255
        annotation = encoded(pixels.astype(np.uint16 if wide else np.uint8))
        rows.append(head(rng, i, size) | {"annotation": annotation, "segments": segments})
    return canonical_dataset("semantic-segmentation", NAMES, rows)


def classes(seed: int, count: int = 12) -> Dataset:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).tolist()
    rows = [head(rng, i, (5, 6)) | {"label": label} for i, label in enumerate(labels)]
    return canonical_dataset("image-classification", sorted(NAMES), rows)


def raw(dataset: Dataset) -> list[dict[str, Any]]:
    """The rows, with encoded images as their bytes, in the order of their files."""
    images = sorted({"image", "annotation"} & set(dataset.column_names))
    for name in images:
        dataset = dataset.cast_column(name, ImageColumn(decode=False))
    rows = dataset.to_list()
    for row in rows:
        for name in images:
            cell = row[name]
            row[name] = cell["bytes"] or Path(cell["path"]).read_bytes()
        row["file_name"] = Path(row["file_name"]).name
    return sorted(rows, key=lambda row: row["file_name"])


def as_stored(row: dict[str, Any]) -> dict[str, Any]:
    """A row of `raw` as it goes into a dataset."""
    images = {"image", "annotation"} & row.keys()
    return row | {name: {"bytes": row[name], "path": None} for name in images}


def files_in(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def map_classes(row: dict[str, Any]) -> np.ndarray:
    """The class of each pixel, -1 for void and -2 for what means nothing."""
    pixels = np.asarray(Image.open(io.BytesIO(row["annotation"]))).astype(int)
    if pixels.ndim == 3:
        pixels = pixels @ [1, 256, 65536]
    said = dict(zip(row["segments"]["id"], row["segments"]["category"], strict=True))
    return np.vectorize(lambda v: ({255: -1} | said).get(v, -2), otypes=[int])(pixels)


# --- round trips ----------------------------------------------------------------------------------

KINDS = {
    "boxes": (lambda seed: objects(seed, "object-detection"), "coco"),
    "masks": (lambda seed: objects(seed, "instance-segmentation"), "coco"),
    "segments": (panoptic, "coco"),
    "classes": (classes, "folder"),
}


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_as_it_was(tmp_path: Path, kind: str, split: bool) -> None:
    make, form = KINDS[kind]
    data = DatasetDict(train=make(1), validation=make(2)) if split else make(1)
    assert write(data, tmp_path / "out", form) == tmp_path / "out"
    found = load(tmp_path / "out")
    assert isinstance(found, DatasetDict) == split
    pairs = [(data[k], found[k]) for k in data] if split else [(data, found)]
    assert not split or list(found) == list(data)
    for old, new in pairs:
        if kind == "segments":
            new = new.remove_columns("areas")
        assert new.features == old.features
        for before, after in zip(raw(old), raw(new), strict=True):
            if kind == "classes":  # folders have no ids
                after["image_id"] = before["image_id"]
            if kind == "segments":  # PNGs are encoded anew
                assert (map_classes(before) == map_classes(after)).all()
                after["annotation"] = before["annotation"]
            assert after == before


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
def test_yolo_gives_back_boxes_and_masks(tmp_path: Path, task: str) -> None:
    data = DatasetDict(train=objects(3, task, plain=True), validation=objects(4, task, plain=True))
    write(data, tmp_path / "out", "yolo")
    found = load(tmp_path / "out", task)
    for name in data:
        assert found[name].features == data[name].features
        for before, after in zip(raw(data[name]), raw(found[name]), strict=True):
            assert after["image"] == before["image"]
            old, new = before["objects"], after["objects"]
            assert new["category"] == old["category"]
            assert np.allclose(new["bbox"], old["bbox"], rtol=0, atol=1e-9)
            assert new.get("segmentation") == old.get("segmentation")


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize(
    ("meaning", "mode", "copied"),
    [
        ({0: 0, 1: 1, 2: 2}, "L", True),
        ({0: -1, 1: 0, 2: 1, 3: 2}, "L", True),  # reduced labels
        ({7: 0, 9: 0, 11: 1, 12: -1, 300: 2}, "L", True),
        ({0: 2, 1: 0, 2: 1}, "L", False),  # in another order than the values
        ({1: 0, 2: 1}, "L", False),  # a class that no value stands for
        ({0: 0, 128: 1, 33000: 2}, "RGB", False),
        ({0: 0, 128 * 65536: 1, 128: 2}, "RGB", False),
    ],
)
def test_maps_mean_the_same_after_a_round_trip(
    tmp_path: Path, meaning: dict[int, int], mode: str, copied: bool, split: bool
) -> None:
    data = semantic(5, meaning, mode=mode)
    given = DatasetDict(train=data, test=data.select([2])) if split else data
    write(given, tmp_path / "out", "folder")
    found = load(tmp_path / "out")
    assert isinstance(found, DatasetDict) == split
    found = found["train"] if split else found
    assert class_names(found.features) == tuple(NAMES)
    for before, after in zip(raw(data), raw(found), strict=True):
        assert after["image"] == before["image"]
        assert (map_classes(after) == map_classes(before)).all()
        assert (after["annotation"] == before["annotation"]) == copied


def test_values_that_mean_nothing_still_mean_nothing(tmp_path: Path) -> None:
    for number, meaning in enumerate(({0: 0, 1: 1, 2: 2}, {0: 2, 1: 0, 2: 1})):
        data = semantic(6, meaning, extra=(77,))
        write(data, tmp_path / str(number), "folder")
        for before, after in zip(raw(data), raw(load(tmp_path / str(number))), strict=True):
            assert (map_classes(before) == -2).any()
            assert (map_classes(after) == map_classes(before)).all()


def test_several_labels_an_image_come_back_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    labels = [[0, 2], [], [1], [2, 1]]
    rows = [head(rng, i, (5, 6)) | {"labels": row} for i, row in enumerate(labels)]
    data = canonical_dataset("image-classification", sorted(NAMES), rows, multi_label=True)
    write(DatasetDict(train=data), tmp_path / "out", "folder")
    found = load(tmp_path / "out")["train"]
    assert found.features == data.features
    assert raw(found) == raw(data)


def test_ids_out_of_range_survive_in_coco_and_yolo(tmp_path: Path) -> None:
    row = raw(objects(8, "object-detection", plain=True))[1]
    row["image"] = {"bytes": row["image"], "path": None}
    row["objects"] = {k: (v * 3)[:3] for k, v in row["objects"].items() if v}
    row["objects"] |= {"category": [5, -2, 1], "id": [1, 2, 3]}
    data = canonical_dataset("object-detection", NAMES, [row])
    for form in ("coco", "yolo"):
        write(data, tmp_path / form, form)
    with pytest.warns(PvzooWarning, match="category_id -1, 6 is not among the categories"):
        coco = load(tmp_path / "coco")
    for found in (coco, load(tmp_path / "yolo", split="train")):
        assert raw(found)[0]["objects"]["category"] == [5, -2, 1]


# --- other readers --------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
def test_pycocotools_reads_what_is_written(tmp_path: Path, task: str) -> None:
    data = objects(9, task)
    write(DatasetDict(train=data), tmp_path / "out", "coco")
    api = COCO(str(tmp_path / "out/annotations/instances_train.json"))
    assert [c["name"] for c in api.loadCats(api.getCatIds())] == NAMES
    assert api.getCatIds() == [1, 2, 3]
    for row in raw(data):
        (image,) = api.loadImgs([row["image_id"]])
        assert (image["width"], image["height"]) == (row["width"], row["height"])
        assert (tmp_path / "out/train" / image["file_name"]).read_bytes() == row["image"]
        found = api.loadAnns(api.getAnnIds([row["image_id"]]))
        things = row["objects"]
        assert [a["id"] for a in found] == things["id"]
        assert [a["bbox"] for a in found] == things["bbox"]
        assert [a["area"] for a in found] == things["area"]
        assert [a["category_id"] - 1 for a in found] == things["category"]
        assert [bool(a["iscrowd"]) for a in found] == things["iscrowd"]
        assert [bool(a["ignore"]) for a in found] == things["ignore"]
        for annotation, code in zip(found, things.get("segmentation", ()), strict=False):
            assert (api.annToMask(annotation) == pycoco.decode(code)).all()
            assert "counts" in annotation["segmentation"]
        assert task == "instance-segmentation" or not any("segmentation" in a for a in found)


def test_supervision_reads_the_boxes_of_coco_and_yolo(tmp_path: Path) -> None:
    data = objects(10, "object-detection", plain=True)
    out = tmp_path / "out"
    write(DatasetDict(train=data), out / "coco", "coco")
    write(DatasetDict(train=data), out / "yolo", "yolo")
    coco = sv.DetectionDataset.from_coco(
        str(out / "coco/train"), str(out / "coco/annotations/instances_train.json")
    )
    yolo = sv.DetectionDataset.from_yolo(
        str(out / "yolo/images/train"), str(out / "yolo/labels/train"), str(out / "yolo/data.yaml")
    )
    rows = {row["file_name"]: row for row in raw(data)}
    for read in (coco, yolo):
        assert read.classes == NAMES
        assert len(read) == len(rows)
        for path, _, found in read:
            things = rows[Path(path).name]["objects"]
            boxes = np.array(things["bbox"]).reshape(-1, 4)
            boxes[:, 2:] += boxes[:, :2]
            assert np.allclose(found.xyxy, boxes, atol=1e-3)
            assert (found.class_id if len(boxes) else np.array([])).tolist() == things["category"]


def test_a_dict_of_splits_is_written_and_other_objects_are_refused(tmp_path):
    made = colour_model.dataset("object-detection", tmp_path / "images", 3, size=(32, 32))
    write({"train": made, "validation": made.select([0])}, tmp_path / "out", "coco")
    assert {*load(tmp_path / "out")} == {"train", "validation"}
    for wrong, name in ((["a"], "list"), ({"train": 7}, "int")):
        with pytest.raises(UsageError, match=f"does not take a {name}"):
            write(wrong, tmp_path / "other", "coco")
    assert not (tmp_path / "other").exists()


def test_supervision_reads_the_masks_of_coco_and_the_classes_of_folders(tmp_path: Path) -> None:
    data = objects(11, "instance-segmentation", plain=True)
    write(data, tmp_path / "coco", "coco")
    read = sv.DetectionDataset.from_coco(
        str(tmp_path / "coco/images"), str(tmp_path / "coco/annotations/instances.json"),
        force_masks=True,
    )  # fmt: skip
    rows = {row["file_name"]: row for row in raw(data)}
    for path, _, found in read:
        codes = rows[Path(path).name]["objects"]["segmentation"]
        for mask, code in zip(found.mask if codes else (), codes, strict=True):
            assert (mask == pycoco.decode(code)).all()
    data = classes(12)
    write(data, tmp_path / "classes", "folder")
    read = sv.ClassificationDataset.from_folder_structure(str(tmp_path / "classes"))
    rows = {row["file_name"]: row for row in raw(data)}
    names = class_names(data.features)
    assert len(read) == len(rows)
    for path, _, found in read:
        label = rows[Path(path).name]["label"]
        assert [read.classes[i] for i in found.class_id] == [names[label]]


def test_a_panoptic_json_says_area_and_box_of_each_segment(tmp_path: Path) -> None:
    data = panoptic(13)
    write(DatasetDict(train=data), tmp_path / "out", "coco")
    root = tmp_path / "out/annotations"
    said = json.loads((root / "panoptic_train.json").read_text())
    assert [(c["name"], c["isthing"]) for c in said["categories"]] == [
        ("zebra", 1), ("ape", 0), ("traffic light", 1)
    ]  # fmt: skip
    for entry in said["annotations"]:
        pixels = np.asarray(Image.open(root / "panoptic_train" / entry["file_name"])).astype(int)
        ids = pixels @ [1, 256, 65536]
        assert {s["id"] for s in entry["segments_info"]} == set(np.unique(ids).tolist()) - {0}
        for segment in entry["segments_info"]:
            ys, xs = (ids == segment["id"]).nonzero()
            assert segment["area"] == len(xs)
            assert segment["bbox"] == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]


def test_void_segments_become_void_in_panoptic_maps(tmp_path: Path) -> None:
    rows = raw(panoptic(14, 3))
    for row in rows:
        row["image"], row["annotation"] = (
            {"bytes": row[name], "path": None} for name in ("image", "annotation")
        )
        row["segments"]["category"][0] = -1
    data = canonical_dataset("panoptic-segmentation", NAMES, rows)
    write(data, tmp_path / "out", "coco")
    for before, after in zip(raw(data), raw(load(tmp_path / "out")), strict=True):
        old, new = (np.where(map_classes(r) == -2, -1, map_classes(r)) for r in (before, after))
        assert (old == new).all()
        assert after["segments"]["id"] == before["segments"]["id"][1:]


# --- YOLO -----------------------------------------------------------------------------------------


def test_joined_outlines_fill_what_each_of_them_does() -> None:
    rng = np.random.default_rng(15)
    for _ in range(200):
        height, width = rng.integers(2, 30, 2).tolist()
        mask = rng.random((height, width)) < rng.random()
        outlines = Masks.from_array(mask[None]).polygons(0)
        if not outlines:
            continue
        one = join([np.reshape(outline, (-1, 2)) for outline in outlines]).flatten().tolist()
        codes = pycoco.frPyObjects([one, *outlines], height, width)
        whole, *apart = (pycoco.decode(code) for code in codes)
        assert (whole == sum(apart) % 2).all()


def test_what_yolo_cannot_say_is_left_out_and_counted(tmp_path: Path) -> None:
    data = objects(16, "instance-segmentation")
    rows = raw(data)
    for row in rows:
        row["image"] = {"bytes": row["image"], "path": None}
    full = next(row for row in rows if False in row["objects"]["iscrowd"])
    index = full["objects"]["iscrowd"].index(False)
    full["objects"]["ignore"][index] = False
    size = full["objects"]["segmentation"][index]["size"]
    full["objects"]["segmentation"][index] = code_of(np.zeros(size, bool))
    data = canonical_dataset("instance-segmentation", NAMES, rows)
    pairs = [
        (crowd, ignored)
        for row in raw(data)
        for crowd, ignored in zip(row["objects"]["iscrowd"], row["objects"]["ignore"], strict=True)
    ]
    crowds = sum(crowd for crowd, _ in pairs)
    ignored = sum(ignored and not crowd for crowd, ignored in pairs)
    said = f"{crowds} crowds, {ignored} objects to ignore, 1 objects without pixels"
    assert crowds * ignored
    with pytest.warns(PvzooWarning, match=said):
        write(data, tmp_path / "out", "yolo")
    found = load(tmp_path / "out")["train"]
    kept = sum(len(row["objects"]["id"]) for row in raw(found))
    assert kept == len(pairs) - crowds - ignored - 1


def test_data_yaml_names_splits_and_classes_as_ultralytics_does(tmp_path: Path) -> None:
    data = objects(17, "object-detection", 4, plain=True)
    write(DatasetDict(train=data, validation=data, test=data), tmp_path / "out", "yolo")
    assert yaml.safe_load((tmp_path / "out/data.yaml").read_text()) == {
        "train": "images/train",
        "val": "images/validation",
        "test": "images/test",
        "names": {0: "zebra", 1: "ape", 2: "traffic light"},
    }
    assert (tmp_path / "out/labels/train/p00.txt").is_file()


def test_boxes_in_an_image_of_unknown_size_are_refused(tmp_path: Path) -> None:
    row = next(r for r in raw(objects(18, "object-detection", plain=True)) if r["objects"]["id"])
    row |= {"image": {"bytes": row["image"], "path": None}, "width": 0, "height": 0}
    data = canonical_dataset("object-detection", NAMES, [row])
    with pytest.raises(DataError, match=f"height of the image {row['file_name']} are not known"):
        write(data, tmp_path / "out", "yolo")
    assert list(tmp_path.glob("*out*")) == []


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
def test_labels_of_stored_pixels_are_refused_by_yolo_until_they_are_fixed(
    tmp_path: Path, task: str
) -> None:
    rows = raw(objects(19, task, plain=True))
    row = next(r for r in rows if r["objects"]["id"] and min(r["width"], r["height"]) > 8)
    if task == "object-detection":
        row["objects"]["bbox"] = [[1.0, 2.0, 3.0, 5.0] for _ in row["objects"]["bbox"]]
        row["objects"]["category"] = list(range(len(row["objects"]["bbox"])))
    exif = Image.Exif()
    exif[0x0112] = 6
    size = (row["height"], row["width"])
    row["image"] = encoded(np.zeros((*size, 3), np.uint8), "JPEG", exif=exif)
    row["file_name"] = "turned.jpg"
    data = canonical_dataset(task, NAMES, [row])
    with pytest.raises(DataError, match=r"turned\.jpg .*pvzoo\.data\.fix"):
        write(data, tmp_path / "out", "yolo")
    assert list(tmp_path.glob("*out*")) == []

    fixed = fix(data)
    write(fixed, tmp_path / "out", "yolo")
    found = load(tmp_path / "out", task, split="train")
    assert (found[0]["width"], found[0]["height"]) == size == found[0]["image"].size
    assert len(found[0]["objects"]["bbox"]) == len(row["objects"]["bbox"])
    if task == "object-detection":
        boxes = fixed[0]["objects"]["bbox"]
        assert np.allclose(found[0]["objects"]["bbox"], boxes, atol=1e-6)


# --- images and their names -----------------------------------------------------------------------


def named(names: list[str]) -> Dataset:
    rng = np.random.default_rng(len(names))
    rows = [head(rng, i, (5, 6)) | {"file_name": name} for i, name in enumerate(names)]
    empty = {k: [] for k in ("id", "bbox", "category", "area", "iscrowd", "ignore")}
    rows = [row | {"width": 6, "height": 5, "objects": empty} for row in rows]
    return canonical_dataset("object-detection", NAMES, rows)


@pytest.mark.parametrize(
    ("names", "written"),
    [
        (["a.png", "a.jpg", "A.png"], ["a.png", "a-2.jpg", "A-3.png"]),
        (["x/a.png", "x/b.png"], ["a.png", "b.png"]),
        (["x/a.png", "x/y/a.png"], ["a.png", "y/a.png"]),
        (["../../a.png", "/etc/b.png", "C:\\c\\d.png"], ["a.png", "etc/b.png", "c/d.png"]),
        (["x/../../../a.png", ".hidden.png"], ["x/a.png", "hidden.png"]),
        (["noend", "", "..", "v1.5"], ["noend.png", "image.png", "image-2.png", "v1.5.png"]),
        (["日本.png", "a b.png"], ["日本.png", "a b.png"]),
    ],
)
def test_names_are_safe_unique_and_otherwise_kept(
    tmp_path: Path, names: list[str], written: list[str]
) -> None:
    data = named(names)
    write(data, tmp_path / "out", "coco")
    said = json.loads((tmp_path / "out/annotations/instances.json").read_text())
    assert [image["file_name"] for image in said["images"]] == written
    assert files_in(tmp_path / "out/images") == set(written)
    for name, row in zip(
        written, data.cast_column("image", ImageColumn(decode=False)), strict=True
    ):
        assert (tmp_path / "out/images" / name).read_bytes() == row["image"]["bytes"]
    assert {p.name for p in tmp_path.iterdir()} <= {"out", "cache"}


def test_very_many_images_of_one_name_are_numbered_in_a_moment() -> None:
    names = Names()
    start = time.process_time()
    taken = [names.take("image.jpg", str) for _ in range(30_000)]
    assert time.process_time() - start < 5  # a minute if each tried all numbers
    assert taken[:2] + taken[-1:] == ["image.jpg", "image-2.jpg", "image-30000.jpg"]
    assert [names.take(name, str) for name in ("image-2.png", "IMAGE.png")] == [
        "image-2-2.png",
        "IMAGE-30001.png",
    ]


def test_yolo_labels_lie_beside_images_from_folders_called_images(tmp_path: Path) -> None:
    data = named(["images/train/a.png", "images/b.png", "x/a.png"])
    write(data, tmp_path / "out", "yolo")
    assert files_in(tmp_path / "out") == {
        "data.yaml",
        *(f"images/{name}.png" for name in ("a", "b", "a-2")),
        *(f"labels/{name}.txt" for name in ("a", "b", "a-2")),
    }


def test_images_that_are_files_are_copied_with_their_exif(tmp_path: Path) -> None:
    source = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (20, 10)).save(source, exif=exif)
    row = raw(named(["photo.jpg"]))[0] | {"image": {"path": str(source), "bytes": None}}
    row |= {"width": 10, "height": 20}
    data = canonical_dataset("object-detection", NAMES, [row])
    write(data, tmp_path / "out", "coco")
    assert (tmp_path / "out/images/photo.jpg").read_bytes() == source.read_bytes()
    found = load(tmp_path / "out", "object-detection")
    assert found[0]["image"].size == (found[0]["width"], found[0]["height"]) == (10, 20)


def test_a_missing_image_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    row = raw(named(["a.png"]))[0] | {"image": {"path": str(tmp_path / "gone.png"), "bytes": None}}
    data = canonical_dataset("object-detection", NAMES, [row])
    with pytest.raises(DataError) as caught:
        write(data, tmp_path / "out", "coco")
    assert "a.png" in caught.value.what
    assert "gone.png" in caught.value.what
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize("task", ["object-detection", "instance-segmentation"])
@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_objects_that_are_null_are_none(tmp_path: Path, kind: str, task: str) -> None:
    rows = [as_stored(row) for row in raw(objects(24, task, 3, plain=True))]
    rows[1]["objects"] = None
    write(canonical_dataset(task, NAMES, rows), tmp_path / "out", kind)
    found = load(tmp_path / "out", task)
    (found,) = found.values() if isinstance(found, DatasetDict) else [found]
    numbers = [len(row["objects"]["id"]) for row in raw(found)]
    assert numbers == [len((row["objects"] or {"id": []})["id"]) for row in rows]


@pytest.mark.parametrize("first", [0, 2])
def test_segments_of_a_semantic_map_that_are_null_are_those_of_the_others(
    tmp_path: Path, first: int
) -> None:
    data = semantic(25, {3: 0, 5: 1, 9: 2})
    rows = [as_stored(row) for row in raw(data)]
    rows[first]["segments"] = None
    write(canonical_dataset("semantic-segmentation", NAMES, rows), tmp_path / "out", "folder")
    for old, new in zip(raw(data), raw(load(tmp_path / "out")), strict=True):
        assert np.array_equal(map_classes(old), map_classes(new))


def test_segments_of_a_panoptic_map_that_are_null_are_none(tmp_path: Path) -> None:
    rows = [as_stored(row) for row in raw(panoptic(26, 3))]
    rows[1]["segments"] = None
    data = canonical_dataset("panoptic-segmentation", NAMES, rows)
    write(data, tmp_path / "out", "coco")
    numbers = [len(row["segments"]["id"]) for row in raw(load(tmp_path / "out"))]
    assert numbers[1] == 0 < min(numbers[0], numbers[2])


BOX = {"id": [1], "bbox": [[1.0, 1, 3, 3]], "category": [0], "area": [9.0]}
BOX |= {"iscrowd": [False], "ignore": [False]}
CUT = {"size": [8, 9], "counts": "0"}

NOT_WHOLE = {
    "a class too many": (BOX | {"category": [0, 1]}, "1 of id, 1 of bbox, 2 of category"),
    "a box too many": (BOX | {"bbox": [[1.0] * 4] * 2}, "1 of id, 2 of bbox, 1 of category"),
    "an id too many": (BOX | {"id": [1, 2]}, "2 of id, 1 of bbox, 1 of category"),
    "no box": (BOX | {"bbox": [None]}, "object 0 has no bbox"),
    "three edges": (BOX | {"bbox": [[1.0, None, 3, 3]]}, "object 0 has no bbox"),
    "no class": (BOX | {"category": [None]}, "object 0 has no category"),
    "no mask": (BOX | {"segmentation": [None]}, "object 0 has no segmentation"),
    "a cut mask": (BOX | {"segmentation": [CUT]}, "mask of its object 0 is a damaged"),
    "text for a mask": (
        BOX | {"segmentation": [CUT | {"counts": "garbage!!"}]},
        "mask of its object 0 is a damaged",
    ),
}


@pytest.mark.parametrize("kind", ["coco", "yolo"])
@pytest.mark.parametrize("name", NOT_WHOLE)
def test_objects_that_are_not_whole_are_refused_with_their_image(
    tmp_path: Path, name: str, kind: str
) -> None:
    found, said = NOT_WHOLE[name]
    task = "instance-segmentation" if "segmentation" in found else "object-detection"
    row = head(np.random.default_rng(27), 0, (8, 9)) | {"width": 9, "height": 8, "objects": found}
    with pytest.raises(DataError, match=said) as caught:
        write(canonical_dataset(task, NAMES, [row]), tmp_path / "out", kind)
    assert caught.value.what.startswith("The image p00.png (image_id 7)")
    assert caught.value.hint
    assert not list(tmp_path.glob("*out*"))


# --- classes --------------------------------------------------------------------------------------


def test_a_class_without_images_has_a_folder(tmp_path: Path) -> None:
    data = classes(19).filter(lambda label: label != 1, input_columns=["label"])
    write(DatasetDict(train=data), tmp_path / "out", "folder")
    assert class_names(load(tmp_path / "out")["train"].features) == tuple(sorted(NAMES))


def test_images_without_a_class_are_left_out_and_counted(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    rows = [head(rng, i, (5, 6)) | {"label": v} for i, v in enumerate([0, -1, 3, 2])]
    data = canonical_dataset("image-classification", sorted(NAMES), rows)
    with pytest.warns(PvzooWarning, match="2 labels"):
        write(data, tmp_path / "out", "folder")
    assert files_in(tmp_path / "out") == {"ape/p00.png", "zebra/p03.png"}


@pytest.mark.parametrize(
    ("column", "labels"),
    [("label", [0, None, 2]), ("labels", [[0], None, [2, None]])],
)
def test_a_null_class_is_no_class(tmp_path: Path, column: str, labels: list[Any]) -> None:
    rng = np.random.default_rng(23)
    rows = [head(rng, i, (5, 6)) | {column: v} for i, v in enumerate(labels)]
    several = column == "labels"
    data = canonical_dataset("image-classification", sorted(NAMES), rows, multi_label=several)
    with pytest.warns(PvzooWarning, match="1 labels"):
        write(data, tmp_path / "out", "folder")
    found = load(tmp_path / "out")
    found = found["train"] if several else found
    names = np.array(class_names(found.features))
    kept = [["ape"], [], ["zebra"]] if several else ["ape", "zebra"]
    assert [names[row[column]].tolist() for row in raw(found)] == kept


@pytest.mark.parametrize("name", ["a/b", ".hidden", "..", " a", "", "x" * 300])
def test_a_class_that_cannot_name_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    rng = np.random.default_rng(21)
    rows = [head(rng, 0, (5, 6)) | {"label": 0}]
    data = canonical_dataset("image-classification", [name, "b"], rows)
    with pytest.raises(DataError, match="cannot be names of folders"):
        write(data, tmp_path / "out", "folder")
    assert not list(tmp_path.glob("*out*"))


def test_a_class_called_void_is_refused(tmp_path: Path) -> None:
    data = semantic(22, {0: 0, 1: 1, 2: 2})
    rows = [
        row | {name: {"bytes": row[name], "path": None} for name in ("image", "annotation")}
        for row in raw(data)
    ]
    data = canonical_dataset("semantic-segmentation", ["road", "Void", "sky"], rows)
    with pytest.raises(DataError, match="means void"):
        write(data, tmp_path / "out", "folder")


# --- the folder -----------------------------------------------------------------------------------


@pytest.mark.parametrize("image", [0, 1])
def test_a_segment_with_an_unknown_class_is_refused_with_its_image(tmp_path, image: int) -> None:
    data = semantic(22, {0: 0, 1: 1, 2: 2})
    rows = [as_stored(row) for row in raw(data)]
    rows[image]["segments"]["category"][1] = 9
    data = canonical_dataset("semantic-segmentation", NAMES, rows)
    named = rows[image]["file_name"]
    with pytest.raises(DataError, match=f"{named} .* has a segment 1 of class id 9, but there"):
        write(data, tmp_path / "out", "folder")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("keep")
    with pytest.raises(DataError, match="exists and is not empty"):
        write(classes(23), tmp_path / "out", "folder")
    assert files_in(tmp_path / "out") == {"mine.txt"}
    with pytest.raises(DataError, match="exists and is not empty"):
        write(classes(23), tmp_path / "out/mine.txt", "folder")


def test_an_empty_folder_and_a_new_one_in_new_folders_are_taken(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "out").mkdir()
    for folder in (tmp_path / "out", tmp_path / "a/b/c"):
        write(classes(24), folder, "folder")
        assert len(files_in(folder)) == 12
        assert folder.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_full_disk_leaves_nothing_and_is_said(tmp_path: Path, monkeypatch) -> None:
    copies = []

    def full(source, target):
        copies.append(source)
        if len(copies) > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(source, target)

    real = shutil.copyfile
    source = tmp_path / "in"
    write(classes(25), source, "folder")
    data = load(source)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(DataError, match="No space left"):
        write(data, tmp_path / "out", "folder")
    assert len(copies) == 4
    assert not list(tmp_path.glob("*out*"))


def test_progress_counts_the_images_of_all_splits(tmp_path: Path) -> None:
    seen = []
    data = DatasetDict(train=classes(26, 5), test=classes(27, 3))
    write(data, tmp_path / "out", "folder", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 8) for i in range(1, 9)]


def test_a_format_without_a_place_for_the_task_is_refused_with_one_that_has(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Write them as coco"):
        write(panoptic(28, 2), tmp_path / "out", "yolo")
    with pytest.raises(DataError, match=r"Write them as .*folder"):
        write(classes(29), tmp_path / "out", "coco")
    with pytest.raises(UsageError, match="coco"):
        write(classes(29), tmp_path / "out", "cocoo")
    with pytest.raises(DataError, match=r"pvzoo\.data\.load"):
        write(Dataset.from_dict({"a": [1]}), tmp_path / "out", "coco")


def test_splits_of_different_classes_are_refused(tmp_path: Path) -> None:
    other = canonical_dataset("image-classification", ["a"], [])
    with pytest.raises(DataError, match="different classes"):
        write(DatasetDict(train=classes(30), test=other), tmp_path / "out", "folder")
    assert task_of(other.features) == "image-classification"
