"""From rows to images and targets, and what augmentation does to both."""

from __future__ import annotations

import random
from typing import Any

import colour_model
import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from torchvision.ops import masks_to_boxes
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, Mask

from pvzoo.data import schema
from pvzoo.training import augment
from pvzoo.training.samples import Samples
from pvzoo.training.targets.base import training_of
from pvzoo.training.targets.objects import LEAST_SIDE

SIZE = (96, 128)
COLOURS = np.array(list(colour_model.COLOURS.values()), np.uint8)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> Any:
    """A function: the drawn rows of a task."""
    home = tmp_path_factory.mktemp("rows")
    made: dict[str, Dataset] = {}

    def rows_of(task: str) -> Dataset:
        if task not in made:
            made[task] = colour_model.dataset(task, home / task, 6, size=SIZE)
        return made[task]

    return rows_of


def same(one: Any, two: Any) -> bool:
    """Whether two samples are equal in every pixel and number."""
    if not np.array_equal(np.asarray(one[0]), np.asarray(two[0])) or set(one[1]) != set(two[1]):
        return False
    return all(np.array_equal(one[1][k], two[1][k]) for k in one[1])


def changed(row: dict[str, Any], **values: list[Any]) -> dict[str, Any]:
    return {**row, "objects": {**row["objects"], **values}}


def of_row(row: dict[str, Any], dataset: Dataset, **parts: Any) -> Any:
    return Samples(Dataset.from_list([{**row, **parts}], dataset.features), None, 0)[0, 0]


def global_states() -> Any:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()


# -- targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", colour_model.TASKS)
def test_a_target_says_what_the_image_shows(rows, task):
    samples = Samples(rows(task), None, 0)
    assert (len(samples), samples.names) == (6, colour_model.NAMES)
    for i in range(6):
        image, target, index = samples[3, i]
        assert index == (3, i)
        assert image.mode == "RGB"
        ids, objects = colour_model.scene(np.random.default_rng(i), SIZE)
        np.testing.assert_array_equal(np.asarray(image), COLOURS[ids])
        if task == schema.CLASSIFICATION:
            assert target == {"label": objects[0][0] if objects else 0}
            continue
        if task in (schema.DETECTION, schema.INSTANCE):
            assert target["categories"].tolist() == [o[0] for o in objects]
            expected = [[x, y, x + w, y + h] for _, x, y, w, h in objects]
            assert target["boxes"].tolist() == expected
            assert ("masks" in target) == (task == schema.INSTANCE)
        if task == schema.INSTANCE:
            for mask, (label, x, y, w, h) in zip(target["masks"], objects, strict=True):
                assert mask.sum() == w * h
                assert (ids[mask.numpy()] == label).all()
                assert mask[y : y + h, x : x + w].all()
        if task == schema.SEMANTIC:
            np.testing.assert_array_equal(target["map"], ids)
        if task == schema.PANOPTIC:
            indices = target["map"].numpy()
            np.testing.assert_array_equal(target["categories"].numpy()[indices], ids)
            assert len(np.unique(indices)) == len(objects) + 1


def test_several_labels_become_flags():
    features = schema.features(schema.CLASSIFICATION, ("a", "b", "c"), multi_label=True)
    image = Image.new("RGB", (8, 6))
    made = [
        {"image": image, "image_id": i, "file_name": f"{i}.png", "labels": labels}
        for i, labels in enumerate(([2, 0], []))
    ]
    samples = Samples(Dataset.from_list(made, features=features), None, 0)
    assert [samples[0, i][1]["labels"].tolist() for i in range(2)] == [[1, 0, 1], [0, 0, 0]]


@pytest.mark.parametrize("task", [schema.DETECTION, schema.INSTANCE])
def test_crowds_and_ignored_objects_are_left_out(rows, task):
    dataset = rows(task)
    row = next(r for r in dataset if len(r["objects"]["bbox"]) == 4)
    whole = of_row(row, dataset)[1]
    flags = {"iscrowd": [True, False, False, False], "ignore": [False, False, True, False]}
    target = of_row(changed(row, **flags), dataset)[1]
    assert set(target) == set(whole)
    for name, value in target.items():
        assert torch.equal(value, whole[name][[1, 3]]), name


