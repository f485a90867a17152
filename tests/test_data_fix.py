"""Fixing: what can be fixed in one way is, and nothing else changes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from broken_data import BOXES, BROKEN, WRITTEN, add, every_box, written, xyxy
from clean_data import (
    HEIGHT,
    WIDTH,
    box_code,
    dataset,
    encoded,
    objects,
    plain,
    rows,
)
from colour_model import TASKS
from datasets import DatasetDict
from PIL import Image, ImageOps
from pycocotools import mask as coco

from pvzoo.data.labels import splits
from pvzoo.data.load import load
from pvzoo.data.quality.check import check
from pvzoo.data.quality.fix import fix
from pvzoo.data.schema import DETECTION, INSTANCE, PANOPTIC, SEMANTIC, task_of
from pvzoo.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")

# Mistakes in how labels are written, not in what they say: fixed, they are the clean ones.
UNDONE = [
    "corners given as width and height",
    "width and height read as corners",
    "centres given as corners",
    "shares given as pixels",
    "corners as shares given as pixels",
    "centres as shares given as pixels",
    "pixels read as shares",
    "corners as shares read as centres",
    "corners in pixels read as centres in shares",
    "left and top as shares read as centres",
    "left and top in pixels read as centres in shares",
    "two boxes from right to left and from bottom to top",
    "an object listed twice",
    "boxes without width or height",
    "boxes wholly out of the frame",
    "classes counted from one",
    "classes counted from minus one",
    "labels counted from one",
    "segments counted from one",
    "the same bytes and labels twice",
]


def loaded(case):
    made = {name: dataset(case.task, part) for name, part in case.data().items()}
    return made[""] if "" in made else DatasetDict(made)


@pytest.mark.parametrize("task", TASKS)
def test_clean_data_stays_as_it_is(task):
    data = dataset(task, rows(task))
    fixed = fix(data)
    assert plain(fixed) == plain(data)
    assert fixed.features == data.features


@pytest.mark.parametrize("name", BROKEN)
def test_nothing_mendable_is_left_after_mending_and_nothing_else_is_fixed(name):
    data = loaded(BROKEN[name])
    fixed = fix(data)
    if BROKEN[name].fixable:
        left = check(fixed)
        assert left.errors == ()
        assert not [f.rule for f in left.findings if f.fixable]
        data, fixed = fixed, fix(fixed, left)
    for split in data if isinstance(data, DatasetDict) else [None]:
        before, after = (d[split] if split else d for d in (data, fixed))
        assert task_of(after.features) == BROKEN[name].task
        assert str(plain(before)) == str(plain(after))  # nan is not nan


@pytest.mark.parametrize("name", UNDONE)
def test_mistakes_of_writing_are_undone(name):
    case = BROKEN[name]
    fixed, clean = plain(fix(loaded(case))), rows(case.task)
    assert len(fixed) == len(clean)
    for ours, theirs in zip(fixed, clean, strict=True):
        for key in ("label", "segments", "image", "annotation"):
            assert ours.get(key) == theirs.get(key)
        if "objects" in theirs:
            bboxes = [np.reshape(row["objects"].pop("bbox"), (-1, 4)) for row in (ours, theirs)]
            areas = [row["objects"].pop("area") for row in (ours, theirs)]
            assert np.allclose(*bboxes)
            assert np.allclose(*areas)
            assert ours["objects"] == theirs["objects"]


@pytest.mark.parametrize(("format", "what"), WRITTEN)
def test_boxes_written_wrong_in_a_format_are_named_and_undone(format, what, tmp_path):
    rule, change = WRITTEN[format, what]
    [data] = splits(load(written(format, change, tmp_path))).values()
    report = check(data)
    assert {f.rule: (f.count, f.fixable) for f in report.findings} == {rule: (BOXES, True)}
    fixed = {row["file_name"]: row["objects"]["bbox"] for row in plain(fix(data, report))}
    for i, row in enumerate(rows(DETECTION)):
        name = f"{i:06}.png" if format == "hub" else row["file_name"]
        assert np.allclose(
            np.reshape(fixed[name], (-1, 4)), np.reshape(row["objects"]["bbox"], (-1, 4))
        )


def test_boxes_are_cut_off_at_the_frame_and_their_areas_with_them():
    made = rows(DETECTION)
    made[0]["objects"] = objects([[-5, 10, 30, 30], [80, 50, 20, 20]], [0, 1])
    kept = plain(fix(dataset(DETECTION, made)))[0]["objects"]
    assert kept["bbox"] == [[0, 10, 25, 30], [80, 50, 16, 14]]
    assert kept["area"] == [750, 224]


def test_the_area_of_a_mask_stays_when_its_box_is_fixed():
    made = rows(INSTANCE)
    made[0]["objects"] = objects([[80, 50, 20, 20]], [0])
    made[0]["objects"]["area"] = [123.0]
    made[0]["objects"]["segmentation"] = [box_code([80, 50, 16, 14])]
    kept = plain(fix(dataset(INSTANCE, made)))[0]["objects"]
    assert (kept["bbox"], kept["area"]) == ([[80, 50, 16, 14]], [123.0])


def test_areas_follow_boxes_into_pixels():
    made = rows(DETECTION)
    every_box(made, lambda b: b / [WIDTH, HEIGHT, WIDTH, HEIGHT])
    for row in made:
        row["objects"]["area"] = [b[2] * b[3] for b in row["objects"]["bbox"]]
    for row, clean in zip(plain(fix(dataset(DETECTION, made))), rows(DETECTION), strict=True):
        assert np.allclose(row["objects"]["area"], clean["objects"]["area"])


def test_what_is_left_out_takes_all_of_its_object_along():
    made = rows(INSTANCE)
    made[0]["objects"] = objects([[5, 5, 9, 9], [5, 5, 0, 9], [50, 20, 9, 9]], [0, 1, 2], 40)
    codes = [box_code([5, 5, 9, 9]), box_code([5, 5, 1, 9]), box_code([50, 20, 9, 9])]
    made[0]["objects"]["segmentation"] = codes
    kept = plain(fix(dataset(INSTANCE, made)))[0]["objects"]
    assert (kept["id"], kept["category"]) == ([40, 42], [0, 2])
    assert kept["segmentation"] == [codes[0], codes[2]]


def painted(orientation: int, x: int, y: int, w: int, h: int) -> dict:
    """A dark image, stored as it is, with a light rectangle at a place of the stored pixels."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[y : y + h, x : x + w] = 255
    return encoded(pixels, orientation)


