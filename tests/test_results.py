"""Results of detection and segmentation: values, tables, files, and what other tools read."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pvzoo.errors import UsageError
from pvzoo.inputs.images import ImageHandle
from pvzoo.results.base import Result
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap
from pvzoo.tasks.base import class_ids

NAMES = ("person", "Körbchen „für“ Katzen", "car", "sky", "grass")
SIZE = (48, 64)
KINDS = ("detections", "instances", "semantic", "panoptic")


def photograph(size: tuple[int, int] = SIZE) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8))


def detections(count: int = 6, seed: int = 1, **changes: Any) -> Detections:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 48, (count, 2, 2)).astype(np.float32)
    labels = rng.integers(0, 5, count)
    values = {
        "size": SIZE,
        "image": ImageHandle.of(photograph()),
        "boxes": np.concatenate([corners.min(1), corners.max(1)], axis=1),
        "scores": rng.random(count, dtype=np.float32),
        "labels": labels,
        "names": tuple(NAMES[i] for i in labels),
    }
    return Detections(**(values | changes))


def mask_array(count: int = 6, seed: int = 2) -> np.ndarray:
    """Rectangles with noise: parts, holes, pixels on their own."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, *SIZE), bool)
    for mask in masks:
        top, left = rng.integers(0, 30, 2)
        mask[top : top + 15, left : left + 20] = rng.random((15, 20))[: 48 - top] < 0.8
    return masks


def instances(count: int = 6) -> Instances:
    masks = Masks.from_array(mask_array(count))
    plain = detections(count)
    values = {f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)}
    return Instances(**(values | {"masks": masks, "boxes": masks.boxes}))


def semantic(classes: int = 5, **changes: Any) -> SemanticMap:
    rng = np.random.default_rng(3)
    label_map = rng.integers(0, classes, (12, 16)).repeat(4, 0).repeat(4, 1)
    names = tuple(NAMES[i] if i < 5 else f"class {i}" for i in range(classes))
    result = SemanticMap.of(label_map, names, **changes)
    return dataclasses.replace(result, image=ImageHandle.of(photograph()))


def panoptic(count: int = 5) -> Panoptic:
    """Segments numbered with gaps, up to ids that need three bytes, and void."""
    rng = np.random.default_rng(4)
    numbers = [1, 2, 255, 256, 70_000][:count]
    ids = rng.choice(np.array([0, *numbers], np.int32), (12, 16)).repeat(4, 0).repeat(4, 1)
    segments = tuple(
        PanopticSegment(
            id=n,
            label=i,
            name=NAMES[i],
            is_thing=i < 3,
            score=0.5 + i / 10,
            area=int((ids == n).sum()),
        )
        for i, n in enumerate(numbers)
    )
    return Panoptic(size=SIZE, image=ImageHandle.of(photograph()), map=ids, segments=segments)


def classification(**changes: Any) -> Classification:
    scores = np.array([0.5, 0.25, 0.125, 0.0625, 0.0312], np.float32)
    values = {"labels": np.array([3, 0, 4, 1, 2]), "scores": scores, "size": SIZE}
    names = tuple(NAMES[i] for i in values["labels"])
    return Classification(image=ImageHandle.of(photograph()), names=names, **(values | changes))


def result_of(kind: str) -> Result:
    return {
        "detections": detections,
        "instances": instances,
        "semantic": semantic,
        "panoptic": panoptic,
        "classification": classification,
    }[kind]()


EMPTY = {"detections": detections, "instances": instances, "panoptic": panoptic}


# --- some of the rows -----------------------------------------------------------------------------

WITH_ROWS = (*KINDS, "classification")


def entries(result: Result) -> dict[str, np.ndarray]:
    """What a result says of its rows, as arrays of shape (n, ...)."""
    values = {"names": np.array(result.names, dtype=object), "labels": result.labels}
    for name in ("boxes", "scores", "areas"):
        value = getattr(result, name, None)
        if value is not None:
            values[name] = value
    if isinstance(result, Instances):
        values["masks"] = result.masks.to_array()
    if isinstance(result, Panoptic):
        values["ids"] = np.array([s.id for s in result.segments], int)
        values["masks"] = result.masks().to_array()
    return values


