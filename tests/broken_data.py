"""Labelled data with mistakes of every kind, made from clean data: what `check` has to name."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from clean_data import HEIGHT, NAMES, WIDTH, box_code, encoded, mask_code, noise, objects, rows
from PIL import Image

from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, PANOPTIC, SEMANTIC

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Broken:
    """A mistake: the rules it breaks, with how many times, and what makes it of clean rows."""

    task: str
    expected: dict[str, int]
    spoil: Callable[[Rows], Rows | dict[str, Rows]]
    fixable: bool
    severity: str = "error"

    def data(self) -> dict[str, Rows]:
        made = self.spoil(rows(self.task))
        return made if isinstance(made, dict) else {"": made}


BROKEN: dict[str, Broken] = {}


def broken(
    task: str, expected: dict[str, int] | str, *, fixable: bool, severity: str = "error"
) -> Callable[[Callable[[Rows], Any]], Callable[[Rows], Any]]:
    """Enter a function that spoils rows, in place or by what it returns, under its name."""

    def enter(spoil: Callable[[Rows], Any]) -> Callable[[Rows], Any]:
        def run(made: Rows) -> Any:
            result = spoil(made)
            return made if result is None else result

        name = spoil.__name__.replace("_", " ")
        rules = {expected: 1} if isinstance(expected, str) else expected
        BROKEN[name] = Broken(task, rules, run, fixable, severity)
        return spoil

    return enter


def every_box(made: Rows, change: Callable[[np.ndarray], np.ndarray]) -> int:
    count = 0
    for row in made:
        bboxes = np.array(row["objects"]["bbox"]).reshape(-1, 4)
        row["objects"]["bbox"] = change(bboxes).tolist()
        count += len(bboxes)
    return count


def boxes_in(task: str) -> int:
    return sum(len(row["objects"]["bbox"]) for row in rows(task))


FRAME = np.array([WIDTH, HEIGHT] * 2)
BOXES = boxes_in(DETECTION)


def xyxy(b: np.ndarray) -> np.ndarray:
    return np.hstack([b[:, :2], b[:, :2] + b[:, 2:]])


def centres(b: np.ndarray) -> np.ndarray:
    return np.hstack([b[:, :2] + b[:, 2:] / 2, b[:, 2:]])


def read_by_yolo(v: np.ndarray) -> np.ndarray:
    """Boxes in pixels, of four numbers in a YOLO file."""
    return np.hstack([v[:, :2] - v[:, 2:] / 2, v[:, 2:]]) * FRAME


WRITTEN: dict[tuple[str, str], tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    # a format, what its files have instead of what they should -> the rule, the four numbers
    ("yolo", "corners in shares"): ("xyxy-as-cxcywh", lambda b: xyxy(b) / FRAME),
    ("yolo", "corners in pixels"): ("xyxy-as-cxcywh", xyxy),
    ("yolo", "left and top in shares"): ("xywh-as-cxcywh", lambda b: b / FRAME),
    ("yolo", "left and top in pixels"): ("xywh-as-cxcywh", lambda b: b),
    ("yolo", "centres in pixels"): ("pixels-as-normalised", centres),
    ("voc", "corners in shares"): ("normalised-boxes", lambda b: xyxy(b) / FRAME),
    ("voc", "left and top in shares"): ("normalised-boxes", lambda b: b / FRAME),
    ("voc", "centres in shares"): ("normalised-boxes", lambda b: centres(b) / FRAME),
    ("hub", "corners in pixels"): ("xyxy-as-xywh", xyxy),
    ("hub", "corners in shares"): ("normalised-boxes", lambda b: xyxy(b) / FRAME),
    ("hub", "centres in pixels"): ("cxcywh-as-xywh", centres),
}


def written(format: str, change: Callable[[np.ndarray], np.ndarray], folder: Path) -> Any:
    """A source of clean detection rows, but for the four numbers of each box."""
    made = rows(DETECTION)
    every_box(made, change)
    if format == "hub":
        return _columns(made)
    if format == "yolo":
        (folder / "data.yaml").write_text("train: .\nnames: [circle, square, star]")
    for row in made:
        (folder / row["file_name"]).write_bytes(row["image"]["bytes"])
        listed = zip(row["objects"]["category"], row["objects"]["bbox"], strict=True)
        name, text = "txt", "\n".join(" ".join(map(str, (c, *b))) for c, b in listed)
        if format == "voc":
            name, text = "xml", _xml(row)
        (folder / row["file_name"]).with_suffix(f".{name}").write_text(text)
    return folder


def _xml(row: dict[str, Any]) -> str:
    listed = zip(row["objects"]["category"], row["objects"]["bbox"], strict=True)
    edges = ("xmin", "ymin", "xmax", "ymax")
    things = "".join(
        f"<object><name>{NAMES[c]}</name><bndbox>"
        + "".join(f"<{edge}>{v}</{edge}>" for edge, v in zip(edges, b, strict=True))
        + "</bndbox></object>"
        for c, b in listed
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height></size>"
    return f"<annotation><filename>{row['file_name']}</filename>{size}{things}</annotation>"


def _columns(made: Rows) -> datasets.Dataset:
    kind = {
        "bbox": datasets.List(datasets.List(datasets.Value("float64"))),
        "category": datasets.List(datasets.ClassLabel(names=list(NAMES))),
    }
    given = [
        {"image": row["image"], "objects": {key: row["objects"][key] for key in kind}}
        for row in made
    ]
    columns = datasets.Features(image=datasets.Image(), objects=kind)
    return datasets.Dataset.from_list(given, features=columns)


# --- images ---------------------------------------------------------------------------------------


@broken(DETECTION, {"unreadable-image": 4}, fixable=True)
def files_cut_short_empty_of_text_and_missing(made):
    file = io.BytesIO()
    Image.fromarray(noise(np.random.default_rng(1))).save(file, "JPEG")
    made[3]["image"]["bytes"] = file.getvalue()[:-800]
    made[4]["image"]["bytes"] = b""
    made[7]["image"]["bytes"] = b"<html>404</html>"
    made[9]["image"] = {"path": "/no/such/file.png", "bytes": None}


@broken(SEMANTIC, {"unreadable-image": 2}, fixable=True)
def maps_that_cannot_be_read(made):
    made[1]["annotation"]["bytes"] = made[1]["annotation"]["bytes"][:60]
    made[2]["annotation"] = None


@broken(DETECTION, {"duplicate-image": 1}, fixable=True, severity="warning")
def the_same_bytes_and_labels_twice(made):
    made.append({**copy.deepcopy(made[0]), "image_id": 99, "file_name": "again.png"})


@broken(CLASSIFICATION, {"duplicate-image": 1}, fixable=True, severity="warning")
def the_same_pixels_in_another_format(made):
    image = np.asarray(Image.open(io.BytesIO(made[0]["image"]["bytes"])))
    other = {"image": encoded(image, suffix="BMP"), "image_id": 99, "file_name": "again.bmp"}
    made.append({**made[0], **other})


@broken(CLASSIFICATION, {"duplicate-image": 1}, fixable=False, severity="warning")
def the_same_image_with_two_classes(made):
    made.append({**made[0], "image_id": 99, "label": 1})


@broken(PANOPTIC, {"duplicate-image": 1}, fixable=False, severity="warning")
def the_same_image_with_two_maps(made):
    made[5]["image"] = made[0]["image"]


@broken(DETECTION, {"image-in-two-splits": 2}, fixable=True)
def images_of_validation_and_test_in_training(made):
    train, validation, test = made, rows(DETECTION, 18, seed=1), rows(DETECTION, 18, seed=2)
    train[3]["image"] = validation[7]["image"]
    train[4]["image"] = test[8]["image"]
    return {"train": train, "validation": validation, "test": test}


@broken(CLASSIFICATION, {"image-in-two-splits": 1}, fixable=False)
def an_image_in_two_splits_of_unknown_use(made):
    other = rows(CLASSIFICATION, 6, seed=1)
    other[0]["image"] = made[2]["image"]
    return {"left": made, "right": other}


@broken(CLASSIFICATION, "no-images", fixable=False)
def a_split_without_images(made):
    return {"train": made, "test": []}


# --- sizes and orientation ------------------------------------------------------------------------


@broken(DETECTION, {"size-mismatch": 1}, fixable=False)
def an_image_that_was_scaled_down(made):
    made[1]["image"] = encoded(noise(np.random.default_rng(1), WIDTH // 2, HEIGHT // 2))


@broken(DETECTION, {"exif-rotated": 4}, fixable=True)
def boxes_drawn_on_stored_pixels(made):
    for number, orientation in zip((0, 1, 5, 6), (5, 6, 7, 8), strict=True):  # 5 has no objects
        made[number]["image"] = encoded(noise(np.random.default_rng(number)), orientation)


@broken(DETECTION, {"exif-rotated": 1}, fixable=True)
def boxes_that_leave_the_upright_frame_but_not_the_stored_one(made):
    made[0]["image"] = encoded(noise(np.random.default_rng(1)), 6)
    made[0] |= {"width": HEIGHT, "height": WIDTH}


@broken(INSTANCE, {"exif-rotated": 2}, fixable=True)
def masks_drawn_on_stored_pixels_one_of_them_upside_down(made):
    made[0]["image"] = encoded(noise(np.random.default_rng(1)), 8)
    made[1]["image"] = encoded(noise(np.random.default_rng(2)), 3)  # as others were, so was this


@broken(PANOPTIC, {"exif-rotated": 1}, fixable=True)
def a_map_drawn_on_stored_pixels(made):
    made[0]["image"] = encoded(noise(np.random.default_rng(1)), 6)


@broken(SEMANTIC, {"exif-rotated": 1}, fixable=False, severity="warning")
def an_image_upside_down_and_nothing_that_says_how_it_was_labelled(made):
    made[0]["image"] = encoded(noise(np.random.default_rng(1)), 3)


# --- boxes ----------------------------------------------------------------------------------------


@broken(DETECTION, {"xyxy-as-xywh": BOXES}, fixable=True)
def corners_given_as_width_and_height(made):
    every_box(made, xyxy)


@broken(DETECTION, {"xyxy-as-xywh": boxes_in(DETECTION)}, fixable=True)
def corners_in_one_split_only(made):
    other = rows(DETECTION, seed=1)
    every_box(made, xyxy)
    return {"train": made, "validation": other}


@broken(DETECTION, {"xywh-as-xyxy": BOXES}, fixable=True)
def width_and_height_read_as_corners(made):
    every_box(made, lambda b: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]))


@broken(DETECTION, {"cxcywh-as-xywh": BOXES}, fixable=True)
def centres_given_as_corners(made):
    every_box(made, centres)


@broken(DETECTION, {"normalised-boxes": BOXES}, fixable=True)
def shares_given_as_pixels(made):
    every_box(made, lambda b: b / FRAME)


@broken(DETECTION, {"normalised-boxes": BOXES}, fixable=True)
def corners_as_shares_given_as_pixels(made):
    every_box(made, lambda b: xyxy(b) / FRAME)


@broken(DETECTION, {"normalised-boxes": BOXES}, fixable=True)
def centres_as_shares_given_as_pixels(made):
    every_box(made, lambda b: centres(b) / FRAME)


@broken(DETECTION, {"normalised-boxes": 12}, fixable=False)
def shares_that_may_be_of_two_kinds(made):
    made[:] = made[:12]
    for number, row in enumerate(made):
        row["objects"] = objects([[0.4, 0.4, 0.3, 0.3]], [number % 3], number)


@broken(DETECTION, {"pixels-as-normalised": BOXES}, fixable=True)
def pixels_read_as_shares(made):
    every_box(made, lambda b: b * FRAME)


@broken(DETECTION, {"xyxy-as-cxcywh": BOXES}, fixable=True)
def corners_as_shares_read_as_centres(made):
    every_box(made, lambda b: read_by_yolo(xyxy(b) / FRAME))


@broken(DETECTION, {"xyxy-as-cxcywh": BOXES}, fixable=True)
def corners_in_pixels_read_as_centres_in_shares(made):
    every_box(made, lambda b: read_by_yolo(xyxy(b)))


@broken(DETECTION, {"xywh-as-cxcywh": BOXES}, fixable=True)
def left_and_top_as_shares_read_as_centres(made):
    every_box(made, lambda b: read_by_yolo(b / FRAME))


@broken(DETECTION, {"xywh-as-cxcywh": BOXES}, fixable=True)
def left_and_top_in_pixels_read_as_centres_in_shares(made):
    every_box(made, read_by_yolo)


@broken(DETECTION, {"unclear-boxes": BOXES}, fixable=False)
def boxes_that_nothing_explains(made):
    every_box(made, lambda b: np.hstack([b[:, :2] - 3 * FRAME[:2], b[:, 2:] * [5, 0.1]]))


@broken(DETECTION, {"unclear-boxes": 12}, fixable=False)
def boxes_of_images_scaled_down_since(made):
    made[:] = made[:12]
    for number, row in enumerate(made):  # divided by the frame they would be 2 to 3 pixels
        row["objects"] = objects([[300 + 10 * number, 260, 300, 250]], [number % 3], number)


@broken(DETECTION, {"unclear-boxes": 12}, fixable=False)
def boxes_that_may_be_of_two_kinds(made):
    made[:] = made[:12]
    for number, row in enumerate(made):  # as corners 30 x 20, as a centre 44 x 32
        row["objects"] = objects([[60, 40, 70, 47]], [number % 3], number)


@broken(DETECTION, {"inverted-box": 2}, fixable=True)
def two_boxes_from_right_to_left_and_from_bottom_to_top(made):
    x, y, w, h = made[0]["objects"]["bbox"][-1]
    made[0]["objects"]["bbox"][-1] = [x + w, y, -w, h]
    x, y, w, h = made[6]["objects"]["bbox"][-1]
    made[6]["objects"]["bbox"][-1] = [x, y + h, w, -h]


@broken(DETECTION, {"empty-box": 2}, fixable=True)
def boxes_without_width_or_height(made):
    for number, bbox in ((0, [20, 10, 0, 5]), (1, [3, 4, 5, 0])):
        add(made[number], bbox)


@broken(DETECTION, {"box-out-of-frame": 2}, fixable=True, severity="warning")
def boxes_partly_out_of_the_frame(made):
    add(made[0], [-5, 10, 30, 30])
    add(made[1], [80, 50, 20, 20])


@broken(DETECTION, {"box-out-of-frame": 2}, fixable=True)
def boxes_wholly_out_of_the_frame(made):
    add(made[0], [-50, 10, 30, 30])
    add(made[1], [10, HEIGHT, 20, 20])


@broken(DETECTION, {"box-not-a-number": 3}, fixable=False)
def boxes_of_nan_infinity_and_nothing(made):
    add(made[0], [float("nan"), 1, 2, 3])
    add(made[1], [1, 2, float("inf"), 3])
    add(made[2], [1, 2, 3, 4])
    made[2]["objects"]["bbox"][-1] = None


@broken(DETECTION, {"repeated-object": 1}, fixable=True, severity="warning")
def an_object_listed_twice(made):
    add(made[0], made[0]["objects"]["bbox"][0], made[0]["objects"]["category"][0])


@broken(DETECTION, {"uneven-labels": 1}, fixable=False)
def more_boxes_than_classes(made):
    made[0]["objects"]["category"].pop()


def add(row: dict[str, Any], bbox: list[float], category: int = 0) -> None:
    """Give a row one more object."""
    listed = row["objects"]
    for key, value in objects([bbox], [category], 5000).items():
        listed[key] += value


# --- classes --------------------------------------------------------------------------------------


@broken(DETECTION, {"class-ids-off-by-one": BOXES}, fixable=True)
def classes_counted_from_one(made):
    for row in made:
        row["objects"]["category"] = [i + 1 for i in row["objects"]["category"]]


@broken(INSTANCE, {"class-ids-off-by-one": boxes_in(INSTANCE)}, fixable=True)
def classes_counted_from_minus_one(made):
    for row in made:
        row["objects"]["category"] = [i - 1 for i in row["objects"]["category"]]


@broken(CLASSIFICATION, {"class-ids-off-by-one": 24}, fixable=True)
def labels_counted_from_one(made):
    for row in made:
        row["label"] += 1


@broken(PANOPTIC, {"class-ids-off-by-one": 72}, fixable=True)
def segments_counted_from_one(made):
    for row in made:
        row["segments"]["category"] = [i + 1 for i in row["segments"]["category"]]


@broken(SEMANTIC, {"class-ids-off-by-one": 24}, fixable=True)
def map_values_counted_from_one(made):
    for row in made:
        values = np.asarray(Image.open(io.BytesIO(row["annotation"]["bytes"])))
        row["annotation"] = encoded(np.where(values == 255, 255, values + 1).astype(np.uint8))


@broken(DETECTION, {"class-id-out-of-range": 2}, fixable=False)
def single_wrong_classes(made):
    made[0]["objects"]["category"][-1] = 17
    made[1]["objects"]["category"][-1] = -1


@broken(CLASSIFICATION, {"class-id-out-of-range": 1}, fixable=False)
def a_single_wrong_label(made):
    made[4]["label"] = 3


@broken(CLASSIFICATION, {"missing-label": 2}, fixable=False)
def images_without_a_class(made):
    made[4]["label"] = -1
    made[5]["label"] = None


@broken(CLASSIFICATION, {"missing-label": 6}, fixable=False, severity="warning")
def a_test_split_without_labels(made):
    test = rows(CLASSIFICATION, 6, seed=1)
    for row in test:
        row["label"] = -1
    return {"train": made, "test": test}


@broken(DETECTION, {"no-objects": 24}, fixable=False)
def no_objects_at_all(made):
    for row in made:
        row["objects"] = objects([], [])


@broken(DETECTION, {"no-objects": 6}, fixable=False, severity="warning")
def a_split_without_objects(made):
    other = rows(DETECTION, 6, seed=1)
    for row in other:
        row["objects"] = objects([], [])
    return {"train": made, "test": other}


@broken(CLASSIFICATION, {"class-absent-from-split": 1}, fixable=False, severity="warning")
def a_class_that_validation_does_not_have(made):
    other = [row for row in rows(CLASSIFICATION, seed=1) if row["label"] != 2]
    return {"train": made, "validation": other}


@broken(SEMANTIC, {"class-without-examples": 1}, fixable=False, severity="warning")
def a_class_that_no_map_has(made):
    for row in made:
        values = np.asarray(Image.open(io.BytesIO(row["annotation"]["bytes"])))
        row["annotation"] = encoded(np.where(values == 1, 0, values).astype(np.uint8))


# --- masks and maps -------------------------------------------------------------------------------


@broken(INSTANCE, {"mask-size": 1}, fixable=False)
def a_mask_of_another_size(made):
    made[0]["objects"]["segmentation"][0] = box_code([1, 2, 30, 20], WIDTH // 2, HEIGHT)


@broken(SEMANTIC, {"mask-size": 1}, fixable=False)
def a_map_of_another_size(made):
    made[0]["annotation"] = encoded(np.zeros((HEIGHT, WIDTH + 1), np.uint8))


@broken(INSTANCE, {"broken-mask": 3}, fixable=False)
def masks_cut_short_garbled_and_missing(made):
    codes = made[1]["objects"]["segmentation"]
    whole = box_code([10, 20, 30, 20])
    codes[0] = {**whole, "counts": whole["counts"][:-1]}
    made[2]["objects"]["segmentation"][0] = {**whole, "counts": "no code"}
    made[0]["objects"]["segmentation"][0] = None


@broken(DETECTION, {"tiny-box": 3}, fixable=False, severity="warning")
def slips_of_the_mouse_of_a_pixel_or_less(made):
    made[0]["objects"] = objects([[30, 20, 1, 1], [7.5, 9, 0.5, 12], [3, 3, 20, 0.01]], [0, 1, 2])


@broken(DETECTION, {"normalised-boxes": 2}, fixable=False)
def single_boxes_in_shares_of_the_image(made):
    made[0]["objects"] = objects([[0.25, 0.5, 0.125, 0.75]], [0])
    made[1]["objects"] = objects([[0.1 - 1, 0.2 - 1, 0.3 + 1, 0.4 + 1]], [0])  # as VOC is read


@broken(INSTANCE, {"empty-mask": 1}, fixable=False, severity="warning")
def a_mask_without_a_pixel(made):
    made[0]["objects"]["segmentation"][0] = mask_code(np.zeros((HEIGHT, WIDTH)))


@broken(INSTANCE, {"box-does-not-fit-mask": 1}, fixable=False, severity="warning")
def a_box_that_is_not_that_of_its_mask(made):
    made[0]["objects"]["segmentation"][0] = box_code([0, 0, 10, 10])  # the box is the whole frame


@broken(SEMANTIC, {"mask-values": 1}, fixable=False)
def a_value_that_stands_for_nothing(made):
    values = np.array(Image.open(io.BytesIO(made[0]["annotation"]["bytes"])))
    values[-1, -1] = 200
    made[0]["annotation"] = encoded(values)


@broken(PANOPTIC, {"mask-values": 1}, fixable=False)
def a_segment_that_is_not_listed(made):
    values = np.array(Image.open(io.BytesIO(made[0]["annotation"]["bytes"])))
    values[-1, -1] = (9, 9, 9)
    made[0]["annotation"] = encoded(values)


@broken(PANOPTIC, {"empty-segment": 1}, fixable=False, severity="warning")
def a_segment_that_is_not_in_the_map(made):
    for key, value in {"id": 9, "category": 0, "isthing": True, "iscrowd": False}.items():
        made[0]["segments"][key].append(value)


@broken(PANOPTIC, {"overlapping-segments": 1}, fixable=False)
def two_segments_with_one_id(made):
    for key, value in {"id": 300, "category": 0, "isthing": True, "iscrowd": False}.items():
        made[0]["segments"][key].append(value)


@broken(PANOPTIC, {"segment-zero": 1}, fixable=False)
def a_segment_with_the_id_of_void(made):
    for key, value in {"id": 0, "category": 0, "isthing": True, "iscrowd": False}.items():
        made[0]["segments"][key].append(value)
