"""The Hub's usual columns as canonical datasets, held against what pycocotools and numpy say."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    IterableDataset,
    IterableDatasetDict,
    List,
    Value,
)
from datasets import Image as ImageColumn
from hub_columns import cell, encoded, from_rows, mapped, random_image, random_map, struct
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.columns import canonical
from pvzoo.data.schema import VOID_NAMES, class_names, task_of
from pvzoo.errors import DataError, PvzooWarning, UsageError

pytestmark = pytest.mark.usefixtures("own_cache")


def labelled(count: int, column: str, values: list[Any], kind: Any) -> Dataset:
    rng = np.random.default_rng(count)
    rows = [{"image": cell(random_image(rng)), column: v} for v in values]
    return from_rows(rows, **{column: kind})


BOXES = {"bbox": List(Value("float32"), length=4), "category": ClassLabel(names=["cat", "dog"])}


def scenes(count: int = 20, seed: int = 0) -> list[dict[str, Any]]:
    """Rows with a list of objects; the second has none."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        width, height = (int(v) for v in rng.integers(5, 40, 2))
        number = 0 if i == 1 else int(rng.integers(0, 5))
        objects = [
            {"bbox": rng.uniform(-3, 40, 4).astype(np.float32).tolist(), "category": int(c)}
            for c in rng.integers(-1, 5, number)
        ]
        rows.append({"image": cell(random_image(rng, width, height)), "objects": objects})
    return rows