indices = st.one_of(
    st.integers(-8, 8),
    st.integers(-8, 8).map(np.int64),
    st.slices(8),
    st.lists(st.integers(-7, 7), max_size=6),
    st.lists(st.integers(-7, 7), max_size=6).map(lambda x: np.array(x, np.int16)),
    st.lists(st.booleans(), min_size=4, max_size=7).map(lambda x: np.array(x, bool)),
    st.lists(st.booleans(), min_size=5, max_size=6),
)


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from(WITH_ROWS), index=indices)
def test_a_result_is_indexed_as_numpy_indexes_its_arrays(kind: str, index: Any) -> None:
    result = result_of(kind)
    before = entries(result)
    try:
        expected = {name: value[index] for name, value in before.items()}
    except IndexError:
        with pytest.raises(IndexError) as caught:
            result[index]
        assert isinstance(caught.value, UsageError)
        return
    chosen = result[index]
    assert type(chosen) is type(result)
    assert (chosen.size, chosen.image) == (result.size, result.image)
    one = np.ndim(index) == 0 and not isinstance(index, slice)
    for name, value in entries(chosen).items():
        wanted = before[name][[index]] if one else expected[name]
        assert value.dtype == before[name].dtype
        np.testing.assert_array_equal(value, wanted)
    assert len(chosen) == len(chosen.names) == len(chosen.rows())


@pytest.mark.parametrize("kind", WITH_ROWS)
@pytest.mark.parametrize("form", [np.array, list, torch.tensor, pd.Series])
def test_a_mask_of_any_kind_selects_the_rows_where_it_is_true(kind: str, form: Any) -> None:
    result = result_of(kind)
    rng = np.random.default_rng(len(result))
    for _ in range(5):
        mask = rng.random(len(result)) < 0.5
        rows = [row for row, kept in zip(result.rows(), mask, strict=True) if kept]
        assert result[form(mask.tolist())].rows() == rows


@pytest.mark.parametrize("kind", ["detections", "instances", "panoptic", "classification"])
def test_rows_are_chosen_by_their_scores(kind: str) -> None:
    result = result_of(kind)
    least = float(np.median(result.scores))
    sure = result[result.scores > least]
    assert 0 < len(sure) < len(result)
    assert sure.rows() == [row for row in result.rows() if np.float32(row["score"]) > least]
    assert result[result.scores.argmax()].scores.tolist() == [result.scores.max()]


@pytest.mark.parametrize("kind", WITH_ROWS)
def test_an_iteration_gives_a_result_for_each_row_in_order(kind: str) -> None:
    result = result_of(kind)
    found = list(result)
    assert [type(one) for one in found] == [type(result)] * len(result)
    assert [one.rows() for one in found] == [[row] for row in result.rows()]
    assert [one.names for one in reversed(found)] == [(name,) for name in result.names[::-1]]


