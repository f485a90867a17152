"""Run-length encoded masks, held against pycocotools."""

from __future__ import annotations

import dataclasses
import tracemalloc

import numpy as np
import pytest
from pycocotools import mask as coco
from scipy.ndimage import binary_fill_holes, label

from pvzoo.errors import UsageError
from pvzoo.results.masks import Masks, encode


def random_masks(rng: np.random.Generator, count: int) -> list[np.ndarray]:
    """Masks of many sizes: noise from sparse to dense, and smooth blobs."""
    masks = []
    for _ in range(count):
        height, width = rng.integers(1, 30, 2)
        noise = rng.random((height, width))
        if rng.random() < 0.3:
            y, x = np.mgrid[:height, :width]
            noise = np.hypot(y - rng.integers(height), x - rng.integers(width)) / 20
        masks.append(noise < rng.random())
    return masks


SPECIAL = {
    "empty": np.zeros((5, 7), bool),
    "full": np.ones((5, 7), bool),
    "one pixel of one": np.ones((1, 1), bool),
    "no pixel of one": np.zeros((1, 1), bool),
    "first pixel": np.eye(1, 35, 0, dtype=bool).reshape(5, 7),
    "last pixel": np.eye(1, 35, 34, dtype=bool).reshape(5, 7),
    "one row": np.array([[0, 1, 1, 0, 1]], bool),
    "one column": np.array([[1], [0], [1], [1]], bool),
    "full columns": np.tile([0, 1, 1, 0, 1, 0, 0], (5, 1)).astype(bool),
    "from a bottom to the next top": np.array([[0, 1], [0, 0], [1, 0]], bool),
    "chequered": np.indices((6, 6)).sum(0) % 2 == 0,
}


def reference(mask: np.ndarray) -> dict:
    return coco.encode(np.asfortranarray(mask, np.uint8))


# --- encoding and decoding ------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECIAL)
def test_special_masks_are_encoded_as_pycocotools_does(name: str) -> None:
    mask = SPECIAL[name]
    masks = Masks.from_array(mask[None])
    code = reference(mask)
    assert masks.counts == (code["counts"],)
    assert masks.areas[0] == mask.sum()
    assert masks.to_coco() == [{"size": list(mask.shape), "counts": code["counts"].decode()}]
    assert masks[0].dtype == bool
    assert (masks[0] == mask).all()
    assert masks[0].shape == mask.shape


def test_random_masks_agree_with_pycocotools_in_code_area_box_and_pixels() -> None:
    for mask in random_masks(np.random.default_rng(1), 400):
        masks, code = Masks.from_array(mask[None]), reference(mask)
        assert masks.counts == (code["counts"],)
        assert (masks[0] == coco.decode(code)).all()
        assert masks.areas.tolist() == [coco.area(code)]
        left, top, width, height = coco.toBbox(code)
        assert masks.boxes.tolist() == [[left, top, left + width, top + height]]


def test_boxes_are_those_that_numpy_finds() -> None:
    for mask in [*random_masks(np.random.default_rng(2), 300), *SPECIAL.values()]:
        ys, xs = mask.nonzero()
        box = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1] if len(xs) else [0, 0, 0, 0]
        assert Masks.from_array(mask[None]).boxes.tolist() == [box]


def test_a_cutout_is_encoded_as_the_whole_mask_would_be() -> None:
    rng = np.random.default_rng(3)
    for cutout in random_masks(rng, 400):
        before, after = rng.integers(0, 5, 2), rng.integers(0, 5, 2)
        whole = np.pad(cutout, list(zip(before, after, strict=True)))
        code = encode(cutout, int(before[0]), int(before[1]), whole.shape)
        assert code == reference(whole)["counts"]


