"""Labels of one task as those of another, held against masks taken apart by numpy."""

from __future__ import annotations

import io
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from datasets import Image as ImageColumn
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.convert_task import convert_task
from pvzoo.data.schema import class_names, features, task_of
from pvzoo.errors import DataError, UsageError

pytestmark = pytest.mark.usefixtures("own_cache")

NAMES = ["sky", "person", "grass", "car"]
THINGS = [False, True, False, True]


def canonical_dataset(task: str, names: list[str], rows: list[dict[str, Any]]) -> Dataset:
    kinds = features(task, names)
    table = datasets.table.InMemoryTable.from_pylist(rows, schema=kinds.arrow_schema)
    return Dataset(table, info=datasets.DatasetInfo(features=kinds))


def png(pixels: np.ndarray) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


def colours(ids: np.ndarray) -> dict[str, Any]:
    return png(np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8))


def panoptic(
    seed: int, count: int = 12, names: list[str] = NAMES, things: list[bool] = THINGS
) -> tuple[Dataset, list[np.ndarray]]:
    """Segments of random rectangles with large ids, some void, some crowds; and their maps."""
    rng = np.random.default_rng(seed)
    rows, maps = [], []
    for i in range(count):
        height, width = (int(v) for v in rng.integers(6, 30, 2))
        ids = np.zeros((height, width), np.int64)
        numbers = (rng.choice(2**24 - 1, 5, replace=False) + 1).tolist()
        for number in numbers:
            top, left = rng.integers(0, height), rng.integers(0, width)
            ids[top : top + rng.integers(1, 15), left : left + rng.integers(1, 15)] = number
        there = [n for n in numbers if (ids == n).any()]
        kinds = rng.integers(-1, len(names), len(there)).tolist()
        segments = {
            "id": there,
            "category": kinds,
            "isthing": [k >= 0 and things[k] for k in kinds],
            "iscrowd": [k >= 0 and things[k] and bool(rng.integers(2)) for k in kinds],
        }
        image = png(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
        rows.append(
            {
                "image": image,
                "image_id": 100 + i,
                "file_name": f"{i}.png",
                "annotation": colours(ids),
                "segments": segments,
            }
        )
        maps.append(ids)
    return canonical_dataset("panoptic-segmentation", names, rows), maps


def raw(dataset: Dataset) -> list[dict[str, Any]]:
    for name in {"image", "annotation"} & set(dataset.column_names):
        dataset = dataset.cast_column(name, ImageColumn(decode=False))
    return dataset.to_list()


@pytest.mark.parametrize("task", ["instance-segmentation", "object-detection"])
def test_things_become_objects_with_the_masks_and_boxes_that_they_have(task: str) -> None:
    data, maps = panoptic(1, 20)
    found = convert_task(data, task)
    assert task_of(found.features) == task
    assert class_names(found.features) == ("person", "car")
    numbers = []
    for old, new, ids in zip(raw(data), raw(found), maps, strict=True):
        assert {k: old[k] for k in ("image", "image_id", "file_name")} == {
            k: new[k] for k in ("image", "image_id", "file_name")
        }
        assert (new["height"], new["width"]) == ids.shape
        objects, segments = new["objects"], old["segments"]
        wanted = [i for i, thing in enumerate(segments["isthing"]) if thing]
        assert objects["category"] == [(segments["category"][i] - 1) // 2 for i in wanted]
        assert objects["iscrowd"] == [segments["iscrowd"][i] for i in wanted]
        assert objects["ignore"] == [False] * len(wanted)
        masks = [ids == segments["id"][i] for i in wanted]
        assert objects["area"] == [m.sum() for m in masks]
        for box, mask in zip(objects["bbox"], masks, strict=True):
            ys, xs = mask.nonzero()
            assert box == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        if task == "instance-segmentation":
            for code, mask in zip(objects["segmentation"], masks, strict=True):
                assert (coco.decode(code) == mask).all()
        numbers += objects["id"]
    assert numbers == list(range(1, len(numbers) + 1))
    assert any(any(row["objects"]["iscrowd"]) for row in raw(found))


def test_splits_keep_the_same_classes() -> None:
    train, _ = panoptic(2)
    grass = {"id": [5], "category": [2], "isthing": [False], "iscrowd": [False]}
    row = raw(train)[0] | {"segments": grass}
    test = canonical_dataset("panoptic-segmentation", NAMES, [row])
    found = convert_task(DatasetDict(train=train, test=test), "instance-segmentation")
    assert {class_names(part.features) for part in found.values()} == {("person", "car")}
    assert raw(found["test"])[0]["objects"]["id"] == []


def test_a_category_that_is_no_class_is_none_afterwards() -> None:
    data, _ = panoptic(3, 1)
    row = raw(data)[0]
    ids = row["segments"]["id"][:3]
    segments = {"id": ids, "category": [0, 4, 6], "isthing": [False, True, True]}
    row["segments"] = segments | {"iscrowd": [False] * 3}
    bad = canonical_dataset("panoptic-segmentation", NAMES, [row])
    found = convert_task(bad, "instance-segmentation")
    assert class_names(found.features) == ("person", "grass", "car")
    assert raw(found)[0]["objects"]["category"] == [3, 5]
    semantic = convert_task(bad, "semantic-segmentation")
    assert set(np.unique(semantic[0]["annotation"])) - {255} <= {0, 4, 6}


@pytest.mark.parametrize("count", [4, 255, 256, 300])
def test_segments_become_their_classes_and_void_stays_void(count: int) -> None:
    names, things = [f"c{i}" for i in range(count)], [bool(i % 2) for i in range(count)]
    data, maps = panoptic(4, 20, names, things)
    found = convert_task(data, "semantic-segmentation")
    assert task_of(found.features) == "semantic-segmentation"
    assert class_names(found.features) == tuple(names)
    for old, new, ids in zip(raw(data), found, maps, strict=True):
        wanted = np.full(ids.shape, -1)
        for number, category in zip(
            old["segments"]["id"], old["segments"]["category"], strict=True
        ):
            wanted[ids == number] = category
        said = dict(zip(new["segments"]["id"], new["segments"]["category"], strict=True))
        said = {255: -1} | said
        got = np.vectorize(said.__getitem__)(np.asarray(new["annotation"]))
        assert (got == wanted).all()
        assert (new["image_id"], new["file_name"]) == (old["image_id"], old["file_name"])


def test_masks_are_left_out_of_boxes_and_all_else_is_kept() -> None:
    data, _ = panoptic(5)
    masks = convert_task(data, "instance-segmentation")
    boxes = convert_task(masks, "object-detection")
    assert task_of(boxes.features) == "object-detection"
    for old, new in zip(raw(masks), raw(boxes), strict=True):
        del old["objects"]["segmentation"]
        assert new == old
    assert raw(boxes) == raw(convert_task(data, "object-detection"))


def test_what_is_of_the_task_already_is_returned() -> None:
    data, _ = panoptic(6, 2)
    assert convert_task(data, "panoptic-segmentation") is data


def test_the_task_may_be_named_by_a_word() -> None:
    segments, _ = panoptic(3)
    assert task_of(convert_task(segments, "detection").features) == "object-detection"
    assert task_of(convert_task(segments, "semantic").features) == "semantic-segmentation"
    with pytest.raises(UsageError, match="several tasks"):
        convert_task(segments, "segmentation")


def test_what_labels_do_not_say_is_refused_with_what_they_do_say() -> None:
    data, _ = panoptic(7, 2)
    boxes = convert_task(data, "object-detection")
    with pytest.raises(DataError) as caught:
        convert_task(boxes, "instance-segmentation")
    assert "object-detection cannot be converted to instance-segmentation" in caught.value.what
    with pytest.raises(DataError) as caught:
        convert_task(data, "image-classification")
    for task in ("semantic-segmentation", "instance-segmentation", "object-detection"):
        assert task in caught.value.hint
    with pytest.raises(DataError, match="columns of one task"):
        convert_task(Dataset.from_dict({"a": [1]}), "object-detection")


def test_a_map_that_cannot_be_read_is_named_by_its_row() -> None:
    data, _ = panoptic(8, 3)
    rows = raw(data)
    rows[2]["annotation"] = {"bytes": b"no PNG", "path": None}
    bad = canonical_dataset("panoptic-segmentation", NAMES, rows)
    with pytest.raises(DataError, match="Row 2"):
        convert_task(bad, "semantic-segmentation")


def test_a_changed_map_file_gives_changed_labels(tmp_path) -> None:
    file = tmp_path / "map.png"
    row = raw(panoptic(9, 1)[0])[0]
    row["annotation"] = {"path": str(file), "bytes": None}
    row["segments"] = {"id": [1], "category": [1], "isthing": [True], "iscrowd": [False]}
    data = canonical_dataset("panoptic-segmentation", NAMES, [row])
    for area in (6, 12):
        ids = np.zeros((5, area), np.int64)
        ids[:2, :3] = ids[:2, area - 3 :] = 1
        file.write_bytes(colours(ids)["bytes"])
        found = convert_task(data, "object-detection")
        assert raw(found)[0]["objects"]["area"] == [(ids == 1).sum()]
        assert found["width"][:] == [area]


def test_labels_that_are_null_are_none() -> None:
    data, _ = panoptic(10, 4)
    rows = raw(data)
    rows[1]["segments"] = None
    bare = canonical_dataset("panoptic-segmentation", NAMES, rows)
    for task in ("object-detection", "instance-segmentation"):
        old, new = raw(convert_task(data, task)), raw(convert_task(bare, task))
        assert new[1]["objects"]["id"] == []
        assert [r["objects"]["bbox"] for r in new[2:]] == [r["objects"]["bbox"] for r in old[2:]]
    semantic = convert_task(bare, "semantic-segmentation")
    assert (np.asarray(semantic[1]["annotation"]) == 255).all()
    masks = raw(convert_task(data, "instance-segmentation"))
    masks[1]["objects"] = None
    masks = canonical_dataset("instance-segmentation", ["person", "car"], masks)
    boxes = raw(convert_task(masks, "object-detection"))
    assert boxes[1]["objects"] == {key: [] for key in boxes[0]["objects"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [({"category": [1, 1]}, "1 of id, 2 of category"), ({"id": [None]}, "segment 0 has no id")],
)
@pytest.mark.parametrize("task", ["semantic-segmentation", "instance-segmentation"])
def test_segments_that_are_not_whole_are_refused_with_their_image(
    task: str, change: dict[str, Any], said: str
) -> None:
    rows = raw(panoptic(11, 3)[0])
    whole = {"id": [1], "category": [1], "isthing": [True], "iscrowd": [False]}
    rows[2]["segments"] = whole | change
    with pytest.raises(DataError, match=rf"^The image 2.png \(image_id 102\): its .*{said}"):
        convert_task(canonical_dataset("panoptic-segmentation", NAMES, rows), task)


def test_mistakes_that_need_no_mask_are_left_for_the_check() -> None:
    rows = raw(convert_task(panoptic(12, 2)[0], "instance-segmentation"))
    rows[0]["objects"] |= {"segmentation": [None] * len(rows[0]["objects"]["id"])}
    rows[1]["objects"]["bbox"] = [*rows[1]["objects"]["bbox"], None]
    bad = canonical_dataset("instance-segmentation", ["person", "car"], rows)
    found = raw(convert_task(bad, "object-detection"))
    assert [row["objects"]["bbox"] for row in found] == [row["objects"]["bbox"] for row in rows]