@pytest.mark.parametrize("kind", WITH_ROWS)
@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([True, False], "mask has 2 entries, but there are"),
        (np.ones(99, bool), "mask has 99 entries, but there are"),
        (np.zeros(0, bool), "mask has 0 entries"),
        (99, "no row 99"),
        ([0, 99], "no row 99"),
        ([-99], "no row -99"),
        (2**70, "cannot be chosen"),
        ([0, 2**70], "cannot be chosen"),
        ([1.0, 2.0], "cannot be chosen"),
        (np.array([0.5]), "cannot be chosen"),
        ([[0, 1], [1, 2]], "cannot be chosen"),
        ([[0], [1, 2]], "cannot be chosen"),
        ([True, 2], "cannot be chosen"),
        ((0, 1), "cannot be chosen"),
        (True, "cannot be chosen"),
        (..., "cannot be chosen"),
        (slice("person", None), "cannot be chosen"),
        ([None], "cannot be chosen"),
        (["person"], "cannot be chosen"),
        ("person", "cannot be chosen"),
        (1.0, "cannot be chosen"),
        (None, "cannot be chosen"),
    ],
)
def test_what_chooses_no_rows_is_refused_with_a_sentence(kind: str, rows: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        result_of(kind)[rows]
    assert isinstance(caught.value, IndexError)


def test_choosing_rows_decodes_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    result = instances()
    codes = [mask["counts"] for mask in result.masks.to_coco()]
    monkeypatch.setattr(coco_mask, "decode", None)
    assert [mask["counts"] for mask in result[[4, 1]].masks.to_coco()] == [codes[4], codes[1]]
    assert [one.masks.to_coco()[0]["counts"] for one in result] == codes


def test_some_of_the_segments_leave_the_rest_void() -> None:
    result = panoptic()
    some = result[[3, 1]]
    kept = np.isin(result.map, [result.segments[3].id, result.segments[1].id])
    assert (some.map == np.where(kept, result.map, 0)).all()
    assert some.map.dtype == result.map.dtype
    assert some.to_coco()["segments_info"] == [result.to_coco()["segments_info"][i] for i in (3, 1)]


def test_some_of_the_classes_of_a_semantic_map_leave_the_map_as_it_is() -> None:
    result = semantic()
    assert (result[1:3].map == result.map).all()
    assert result[1:3].to_coco() == result.to_coco()[1:3]


def test_some_classes_of_a_classification_keep_all_probabilities() -> None:
    result = classification(probabilities=np.linspace(0, 1, 5, dtype=np.float32))
    assert result[:2].to_dict()["predictions"] == result.to_dict()["predictions"][:2]
    assert result[:2].probabilities.tolist() == result.probabilities.tolist()


def test_a_result_without_rows_has_no_length_and_no_places() -> None:
    depth = pytest.importorskip("pvzoo_depth.task").DepthMap
    result = depth(size=SIZE, depth=np.ones(SIZE, np.float32), metric=True)
    for use in (len, list, lambda r: r[0]):
        with pytest.raises(TypeError, match="DepthMap"):
            use(result)
    assert not result.depth.flags.writeable


@pytest.mark.parametrize("kind", WITH_ROWS)
def test_an_array_of_results_has_one_entry_for_each_result(kind: str) -> None:
    result = result_of(kind)
    for results in ([result, result], [result, result[:1]]):
        assert np.array(results).shape == np.array(results, dtype=object).shape == (2,)
        assert np.array(results)[1] is results[1]
        assert pd.DataFrame({"result": results})["result"][1] is results[1]


def test_some_masks_are_chosen_by_a_mask_and_stay_encoded() -> None:
    masks, arrays = instances().masks, mask_array()
    kept = np.array([True, False, False, True, True, False])
    for rows in (kept, kept.tolist(), np.flatnonzero(kept), [0, 3, 4]):
        np.testing.assert_array_equal(masks[rows].to_array(), arrays[kept])
    np.testing.assert_array_equal(masks[np.int64(2)], arrays[2])
    np.testing.assert_array_equal(masks[-1], arrays[-1])
    for wrong in (6, -7, True, 1.0, kept[:3], [6], "all"):
        with pytest.raises(UsageError) as caught:
            masks[wrong]
        assert isinstance(caught.value, IndexError)


# --- arrays are read-only -------------------------------------------------------------------------


def arrays_of(result: Result) -> dict[str, np.ndarray]:
    """Every array that an attribute of a result gives, those of its masks too."""
    found = {}
    masks = getattr(result, "masks", None)
    masks = masks() if callable(masks) else masks
    for name, thing in (("", result), ("masks.", masks)):
        for attribute in dir(thing) if thing is not None else ():
            if not attribute.startswith("_"):
                value = getattr(thing, attribute)
                found |= {name + attribute: value} if isinstance(value, np.ndarray) else {}
    return found


@pytest.mark.parametrize("kind", WITH_ROWS)
def test_no_array_of_a_result_can_be_written_to_and_a_copy_can(kind: str) -> None:
    result = result_of(kind)
    through = pickle.loads(pickle.dumps(dataclasses.replace(result, image=None)))
    for one in (result, result[1:], result[0], copy.deepcopy(result), copy.copy(result), through):
        arrays = arrays_of(one)
        assert {"labels"} < set(arrays)
        for name, array in arrays.items():
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0
            own = array.copy()
            own[...] = 0
            assert own.flags.writeable, name


def test_the_array_that_a_result_was_made_of_stays_its_owners() -> None:
    scores = np.array([0.5, 0.25], np.float32)
    result = detections(2, scores=scores)
    assert np.shares_memory(result.scores, scores)
    scores[:] = 1
    assert scores.flags.writeable


def test_what_a_model_predicts_is_read_only_too(lite0: Any, photographs: dict[str, Path]) -> None:
    result = lite0.predict(photographs["coffee"], probabilities=True)
    assert set(arrays_of(result)) == {"labels", "scores", "probabilities"}
    assert not any(array.flags.writeable for array in arrays_of(result).values())


# --- repr -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", WITH_ROWS)
def test_the_repr_has_the_first_rows_the_count_and_the_size(kind: str) -> None:
    result = result_of(kind)
    first, *lines = repr(result).splitlines()
    assert first == (
        f"<{type(result).__name__} of {result.source}, 64 x 48 pixels: {len(result)} rows"
    )
    for line, row in zip(lines, result.rows(), strict=True):
        assert line.startswith(f"  {row['name']}  ")
        assert "score" not in row or f"  {row['score']:.2f}" in line
        if "xmin" in row:
            box = [int(part) for part in line.partition("[")[2].partition("]")[0].split(",")]
            sides = [row[side] for side in ("xmin", "ymin", "xmax", "ymax")]
            np.testing.assert_allclose(box, sides, atol=0.5)


def test_the_repr_of_a_great_result_is_short() -> None:
    count = 10_000
    great = detections(count, names=("a\nname " * 5000,) * count)
    masks = Masks(SIZE, (instances().masks.counts[0],) * count)
    values = {f.name: getattr(great, f.name) for f in dataclasses.fields(great)}
    for result in (great, Instances(**values, masks=masks)):
        text = repr(result)
        assert len(text.splitlines()) == 8
        assert text.endswith("\n  and 9,994 more>")
        assert len(text) < 1000
    assert "array" not in repr(semantic(300, scores=np.zeros(SIZE)))
    assert repr(detections(1)).splitlines()[0].endswith(": 1 row")
    assert repr(detections(0, image=None)) == "<Detections, 64 x 48 pixels: 0 rows>"


def test_the_repr_of_a_plugins_result_is_short_without_its_doing() -> None:
    @dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
    class Tracks(Detections):
        per_row = (*Detections.per_row, "tracks")
        tracks: np.ndarray

    plain = detections(3)
    values = {f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)}
    result = Tracks(**values, tracks=np.array([7, 8, 9]))
    assert result[[2, 0]].tracks.tolist() == [9, 7]
    assert not result.tracks.flags.writeable
    assert repr(result).startswith("<Tracks of ")


