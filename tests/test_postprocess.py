"""The parts of post-processing against torch's and torchvision's own functions, at random."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate
from torchvision.ops import batched_nms, nms

from pvzoo.families import FAMILIES
from pvzoo.postprocess import select, semantic
from pvzoo.postprocess.frame import PRODUCT, Frame
from pvzoo.postprocess.instances import instances
from pvzoo.postprocess.panoptic import panoptic
from pvzoo.postprocess.scaling import nearest, scaling
from pvzoo.postprocess.scores import largest, sigmoid, softmax

# --- scores ---------------------------------------------------------------------------------------


def test_scores_are_those_of_torch():
    rng = np.random.default_rng(0)
    for size in (0.1, 5, 200):
        logits = (size * rng.normal(size=(50, 80))).astype(np.float32)
        theirs = torch.from_numpy(logits)
        for ours, expected in (
            (sigmoid(logits), theirs.sigmoid()),
            (softmax(logits), theirs.softmax(-1)),
            (softmax(logits, axis=0), theirs.softmax(0)),
        ):
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, expected.numpy(), rtol=0, atol=1e-6)


def test_scores_leave_their_logits_as_they_are():
    logits = np.array([[1.0, -2.0]], np.float32)
    sigmoid(logits), softmax(logits)
    assert logits.tolist() == [[1.0, -2.0]]


def test_the_largest_come_in_order_and_of_equal_ones_the_first():
    rng = np.random.default_rng(0)
    for _ in range(200):
        scores = rng.integers(0, 9, rng.integers(0, 60)).astype(np.float32)
        count = int(rng.integers(1, 70))
        expected = sorted(range(len(scores)), key=lambda i: (-scores[i], i))[:count]
        assert largest(scores, count).tolist() == expected


# --- boxes ----------------------------------------------------------------------------------------


def random_boxes(seed: int, count: int, side: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(boxes, scores, labels); every third seed has many equal boxes and scores."""
    rng = np.random.default_rng(seed)
    centre, extent = rng.uniform(0, side, (count, 2)), rng.uniform(0, 80, (count, 2))
    scores = rng.uniform(0, 1, count)
    if seed % 3 == 0:
        centre, extent, scores = centre.round(-1), extent.round(-1), scores.round(1)
    boxes = np.concatenate([centre - extent / 2, centre + extent / 2], axis=1)
    return boxes.astype(np.float32), scores.astype(np.float32), rng.integers(0, 4, count)


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 1 / 3, 1.0])
def test_suppression_is_that_of_torchvision_also_for_equal_scores(iou):
    for seed in range(60):
        boxes, scores, labels = random_boxes(seed, seed * 4, 100)
        theirs = nms(torch.from_numpy(boxes), torch.from_numpy(scores), iou).sort().values
        ours = select(boxes, scores, labels, nms=iou, class_agnostic=True)
        assert ours.tolist() == theirs.tolist()
        theirs = [  # batched_nms shifts the boxes of each class, which rounds them
            np.flatnonzero(labels == label)[i]
            for label in range(4)
            for i in nms(*(torch.from_numpy(v[labels == label]) for v in (boxes, scores)), iou)
        ]
        assert select(boxes, scores, labels, nms=iou).tolist() == sorted(theirs)


def test_thousands_of_boxes_are_suppressed_in_a_moment():
    boxes, scores, _ = random_boxes(1, 5000, 2000)
    labels = np.random.default_rng(0).integers(0, 80, 5000)
    start = time.thread_time()
    ours = select(boxes, scores, labels, nms=0.5, class_agnostic=True)
    mine = select(boxes, scores, labels, nms=0.5)
    assert time.thread_time() - start < 1
    tensors = torch.from_numpy(boxes), torch.from_numpy(scores)
    assert ours.tolist() == nms(*tensors, 0.5).sort().values.tolist()
    theirs = batched_nms(*tensors, torch.from_numpy(labels), 0.5).sort().values
    assert mine.tolist() == theirs.tolist()


def test_options_leave_boxes_in_their_order():
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 8], [50, 50, 60, 60], [50, 50, 60, 61], [0, 0, 9, 9]])
    scores = np.array([0.4, 0.9, 0.2, 0.6, 0.8], np.float32)
    labels = np.array([1, 1, 2, 2, 3])

    def kept(**controls):
        return select(boxes.astype(np.float32), scores, labels, **controls).tolist()

    assert kept() == [0, 1, 2, 3, 4]
    assert kept(threshold=np.float32(0.4)) == [1, 3, 4]
    assert kept(classes={1, 3}) == [0, 1, 4]
    assert kept(classes=[]) == []
    assert kept(nms=0.5) == [1, 3, 4]
    assert kept(nms=0.5, class_agnostic=True) == [1, 3]
    assert kept(nms=0.5, max_detections=2) == [1, 4]
    assert kept(nms=0.5, threshold=0.5, classes=[2, 3], max_detections=1) == [4]


def test_nothing_is_left_of_nothing():
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64)
    for agnostic in (False, True):
        kept = select(*none, nms=0.5, class_agnostic=agnostic, max_detections=3, threshold=0.5)
        assert kept.shape == (0,)


# --- scaling --------------------------------------------------------------------------------------