@pytest.mark.parametrize(("top", "left"), [(-1, 0), (0, -1), (3, 0), (0, 4)])
def test_a_cutout_that_leaves_the_image_is_refused(top: int, left: int) -> None:
    encode(np.ones((3, 4), bool), 2, 3, (5, 7))
    with pytest.raises(ValueError, match=f"3x4 at {top}, {left} leaves the image of 5x7"):
        encode(np.ones((3, 4), bool), top, left, (5, 7))


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
def test_the_values_of_a_map_become_masks_in_the_order_asked_for(kind: type) -> None:
    rng = np.random.default_rng(4)
    for _ in range(100):
        ids = rng.integers(0, rng.integers(1, 6), rng.integers(1, 20, 2)).astype(kind)
        wanted = rng.permutation(7)
        masks = Masks.from_map(ids, wanted)
        assert masks.counts == tuple(reference(ids == i)["counts"] for i in wanted)
        assert masks.size == ids.shape


def test_a_map_may_lie_in_memory_in_any_order() -> None:
    ids = np.random.default_rng(5).integers(0, 4, (8, 11))
    plain = Masks.from_map(ids, range(4))
    assert Masks.from_map(np.asfortranarray(ids), range(4)) == plain
    assert Masks.from_map(ids.repeat(2, 0)[::2], range(4)) == plain


@pytest.mark.parametrize("values", [np.uint8([0, 1, 255]), np.float32([0, 0.1, -2])])
def test_whatever_is_not_zero_belongs_to_a_mask(values: np.ndarray) -> None:
    assert Masks.from_array(values[None, None])[0].tolist() == [[False, True, True]]


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 2, 3, 4)])
def test_an_array_of_another_number_of_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        Masks.from_array(np.zeros(shape, bool))
    assert str(shape) in str(caught.value)
    assert "(n, height, width)" in caught.value.hint


# --- a sequence -----------------------------------------------------------------------------------


def five() -> tuple[Masks, np.ndarray]:
    array = np.random.default_rng(6).random((5, 6, 8)) < 0.4
    return Masks.from_array(array), array


def test_masks_are_indexed_like_a_list() -> None:
    masks, array = five()
    assert len(masks) == 5
    for i in (0, 4, -1, -5, np.int64(2), np.uint8(3), np.int32(-2)):
        assert (masks[i] == array[i]).all()
    for i in (5, -6, np.int64(5), 10**6):
        with pytest.raises(IndexError):
            masks[i]
    with pytest.raises(IndexError):
        Masks((4, 4))[0]


def test_a_slice_is_still_encoded() -> None:
    masks, array = five()
    for part in (slice(1, 3), slice(None, None, -1), slice(-2, None), slice(9, 12)):
        assert isinstance(masks[part], Masks)
        assert masks[part].size == (6, 8)
        assert (masks[part].to_array() == array[part]).all()


def test_iterating_decodes_each_in_turn() -> None:
    masks, array = five()
    assert (np.stack(list(masks)) == array).all()
    assert (np.stack(list(reversed(masks))) == array[::-1]).all()


def test_to_array_is_all_of_them() -> None:
    masks, array = five()
    assert masks.to_array().dtype == bool
    assert (masks.to_array() == array).all()


def test_masks_cannot_be_changed() -> None:
    masks, array = five()
    with pytest.raises(dataclasses.FrozenInstanceError):
        masks.counts = ()
    with pytest.raises(TypeError):
        masks[0] = array[0]
    masks[0][:] = True  # a decoded copy of one's own
    assert (masks[0] == array[0]).all()
    assert {masks: 1}[Masks.from_array(array)] == 1


def test_no_masks_at_all_keep_their_shapes() -> None:
    for masks in (Masks((6, 8)), Masks.from_array(np.zeros((0, 6, 8))), five()[0][:0]):
        assert len(masks) == 0
        assert masks.to_array().shape == (0, 6, 8)
        assert masks.to_array().dtype == bool
        assert (masks.areas.shape, masks.areas.dtype) == ((0,), np.int64)
        assert (masks.boxes.shape, masks.boxes.dtype) == ((0, 4), np.float32)
        assert masks.to_coco() == []
        assert masks == Masks((6, 8))


