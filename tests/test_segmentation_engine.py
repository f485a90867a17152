"""The segmentation engine against a literal implementation of the authors' inference.

The other side is `reference_segmentation`: an obvious loop per step, everything at full size. The
engine has a form for arrays and one for tensors, and each is held against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
import reference_segmentation as reference
import torch
from reference_segmentation import bilinear, class_scores_of_pixels, crop_and_resize
from torch import Tensor
from torch.nn import functional as nnf

from pvzoo.families import FAMILIES
from pvzoo.postprocess import semantic
from pvzoo.postprocess.frame import Frame
from pvzoo.postprocess.instances import instances
from pvzoo.postprocess.panoptic import panoptic

CLASSES = 7
STUFF = frozenset({4, 5, 6})
THINGS = frozenset(range(CLASSES)) - STUFF
DRAWS = range(40)


@dataclass
class Draw:
    """Random outputs of a network for one image."""

    classes: Tensor
    masks: Tensor
    boxes: Tensor
    frame: Frame
    threshold: float
    overlap: float

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        frame = self.frame
        return {
            "padded_size": frame.padded,
            "valid_size": frame.valid,
            "image_size": frame.image,
        }


def draw(seed: int, *, no_object: bool = True) -> Draw:
    """Noise for even seeds, smooth blobs for odd ones; sizes, padding and thresholds vary."""
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    padded = tuple(int(n) * 8 for n in rng.integers(4, 20, 2))
    valid = tuple(int(p - rng.integers(0, p // 3)) for p in padded)
    image = tuple(int(n) for n in rng.integers(30, 240, 2))
    cells = tuple(p // 4 for p in padded)
    queries = int(rng.integers(3, 11))
    classes = 3 * torch.randn((queries, CLASSES + no_object), generator=generator)
    masks = 6 * torch.randn((queries, *cells), generator=generator)
    if seed % 2:
        y = torch.linspace(0, 1, cells[0])[:, None]
        x = torch.linspace(0, 1, cells[1])
        centre = torch.rand((2, queries, 1, 1), generator=generator)
        radius = 0.1 + 0.4 * torch.rand((queries, 1, 1), generator=generator)
        distance = ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).sqrt()
        masks = (30 * (radius - distance)).clamp(-12, 12) + masks / 12
    boxes = torch.rand((queries, 4), generator=generator)
    threshold, overlap = float(rng.choice([0.0, 0.3, 0.8])), float(rng.choice([0.0, 0.5, 0.8]))
    return Draw(classes, masks, boxes, Frame(padded, valid, image), threshold, overlap)


@pytest.fixture(params=["arrays", "tensors"])
def form(request: pytest.FixtureRequest) -> Callable[[Tensor], np.ndarray | Tensor]:
    """Masks in the form of one of the engines."""
    return Tensor.numpy if request.param == "arrays" else lambda tensor: tensor


def same_but_for_rounding(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert (ours != theirs).mean() <= 1e-4


# --- panoptic -------------------------------------------------------------------------------------

PANOPTIC = {
    "mask2former": reference.mask2former_panoptic,
    "maskformer": reference.maskformer_panoptic,
    "oneformer": reference.oneformer_panoptic,
    "eomt": reference.eomt_panoptic,
    "eomt_dinov3": reference.eomt_panoptic,
}


def check_panoptic(ids: np.ndarray, segments, expected: reference.Panoptic) -> None:
    same_but_for_rounding(ids, expected.ids + 1)
    assert [s.label for s in segments] == [s.label for s in expected.segments]
    assert [s.number for s in segments] == list(range(1, len(segments) + 1))
    tolerance = max(1, round(ids.size * 1e-4))
    for ours, theirs in zip(segments, expected.segments, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-6)
        assert abs(ours.area - theirs.area) <= tolerance
        assert ours.area == int((ids == ours.number).sum())


@pytest.mark.parametrize("family", PANOPTIC)
def test_panoptic_maps_are_the_authors(family, form):
    found = 0
    for seed in DRAWS:
        d = draw(seed)
        ids, segments = panoptic(
            FAMILIES[family].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            stuff=STUFF,
            threshold=d.threshold,
            overlap=d.overlap,
        )
        expected = PANOPTIC[family](
            d.classes,
            d.masks,
            stuff=STUFF,
            score_threshold=d.threshold,
            overlap_threshold=d.overlap,
            **d.sizes,
        )
        check_panoptic(ids, segments, expected)
        found += len(segments)
    assert found > 2 * len(DRAWS)  # the draws are not trivial


def test_panoptic_maps_of_detr_are_the_authors(form):
    rounds = 0
    for seed in range(150):
        d = draw(seed)
        if seed % 3 == 0:  # a small image, so that some queries get 4 pixels or fewer
            d.frame = replace(d.frame, image=(9, 11))
        arguments = {"stuff": STUFF, **d.sizes}
        ids, segments = panoptic(
            FAMILIES["detr"].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            stuff=STUFF,
            threshold=d.threshold,
            overlap=0.0,
        )
        expected = reference.detr_panoptic(
            d.classes, d.masks, score_threshold=d.threshold, **arguments
        )
        check_panoptic(ids, segments, expected)
        scores, labels = d.classes.softmax(-1).max(-1)
        kept = int(((labels != CLASSES) & (scores > d.threshold)).sum())
        rounds += len(segments) < kept
    assert rounds > 30  # the rounds after the first were needed


def test_the_authors_own_defaults_are_the_records():
    records = {name: family.masks for name, family in FAMILIES.items() if family.masks}
    assert {n: (r.score, r.overlap) for n, r in records.items() if n != "rf_detr"} == {
        "mask2former": (0.8, 0.8),
        "maskformer": (0.7, 0.8),
        "oneformer": (0.8, 0.8),
        "eomt": (0.8, 0.8),
        "eomt_dinov3": (0.8, 0.8),
        "detr": (0.85, 0.8),
    }


def test_nothing_above_the_threshold_is_an_empty_map(form):
    d = draw(1)
    ids, segments = panoptic(
        FAMILIES["mask2former"].masks,
        d.classes.numpy(),
        form(d.masks),
        d.frame,
        stuff=STUFF,
        threshold=1.0,
        overlap=0,
    )
    assert segments == []
    assert ids.shape == d.frame.image
    assert not ids.any()


def test_ids_stay_unique_after_stuff_has_fused(form):
    """Stuff, thing, thing, stuff again, thing: transformers numbers these 1, 2, 3, 1, 2."""
    labels = [6, 0, 0, 6, 0]
    classes = torch.full((5, CLASSES + 1), -10.0)
    masks = torch.full((5, 10, 50), -10.0)
    for query, label in enumerate(labels):
        classes[query, label] = 10.0
        masks[query, :, 10 * query : 10 * query + 10] = 10.0
    frame = Frame((40, 200), (40, 200), (40, 200))
    ids, segments = panoptic(
        FAMILIES["mask2former"].masks,
        classes.numpy(),
        form(masks),
        frame,
        stuff=STUFF,
        threshold=0.8,
        overlap=0.8,
    )
    assert [s.label for s in segments] == [6, 0, 0, 0]
    assert [int(ids[20, 40 * q + 20]) for q in range(5)] == [1, 2, 3, 1, 4]


# --- instances ------------------------------------------------------------------------------------


def whole(instance, size: tuple[int, int]) -> np.ndarray:
    top, left, mask = instance.mask
    full = np.zeros(size, bool)
    full[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    return full


def check_instances(found, expected: list[reference.Instance], frame: Frame) -> None:
    assert [i.label for i in found] == [i.label for i in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
        same_but_for_rounding(whole(ours, frame.image), theirs.mask)
        assert ours.box == pytest.approx(theirs.box, abs=1e-3)


INSTANCES = {
    "mask2former": (reference.mask2former_instance, 100),
    "maskformer": (reference.maskformer_instance, 100),
    "oneformer": (reference.oneformer_instance, None),
}


@pytest.mark.parametrize("family", INSTANCES)
@pytest.mark.parametrize("things", [THINGS, frozenset(range(CLASSES))], ids=["panoptic", "all"])
def test_instances_are_the_authors(family, things, form):
    make, top_k = INSTANCES[family]
    found = 0
    for seed in DRAWS:
        d = draw(seed)
        ours = instances(
            FAMILIES[family].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            classes=things,
            threshold=d.threshold,
            pack=lambda *cutout: cutout,
        )
        theirs = make(d.classes, d.masks, things=things, top_k=top_k or len(d.classes), **d.sizes)
        theirs = [i for i in theirs if i.score > d.threshold]
        check_instances(ours, theirs, d.frame)
        found += len(ours)
    assert found > 2 * len(DRAWS)


@pytest.mark.parametrize("family", ["eomt", "eomt_dinov3"])
def test_instances_of_eomt_are_the_authors(family, form):
    for seed in DRAWS:
        d = draw(seed)
        ours = instances(
            FAMILIES[family].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            classes=None,
            threshold=d.threshold,
            pack=lambda *cutout: cutout,
        )
        theirs = reference.eomt_instance(d.classes, d.masks, **d.sizes)
        check_instances(ours, [i for i in theirs if i.score > d.threshold], d.frame)


def test_instances_of_detr_are_the_authors(form):
    for seed in DRAWS:
        d = draw(seed)
        ours = instances(
            FAMILIES["detr"].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            classes=None,
            threshold=d.threshold,
            pack=lambda *cutout: cutout,
            boxes=d.boxes.numpy(),
        )
        theirs = reference.detr_instance(d.classes, d.masks, d.boxes, **d.sizes)
        check_instances(ours, [i for i in theirs if i.score > d.threshold], d.frame)


def test_instances_of_rf_detr_are_the_authors(form):
    for seed in DRAWS:
        d = draw(seed, no_object=False)
        cells = tuple(d.masks.shape[-2:])
        ours = instances(
            FAMILIES["rf_detr"].masks,
            d.classes.numpy(),
            form(d.masks),
            Frame(cells, cells, d.frame.image),
            classes=None,
            threshold=d.threshold,
            pack=lambda *cutout: cutout,
            boxes=d.boxes.numpy(),
        )
        theirs = reference.rf_detr_instance(
            d.classes,
            d.masks,
            d.boxes,
            image_size=d.frame.image,
            top_k=len(d.classes),
            score_threshold=d.threshold,
        )
        check_instances(ours, theirs, d.frame)


def test_only_masks_that_the_options_leave_are_made(form):
    """Of families whose boxes and scores are known before, and else of those that score enough."""
    d, packed = draw(3), []

    def found(family: str, **options):
        packed.clear()
        return instances(
            FAMILIES[family].masks,
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            boxes=d.boxes.numpy(),
            pack=lambda *cutout: packed.append(1),
            **options,
        )

    assert len(found("detr", threshold=0.1)) == len(packed) > 2
    assert len(found("detr", threshold=0.1, max_detections=2)) == len(packed) == 2
    assert len(found("detr", threshold=0.1, nms=0.0, class_agnostic=True)) == len(packed)
    every = found("mask2former", threshold=0.0)
    assert min(one.score for one in every) < 0.3
    best = found("mask2former", threshold=0.5)
    assert [one.score for one in best] == [one.score for one in every if one.score > 0.5]
    assert 0 < len(packed) <= len(best)


# --- semantic -------------------------------------------------------------------------------------


def check_semantic(labels: np.ndarray, scores: Tensor) -> None:
    """Each pixel's label has the best score, but for rounding; few differ at all."""
    best = scores.amax(dim=0)
    chosen = scores.gather(0, torch.from_numpy(labels).long()[None])[0]
    assert float((best - chosen).max()) < 1e-5
    same_but_for_rounding(labels, scores.argmax(dim=0).numpy())


