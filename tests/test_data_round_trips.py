"""What is written in one format and read, then written in another, says all that both can say."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from datasets import DatasetDict
from test_data_write import canonical_dataset, classes, head, objects, raw

from pvzoo.data.load import load
from pvzoo.data.schema import class_names
from pvzoo.data.write import write
from pvzoo.errors import PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")

OF_OBJECTS = ("coco", "yolo", "voc", "cvat", "label-studio")
OF_CLASSES = ("folder", "cvat", "label-studio")


def said(data, *, ignored: bool) -> dict[str, list[tuple]]:
    """What each image has, by its name: classes by name, boxes, masks, and whether to ignore."""
    names = class_names(data.features)
    found = {}
    for row in raw(data):
        things = row["objects"]
        codes = things.get("segmentation") or [None] * len(things["id"])
        found[row["file_name"]] = [
            (
                names[things["category"][i]],
                tuple(np.round(things["bbox"][i], 6).tolist()),
                code and code["counts"],
                ignored and things["ignore"][i],
            )
            for i, code in enumerate(codes)
        ]
    return found


@pytest.mark.parametrize("kind", ["object-detection", "instance-segmentation"])
@pytest.mark.parametrize(("first", "second"), itertools.permutations(OF_OBJECTS, 2))
def test_objects_come_through_every_pair_of_formats(tmp_path, first, second, kind):
    seed = sum(map(ord, first + second + kind))
    data = DatasetDict(train=objects(seed, kind, 4, plain=True))
    other = objects(seed + 1, kind, 4, plain=True)  # VOC has the images of all splits together
    names = [f"v{i}.png" for i in range(len(other))]
    kinds = other.features
    data["validation"] = (
        other.remove_columns("file_name").add_column("file_name", names).cast(kinds)
    )
    write(data, tmp_path / "one", first)
    write(load(tmp_path / "one", kind), tmp_path / "two", second)
    found = load(tmp_path / "two", kind)
    assert list(found) == ["train", "validation"]
    for split in data:
        assert said(found[split], ignored=False) == said(data[split], ignored=False)
        images = [(row["file_name"], row["image"]) for row in raw(data[split])]
        assert [(row["file_name"], row["image"]) for row in raw(found[split])] == images


def test_what_is_to_be_ignored_comes_through_coco_and_voc(tmp_path):
    data = objects(3, "object-detection", 6)
    rows = [row | {"image": {"bytes": row["image"], "path": None}} for row in raw(data)]
    for row in rows:
        row["objects"]["iscrowd"] = [False] * len(row["objects"]["id"])
    data = canonical_dataset("object-detection", list(class_names(data.features)), rows)
    write(data, tmp_path / "voc", "voc")
    write(load(tmp_path / "voc"), tmp_path / "coco", "coco")
    assert said(load(tmp_path / "coco"), ignored=True) == said(data, ignored=True)


@pytest.mark.parametrize("form", ["voc", "cvat", "label-studio"])
def test_labels_that_a_format_cannot_store_are_counted(tmp_path, form):
    data = objects(4, "object-detection", 6)
    with pytest.warns(PvzooWarning, match="Left out, because .* cannot store them: .* crowds"):
        write(data, tmp_path / "out", form)


@pytest.mark.parametrize(("first", "second"), itertools.permutations(OF_CLASSES, 2))
@pytest.mark.parametrize("several", [False, True])
def test_classes_of_images_come_through_every_pair_of_formats(tmp_path, first, second, several):
    if several:
        rng = np.random.default_rng(7)
        labels = [[0, 2], [], [1], [2, 1]]
        rows = [head(rng, i, (5, 6)) | {"labels": row} for i, row in enumerate(labels)]
        names = ["ape", "traffic light", "zebra"]
        data = canonical_dataset("image-classification", names, rows, multi_label=True)
    else:
        data = classes(9, 6)
    write(data, tmp_path / "one", first)
    middle = load(tmp_path / "one", "image-classification")
    middle = middle["train"] if isinstance(middle, dict) else middle
    write(middle, tmp_path / "two", second)
    found = load(tmp_path / "two", "image-classification")
    found = found["train"] if isinstance(found, dict) else found
    column = "labels" if several else "label"
    names, others = class_names(data.features), class_names(found.features)

    def named(row, names) -> set[str]:
        return {names[i] for i in (row[column] if several else [row[column]])}

    wanted = {row["file_name"]: named(row, names) for row in raw(data)}
    assert {row["file_name"]: named(row, others) for row in raw(found)} == wanted


@pytest.mark.parametrize("form", ["cvat", "voc", "label-studio"])
def test_names_that_are_odd_come_back(tmp_path: Path, form: str) -> None:
    data = objects(5, "object-detection", 3, plain=True)
    names = ['a "b" <c> & d', "kø 猫", "x/y"]
    rows = [row | {"image": {"bytes": row["image"], "path": None}} for row in raw(data)]
    for row, name in zip(rows, ("ä b.png", "a&b.png", "a%20+b.png"), strict=True):
        row["file_name"] = name
    data = canonical_dataset("object-detection", names, rows)
    write(data, tmp_path / "out", form)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = load(tmp_path / "out")
    images = {row["image"]: row["file_name"] for row in raw(found)}
    for row in raw(data):
        wanted = row["file_name"].replace(" ", "_") if form == "voc" else row["file_name"]
        assert images[row["image"]] == wanted
    one, two = said(found, ignored=False), said(data, ignored=False)
    assert sorted(one.values()) == sorted(two.values())