def test_crowds_and_void_of_panoptic_maps_are_left_out(rows):
    dataset = rows(schema.PANOPTIC)
    row = next(r for r in dataset if len(r["segments"]["id"]) == 5)
    whole = of_row(row, dataset)[1]
    segments = row["segments"]
    crowd = [False, True, False, False, False]
    category = [*segments["category"][:3], schema.VOID, segments["category"][4]]
    target = of_row(row, dataset, segments={**segments, "iscrowd": crowd, "category": category})[1]
    kept = [0, 2, 4]
    assert target["categories"].tolist() == [segments["category"][i] for i in kept]
    table = torch.tensor([0, -1, 1, -1, 2])
    assert torch.equal(target["map"].long(), table[whole["map"].long()])


def test_semantic_classes_without_a_segment_are_void(rows):
    dataset = rows(schema.SEMANTIC)
    row = dataset[0]
    whole = of_row(row, dataset)[1]["map"]
    segments = {"id": [0, 1, 3], "category": [2, 1, schema.VOID]}
    target = of_row(row, dataset, segments=segments)[1]["map"]
    table = torch.tensor([2, 1, -1, -1])
    assert torch.equal(target.long(), table[whole.long()])


# -- augmentation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("task", colour_model.TASKS)
def test_an_image_becomes_the_same_whatever_was_drawn_before(rows, task):
    dataset, transform = rows(task), training_of(schema.labelled(task)).augmentation()
    places = [(epoch, i) for epoch in range(3) for i in range(6)]
    first = {place: Samples(dataset, transform, 7)[place] for place in places}
    again = Samples(dataset, training_of(schema.labelled(task)).augmentation(), 7)
    random.Random(0).shuffle(places)
    for place in places:
        random.seed(place[1])
        np.random.seed(place[0])
        torch.manual_seed(place[1])
        assert same(again[place], first[place])
    assert not same(first[0, 0], first[1, 0])
    other = Samples(dataset, transform, 8)
    assert any(not same(other[place], first[place]) for place in places)


def test_augmentation_leaves_the_callers_random_generators_alone(rows):
    def with_all_three(image: Image.Image, target: Any) -> Any:
        drawn.append((random.random(), np.random.rand(), torch.rand(()).item()))
        return image, target

    drawn: list[Any] = []
    samples = Samples(rows(schema.DETECTION), with_all_three, 0)
    before = global_states()
    for index in ((0, 1), (0, 2), (0, 1)):
        samples[index]
        assert global_states() == before
    assert drawn[0] == drawn[2]
    assert all(a != b for a, b in zip(drawn[0], drawn[1], strict=True))

    def failing(image: Image.Image, target: Any) -> Any:
        random.random()
        raise KeyError

    with pytest.raises(KeyError):
        Samples(rows(schema.DETECTION), failing, 0)[0, 0]
    assert global_states() == before


def colours_of(image: Image.Image) -> np.ndarray:
    """(height, width) class of the colour nearest each pixel, -1 where two are mixed."""
    far = np.abs(np.asarray(image).astype(int)[:, :, None] - COLOURS.astype(int)).max(-1)
    return np.where(far.min(-1) < 60, far.argmin(-1), -1)


@pytest.mark.parametrize("task", [schema.SEMANTIC, schema.PANOPTIC])
def test_maps_go_along_with_the_image(rows, task):
    """With the geometry of the default, the map says the colour that is seen."""
    geometry = v2.Compose([augment.CropAndScale(0.3), v2.RandomHorizontalFlip()])
    samples = Samples(rows(task), geometry, 0)
    moved = 0
    for index in ((epoch, i) for epoch in range(8) for i in range(6)):
        image, target, _ = samples[index]
        values = target["map"].numpy()
        assert values.shape == SIZE == image.size[::-1]
        seen = colours_of(image)
        if "categories" in target:
            values = np.where(values < 0, -1, target["categories"].numpy()[values])
        pure = seen >= 0
        assert pure.mean() > 0.85
        # scaling takes pixels of maps and mixes those of images: edges differ by one
        assert (values[pure] == seen[pure]).mean() > 0.98
        moved += not np.array_equal(np.asarray(image), np.asarray(samples_of(rows(task), index)))
    assert moved > 40


