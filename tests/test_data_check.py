"""The check of labelled data: silent on clean data, and every mistake by its name."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from broken_data import BROKEN, every_box, xyxy
from clean_data import (
    HEIGHT,
    WIDTH,
    dataset,
    encoded,
    noise,
    objects,
    plain,
    rows,
)
from colour_model import TASKS
from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value
from datasets import Image as ImageColumn
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.load import load
from pvzoo.data.quality import boxes as box
from pvzoo.data.quality import rules
from pvzoo.data.quality.check import check
from pvzoo.data.quality.fix import fix
from pvzoo.data.rle import is_whole
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, PANOPTIC, SEMANTIC
from pvzoo.data.write import write
from pvzoo.errors import DataError
from pvzoo.inputs.encoded import UPRIGHT

pytestmark = pytest.mark.usefixtures("own_cache")


def found(data) -> dict[str, int]:
    return {finding.rule: finding.count for finding in check(data).findings}


def loaded(parts):
    made = {name: dataset(parts.task, part) for name, part in parts.data().items()}
    return made[""] if "" in made else DatasetDict(made)


# --- clean data -----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_clean_data_raises_nothing(task):
    for seed in range(3):
        assert found(dataset(task, rows(task, seed=seed))) == {}
    parts = {"train": rows(task, seed=3), "validation": rows(task, 12, seed=4)}
    report = check(DatasetDict({name: dataset(task, part) for name, part in parts.items()}))
    assert report.findings == ()
    assert report.images == 36
    assert str(report).startswith("36 images")


@pytest.mark.parametrize(
    ("format", "task"),
    [
        ("coco", DETECTION),
        ("coco", INSTANCE),
        ("coco", PANOPTIC),
        ("yolo", DETECTION),
        ("yolo", INSTANCE),
        ("folder", CLASSIFICATION),
        ("folder", SEMANTIC),
    ],
)
@pytest.mark.filterwarnings("ignore:.*cannot store:pvzoo.errors.PvzooWarning")
def test_clean_files_of_every_format_raise_nothing(format, task, tmp_path):
    parts = {"train": rows(task, seed=3), "validation": rows(task, 12, seed=4)}
    data = DatasetDict({name: dataset(task, part) for name, part in parts.items()})
    write(data, tmp_path / "written", format)
    report = check(tmp_path / "written")
    assert report.findings == ()
    assert report.images == 36


def test_clean_files_of_pascal_voc_raise_nothing(tmp_path):
    import supervision

    write(dataset(DETECTION, rows(DETECTION)), tmp_path / "coco", "coco")
    theirs = supervision.DetectionDataset.from_coco(
        str(tmp_path / "coco" / "images"), str(tmp_path / "coco/annotations/instances.json")
    )
    voc = tmp_path / "voc"
    theirs.as_pascal_voc(str(voc / "JPEGImages"), str(voc / "Annotations"))
    report = check(voc)
    assert report.errors == ()
    assert report.objects == sum(len(theirs.annotations[image]) for image in theirs.image_paths)


def test_clean_multi_label_data_raises_nothing():
    made = rows(CLASSIFICATION)
    for number, row in enumerate(made):
        row["labels"] = [[], [0], [0, 2], [1]][number % 4]
        del row["label"]
    assert found(dataset(CLASSIFICATION, made, multi_label=True)) == {}
    made[1]["labels"] = [0, 7]
    assert found(dataset(CLASSIFICATION, made, multi_label=True)) == {"class-id-out-of-range": 1}


def test_a_null_in_the_place_of_several_labels_is_a_missing_label_and_an_empty_list_is_not():
    kind = Features({"image": ImageColumn(), "labels": List(ClassLabel(names=["cat", "dog"]))})
    given = {
        "image": [row["image"] for row in rows(CLASSIFICATION, 6)],
        "labels": [[0], None, [], [0, 1], None, [1]],
    }
    data = load(Dataset.from_dict(given, features=kind))
    assert found(data) == {"missing-label": 2}
    assert plain(fix(data)) == plain(data)
    nothing = dict(given, labels=[None] * 6)
    assert found(Dataset.from_dict(nothing, features=kind)) == {"missing-label": 6}


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("task", [DETECTION, INSTANCE, SEMANTIC, PANOPTIC])
def test_labels_on_the_upright_image_of_an_exif_rotated_image_are_clean(task, orientation):
    made = rows(task, 12)
    for number, turned in ((0, 6), (1, orientation)):  # the first says how the data was labelled
        size = (HEIGHT, WIDTH) if turned >= 5 else (WIDTH, HEIGHT)
        made[number]["image"] = encoded(noise(np.random.default_rng(number), *size), turned)
    assert found(dataset(task, made)) == {}


def photos(boxes: list[list[int]], width: int = WIDTH, height: int = HEIGHT) -> Dataset:
    """Photos on their side, of one box each, as a dataset without sizes."""
    rng = np.random.default_rng(0)
    given = {
        "image": [encoded(noise(rng, width, height), 6) for _ in boxes],
        "objects": [{"bbox": [b], "category": [0]} for b in boxes],
    }
    kind = {"bbox": List(List(Value("float64"))), "category": List(ClassLabel(names=["cat"]))}
    return load(Dataset.from_dict(given, features=Features(image=ImageColumn(), objects=kind)))


BEYOND_RAW, BEYOND_UPRIGHT, EITHER = [5, 70, 20, 25], [70, 5, 25, 20], [5, 5, 20, 20]


def test_photos_of_one_dataset_are_turned_together_where_some_boxes_fit_the_stored_pixels_only():
    data = photos([BEYOND_UPRIGHT, EITHER, BEYOND_UPRIGHT, EITHER])
    assert found(data) == {"exif-rotated": 4}
    fixed = [tuple(row["objects"]["bbox"][0]) for row in plain(fix(data))]
    assert fixed == 2 * [(HEIGHT - 25, 70, 20, 25), (HEIGHT - 25, 5, 20, 20)]


def test_photos_whose_boxes_fit_either_way_are_settled_by_others_or_warned_of():
    assert found(photos([BEYOND_RAW, EITHER])) == {}
    report = check(photos([EITHER, EITHER]))
    assert [(f.rule, f.count, f.severity) for f in report.findings] == [
        ("exif-rotated", 2, "warning")
    ]
    report = check(photos([BEYOND_RAW, BEYOND_UPRIGHT, EITHER]))
    assert [(f.count, f.severity) for f in report.findings] == [(1, "error"), (1, "warning")]


def test_a_box_carelessly_over_the_edge_does_not_say_that_photos_were_labelled_on_their_side():
    report = check(photos([[180, 5, 22, 20], EITHER], 300, 200))
    assert {f.rule: f.severity for f in report.findings} == {
        "box-out-of-frame": "warning",
        "exif-rotated": "warning",
    }


def test_yolo_labels_on_photos_may_be_of_the_stored_pixels(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(
            encoded(noise(np.random.default_rng(ord(name))), 6, "JPEG")["bytes"]
        )
        (tmp_path / f"{name}.txt").write_text("0 0.75 0.4 0.3 0.4")
    (tmp_path / "data.yaml").write_text("train: .\nnames: [cat]")
    [finding] = check(tmp_path).findings
    assert (finding.rule, finding.severity, finding.count) == ("exif-rotated", "warning", 2)


def test_a_semantic_map_may_list_255_and_void():
    made = rows(SEMANTIC)
    for row in made:
        row["segments"] = {"id": [0, 1, 2, 255], "category": [0, 1, -1, 2]}
    assert found(dataset(SEMANTIC, made)) == {}


def test_boxes_on_the_last_pixel_and_touching_the_frame_are_clean():
    made = rows(DETECTION)
    bboxes = [[WIDTH - 2, HEIGHT - 2, 2, 2], [0, 0, 1.25, 1.25], [WIDTH - 0.5, 5, 1.5, 9]]
    made[0]["objects"] = objects(bboxes, [0, 1, 2])
    assert found(dataset(DETECTION, made)) == {}


# --- broken data ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
def test_each_mistake_is_named_counted_and_nothing_else_is(name):
    case = BROKEN[name]
    report = check(loaded(case))
    assert {f.rule: f.count for f in report.findings} == case.expected
    assert {f.severity for f in report.findings} == {case.severity}
    assert {f.fixable for f in report.findings} == {case.fixable}
    text = str(report)
    assert all(rule in text for rule in case.expected)


def test_every_rule_is_broken_by_one_of_the_tests():
    named = {rule.name for rule in vars(rules).values() if isinstance(rule, rules.Rule)}
    broken = {rule for case in BROKEN.values() for rule in case.expected}
    assert named == broken | {"unnamed-classes"}


def test_maps_whose_classes_nothing_names_may_train_void_as_a_class():
    made = rows(SEMANTIC)
    assert found(dataset(SEMANTIC, made, names=("0", "1", "2"))) == {"unnamed-classes": 3}
    assert found(dataset(SEMANTIC, made, names=("0", "1", "star"))) == {}
    for row in made:
        row["segments"]["category"] = [-1, 0, 1]  # 0 is void
    assert found(dataset(SEMANTIC, made, names=("1", "2"))) == {}


def test_mistakes_of_several_kinds_are_all_named():
    made = rows(DETECTION)
    every_box(made, xyxy)
    made[0]["image"]["bytes"] = b""
    made[1]["objects"]["category"][0] = 9
    report = check(dataset(DETECTION, made))
    assert {f.rule for f in report.errors} == {
        "xyxy-as-xywh",
        "unreadable-image",
        "class-id-out-of-range",
    }


def test_a_box_mistake_is_found_under_another_convention():
    made = rows(DETECTION)
    every_box(made, xyxy)
    made[3]["objects"]["bbox"][0] = [50, 20, 40, 30]  # as corners, from right to left
    assert found(dataset(DETECTION, made))["inverted-box"] == 1


def test_a_segment_that_was_painted_over_has_fewer_pixels_than_its_area_says(tmp_path):
    write(dataset(PANOPTIC, rows(PANOPTIC, 6)), tmp_path / "set", "coco")
    [file] = (tmp_path / "set" / "annotations").glob("*.json")
    content = json.loads(file.read_text())
    assert found(tmp_path / "set") == {}
    first, second = (a["segments_info"] for a in content["annotations"][:2])
    first[0]["area"] += 300
    second[0]["area"] += 0.4
    del second[1]["area"]
    file.write_text(json.dumps(content))
    [finding] = check(tmp_path / "set").findings
    assert (finding.rule, finding.severity, finding.count) == ("overlapping-segments", "warning", 1)
    data = load(tmp_path / "set")
    assert plain(fix(data)) == plain(data)
    assert found(load(tmp_path / "set", SEMANTIC)) == {}


# --- the report -----------------------------------------------------------------------------------


def test_a_finding_says_where_the_first_mistakes_are():
    made = rows(DETECTION)
    for number in range(7):
        made[number]["image"]["bytes"] = b""
    report = check(DatasetDict(train=dataset(DETECTION, made)))
    [finding] = report.findings
    assert finding.count == 7
    assert finding.rows == tuple(("train", i) for i in range(5))
    assert finding.where[1].startswith("train: 1.png: ")
    assert "and 2 more" in str(report)
    assert report.rows == finding.rows


def test_objects_are_named_by_their_id_and_numbers():
    made = rows(DETECTION)
    made[4]["objects"] = objects([[200, 10, 5, 5]], [1], first_id=77)
    [finding] = check(dataset(DETECTION, made)).findings
    assert finding.where == ("4.png, object 77: [200.0, 10.0, 5, 5], image 96 x 64",)


def test_a_report_is_json_and_raises_for_errors_only():
    report = check(loaded(BROKEN["boxes wholly out of the frame"]))
    plain = json.loads(json.dumps(report.to_dict()))
    assert plain["errors"] == 1
    assert plain["findings"][0]["rule"] == "box-out-of-frame"
    with pytest.raises(DataError, match=r"box-out-of-frame \(2\)"):
        report.raise_for_errors()
    warned = check(loaded(BROKEN["boxes partly out of the frame"]))
    assert warned.warnings
    warned.raise_for_errors()


def test_errors_come_before_warnings():
    made = rows(DETECTION)
    made[0]["objects"] = objects([[-9, 0, 30, 30]], [0])
    made[9]["objects"] = objects([[-90, 0, 30, 30]], [1])
    report = check(dataset(DETECTION, made))
    assert [f.severity for f in report.findings] == ["error", "warning"]
    assert report.rows == (("", 9), ("", 0))


def test_progress_counts_every_image_of_every_split():
    calls = []
    data = DatasetDict(
        train=dataset(DETECTION, rows(DETECTION)), test=dataset(DETECTION, rows(DETECTION, 6, 1))
    )
    check(data, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 30) for i in range(1, 31)]


def test_a_folder_is_checked_as_it_is_read(tmp_path):
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in "abc":
        Image.fromarray(noise(rng)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "images" / "c.png").write_bytes(b"not an image")
    content = {
        "images": [
            {"id": i, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT}
            for i, name in enumerate("abc")
        ],
        "categories": [{"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 1, "image_id": 0, "category_id": 1, "bbox": [90, 10, 20, 20]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 0]},
        ],
    }
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert found(tmp_path) == {"unreadable-image": 1, "empty-box": 1, "box-out-of-frame": 1}


def test_memory_does_not_grow_with_the_number_of_images():
    rng = np.random.default_rng(0)

    def peak(count: int) -> int:
        made = (
            {**row, "image": encoded(noise(rng, 150, 100))} for row in rows(CLASSIFICATION, count)
        )
        data = dataset(CLASSIFICATION, made)
        tracemalloc.start()
        check(data)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(9)
    few, many = peak(40), peak(100)
    assert many - few < 60 * 150 * 100  # a third of the pixels of the images more


# --- conventions of boxes -------------------------------------------------------------------------


def random_boxes(rng: np.random.Generator, frame: tuple[int, int]) -> np.ndarray:
    """Boxes in a frame, of one of many habits: tiny to large, anywhere, central or in a corner."""
    least, most = sorted(rng.random(2) * [0.2, 1.0])
    sides = rng.uniform(least, most + 1e-3, (int(rng.integers(1, 6)), 2)) * frame
    index = rng.random(len(sides))[:, None]
    habit = rng.integers(3)
    index = [rng.random(sides.shape), 0.5 + 0 * index, 0.3 * index][habit]
    return np.hstack([index * (np.array(frame) - sides), sides])


def test_clean_boxes_of_any_habit_are_never_taken_for_another_convention():
    for seed in range(200):
        rng = np.random.default_rng(seed)
        given, frames = [], []
        for _ in range(int(rng.integers(1, 20))):
            frame = tuple(int(n) for n in rng.integers(30, 2000, 2))
            boxes = np.round(random_boxes(rng, frame), 1)
            spoilt = rng.random(len(boxes)) < 0.04  # a few careless ones among them
            boxes[spoilt] += rng.uniform(-0.1, 0.1, (spoilt.sum(), 4)) * np.tile(frame, 2)
            given.append(boxes)
            frames.append(np.tile(frame, (len(boxes), 1)))
        count = box.votes(np.concatenate(given), np.concatenate(frames))
        assert box.convention(count) == "xywh", seed


@pytest.mark.parametrize(
    ("convention", "given"),
    [
        ("xyxy", lambda b, f: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]])),
        ("xywh read as xyxy", lambda b, f: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]])),
        ("cxcywh", lambda b, f: np.hstack([b[:, :2] + b[:, 2:] / 2, b[:, 2:]])),
        ("pixels read as normalised", lambda b, f: b * f),
        ("xywh read as cxcywh", lambda b, f: np.hstack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]])),
        (
            "xyxy read as cxcywh",
            lambda b, f: np.hstack([(b[:, :2] - b[:, 2:]) / 2, xyxy(b)[:, 2:]]),
        ),
        ("normalised xywh", lambda b, f: b / f),
        ("normalised xyxy", lambda b, f: np.hstack([b[:, :2], b[:, :2] + b[:, 2:]]) / f),
        ("normalised cxcywh", lambda b, f: np.hstack([b[:, :2] + b[:, 2:] / 2, b[:, 2:]]) / f),
    ],
)
def test_boxes_of_another_convention_are_told_and_undone(convention, given):
    for seed in range(50):
        rng = np.random.default_rng(seed)
        frames = rng.integers(100, 2000, (100, 2))
        sides = rng.uniform(0.05, 0.7, (100, 2)) * frames
        boxes = np.hstack([rng.random((100, 2)) * (frames - sides), sides])
        spoilt = given(boxes, np.tile(frames, 2))
        assert box.convention(box.votes(spoilt, frames)) == convention, seed
        undone = box.to_pixels(spoilt[:1], tuple(frames[0].tolist()), convention)
        assert np.allclose(undone, boxes[:1])


def test_wide_central_objects_given_by_their_centres_are_not_taken_for_scaled_twice():
    rng = np.random.default_rng(0)
    frames = rng.integers(300, 2000, (30, 2))
    boxes = np.hstack([frames / 2, frames * rng.uniform((0.6, 0.2), (0.9, 0.4), (30, 2))])
    assert box.convention(box.votes(boxes, frames)) == "cxcywh"


def test_boxes_turn_with_their_images():
    rng = np.random.default_rng(0)
    for orientation, method in {1: None, **UPRIGHT}.items():
        width, height = (int(n) for n in rng.integers(8, 30, 2))
        x0, y0 = int(rng.integers(width - 4)), int(rng.integers(height - 4))
        w, h = int(rng.integers(1, width - x0 + 1)), int(rng.integers(1, height - y0 + 1))
        pixels = np.zeros((height, width), np.uint8)
        pixels[y0 : y0 + h, x0 : x0 + w] = 255
        image = Image.fromarray(pixels)
        image = image.transpose(method) if method is not None else image
        left, top, right, bottom = image.getbbox()
        turned = box.turn(np.array([[x0, y0, w, h]], float), orientation, (width, height))
        assert turned.tolist() == [[left, top, right - left, bottom - top]]


# --- run-length codes -----------------------------------------------------------------------------


def test_whole_codes_are_told_from_damaged_ones():
    rng = np.random.default_rng(0)
    for _ in range(300):
        height, width = (int(n) for n in rng.integers(1, 60, 2))
        mask = np.asfortranarray(rng.random((height, width)) < rng.random(), np.uint8)
        code = coco.encode(mask)
        code["counts"] = code["counts"].decode()
        assert is_whole(code)
        assert not is_whole({**code, "size": [height, width + 1]})
        assert not is_whole({**code, "counts": code["counts"] + "1"})
        assert not is_whole({**code, "counts": code["counts"][:-1]})
    assert not is_whole({"size": [4, 4], "counts": "\x00\x7f~"})
    assert not is_whole({"size": None, "counts": None})
    assert not is_whole({"size": [9, 9], "counts": "o" * 40})