def test_scaling_is_that_of_torch():
    rng = np.random.default_rng(0)
    for _ in range(200):
        cells, pixels = (int(n) for n in rng.integers(1, 300, 2))
        unit = torch.eye(cells)
        for aligned in (False, True):
            theirs = interpolate(unit[None], size=pixels, mode="linear", align_corners=aligned)[0]
            ours = scaling(cells, pixels, align_corners=aligned)
            # processors that do not multiply and add in one step round positions once more
            np.testing.assert_allclose(ours, theirs.T.numpy(), rtol=0, atol=2e-5)
            theirs = interpolate(
                unit[None, None], size=(cells, pixels), mode="bicubic", align_corners=aligned
            )[0, 0]
            ours = scaling(cells, pixels, "cubic", aligned)
            np.testing.assert_allclose(ours, theirs.T.numpy(), rtol=0, atol=2e-5)
        ramp = torch.arange(cells, dtype=torch.float32)[None, None]
        theirs = interpolate(ramp, size=pixels, mode="nearest")[0, 0]
        assert nearest(cells, pixels).tolist() == theirs.tolist()


# --- masks ----------------------------------------------------------------------------------------


def outputs(seed: int, cells: tuple[int, int] = (40, 52)) -> tuple[np.ndarray, np.ndarray]:
    """Class logits of 12 queries and smooth mask logits."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.randn((1, 12, 7, 9), generator=generator)
    masks = 6 * interpolate(rough, size=cells, mode="bilinear")[0]
    return (3 * torch.randn((12, 8), generator=generator)).numpy(), masks.numpy()


def everything(classes: np.ndarray, masks, size: tuple[int, int]) -> list[np.ndarray]:
    """What the engine makes of one network's outputs, for every task."""
    whole = Frame((160, 208), (150, 200), size)
    found = []
    for family in ("mask2former", "maskformer", "detr"):
        options = {"stuff": {5, 6}, "threshold": 0.2, "overlap": 0.3}
        found.append(panoptic(FAMILIES[family].masks, classes, masks, whole, **options)[0])
    boxes = np.full((12, 4), 0.5, np.float32)
    for family in ("mask2former", "detr"):
        for one in instances(
            FAMILIES[family].masks,
            classes,
            masks,
            whole,
            threshold=0.1,
            boxes=boxes,
            pack=_full(size),
        ):
            found += [one.mask, np.array([one.score])]
    for first in (True, False):
        found += semantic.from_queries(classes, masks, whole, masks_first=first, with_scores=True)
    for steps in ("bilinear", "aligned", "bicubic"):
        found += semantic.from_pixels(masks, whole, steps, with_scores=True)
        found.append(semantic.from_pixels(masks, whole, steps)[0])
    return found


def _full(size: tuple[int, int]):
    def pack(top: int, left: int, mask: np.ndarray) -> np.ndarray:
        full = np.zeros(size, bool)
        full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
        return full

    return pack


@pytest.mark.parametrize("size", [(333, 250), (61, 47), (9, 300)])
def test_tensors_give_what_arrays_give(size):
    for seed in range(3):
        classes, masks = outputs(seed)
        ours = everything(classes, masks, size)
        theirs = everything(classes, torch.from_numpy(masks), size)
        assert len(ours) == len(theirs) > 12
        for one, other in zip(ours, theirs, strict=True):
            assert type(one) is type(other) is np.ndarray
            assert one.dtype == other.dtype
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
            else:
                assert (one != other).mean() <= 1e-4


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    classes, masks = outputs(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = everything(classes, masks, (500, 301))
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    for one, other in zip(alone, everything(classes, masks, (500, 301)), strict=True):
        np.testing.assert_array_equal(one, other)


class Watched(np.ndarray):
    """An array that notes the multiplications of each product of matrices it takes part in."""

    seen: ClassVar[list[int]] = []

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        plain = [np.asarray(value) for value in inputs]
        if ufunc is np.matmul:
            (rows, inner), columns = plain[0].shape[-2:], plain[1].shape[-1]
            assert min(plain[0].ndim, plain[1].ndim) > 1  # vectors have a lower limit
            self.seen.append(rows * inner * columns)
        if out:
            options["out"] = tuple(np.asarray(value) for value in out)
        found = getattr(ufunc, method)(*plain, **options)
        return out[0] if out else found.view(Watched) if np.ndim(found) else found


def test_products_of_matrices_are_small_enough_for_several_threads(monkeypatch):
    """OpenBLAS spreads larger ones over threads of its own, and then threads wait for threads."""
    monkeypatch.setattr(Watched, "seen", [])
    for cells, size in (((40, 52), (700, 500)), ((150, 160), (90, 200)), ((8, 9), (600, 30))):
        classes, masks = outputs(0, cells)
        everything(classes, masks.view(Watched), size)
    many = np.tile(classes, (20, 30)), np.tile(masks, (20, 1, 1)).view(Watched)
    whole = Frame((160, 208), (150, 200), (600, 300))
    for first in (True, False):
        semantic.from_queries(*many, whole, masks_first=first)
    assert len(Watched.seen) > 1000
    assert max(Watched.seen) <= PRODUCT


def test_masks_that_say_the_same_everywhere_are_a_map():
    """No query matters more in one pixel than in another, and several classes may have won."""
    classes = np.zeros((3, 5), np.float32)
    masks = np.zeros((3, 10, 12), np.float32)
    whole = Frame((40, 48), (40, 48), (33, 50))
    for form in (masks, torch.from_numpy(masks)):
        for first in (True, False):
            labels, scores = semantic.from_queries(
                classes, form, whole, masks_first=first, with_scores=True
            )
            assert not labels.any()
            np.testing.assert_allclose(scores, 0.3, atol=1e-5)


def test_only_one_module_of_it_imports_torch():
    code = """
import importlib, pkgutil, sys
for name in ("torch", "torchvision", "transformers", "timm", "scipy"):
    sys.modules[name] = None
import pvzoo.postprocess as package
for found in pkgutil.iter_modules(package.__path__):
    if found.name != "tensors":
        importlib.import_module(f"pvzoo.postprocess.{found.name}")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