def samples_of(dataset: Dataset, index: tuple[int, int]) -> Image.Image:
    return Samples(dataset, None, 0)[index][0]


@pytest.mark.parametrize(
    "transform",
    [
        training_of(schema.labelled(task)).augmentation()
        for task in (schema.INSTANCE, schema.DETECTION)
    ],
    ids=["instances", "boxes"],
)
def test_boxes_and_masks_go_along_with_the_image(rows, transform):
    samples = Samples(rows(schema.INSTANCE), transform, 1)
    moved = fewer = 0
    for index in ((epoch, i) for epoch in range(6) for i in range(6)):
        image, target, _ = samples[index]
        plain, whole, _ = Samples(rows(schema.INSTANCE), None, 0)[index]
        width, height = image.size
        count = len(target["categories"])
        assert target["masks"].shape == (count, height, width)
        assert target["boxes"].shape == (count, 4)
        moved += image.size != plain.size or not np.array_equal(image, plain)
        fewer += count < len(whole["categories"])
        assert count <= len(whole["categories"])
        if not count:
            continue
        # objects are rectangles, and no crop turns them: masks fill their boxes
        around = masks_to_boxes(target["masks"]) + torch.tensor([0, 0, 1, 1])
        assert (target["boxes"] - around).abs().max() <= 1.5
        assert (target["boxes"] >= 0).all()
        assert (target["boxes"] <= torch.tensor([width, height, width, height])).all()
        sides = target["boxes"][:, 2:] - target["boxes"][:, :2]
        assert (sides >= LEAST_SIDE).all()
        # and hold an object's brightest channel, whatever is done to colours
        pixels = np.asarray(image).astype(int)
        for mask in target["masks"].numpy():
            inside = pixels[mask].max(-1)
            assert np.median(inside) > 40
    assert moved > 15
    assert fewer > 0


def test_objects_that_a_crop_cuts_off_are_dropped():
    image = Image.new("RGB", (40, 30))
    masks = np.zeros((4, 30, 40), bool)
    masks[0, 5:15, 5:15] = True  # within the crop
    masks[1, 5:15, 30:38] = True  # without
    masks[2, 5:15, 15:25] = True  # half of it within
    masks[3, 5:15, 19:39] = True  # its box reaches 0.5 pixels into the crop, its mask not at all
    boxes = [[5, 5, 15, 15], [30, 5, 38, 15], [15, 5, 25, 15], [19.5, 5, 39, 15]]
    target = {
        "boxes": BoundingBoxes(torch.tensor(boxes), format="XYXY", canvas_size=(30, 40)),
        "categories": torch.tensor([3, 1, 2, 0]),
        "masks": Mask(torch.from_numpy(masks)),
    }
    left = image.crop((0, 0, 20, 30))
    cut = {
        **target,
        "boxes": v2.functional.crop(target["boxes"], 0, 0, 30, 20),
        "masks": v2.functional.crop(target["masks"], 0, 0, 30, 20),
    }
    tidy = training_of(schema.labelled(schema.DETECTION)).tidy(left, cut)
    assert tidy["categories"].tolist() == [3, 2]
    assert tidy["boxes"].tolist() == [[5, 5, 15, 15], [15, 5, 20, 15]]
    assert torch.equal(tidy["masks"], cut["masks"][[0, 2]])


@pytest.mark.parametrize("task", [schema.DETECTION, schema.INSTANCE])
def test_an_image_without_objects_goes_through(rows, task):
    dataset = rows(task)
    empty = {name: [] for name in dataset[0]["objects"]}
    row = {**dataset[0], "objects": empty}
    samples = Samples(
        Dataset.from_list([row], dataset.features),
        training_of(schema.labelled(task)).augmentation(),
        0,
    )
    for epoch in range(10):
        image, target, _ = samples[epoch, 0]
        assert target["boxes"].shape == (0, 4)
        assert target["categories"].shape == (0,)
        if task == schema.INSTANCE:
            assert target["masks"].shape == (0, *image.size[::-1])


def test_no_augmentation_changes_nothing(rows):
    for task in colour_model.TASKS:
        samples = Samples(rows(task), None, 0)
        for i in range(6):
            assert same(samples[0, i], samples[5, i])