@pytest.mark.parametrize("classes", [[1.0], [True, False], 3.5, [None], [[0]]])
def test_classes_that_are_neither_names_nor_ids_are_refused(classes: Any) -> None:
    with pytest.raises(UsageError, match="class"):
        class_ids(classes, NAMES)


# --- all kinds ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_frozen(kind: str) -> None:
    result = result_of(kind)
    for field in dataclasses.fields(result):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(result, field.name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.anything = 1


@pytest.mark.parametrize("kind", KINDS)
def test_length_names_rows_and_table_agree(kind: str) -> None:
    result = result_of(kind)
    table = result.to_pandas()
    assert len(result) == len(result.names) == len(result.rows()) == len(table) > 0
    assert list(table["name"]) == list(result.names)
    assert set(result.names) <= set(NAMES)
    assert list(table.columns) == list(result.columns) == list(result.rows()[0])
    assert table.to_dict("records") == result.rows()


@pytest.mark.parametrize("kind", KINDS)
def test_the_columns_of_a_table_have_their_types(kind: str) -> None:
    table = result_of(kind).to_pandas()
    whole, real, flag = {"label", "id", "area"}, {"score", "share", "xmin", "ymax"}, {"is_thing"}
    for column in table.columns:
        if column in whole:
            assert table[column].dtype == np.int64
        if column in real:
            assert table[column].dtype == np.float64
        if column in flag:
            assert table[column].dtype == bool


@pytest.mark.parametrize("kind", KINDS)
def test_json_says_the_same_as_to_dict(kind: str) -> None:
    result = result_of(kind)
    text = result.to_json()
    assert "\n" not in text
    assert "Körbchen" in text
    said = json.loads(text)
    assert said == result.to_dict()
    assert said["task"] == result.task
    assert (said["width"], said["height"]) == (64, 48)
    assert len(said["predictions"]) == len(result)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_the_masks_in_json_are_those_of_the_result(kind: str) -> None:
    result = result_of(kind)
    said = json.loads(result.to_json())["predictions"]
    decoded = coco_mask.decode([row["mask"] for row in said]).astype(bool)
    if kind == "instances":
        expected = mask_array()
    elif kind == "semantic":
        expected = np.stack([result.map == row["label"] for row in said])
    else:
        expected = np.stack([result.map == row["id"] for row in said])
    assert (decoded.transpose(2, 0, 1) == expected).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("kind", KINDS)
def test_save_writes_the_annotated_image(kind: str, suffix: str, tmp_path: Path) -> None:
    result = result_of(kind)
    path = result.save(tmp_path / "new" / f"x{suffix}")
    with Image.open(path) as written:
        assert written.format == {".png": "PNG", ".jpg": "JPEG"}[suffix]
        assert written.size == result.plot().size
        if suffix == ".png":
            assert (np.asarray(written) == np.asarray(result.plot())).all()


# --- empty ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EMPTY)
def test_an_empty_result_is_a_proper_result(kind: str, tmp_path: Path) -> None:
    result = EMPTY[kind](0)
    if kind == "panoptic":
        assert (result.map == 0).all()
        assert result.masks().to_array().shape == (0, *SIZE)
        assert result.to_coco()["segments_info"] == []
        assert not np.asarray(result.to_coco_png()).any()
    else:
        assert result.to_coco() == []
    assert len(result) == 0
    assert result.names == ()
    assert result.to_dict()["predictions"] == []
    assert json.loads(result.to_json())["predictions"] == []
    table = result.to_pandas()
    assert len(table) == 0
    assert list(table.columns) == list(result.columns)
    assert result.save(tmp_path / "x.png").is_file()
    assert result.plot().mode == "RGB"


@pytest.mark.parametrize("make", [detections, instances, panoptic])
def test_an_empty_result_is_empty_for_supervision_with_its_shapes(make: Any) -> None:
    found = make(0).to_supervision()
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.confidence.shape == found.class_id.shape == (0,)
    assert len(found[found.confidence > 0.5]) == 0
    if make is not detections:
        assert found.mask.shape == (0, *SIZE)
        assert found.mask.dtype == bool
    if make is instances:
        assert make(0).to_coco(segmentation="polygons") == []


# --- boxes ----------------------------------------------------------------------------------------


def test_rows_hold_the_values_of_the_arrays() -> None:
    result = detections()
    sides = ["xmin", "ymin", "xmax", "ymax"]
    for i, row in enumerate(result.rows()):
        assert [row[s] for s in sides] == [float(v) for v in result.boxes[i]]
        assert row["score"] == float(result.scores[i])
        assert row["label"] == result.labels[i]
        assert {type(v) for v in row.values()} == {int, str, float}


def test_supervision_gets_all_values_and_may_change_them() -> None:
    result = detections()
    before = result.boxes.copy(), result.scores.copy(), result.labels.copy()
    found = result.to_supervision()
    assert (found.xyxy == result.boxes).all()
    assert (found.confidence == result.scores).all()
    assert (found.class_id == result.labels).all()
    assert list(found["class_name"]) == list(result.names)
    assert found.mask is None
    found.xyxy += 1
    found.confidence[:] = 0
    found.class_id[:] = 0
    for array, old in zip((result.boxes, result.scores, result.labels), before, strict=True):
        assert (array == old).all()


def test_supervision_gets_all_masks() -> None:
    found = instances().to_supervision()
    assert found.mask.dtype == bool
    assert (found.mask == mask_array()).all()
    assert (found.area == mask_array().sum((1, 2))).all()


def as_ground_truth() -> COCO:
    """An annotation file with one image and the five classes, as COCO has them."""
    truth = COCO()
    truth.dataset = {
        "info": {},
        "images": [{"id": 7, "height": SIZE[0], "width": SIZE[1]}],
        "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES)],
        "annotations": [],
    }
    truth.createIndex()
    return truth


def loaded(results: list[dict[str, Any]], tmp_path: Path) -> list[dict[str, Any]]:
    """What pycocotools makes of results written as a file."""
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    return list(as_ground_truth().loadRes(str(path)).anns.values())


def test_pycocotools_loads_the_boxes(tmp_path: Path) -> None:
    result = detections()
    annotations = loaded(result.to_coco(image_id=7), tmp_path)
    assert len(annotations) == len(result)
    for i, a in enumerate(annotations):
        left, top, width, height = a["bbox"]
        assert np.allclose([left, top, left + width, top + height], result.boxes[i])
        assert a["area"] == width * height
        assert (a["category_id"], a["score"]) == (result.labels[i], float(result.scores[i]))
        assert a["image_id"] == 7


def test_pycocotools_loads_the_masks(tmp_path: Path) -> None:
    result = instances()
    results = result.to_coco(image_id=7)
    only_masks = [{k: v for k, v in r.items() if k != "bbox"} for r in results]
    for a, b, mask in zip(
        loaded(results, tmp_path), loaded(only_masks, tmp_path), mask_array(), strict=True
    ):
        assert (as_ground_truth().annToMask(a) == mask).all()
        assert (as_ground_truth().annToMask(b) == mask).all()
        assert b["area"] == mask.sum()


def test_pycocotools_makes_the_masks_of_the_polygons_but_for_holes() -> None:
    for item, mask in zip(instances().to_coco(segmentation="polygons"), mask_array(), strict=True):
        codes = coco_mask.frPyObjects(item["segmentation"], *SIZE)
        made = coco_mask.decode(coco_mask.merge(codes)).astype(bool)
        assert made[mask].all()
        assert made.sum() < mask.sum() + 60


def test_an_unknown_way_to_write_masks_is_refused() -> None:
    with pytest.raises(UsageError, match="'polygon'") as caught:
        instances().to_coco(segmentation="polygon")
    assert "polygons" in caught.value.hint


# --- semantic maps --------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "kind"), [(1, np.uint8), (256, np.uint8), (257, np.uint16)])
def test_areas_and_masks_of_a_semantic_map_are_those_numpy_counts(classes: int, kind: type) -> None:
    rng = np.random.default_rng(5)
    label_map = rng.integers(0, classes, (20, 30)) ** 2 // max(classes, 1)
    label_map[0, 0] = classes - 1
    names = tuple(f"n{i}" for i in range(classes))
    result = SemanticMap.of(label_map, names)
    assert result.map.dtype == kind
    assert (result.map == label_map).all()
    assert result.size == (20, 30)
    values, counts = np.unique(label_map, return_counts=True)
    assert sorted(result.labels) == values.tolist()
    assert dict(zip(result.labels, result.areas, strict=True)) == dict(
        zip(values, counts, strict=True)
    )
    assert (np.diff(result.areas) <= 0).all()
    assert result.names == tuple(f"n{i}" for i in result.labels)
    assert result.labels.dtype == result.areas.dtype == np.int64
    for i, mask in zip(result.labels, result.masks(), strict=True):
        assert (mask == (label_map == i)).all()
        assert (result.mask(i) == mask).all()
    assert sum(row["share"] for row in result.rows()) == pytest.approx(1)


def test_a_semantic_map_of_more_than_256_classes_is_drawn() -> None:
    label_map = np.arange(300).reshape(10, 30).repeat(8, 0).repeat(8, 1)
    result = SemanticMap.of(label_map, tuple(f"n{i}" for i in range(300)))
    assert len(result) == 300
    drawn = result.draw(photograph((80, 240)))
    assert drawn.mode == "RGB"


def test_scores_of_pixels_are_kept_if_they_were_asked_for() -> None:
    scores = np.random.default_rng(6).random(SIZE, dtype=np.float32)
    assert np.shares_memory(semantic(scores=scores).scores, scores)
    assert semantic().scores is None
    assert "scores" not in semantic(scores=scores).to_dict()


def test_pycocotools_loads_the_masks_of_a_semantic_map(tmp_path: Path) -> None:
    result = semantic()
    annotations = loaded(result.to_coco(image_id=7), tmp_path)
    assert [a["category_id"] for a in annotations] == result.labels.tolist()
    for a in annotations:
        assert (as_ground_truth().annToMask(a) == (result.map == a["category_id"])).all()
        assert a["area"] == (result.map == a["category_id"]).sum()


@pytest.mark.parametrize("kind", ["semantic", "panoptic"])
def test_supervision_gets_the_segments(kind: str) -> None:
    result = result_of(kind)
    found = result.to_supervision()
    keys = result.labels if kind == "semantic" else [s.id for s in result.segments]
    assert (found.mask == [result.map == key for key in keys]).all()
    assert list(found["class_name"]) == list(result.names)
    assert found.class_id.tolist() == [row["label"] for row in result.rows()]
    for box, mask in zip(found.xyxy, found.mask, strict=True):
        ys, xs = mask.nonzero()
        assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    if kind == "panoptic":
        assert np.allclose(found.confidence, [s.score for s in result.segments])


# --- panoptic -------------------------------------------------------------------------------------


def rgb2id(colour: np.ndarray) -> np.ndarray:
    """The formula of panopticapi/utils.py."""
    colour = colour.astype(np.int32)
    return colour[:, :, 0] + 256 * colour[:, :, 1] + 256 * 256 * colour[:, :, 2]


def test_the_panoptic_image_and_annotation_are_what_panopticapi_reads(tmp_path: Path) -> None:
    result = panoptic()
    path = result.save_coco(tmp_path / "new" / "000007.png", image_id=7)
    with Image.open(path) as written:
        assert written.mode == "RGB"
        ids = rgb2id(np.asarray(written))
    assert (ids == result.map).all()
    entry = json.loads(path.with_suffix(".json").read_text())
    assert (entry["image_id"], entry["file_name"]) == (7, "000007.png")
    assert {s["id"] for s in entry["segments_info"]} == set(np.unique(ids)) - {0}
    for info, segment in zip(entry["segments_info"], result.segments, strict=True):
        ys, xs = np.nonzero(ids == info["id"])
        box = [xs.min(), ys.min(), np.ptp(xs) + 1, np.ptp(ys) + 1]
        assert info["bbox"] == box
        assert {type(v) for v in info["bbox"]} == {int}
        assert info["area"] == len(xs)
        assert info["category_id"] == segment.label
        assert info["iscrowd"] == 0


def test_random_ids_of_three_bytes_come_back_from_the_image() -> None:
    ids = np.random.default_rng(7).integers(0, 256**3, SIZE).astype(np.int32)
    made = Panoptic(size=SIZE, map=ids, segments=()).to_coco_png()
    assert (rgb2id(np.asarray(made)) == ids).all()


@pytest.mark.parametrize("name", ["x", "x.json", "x.jpg"])
def test_panoptic_files_need_the_suffix_png(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not end in \.png"):
        panoptic().save_coco(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_panoptic_files_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written") as caught:
        panoptic().save_coco(tmp_path / "file" / "x.png")
    assert "x.png" in str(caught.value)


def test_masks_of_segments_are_in_their_order() -> None:
    result = panoptic()
    for segment, mask in zip(result.segments, result.masks(), strict=True):
        assert (mask == (result.map == segment.id)).all()
        assert (result.mask(segment.id) == mask).all()
        assert mask.sum() == segment.area