@pytest.mark.parametrize("masks_first", [True, False], ids=["masks first", "scores scaled"])
def test_semantic_maps_from_queries_are_the_authors(masks_first, form):
    for seed in DRAWS:
        d = draw(seed)
        labels, scores = semantic.from_queries(
            d.classes.numpy(),
            form(d.masks),
            d.frame,
            masks_first=masks_first,
            with_scores=bool(seed % 4 == 0),
        )
        masks = bilinear(d.masks, d.frame.padded)
        if masks_first:
            masks = crop_and_resize(masks, d.frame.valid, d.frame.image)
            expected = class_scores_of_pixels(d.classes, masks)
        else:
            expected = class_scores_of_pixels(d.classes, masks)
            expected = crop_and_resize(expected, d.frame.valid, d.frame.image)
        check_semantic(labels, expected)
        function = reference.mask2former_semantic(
            d.classes, d.masks, resize_first=masks_first, **d.sizes
        )
        same_but_for_rounding(labels, function)
        if scores is not None:
            np.testing.assert_allclose(scores, expected.amax(dim=0), rtol=0, atol=1e-5)


def test_masks_first_and_scores_scaled_differ(form):
    """Else the two tests above would prove nothing of the order of steps."""
    d = draw(2)
    given = d.classes.numpy(), form(d.masks), d.frame
    first, _ = semantic.from_queries(*given, masks_first=True)
    last, _ = semantic.from_queries(*given, masks_first=False)
    assert (first != last).mean() > 0.01