# --- polygons -------------------------------------------------------------------------------------


def decode_polygons(polygons: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    if not polygons:
        return np.zeros(size, bool)
    return coco.decode(coco.merge(coco.frPyObjects(polygons, *map(int, size)))).astype(bool)


def shoelace(polygon: list[float]) -> float:
    x, y = np.reshape(polygon, (-1, 2)).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_pycocotools_makes_the_same_mask_of_polygons_but_for_filled_holes() -> None:
    for mask in [*random_masks(np.random.default_rng(7), 500), *SPECIAL.values()]:
        polygons = Masks.from_array(mask[None]).polygons(0)
        # a hole that touches the outside at a corner is open
        filled = binary_fill_holes(mask, structure=np.ones((3, 3)))
        assert (decode_polygons(polygons, mask.shape) == filled).all()


def test_each_part_that_is_in_no_hole_has_one_polygon_of_its_area() -> None:
    mask = np.zeros((30, 40), bool)
    mask[2:9, 3:11] = True
    mask[20:29, 30:39] = True
    mask[9, 11] = True  # touches the first at a corner
    mask[15, 5] = True
    assert label(mask)[1] == 4
    polygons = Masks.from_array(mask[None]).polygons(0)
    assert sorted(map(shoelace, polygons)) == [1, 1, 56, 81]
    assert [9.0, 2.0] not in [p[:2] for p in polygons]
    assert sorted(len(p) for p in polygons) == [8, 8, 8, 8]


def test_convex_shapes_have_one_polygon_of_the_area_of_the_mask() -> None:
    y, x = np.mgrid[:200, :300]
    shapes = {
        "ellipse": ((x - 150) / 120) ** 2 + ((y - 90) / 70) ** 2 <= 1,
        "rectangle": (x >= 17) & (x < 200) & (y >= 0) & (y < 200),
        "triangle": (x > 20) & (y > 30) & (x + 2 * y < 300),
    }
    for name, mask in shapes.items():
        (polygon,) = Masks.from_array(mask[None]).polygons(0)
        assert shoelace(polygon) == mask.sum(), name


def test_holes_are_left_out_and_what_is_in_them_is_not_doubled() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2:18, 2:18] = True
    mask[5:15, 5:15] = False
    masks = Masks.from_array(mask[None])
    assert [shoelace(p) for p in masks.polygons(0)] == [16 * 16]


def test_polygons_are_plain_numbers_and_take_any_index() -> None:
    masks, _ = five()
    assert {type(v) for p in masks.polygons(0) for v in p} == {float}
    assert masks.polygons(-1) == masks.polygons(4) == masks.polygons(np.int64(4))
    with pytest.raises(IndexError):
        masks.polygons(5)
    assert Masks.from_array(np.zeros((1, 4, 4))).polygons(0) == []


# --- memory ---------------------------------------------------------------------------------------


def test_300_instances_of_a_12_megapixel_image_fit_in_memory() -> None:
    size = (3000, 4000)
    y, x = np.mgrid[-400:400, -500:500]
    blob = (y / 400) ** 2 + (x / 500) ** 2 <= 1
    rng = np.random.default_rng(8)
    tops, lefts = rng.integers(0, 2200, 300), rng.integers(0, 3000, 300)
    tracemalloc.start()
    try:
        masks = Masks(
            size,
            tuple(encode(blob, int(t), int(k), size) for t, k in zip(tops, lefts, strict=True)),
        )
        held, making = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        assert (masks.areas == blob.sum()).all()
        assert (masks.boxes[:, 1] == tops).all()
        masks.to_coco()
        looking = tracemalloc.get_traced_memory()[1]
        assert masks[299][tops[299] + 400, lefts[299] + 500]
        decoding = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held < 3e6  # 10 kB each; decoded they would be 3.6 GB
    assert making < 40e6
    assert looking < 6e6
    assert decoding < 40e6