def as_lists(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its list of objects as a struct of lists."""
    keys = ("bbox", "category")
    return row | {"objects": {key: [o[key] for o in row["objects"]] for key in keys}}


# --- classification -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "values", "names", "ids"),
    [
        (ClassLabel(names=["b", "a"]), [0, 1, 1, -1], ["b", "a"], [0, 1, 1, -1]),
        (Value("string"), ["dog", "cat", None, "dog"], ["cat", "dog"], [1, 0, -1, 1]),
        (Value("int32"), [3, 0, 0, 1], ["0", "1", "2", "3"], [3, 0, 0, 1]),
        (Value("int64"), [None, 1, 0, 1], ["0", "1"], [-1, 1, 0, 1]),
    ],
)
def test_classes_are_labels_numbers_or_text(
    kind: Any, values: list[Any], names: list[str], ids: list[int]
) -> None:
    found = canonical(labelled(1, "label", values, kind))
    assert task_of(found.features) == "image-classification"
    assert found.features["label"].names == names
    assert found["label"][:] == ids
    assert found["image_id"][:] == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", [ClassLabel(names=["x", "y", "z"]), Value("string")])
def test_a_list_of_classes_is_several_labels_an_image(kind: Any) -> None:
    values = [["z", "x"], [], ["y"]]
    if isinstance(kind, ClassLabel):
        values = [[kind.names.index(v) for v in row] for row in values]
    found = canonical(labelled(2, "labels", values, List(kind)))
    assert task_of(found.features) == "image-classification"
    assert found.features["labels"] == List(ClassLabel(names=["x", "y", "z"]))
    assert found["labels"][:] == [[2, 0], [], [1]]


def test_numbers_get_the_names_that_are_given() -> None:
    found = canonical(labelled(3, "label", [1, 0], Value("int64")), names=["cat", "dog"])
    assert class_names(found.features) == ("cat", "dog")
    assert found["label"][:] == [1, 0]


def test_one_class_column_of_another_name_is_found_and_two_are_refused_by_name() -> None:
    data = labelled(4, "fine_label", [0, 1], ClassLabel(names=["a", "b"]))
    assert canonical(data)["label"][:] == [0, 1]
    both = data.add_column("coarse_label", [1, 0])
    both = both.cast_column("coarse_label", ClassLabel(names=["c", "d"]))
    with pytest.raises(DataError) as caught:
        canonical(both)
    assert "fine_label, coarse_label" in str(caught.value)
    assert canonical(both.rename_column("coarse_label", "label"))["label"][:] == [1, 0]


def test_a_number_that_is_no_class_id_is_refused() -> None:
    with pytest.raises(DataError, match="123456789"):
        canonical(labelled(5, "label", [123456789, 0], Value("int64")))


def test_all_splits_get_the_classes_of_all_of_them() -> None:
    parts = {
        "train": labelled(6, "label", ["b", "d"], Value("string")),
        "test": labelled(7, "label", ["a", "d"], Value("string")),
    }
    found = canonical(DatasetDict(parts))
    assert found["train"].features["label"].names == ["a", "b", "d"]
    assert found["train"].features == found["test"].features
    assert found["train"]["label"][:] == [1, 2]
    assert found["test"]["label"][:] == [0, 2]
    streams = IterableDatasetDict({k: v.to_iterable_dataset() for k, v in parts.items()})
    assert canonical(streams)["test"]["label"][:] == [0, 2]


@pytest.mark.parametrize(
    ("kind", "values", "read"),
    [
        (ClassLabel(names=["a", "b", "c"]), [2, 0, 1], False),
        (Value("string"), ["c", "a", "b"], True),
        (Value("int64"), [2, 0, 1], True),
    ],
)
def test_of_one_split_only_the_labels_of_the_others_are_read_if_anything(
    kind: Any, values: list[Any], read: bool
) -> None:
    rng = np.random.default_rng(0)
    given = {"train": values, "test": values[2:]}
    seen: list[str] = []

    def rows(name: str) -> Any:
        for value in given[name]:
            seen.append(name)
            nowhere = {"bytes": None, "path": "http://127.0.0.1:9/a.png"}  # not to be fetched
            yield {"image": nowhere if name == "train" else cell(random_image(rng)), "label": value}

    columns = Features({"image": ImageColumn(), "label": kind})
    streams = IterableDatasetDict(
        {
            name: IterableDataset.from_generator(rows, features=columns, gen_kwargs={"name": name})
            for name in given
        }
    )
    found = canonical(streams, split="test")
    assert seen == ["test"] + ["train"] * 3 * read
    assert (len(found), len(class_names(found.features)), found[0]["label"]) == (1, 3, 1)
    plain = DatasetDict({name: labelled(8, "label", given[name], kind) for name in given})
    whole, one = canonical(plain), canonical(plain, split="test")
    assert one.features == whole["test"].features
    assert one["label"][:] == whole["test"]["label"][:] == [1]
    assert canonical(whole, split="test")["label"][:] == [1]
    with pytest.raises(UsageError, match=r"no split 'val'.*train, test"):
        canonical(streams, split="val")
    with pytest.raises(UsageError, match="leave split out"):
        canonical(plain["test"], split="test")


def test_one_split_of_maps_has_the_values_of_all_of_them() -> None:
    rng = np.random.default_rng(0)
    plain = {
        "train": mapped([random_map(rng, [0, 1, 7])], "mask"),
        "test": mapped([random_map(rng, [0, 1])], "mask"),
    }
    streams = IterableDatasetDict({k: v.to_iterable_dataset() for k, v in plain.items()})
    for data in (DatasetDict(plain), streams):
        with pytest.warns(PvzooWarning, match="have no names"):
            found = canonical(data, split="test")
        assert class_names(found.features) == ("0", "1", "7")
        assert len(found) == 1


# --- objects --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["list of structs", "struct of lists", "columns"])
def test_boxes_are_read_in_every_layout_and_mistakes_survive(layout: str) -> None:
    rows = scenes()
    if layout == "list of structs":
        data = from_rows(rows, objects=List(BOXES))
    elif layout == "struct of lists":
        data = from_rows([as_lists(row) for row in rows], objects=struct(BOXES))
    else:
        flat = [{"image": r["image"], **as_lists(r)["objects"]} for r in rows]
        data = from_rows(flat, **struct(BOXES))
    found = canonical(data)
    assert task_of(found.features) == "object-detection"
    assert class_names(found.features) == ("cat", "dog")
    numbers = []
    for row, new in zip(rows, found, strict=True):
        objects = new["objects"]
        assert objects["bbox"] == [o["bbox"] for o in row["objects"]]
        assert objects["category"] == [o["category"] for o in row["objects"]]
        assert objects["area"] == [b[2] * b[3] for b in objects["bbox"]]
        assert objects["iscrowd"] == objects["ignore"] == [False] * len(row["objects"])
        assert (new["width"], new["height"]) == new["image"].size
        numbers += objects["id"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert found[1]["objects"]["id"] == []
    assert {4, -1} <= {c for o in found["objects"][:] for c in o["category"]}


def test_ids_areas_crowds_and_ignored_objects_are_kept() -> None:
    kinds = {
        **BOXES,
        "bbox_id": Value("int64"),
        "area": Value("float64"),
        "iscrowd": Value("int64"),
        "difficult": Value("bool"),
    }
    thing = {"bbox": [1, 2, 3, 4], "category": 1}
    more = {"bbox_id": 70, "area": 5.5, "iscrowd": 1, "difficult": True}
    other = {"bbox_id": 8, "area": None, "iscrowd": 0, "difficult": False}
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": [thing | more]}]
    rows.append(rows[0] | {"objects": [thing | other]})
    found = canonical(from_rows(rows, objects=List(kinds)))
    assert found["objects"][:] == [
        {
            "id": [number],
            "bbox": [[1, 2, 3, 4]],
            "category": [1],
            "area": [area],
            "iscrowd": [crowd],
            "ignore": [crowd],
        }
        for number, area, crowd in ((70, 5.5, True), (8, 12.0, False))
    ]
    rows[1]["objects"][0]["bbox_id"] = 70  # no longer unique
    assert [o["id"] for o in canonical(from_rows(rows, objects=List(kinds)))["objects"]] == [
        [1],
        [2],
    ]


def test_names_of_objects_are_preferred_to_their_numbers() -> None:
    kinds = {
        "bbox": List(Value("float64")),
        "category_id": Value("int64"),
        "category_name": Value("string"),
    }
    thing = {"bbox": [0, 0, 1, 1], "category_id": 7, "category_name": "owl"}
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": [thing]}]
    found = canonical(from_rows(rows, objects=List(kinds)))
    assert class_names(found.features) == ("owl",)


@pytest.mark.parametrize("form", ["polygons", "run lengths", "compressed", "JSON"])
def test_masks_are_those_that_pycocotools_makes(form: str) -> None:
    rng = np.random.default_rng(1)
    rows, masks = [], []
    for _ in range(15):
        width, height = (int(v) for v in rng.integers(5, 40, 2))
        objects = []
        for _ in range(int(rng.integers(0, 4))):
            parts = [rng.uniform(0, 40, 2 * n).round(1).tolist() for n in rng.integers(3, 7, 2)]
            code = coco.merge(coco.frPyObjects(parts, height, width))
            masks.append(code)
            text = {"size": [height, width], "counts": code["counts"].decode()}
            mask = coco.decode(code).T.reshape(-1).astype(int)
            runs = np.diff(np.flatnonzero(np.diff(mask, prepend=0, append=2))).tolist()
            first = int(np.argmax(mask)) if mask.any() else mask.size
            plain = {"size": [height, width], "counts": [first, *runs] if mask.any() else [first]}
            said = {"polygons": parts, "run lengths": plain, "compressed": text}
            given = json.dumps(parts) if form == "JSON" else said[form]
            objects.append({"segmentation": given, "label": 0})
        rows.append({"image": cell(random_image(rng, width, height)), "objects": objects})
    kinds = {
        "polygons": List(List(Value("float64"))),
        "run lengths": {"size": List(Value("int64")), "counts": List(Value("int64"))},
        "compressed": {"size": List(Value("int64")), "counts": Value("string")},
        "JSON": Value("string"),
    }
    thing = {"segmentation": kinds[form], "label": ClassLabel(names=["a"])}
    found = canonical(from_rows(rows, objects=List(thing)))
    assert task_of(found.features) == "instance-segmentation"
    objects = [row["objects"] for row in found]
    codes = [code for row in objects for code in row["segmentation"]]
    assert len(codes) == len(masks) > 15
    for code, mask in zip(codes, masks, strict=True):
        assert (coco.decode(code) == coco.decode(mask)).all()
    boxes = [box for row in objects for box in row["bbox"]]
    assert boxes == [coco.toBbox(mask).tolist() for mask in masks]
    assert [a for row in objects for a in row["area"]] == [coco.area(mask) for mask in masks]
    assert task_of(canonical(found, "object-detection").features) == "object-detection"


def test_instances_with_polygons_can_be_read_as_boxes() -> None:
    kinds = {**BOXES, "segmentation": List(List(Value("float64")))}
    thing = {"bbox": [1, 2, 3, 4], "category": 0, "segmentation": [[1, 1, 4, 1, 4, 4]]}
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": [thing]}]
    data = from_rows(rows, objects=List(kinds))
    assert task_of(canonical(data).features) == "instance-segmentation"
    boxes = canonical(data, "object-detection")
    assert task_of(boxes.features) == "object-detection"
    assert boxes[0]["objects"]["bbox"] == [[1, 2, 3, 4]]


@pytest.mark.parametrize(
    ("objects", "said"),
    [
        ({"bbox": [[1, 2, 3, 4], [1, 2, 3, 4]], "category": [0]}, "2 of bbox, 1 of category"),
        ({"bbox": [[1, 2, 3]], "category": [0]}, r"object 0 has the box \[1.0, 2.0, 3.0\]"),
        ({"bbox": [None], "category": [0]}, "object 0 has the box None"),
    ],
)
def test_objects_that_are_not_whole_are_refused_with_their_row(
    objects: dict[str, Any], said: str
) -> None:
    fine = {"bbox": [], "category": []}
    image = cell(random_image(np.random.default_rng(0)))
    rows = [{"image": image, "objects": fine}, {"image": image, "objects": objects}]
    kinds = struct({**BOXES, "bbox": List(Value("float32"))})
    with pytest.raises(DataError, match=f"Row 1.*{said}"):
        canonical(from_rows(rows, objects=kinds))


@pytest.mark.parametrize("kind", ["string", "int64", "bool", "float64"])
def test_crowds_and_ignored_objects_may_be_said_in_numbers_words_or_text(kind: str) -> None:
    kinds = {**BOXES, "iscrowd": Value(kind), "ignore": Value(kind)}
    no, yes = {"string": ("0", "True"), "bool": (False, True)}.get(kind, (0, 1))
    thing = {"bbox": [1, 2, 3, 4], "category": 0}
    things = [thing | {"iscrowd": a, "ignore": b} for a, b in ((no, yes), (yes, no), (None, None))]
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": things}]
    objects = canonical(from_rows(rows, objects=List(kinds)))[0]["objects"]
    assert objects["iscrowd"] == [False, True, False]
    assert objects["ignore"] == [True, False, False]


def test_what_is_neither_yes_nor_no_is_refused_with_its_row() -> None:
    kinds = {**BOXES, "iscrowd": Value("string")}
    thing = {"bbox": [1, 2, 3, 4], "category": 0, "iscrowd": "some"}
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": [thing]}]
    with pytest.raises(DataError, match="Row 0, object 0 has iscrowd: 'some'"):
        canonical(from_rows(rows, objects=List(kinds)))
    segment = {"id": 5, "category_id": 2, "isthing": "most", "iscrowd": "0"}
    kinds = {"id": Value("int64"), "category_id": Value("int64")}
    kinds |= {"isthing": Value("string"), "iscrowd": Value("string")}
    good = segment | {"isthing": "0"}
    images = [random_image(np.random.default_rng(0))] * 2
    data = mapped(images, "label", segments_info=(List(kinds), [[good], [good, segment]]))
    with pytest.raises(DataError, match="Row 1, segment 1 has isthing: 'most'"):
        canonical(data)
    data = mapped(images, "label", segments_info=(List(kinds), [[good], [good]]))
    assert canonical(data)[0]["segments"]["isthing"] == [False]


def test_an_object_or_segment_that_is_null_is_refused_with_its_row() -> None:
    thing = {"bbox": [1, 2, 3, 4], "category": 0}
    image = cell(random_image(np.random.default_rng(0)))
    rows = [{"image": image, "objects": [thing]}, {"image": image, "objects": [thing, None]}]
    with pytest.raises(DataError, match=r"^Row 1: objects\[1\] is null"):
        canonical(from_rows(rows, objects=List(BOXES)))
    kinds = {name: Value("int64") for name in ("id", "category_id", "isthing")}
    column = (List(kinds), [[{"id": 5, "category_id": 2, "isthing": 1}, None]])
    data = mapped([random_image(np.random.default_rng(0))], "label", segments_info=column)
    with pytest.raises(DataError, match=r"^Row 0: segments_info\[1\] is null"):
        canonical(data)


def test_objects_without_a_category_are_refused() -> None:
    rows = [{"image": cell(random_image(np.random.default_rng(0))), "objects": [{"bbox": [1] * 4}]}]
    with pytest.raises(DataError, match="no category, only bbox"):
        canonical(from_rows(rows, objects=List({"bbox": List(Value("int64"))})))


# --- images ---------------------------------------------------------------------------------------


def test_width_and_height_are_those_said_or_those_of_the_upright_image() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = {"bytes": encoded(Image.new("RGB", (20, 10)), "JPEG", exif=exif), "path": None}
    broken = {"bytes": b"no image", "path": None}
    thing = {"bbox": [1, 2, 3, 4], "category": 0}
    rows = [{"image": image, "objects": [thing]} for image in (turned, broken)]
    found = canonical(from_rows(rows, objects=List(BOXES)))
    assert list(zip(found["width"], found["height"], strict=True)) == [(10, 20), (0, 0)]
    assert found[0]["image"].size == (10, 20)
    assert found["file_name"][:] == ["000000.jpg", "000001.png"]
    sized = [row | {"width": 30, "height": 40} for row in rows]
    columns = {"objects": List(BOXES), "width": Value("int64"), "height": Value("int64")}
    assert canonical(from_rows(sized, **columns))["width"][:] == [30, 30]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP"])
@pytest.mark.parametrize("first", [True, False])
def test_images_of_any_kind_are_measured_in_whichever_order_pil_tries_its_readers(
    monkeypatch, kind, first
):
    Image.init()
    order = sorted(Image.ID, key=lambda name: (name == kind) != first)
    monkeypatch.setattr(Image, "ID", order)
    image = {"bytes": encoded(Image.new("RGB", (20, 10), "red"), kind), "path": None}
    rows = [{"image": image, "objects": [{"bbox": [1, 2, 3, 4], "category": 0}]}]
    found = canonical(from_rows(rows, objects=List(BOXES)))
    assert (found["width"][:], found["height"][:]) == ([20], [10])
    suffix = {"JPEG": "jpg", "TIFF": "tif"}.get(kind, kind.lower())
    assert found["file_name"][:] == [f"000000.{suffix}"]


def test_ids_and_names_of_images_are_the_datasets_own_where_they_can_be() -> None:
    rng = np.random.default_rng(0)
    images = [cell(random_image(rng), f"some/{i}.png") for i in range(3)]
    rows = [{"image": image, "label": 0, "image_id": 9 - i} for i, image in enumerate(images)]
    columns = {"label": ClassLabel(names=["a"]), "image_id": Value("int32")}
    found = canonical(from_rows(rows, **columns))
    assert found["image_id"][:] == [9, 8, 7]
    assert found["file_name"][:] == ["some/0.png", "some/1.png", "some/2.png"]
    named = [r | {"image_id": 1, "file_name": f"{i}.jpg"} for i, r in enumerate(rows)]
    found = canonical(from_rows(named, **columns, file_name=Value("string")))
    assert found["image_id"][:] == [0, 1, 2]
    assert found["file_name"][:] == ["0.jpg", "1.jpg", "2.jpg"]


def test_files_are_named_from_the_folder_that_all_are_in(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "a.png", tmp_path / "x" / "deep" / "a.png", tmp_path / "y" / "b.png"]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        random_image(np.random.default_rng(0)).save(path)
    data = Dataset.from_dict({"image_path": list(map(str, paths)), "label": [0, 1, 0]})
    found = canonical(data)
    assert found["file_name"][:] == ["x/a.png", "x/deep/a.png", "y/b.png"]
    assert found[1]["image"].size == (9, 7)
    kept = found.cast_column("image", ImageColumn(decode=False))[0]["image"]
    assert kept == {"path": str(paths[0]), "bytes": None}


def test_bytes_and_image_columns_of_other_names_are_images() -> None:
    images = [encoded(random_image(np.random.default_rng(i))) for i in range(3)]
    data = Dataset.from_dict({"img": images, "label": [0, 1, 0]})
    assert [row["image"].size for row in canonical(data)] == [(9, 7)] * 3
    columns = {"label": [0, 1, 0], "pixel_values": [{"bytes": p, "path": None} for p in images]}
    data = Dataset.from_dict(columns).cast_column("pixel_values", ImageColumn())
    assert [row["image"].size for row in canonical(data)] == [(9, 7)] * 3


def test_images_are_neither_decoded_nor_encoded_anew() -> None:
    rows = scenes(6)
    rows[3]["image"] = {"bytes": b"\xff\xd8 cut short", "path": "a.jpg"}
    found = canonical(from_rows(rows, objects=List(BOXES)))
    kept = found.cast_column("image", ImageColumn(decode=False))
    assert [row["image"] for row in kept] == [row["image"] for row in rows]


def test_several_image_columns_are_refused_by_name() -> None:
    image = cell(random_image(np.random.default_rng(0)))
    data = from_rows([{"image": image, "left": image, "right": image, "label": 0}],
                     left=ImageColumn(), right=ImageColumn(), label=Value("int64"))  # fmt: skip
    assert canonical(data)["label"][:] == [0]
    with pytest.raises(DataError, match="left, right"):
        canonical(data.remove_columns("image"))


# --- the task -------------------------------------------------------------------------------------


def test_columns_of_no_known_form_are_listed_with_what_is_needed() -> None:
    image = cell(random_image(np.random.default_rng(0)))
    data = from_rows([{"image": image, "caption": "a cat"}], caption=Value("string"))
    with pytest.raises(DataError) as caught:
        canonical(data)
    assert "caption (string)" in caught.value.what
    assert all(word in caught.value.hint for word in ("label", "bbox", "annotation", "segments"))
    with pytest.raises(DataError, match="no image column among caption"):
        canonical(data.remove_columns("image"))


def test_the_task_decides_between_labels_of_several() -> None:
    rows = [row | {"label": i % 2} for i, row in enumerate(scenes(4))]
    data = from_rows(rows, objects=List(BOXES), label=ClassLabel(names=["in", "out"]))
    assert task_of(canonical(data).features) == "object-detection"
    found = canonical(data, "image-classification")
    assert class_names(found.features) == ("in", "out")
    with pytest.raises(DataError, match="object-detection cannot be converted to semantic"):
        canonical(data, "semantic-segmentation")
    with pytest.raises(UsageError, match="object-detection"):
        canonical(data, "object-detektion")


def test_a_scene_category_beside_a_map_does_not_make_it_ambiguous() -> None:
    kind = ClassLabel(names=["street", "kitchen"])
    data = mapped([random_map(np.random.default_rng(0), [0, 1])], scene_category=(kind, [1]))
    found = canonical(data, names=["a", "b"])
    assert task_of(found.features) == "semantic-segmentation"


def test_arguments_without_a_meaning_for_the_dataset_are_refused() -> None:
    data = labelled(1, "label", [0, 1], ClassLabel(names=["a", "b"]))
    with pytest.raises(UsageError, match="has its own class names"):
        canonical(data, names=["c", "d"])
    with pytest.raises(UsageError, match="reduce_labels"):
        canonical(data, reduce_labels=True)
    with pytest.raises(UsageError, match="pvzoo's own columns"):
        canonical(canonical(data), names=["c", "d"])


@pytest.mark.parametrize("name", sorted(VOID_NAMES))
def test_a_class_called_void_is_void_in_any_map(name: str) -> None:
    rng = np.random.default_rng(0)
    names = [name.capitalize(), "cat"]
    found = canonical(mapped([random_map(rng, [0, 1])]), names=names)
    assert class_names(found.features) == ("cat",)
    assert found[0]["segments"] == {"id": [0, 1], "category": [-1, 0]}
    pixels = np.zeros((6, 9, 3), np.uint8)
    pixels[:3] = 0, 1, 0  # instance 1, of the class 0
    pixels[4:] = 1, 2, 0  # instance 2, of the class 1
    found = canonical(mapped([Image.fromarray(pixels)]), "instance-segmentation", names=names)
    assert class_names(found.features) == ("cat",)
    assert found[0]["objects"]["bbox"] == [[0, 4, 9, 2]]
    assert found[0]["objects"]["category"] == [0]


def test_a_class_beside_a_map_needs_the_task() -> None:
    rng = np.random.default_rng(0)
    grey = [Image.fromarray(rng.integers(0, 2, (7, 9), dtype=np.uint8)) for _ in range(4)]
    rows = [
        {"image": cell(random_image(rng)), "mask": cell(g), "label": i % 2, "scene": i}
        for i, g in enumerate(grey)
    ]
    kinds = {"mask": ImageColumn(), "label": Value("int64"), "scene": ClassLabel(num_classes=4)}
    both = from_rows(rows, **kinds)
    message = r"semantic-segmentation and as image-classification: .*label.*Pass the task"
    with pytest.raises(DataError, match=message):
        canonical(both)
    assert canonical(both, "image-classification")["label"][:] == [0, 1, 0, 1]
    for data, task in ((both, "semantic-segmentation"), (both.remove_columns("label"), None)):
        with pytest.warns(PvzooWarning, match="have no names"):
            found = canonical(data, task)
        assert task_of(found.features) == "semantic-segmentation"


def test_splits_of_different_columns_are_refused_by_name() -> None:
    parts = DatasetDict(
        train=labelled(1, "label", [0, 1], ClassLabel(names=["a", "b"])),
        test=labelled(2, "label", [0, 1], ClassLabel(names=["a", "c"])),
    )
    with pytest.raises(DataError, match=r"'test'.*'label'"):
        canonical(parts)


# --- datasets in their many states ----------------------------------------------------------------


def test_a_canonical_dataset_is_returned_as_it_is() -> None:
    found = canonical(from_rows(scenes(5), objects=List(BOXES)))
    again = canonical(found)
    assert again.features == found.features
    assert again["objects"][:] == found["objects"][:]
    assert again.cache_files == found.cache_files


def test_selected_shuffled_and_transformed_datasets_give_their_own_rows() -> None:
    rows = scenes(30)
    data = from_rows(rows, objects=List(BOXES))
    order = [7, 3, 3, 29, 0]
    chosen = data.select(order)
    chosen.set_transform(lambda batch: {"nothing": [0] * len(batch["image"])})
    found = canonical(chosen)
    kept = found.cast_column("image", ImageColumn(decode=False))
    for row, i in zip(kept, order, strict=True):
        assert row["image"] == rows[i]["image"]
        assert row["objects"]["bbox"] == [o["bbox"] for o in rows[i]["objects"]]
    part = canonical(data.select(range(10, 20)))
    assert [o["bbox"] for o in part["objects"]] == [
        [o["bbox"] for o in row["objects"]] for row in rows[10:20]
    ]
    empty = canonical(data.select([]))
    assert len(empty) == 0
    assert empty.features == found.features


def test_a_changed_source_gives_a_changed_result(tmp_path: Path) -> None:
    first, second = scenes(5, seed=1), scenes(5, seed=2)
    for rows in (first, second, first):
        found = canonical(from_rows(rows, objects=List(BOXES)))
        assert [o["category"] for o in found["objects"]] == [
            [o["category"] for o in row["objects"]] for row in rows
        ]
    file = tmp_path / "a.png"
    thing = {"bbox": [[1, 2, 3, 4]], "category": [0]}
    data = Dataset.from_dict({"image": [str(file)], "objects": [thing]})
    for width in (10, 20):
        Image.new("RGB", (width, 5)).save(file)
        assert canonical(data)["width"][:] == [width]


def test_what_was_written_once_is_used_again() -> None:
    data = from_rows(scenes(5), objects=List(BOXES))
    first, second = canonical(data), canonical(data)
    assert first.cache_files == second.cache_files != []


@pytest.mark.parametrize("typed", [True, False])
def test_a_stream_is_read_once_row_by_row(typed: bool) -> None:
    rows, read = scenes(12), []

    def generate():
        for i, row in enumerate(rows):
            read.append(i)
            objects = [o | {"category": max(0, min(1, o["category"]))} for o in row["objects"]]
            yield row | {"objects": objects}

    kinds = Features({"image": ImageColumn(), "objects": List(BOXES)})
    stream = IterableDataset.from_generator(generate, features=kinds if typed else None)
    if not typed:  # images in memory, and no word on the columns
        stream = stream.map(
            lambda row: {**row, "image": Image.open(io.BytesIO(row["image"]["bytes"]))}
        )
        assert stream.features is None
    found = canonical(stream)
    if typed:
        assert read == list(range(12))
    assert task_of(found.features) == "object-detection"
    for row, old in zip(found, rows, strict=True):
        assert row["objects"]["bbox"] == [o["bbox"] for o in old["objects"]]
        wanted = Image.open(io.BytesIO(old["image"]["bytes"]))
        assert (np.asarray(row["image"]) == np.asarray(wanted)).all()


def test_remote_images_of_a_stream_are_fetched() -> None:
    image = encoded(random_image(np.random.default_rng(0)))
    fsspec.filesystem("memory").pipe("/shelf/a.png", image)
    data = Dataset.from_dict({"image": ["memory://shelf/a.png"], "label": [0]})
    stream = data.cast_column("image", ImageColumn()).to_iterable_dataset()
    found = canonical(stream)
    fsspec.filesystem("memory").rm("/shelf", recursive=True)
    assert found["file_name"][:] == ["shelf/a.png"]
    kept = found.cast_column("image", ImageColumn(decode=False))
    assert kept[0]["image"]["bytes"] == image


@pytest.mark.parametrize("kind", [ImageColumn(decode=False), ImageColumn(mode="L")])
def test_image_columns_of_every_setting_become_plain_ones(kind: ImageColumn) -> None:
    data = labelled(3, "label", [0, 1, 0], Value("int64")).cast_column("image", kind)
    for given in (data, data.to_iterable_dataset()):
        found = canonical(given)
        assert found.features["image"] == ImageColumn()
        assert found[0]["image"].mode == "RGB"


def test_a_stream_that_breaks_its_columns_is_refused() -> None:
    def generate():
        image = cell(random_image(np.random.default_rng(0)))
        yield {"image": image, "label": 0}
        yield {"image": image, "label": 5}

    kinds = Features({"image": ImageColumn(), "label": ClassLabel(names=["a", "b"])})
    stream = IterableDataset.from_generator(generate, features=kinds)
    with pytest.raises(DataError, match="5"):
        canonical(stream)
    with pytest.raises(DataError, match="no rows"):
        canonical(IterableDataset.from_generator(lambda: iter(())))


def test_a_stream_leaves_no_file_behind(tmp_path: Path) -> None:
    program = """
import numpy as np
from datasets import Dataset
from pvzoo.data.columns import canonical
data = Dataset.from_dict({"image": [np.zeros((4, 5, 3), np.uint8)] * 3, "label": [0, 1, 0]})
stream = data.cast_column("image", __import__("datasets").Image()).to_iterable_dataset()
found = canonical(stream)
print([file["filename"] for file in found.cache_files])
assert found["label"][:] == [0, 1, 0]
"""
    environment = os.environ | {"HF_DATASETS_CACHE": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout
    assert list(tmp_path.rglob("*.arrow")) == []


@pytest.mark.parametrize(
    ("objects", "said", "match"),
    [
        ({"bbox": [["1", "2", "3", "4"]]}, {}, "Row 0, object 0 has the box"),
        (
            {"bbox": [[1, 1, 2, 2]], "segmentation": [[[1, 1, 5, 1, 5, 5]]]},
            {"width": [100_000], "height": [100_000]},
            "Row 0, object 0 is in an image of 100000 x 100000 pixels",
        ),
        ({"bbox": [[1, 1, 2, 2]], "segmentation": [[[1, 1, 5, 1, 5]]]}, {}, "not pairs of numbers"),
    ],
)
def test_numbers_that_are_none_are_refused_with_their_row(objects, said, match) -> None:
    images = [Image.new("RGB", (10, 8))]
    dataset = Dataset.from_dict(
        {"image": images, "objects": [{**objects, "category": [0]}], **said}
    )
    with pytest.raises(DataError, match=match):
        canonical(dataset)


def test_a_mask_may_be_a_list_of_points_and_a_size_below_zero_is_none() -> None:
    points = [[[[1, 1], [5, 1], [5, 5]]]]
    objects = {"bbox": [[1, 1, 4, 4]], "segmentation": points, "category": [0]}
    images = {"image": [Image.new("RGB", (10, 8))], "width": [-5], "height": [8]}
    (row,) = canonical(Dataset.from_dict({**images, "objects": [objects]}))
    assert row["objects"]["segmentation"][0]["size"] == [8, 10]
    assert row["objects"]["area"][0] > 0