def upright(row: dict) -> np.ndarray:
    image = Image.open(io.BytesIO(row["image"]["bytes"]))
    return np.asarray(ImageOps.exif_transpose(image))[..., 0] > 0


@pytest.mark.parametrize("orientation", range(2, 9))
def test_labels_turn_with_rotated_images(orientation):
    rng = np.random.default_rng(orientation)
    boxes = [[int(n) for n in (*rng.integers(0, 30, 2), *rng.integers(5, 34, 2))] for _ in range(2)]
    made = rows(INSTANCE, 12)
    for number, (turned, bbox) in enumerate(zip((6, orientation), boxes, strict=True)):
        made[number]["image"] = painted(turned, *bbox)
        made[number]["objects"] = objects([bbox], [number])
        made[number]["objects"]["segmentation"] = [box_code(bbox)]
    fixed = plain(fix(dataset(INSTANCE, made)))
    for row in fixed[:2]:
        there = upright(row)
        assert (row["height"], row["width"]) == there.shape
        [code], [bbox] = row["objects"]["segmentation"], row["objects"]["bbox"]
        assert np.array_equal(coco.decode(code), there)
        assert np.array_equal(coco.toBbox(code), bbox)
    assert fixed[2] == plain(dataset(INSTANCE, made))[2]


@pytest.mark.parametrize("task", [SEMANTIC, PANOPTIC])
def test_maps_turn_with_rotated_images(task):
    made = rows(task, 12)
    made[0]["image"] = painted(6, 10, 20, 30, 15)
    light = np.zeros((HEIGHT, WIDTH), np.uint8)
    light[20:35, 10:40] = 1
    if task == PANOPTIC:
        made[0]["annotation"] = encoded(np.stack([light, light, light], axis=2))
        made[0]["segments"] = {
            "id": [65793],
            "category": [0],
            "isthing": [True],
            "iscrowd": [False],
        }
    else:
        made[0]["annotation"] = encoded(light)
    fixed = fix(dataset(task, made))
    values = np.asarray(fixed[0]["annotation"])
    there = upright(plain(fixed)[0])
    assert np.array_equal(values[..., 0] if task == PANOPTIC else values, there)
    assert plain(fixed)[1] == plain(dataset(task, made))[1]


def test_an_image_in_several_splits_stays_where_it_is_measured_on():
    train, validation, test = (rows(DETECTION, 12, seed=i) for i in range(3))
    train[0]["image"] = train[1]["image"] = validation[4]["image"] = test[5]["image"]
    train[2]["image"] = validation[6]["image"]
    parts = {"train": train, "validation": validation, "test": test}
    fixed = fix(DatasetDict({name: dataset(DETECTION, made) for name, made in parts.items()}))
    kept = {name: [row["image_id"] for row in plain(part)] for name, part in fixed.items()}
    assert kept["train"] == list(range(3, 12))
    assert kept["validation"] == [i for i in range(12) if i != 4]
    assert kept["test"] == list(range(12))


def test_several_mistakes_are_fixed_at_once():
    made = rows(DETECTION)
    every_box(made, xyxy)
    add(made[0], [10, 10, WIDTH + 30, 20])
    made[7]["image"]["bytes"] = b""
    for row in made:
        row["objects"]["category"] = [i + 1 for i in row["objects"]["category"]]
    fixed = fix(dataset(DETECTION, made))
    assert check(fixed).findings == ()
    assert plain(fixed)[0]["objects"]["bbox"][-1] == [10, 10, WIDTH - 10, 10]
    assert 7 not in [row["image_id"] for row in plain(fixed)]


def test_a_report_of_other_data_is_refused():
    data = dataset(DETECTION, rows(DETECTION))
    other = dataset(DETECTION, rows(DETECTION, seed=1))
    with pytest.raises(DataError, match="about other data"):
        fix(data, check(other))
    with pytest.raises(DataError, match="about other data"):
        fix(data, check(DatasetDict(train=data)))


def test_a_report_of_a_file_fits_what_is_loaded_from_it(tmp_path):
    case = BROKEN["corners given as width and height"]
    dataset(case.task, case.data()[""]).save_to_disk(tmp_path / "saved")
    report = check(tmp_path / "saved")
    fixed = fix(dataset(case.task, case.data()[""]), report)
    assert check(fixed).findings == ()


def test_fixed_labels_are_memory_mapped_and_images_where_they_were(own_cache):
    fixed = fix(loaded(BROKEN["shares given as pixels"]))
    assert fixed.cache_files
    written = [file for file in (own_cache / "pvzoo").iterdir() if file.suffix == ".arrow"]
    images = sum(len(row["image"]["bytes"]) for row in rows(DETECTION))
    assert sum(file.stat().st_size for file in written) < images / 4
