"""Masks in black and white, in whatever form they are saved: white is the foreground."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from datasets import Dataset, DatasetDict
from PIL import Image

from pvzoo.data import check, write
from pvzoo.data.columns import canonical
from pvzoo.data.load import load
from pvzoo.data.quality.report import Finding
from pvzoo.data.schema import SEMANTIC_VOID, class_names
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.semantic import SemanticMetric
from pvzoo.metrics.truth import read_truth
from pvzoo.results.semantic import SemanticMap
from pvzoo.training.samples import Samples

pytestmark = pytest.mark.usefixtures("own_cache")

NAMES = ("background", "lesion")


def _palette(foreground: np.ndarray) -> Image.Image:
    image = Image.fromarray(foreground.astype(np.uint8) * 255, "P")
    image.putpalette([7] * 768)
    return image


FORMS: dict[str, Callable[[np.ndarray], Image.Image]] = {
    "classes": lambda f: Image.fromarray(f.astype(np.uint8)),
    "grey": lambda f: Image.fromarray(f.astype(np.uint8) * 255),
    "16 bit": lambda f: Image.fromarray(f.astype(np.uint16) * 65535),
    "1 bit": lambda f: Image.fromarray(f),
    "palette": _palette,
    "grey and opaque": lambda f: Image.fromarray(f.astype(np.uint8) * 255).convert("LA"),
    "RGB": lambda f: Image.fromarray(f.astype(np.uint8) * 255).convert("RGB"),
    "RGBA": lambda f: Image.fromarray(f.astype(np.uint8) * 255).convert("RGBA"),
    "classes in RGB": lambda f: Image.fromarray(f.astype(np.uint8)).convert("RGB"),
}


def foregrounds(count: int, seed: int = 0) -> list[np.ndarray]:
    """Masks at random, of which the first is empty."""
    rng = np.random.default_rng(seed)
    found = [rng.random((6, 8)) < 0.4 for _ in range(count)]
    found[0][:] = False
    return found


def folder(root: Path, masks: list[Image.Image], *names: str, split: str = "") -> Path:
    for i, mask in enumerate(masks):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([i, len(split)])
        Image.fromarray(rng.integers(0, 255, (*mask.size[::-1], 3), np.uint8)).save(
            root / "images" / split / f"{i}.jpg"
        )
        mask.save(root / "masks" / split / f"{i}.png")
    if names:
        (root / "classes.txt").write_text("\n".join(names))
    return root


def grey(*rows: list[int]) -> Image.Image:
    return Image.fromarray(np.array(rows, np.uint8))


def trained_on(dataset: Dataset, row: int) -> np.ndarray:
    _, target, _ = Samples(dataset, None, 0)[0, row]
    return target["map"].numpy()


def evaluated_on(dataset: Dataset, row: int) -> np.ndarray:
    match = LabelMatch.of(class_names(dataset.features), class_names(dataset.features))
    cells = dataset.with_format("arrow")[row : row + 1].to_pylist()[0]
    image = dataset[row]["image"]
    indices, classes = read_truth(cells, image.size[::-1], match, SEMANTIC_VOID)
    return classes[indices]


def assert_means(dataset: Dataset, foregrounds: list[np.ndarray]) -> None:
    assert class_names(dataset.features) == NAMES
    for row, foreground in enumerate(foregrounds):
        assert np.array_equal(trained_on(dataset, row), foreground)
        assert np.array_equal(evaluated_on(dataset, row), foreground)
    assert not check(dataset).findings


def found(dataset: Dataset) -> dict[str, Finding]:
    return {finding.rule: finding for finding in check(dataset).findings}


# --- folders of masks -----------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_white_is_the_second_of_two_classes(tmp_path, form):
    masks = foregrounds(4)
    root = folder(tmp_path, [FORMS[form](mask) for mask in masks], *NAMES)
    assert_means(load(root), masks)


def test_masks_of_one_bit_among_others_of_eight_mean_the_same(tmp_path):
    masks = foregrounds(4)
    drawn = [FORMS["1 bit" if i % 2 else "grey"](mask) for i, mask in enumerate(masks)]
    assert_means(load(folder(tmp_path, drawn, *NAMES)), masks)


def test_a_model_that_finds_no_foreground_does_not_score_one(tmp_path):
    masks = foregrounds(3)
    dataset = load(folder(tmp_path, [FORMS["grey"](mask) for mask in masks], *NAMES))
    metric = SemanticMetric(LabelMatch.of(NAMES, NAMES))
    for i, row in enumerate(dataset.with_format("arrow")[:].to_pylist()):
        metric.update(i, SemanticMap.of(np.zeros((6, 8), np.int64), NAMES), row)
    figures = metric.compute()
    background = 1 - np.mean(masks)
    assert figures["miou"] == pytest.approx(background / 2)
    assert figures.per_class["lesion"]["iou"] == 0


@pytest.mark.parametrize(
    ("listed", "category"),
    [
        ({"0": "background", "255": "lesion"}, [0, 1]),
        ({"0": "lesion", "1": "scar", "2": "vessel", "255": "void"}, [0, 1, 2, -1]),
        ({"0": "lesion", "255": "void"}, [0, -1]),
    ],
)
def test_a_list_that_says_255_is_believed(tmp_path, listed, category):
    root = folder(tmp_path, [grey([0, 255], [255, 0])])
    (root / "id2label.json").write_text(json.dumps(listed))
    segments = load(root)[0]["segments"]
    assert segments == {"id": [int(value) for value in listed], "category": category}


def test_where_other_values_occur_255_is_void(tmp_path):
    root = folder(tmp_path, [grey([0, 255]), grey([0, 1])], *NAMES)
    dataset = load(root)
    assert evaluated_on(dataset, 0).tolist() == [[0, -1]]
    assert trained_on(dataset, 0).tolist() == [[0, -1]]


def test_what_255_is_depends_on_all_splits_together(tmp_path):
    folder(tmp_path, [grey([0, 255], [0, 0])], *NAMES, split="train")
    folder(tmp_path, [grey([0, 255], [255, 0])], split="val")
    assert [evaluated_on(part, 0)[0].tolist() for part in load(tmp_path).values()] == [[0, 1]] * 2
    folder(tmp_path, [grey([0, 255], [1, 1])], split="val")
    assert evaluated_on(load(tmp_path, split="train"), 0)[0].tolist() == [0, -1]


@pytest.mark.parametrize("names", [("lesion",), ("skin", "lesion", "scar")])
def test_255_is_an_error_with_another_number_of_classes(tmp_path, names):
    root = folder(tmp_path, [grey([0, 255])], *names)
    with pytest.raises(DataError, match=rf"hold only 0 and 255.* names {len(names)} class"):
        load(root)


def test_without_names_black_and_white_are_two_classes(tmp_path):
    masks = foregrounds(3)
    root = folder(tmp_path, [FORMS["grey"](masks[0]), FORMS["1 bit"](masks[1])])
    FORMS["grey"](masks[2]).save(root / "masks/0.png")
    with pytest.warns(PvzooWarning, match="has no file with the names of the classes"):
        dataset = load(root)
    assert class_names(dataset.features) == ("0", "255")
    assert np.array_equal(evaluated_on(dataset, 0), masks[2])
    assert np.array_equal(evaluated_on(dataset, 1), masks[1])


def test_greys_that_no_class_has_are_found_by_the_check(tmp_path):
    root = folder(tmp_path, [grey([0, 128, 255])], "skin", "lesion", "scar")
    assert "mask-values" in found(load(root))
    noisy = folder(tmp_path / "noisy", [grey([0, 3, 251, 255])], *NAMES)
    assert "mask-values" in found(load(noisy))


def test_with_reduced_labels_255_is_the_only_class_named(tmp_path):
    root = folder(tmp_path, [grey([0, 255])], "lesion")
    assert evaluated_on(load(root, reduce_labels=True), 0).tolist() == [[-1, 0]]


def test_a_mask_in_its_transparency_is_refused(tmp_path):
    clear = np.zeros((4, 4, 4), np.uint8)
    clear[1:3, 1:3, 3] = 255
    root = folder(tmp_path, [Image.fromarray(clear)], *NAMES)
    assert "transparency" in found(load(root))["unreadable-image"].where[0]


def test_a_mask_compressed_as_jpeg_is_refused_whatever_its_suffix(tmp_path):
    root = folder(tmp_path, [FORMS["grey"](mask) for mask in foregrounds(2)], *NAMES)
    for i in range(2):
        Image.open(root / f"masks/{i}.png").save(root / f"masks/{i}.png", "JPEG")
    dataset = load(root)
    assert "JPEG" in found(dataset)["unreadable-image"].where[0]
    with pytest.raises(DataError, match=r"is a JPEG.*128"):
        evaluated_on(dataset, 1)


def test_void_stays_void_when_maps_are_written_and_read_again(tmp_path):
    root = folder(tmp_path / "a", [grey([0, 255]), grey([0, 1])], *NAMES)
    write(load(root).select([0]), tmp_path / "b", "folder")  # nothing but 0 and 255 is left
    assert evaluated_on(load(tmp_path / "b"), 0).tolist() == [[0, -1]]


# --- columns, as of the Hub -----------------------------------------------------------------------


def columns(masks: list[Image.Image], **more: list) -> Dataset:
    rng = np.random.default_rng(0)
    images = [
        Image.fromarray(rng.integers(0, 255, (*m.size[::-1], 3), dtype=np.uint8)) for m in masks
    ]
    return Dataset.from_dict({"image": images, "mask": masks, **more}).cast(
        columns_of(more), num_proc=None
    )


def columns_of(more: dict) -> object:
    from datasets import Features, Value
    from datasets import Image as ImageColumn

    kinds = {"image": ImageColumn(), "mask": ImageColumn()}
    named = {"semantic_class_to_id": {name: Value("int64") for name in NAMES}}
    return Features(kinds | (named if more else {}))


@pytest.mark.parametrize("form", FORMS)
def test_white_is_the_second_of_two_classes_in_columns_too(form):
    masks = foregrounds(3)
    dataset = columns([FORMS[form](mask) for mask in masks])
    assert_means(canonical(dataset, names=NAMES), masks)


def test_a_column_that_names_two_classes_gives_white_the_second():
    masks = foregrounds(3)
    said = [{"background": 0, "lesion": 1}] * 3
    dataset = columns([FORMS["grey"](mask) for mask in masks], semantic_class_to_id=said)
    assert_means(canonical(dataset, "semantic-segmentation"), masks)


def test_columns_of_more_classes_do_not_tell_what_255_is():
    dataset = columns([grey([0, 255])])
    with pytest.raises(DataError, match="names 3 classes"):
        canonical(dataset, names=["skin", "lesion", "scar"])
    both = DatasetDict({"train": dataset, "test": columns([grey([0, 1])])})
    part = canonical(both, names=["skin", "lesion", "scar"], split="train")
    assert evaluated_on(part, 0).tolist() == [[0, -1]]  # there are other values in the other split


# --- Pascal VOC -----------------------------------------------------------------------------------


def voc(root: Path, kinds: Image.Image, objects: Image.Image, *names: str) -> Path:
    for name, image in (("SegmentationClass", kinds), ("SegmentationObject", objects)):
        (root / name).mkdir(parents=True)
        image.save(root / name / "1.png")
    (root / "JPEGImages").mkdir()
    Image.new("RGB", kinds.size).save(root / "JPEGImages/1.jpg")
    (root / "classes.txt").write_text("\n".join(names))
    return root


def test_the_maps_of_pascal_voc_may_be_black_and_white(tmp_path):
    foreground = foregrounds(2)[1]
    drawn = FORMS["grey"](foreground)
    root = voc(tmp_path, drawn, drawn, *NAMES)
    dataset = load(root, "semantic-segmentation")
    assert np.array_equal(evaluated_on(dataset, 0), foreground)
    (row,) = load(root, "instance-segmentation")
    assert row["objects"]["area"] == [foreground.sum()]


def test_the_border_of_objects_is_no_object(tmp_path):
    kinds, objects = grey([0, 1, 255, 255]), grey([0, 9, 255, 255])
    (row,) = load(voc(tmp_path, kinds, objects, *NAMES), "instance-segmentation")
    assert row["objects"]["area"] == [1]
