"""Maps among the Hub's usual columns: of classes, of instances, of segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from datasets import DatasetDict, List, Value
from datasets import Image as ImageColumn
from hub_columns import cell, encoded, from_rows, mapped, random_image, random_map, struct
from PIL import Image
from pycocotools import mask as coco

from pvzoo.data.columns import canonical
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")


def classes_of(row: dict[str, Any]) -> np.ndarray:
    """The class of each pixel of a canonical semantic row, -1 for void."""
    said = dict(zip(row["segments"]["id"], row["segments"]["category"], strict=True))
    values = np.asarray(row["annotation"])
    return np.vectorize(lambda v: said.get(v, -1 if v == 255 else None))(values)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
@pytest.mark.parametrize("column", ["annotation", "label", "segmentation_mask"])
def test_maps_of_classes_are_used_as_they_are(mode: str, column: str) -> None:
    rng = np.random.default_rng(2)
    values = [0, 1, 2, 255] if mode != "I;16" else [0, 1, 2, 255, 300]
    maps = [random_map(rng, values, mode) for _ in range(6)]
    names = ["sky", "road", "car"]
    found = canonical(mapped(maps, column), names=names)
    assert task_of(found.features) == "semantic-segmentation"
    assert class_names(found.features) == ("sky", "road", "car")
    kept = found.cast_column("annotation", ImageColumn(decode=False))
    assert [row["annotation"]["bytes"] for row in kept] == [encoded(m) for m in maps]
    assert found[0]["segments"] == {"id": [0, 1, 2], "category": [0, 1, 2]}


def test_reduced_labels_have_no_class_0_and_each_other_one_lower() -> None:
    rng = np.random.default_rng(3)
    maps = [random_map(rng, [0, 1, 2, 3, 255]) for _ in range(4)]
    names = ["wall", "floor", "tree"]
    found = canonical(mapped(maps), names=names, reduce_labels=True)
    assert class_names(found.features) == tuple(names)
    for row, old in zip(found, maps, strict=True):
        values = np.asarray(old).astype(int)
        wanted = np.where((values == 0) | (values == 255), -1, values - 1)
        assert (classes_of(row) == wanted).all()


def test_maps_without_names_are_called_by_their_values_with_a_warning() -> None:
    rng = np.random.default_rng(4)
    parts = DatasetDict(
        train=mapped([random_map(rng, [0, 7, 255])] * 2), test=mapped([random_map(rng, [3, 7])])
    )
    with pytest.warns(PvzooWarning, match="0, 3, 7"):
        found = canonical(parts)
    assert class_names(found["test"].features) == ("0", "3", "7")
    assert found["train"][0]["segments"] == {"id": [0, 3, 7], "category": [0, 1, 2]}


def test_255_is_a_class_in_maps_of_black_and_white() -> None:
    rng = np.random.default_rng(5)
    with pytest.warns(PvzooWarning):
        found = canonical(mapped([random_map(rng, [0, 255]) for _ in range(3)], "mask"))
    assert class_names(found.features) == ("0", "255")
    assert found[0]["segments"] == {"id": [0, 255], "category": [0, 1]}


def test_grey_maps_saved_in_colours_are_maps_of_classes() -> None:
    rng = np.random.default_rng(6)
    maps = [random_map(rng, [0, 1, 255]) for _ in range(3)]
    found = canonical(mapped([m.convert("RGB") for m in maps]), names=["a", "b"])
    for row, old in zip(found, maps, strict=True):
        assert (np.asarray(row["annotation"]) == np.asarray(old)).all()


def test_maps_in_colours_are_refused_with_their_row() -> None:
    rng = np.random.default_rng(7)
    with pytest.raises(DataError, match=r"Row 0: the annotation.*colours"):
        canonical(mapped([random_image(rng)]))
    grey = random_map(rng, [0, 1]).convert("RGB")
    with pytest.raises(DataError, match=r"Row 1: the annotation.*colours"):
        canonical(mapped([grey, random_image(rng)]), "semantic-segmentation", names=["a", "b"])


def channel_maps(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """(h, w, 3) maps: red the class 0 to 3, green the instance, 0 for none."""
    maps = []
    for _ in range(count):
        height, width = rng.integers(8, 25, 2)
        pixels = np.zeros((height, width, 3), np.uint8)
        for instance in rng.permutation(6) + 1:
            top, left = rng.integers(0, height - 2), rng.integers(0, width - 2)
            box = (slice(top, top + rng.integers(1, 8)), slice(left, left + rng.integers(1, 8)))
            pixels[box] = (rng.integers(1, 4), instance, 0)
        maps.append(pixels)
    return maps


def test_maps_of_classes_and_instances_become_one_mask_an_instance() -> None:
    rng = np.random.default_rng(8)
    maps = channel_maps(rng, 20)
    ids = {"background": 0, "person": 1, "car": 2, "dog": 3}
    column = ({name: Value("int64") for name in ids}, [ids] * len(maps))
    data = mapped([Image.fromarray(m) for m in maps], semantic_class_to_id=column)
    found = canonical(data)
    assert task_of(found.features) == "instance-segmentation"
    assert class_names(found.features) == ("person", "car", "dog")
    numbers = []
    for row, pixels in zip(found, maps, strict=True):
        assert (row["height"], row["width"]) == pixels.shape[:2]
        pairs = {tuple(p) for p in pixels[..., :2].reshape(-1, 2).tolist()} - {(0, 0)}
        objects = row["objects"]
        masks = [coco.decode(code).astype(bool) for code in objects["segmentation"]]
        got = {}
        for category, mask in zip(objects["category"], masks, strict=True):
            kind, instance, _ = pixels[mask][0]
            assert category == kind - 1
            got[int(kind), int(instance)] = mask
        assert got.keys() == pairs
        for (kind, instance), mask in got.items():
            assert (mask == ((pixels[..., 0] == kind) & (pixels[..., 1] == instance))).all()
        for box, area, mask in zip(objects["bbox"], objects["area"], masks, strict=True):
            ys, xs = mask.nonzero()
            assert box == [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
            assert area == mask.sum()
        numbers += objects["id"]
    assert numbers == list(range(1, len(numbers) + 1))


def test_instances_of_unnamed_classes_are_called_by_their_numbers() -> None:
    maps = [Image.fromarray(m) for m in channel_maps(np.random.default_rng(9), 8)]
    with pytest.warns(PvzooWarning, match="1, 2, 3"):
        found = canonical(mapped(maps))
    assert class_names(found.features) == ("1", "2", "3")
    named = canonical(mapped(maps), names=["person", "car", "dog"], reduce_labels=True)
    assert class_names(named.features) == ("person", "car", "dog")
    assert named["objects"][:] == found["objects"][:]


def test_a_grey_map_has_no_instances() -> None:
    data = mapped([random_map(np.random.default_rng(0), [0, 1])])
    with pytest.raises(DataError, match=r"Row 0: the annotation.*no channel of instances"):
        canonical(data, "instance-segmentation", names=["a", "b"])


@pytest.mark.parametrize("listed", [True, False])
def test_segments_of_panoptic_maps_are_kept(listed: bool) -> None:
    rng = np.random.default_rng(10)
    maps = [random_image(rng) for _ in range(3)]
    infos = [
        [
            {"id": 256 * i + n, "category_id": n, "isthing": n % 2 == 0, "iscrowd": int(n == 3)}
            for n in range(4)
        ]
        for i in range(3)
    ]
    kinds = {n: Value("int64") for n in ("id", "category_id", "iscrowd")}
    kinds["isthing"] = Value("bool")
    values = infos if listed else [{k: [s[k] for s in row] for k in kinds} for row in infos]
    column = (List(kinds) if listed else struct(kinds), values)
    found = canonical(mapped(maps, "label", segments_info=column), names=list("abcd"))
    assert task_of(found.features) == "panoptic-segmentation"
    assert class_names(found.features) == ("a", "b", "c", "d")
    for i, row in enumerate(found):
        assert row["segments"] == {
            "id": [256 * i + n for n in range(4)],
            "category": [0, 1, 2, 3],
            "isthing": [True, False, True, False],
            "iscrowd": [False, False, False, True],
        }
        assert (np.asarray(row["annotation"]) == np.asarray(maps[i])).all()


def test_segments_that_do_not_say_isthing_are_things_with_a_warning() -> None:
    kinds = {"id": Value("int64"), "category_id": Value("int64")}
    column = (List(kinds), [[{"id": 5, "category_id": 2}]])
    data = mapped([random_image(np.random.default_rng(0))], "label", segments_info=column)
    with pytest.warns(PvzooWarning, match="isthing"):
        found = canonical(data)
    assert class_names(found.features) == ("0", "1", "2")
    assert found[0]["segments"]["isthing"] == [True]


def test_a_map_that_cannot_be_read_is_named_by_its_row() -> None:
    good = cell(random_map(np.random.default_rng(0), [0, 1]))
    rows = [{"image": good, "mask": good}, {"image": good, "mask": {"bytes": b"x", "path": None}}]
    with pytest.raises(DataError, match="Row 1: the mask cannot be read"):
        canonical(from_rows(rows, mask=ImageColumn()))