@pytest.mark.parametrize("upright", [True, False])
def test_semantic_maps_from_windows_are_the_authors(upright, form):
    for seed in range(30):
        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        image = sorted(int(n) for n in rng.integers(40, 300, 2))
        image = (image[1] + 1, image[0]) if upright else (image[0], image[1])
        network = (64, 64)
        scaled = reference.eomt_scaled_size(image, network, cover=True)
        windows = reference.eomt_windows(scaled, 64)
        masks = 4 * torch.randn((len(windows), 6, 16, 16), generator=generator)
        masks = nnf.avg_pool2d(masks, 3, 1, 1) * 3
        classes = 2 * torch.randn((len(windows), 6, CLASSES + 1), generator=generator)
        labels, _ = semantic.from_windows(
            classes.numpy(), form(masks), windows, network, scaled, image
        )
        expected = reference.eomt_semantic(
            list(classes),
            list(masks),
            windows=windows,
            network_size=network,
            scaled_size=scaled,
            image_size=image,
        )
        same_but_for_rounding(labels, expected)


def test_semantic_maps_from_pixels_are_the_authors(form):
    for seed in DRAWS:
        d = draw(seed)
        frame = d.frame
        logits, given = d.masks, form(d.masks)
        labels, scores = semantic.from_pixels(given, frame, "bilinear", with_scores=True)
        scaled = crop_and_resize(bilinear(logits, frame.padded), frame.valid, frame.image)
        check_semantic(labels, scaled)
        same_but_for_rounding(labels, reference.mmseg_semantic(logits, **d.sizes))
        np.testing.assert_allclose(scores, scaled.amax(dim=0), rtol=0, atol=1e-4)

        labels, _ = semantic.from_pixels(given, frame, "aligned")
        to_input = bilinear(logits, frame.padded, align_corners=True)
        check_semantic(labels, crop_and_resize(to_input, frame.valid, frame.image))
        whole = Frame(frame.padded, frame.padded, frame.padded)
        labels, _ = semantic.from_pixels(given, whole, "aligned")
        same_but_for_rounding(labels, reference.aligned_semantic(logits, padded_size=frame.padded))

        labels, _ = semantic.from_pixels(given, frame, "bicubic")
        same_but_for_rounding(labels, reference.dpt_semantic(logits, image_size=frame.image))
