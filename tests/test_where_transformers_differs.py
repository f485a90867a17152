"""Where pvzoo's results are not those of transformers' functions, and on purpose.

Each test asserts both sides on the same input: that transformers still does it, through `still`, so
that docs/differences.md loses an entry when it is fixed there, and that pvzoo gives what the
authors' code gives (`reference_segmentation`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import detection_families
import numpy as np
import pytest
import reference_segmentation as reference
import segmentation_families
import torch
import transformers
from checkpoints import processor_of, transformers_folder
from PIL import Image
from torch import Tensor
from transformers.image_utils import load_image

import pvzoo
import pvzoo.inputs.images
from pvzoo.errors import UnsupportedModelError, UsageError, WeightsError
from pvzoo.families import FAMILIES
from pvzoo.postprocess import semantic
from pvzoo.postprocess.frame import Frame, Size
from pvzoo.postprocess.instances import instances
from pvzoo.postprocess.panoptic import panoptic
from pvzoo.tasks.object_detection import DetectionControls

CLASSES = 7
STUFF = frozenset({4, 5, 6})
MASK2FORMER = transformers.Mask2FormerImageProcessor()
MASKFORMER = transformers.MaskFormerImageProcessor()


def still(fault: object) -> None:
    assert fault, "transformers no longer does this: docs/differences.md can drop the entry"


def raw(classes: Tensor, masks: Tensor) -> SimpleNamespace:
    """A batch of one, under the names that transformers' functions read."""
    return SimpleNamespace(class_queries_logits=classes[None], masks_queries_logits=masks[None])


def queries(*found: tuple[int, float]) -> Tensor:
    """Class logits of queries that have a label with exactly this probability."""
    logits = torch.empty((len(found), CLASSES + 1))
    for row, (label, score) in zip(logits, found, strict=True):
        row.fill_((1 - score) / CLASSES)
        row[label] = score
    return logits.log()


def frame_of(image: Size, padded: Size | None = None, valid: Size | None = None) -> Frame:
    return Frame(padded or image, valid or padded or image, image)


def sizes(frame: Frame) -> dict[str, Size]:
    return {"padded_size": frame.padded, "valid_size": frame.valid, "image_size": frame.image}


def our_panoptic(family, classes, masks, frame, threshold=0.8, overlap=0.8):
    ids, segments = panoptic(
        FAMILIES[family].masks,
        classes.numpy(),
        masks.numpy(),
        frame,
        stuff=STUFF,
        threshold=threshold,
        overlap=overlap,
    )
    return ids, segments


def our_instances(family, classes, masks, frame, threshold=0.5, labels=None):
    """(label, score, full mask) of each."""
    found = instances(
        FAMILIES[family].masks,
        classes.numpy(),
        masks.numpy(),
        frame,
        classes=labels,
        threshold=threshold,
        pack=lambda *cutout: cutout,
    )
    result = []
    for one in found:
        top, left, part = one.mask
        mask = np.zeros(frame.image, bool)
        mask[top : top + part.shape[0], left : left + part.shape[1]] = part
        result.append((one.label, one.score, mask))
    return result


def assert_same_instances(ours, theirs: list[reference.Instance]) -> None:
    assert [label for label, _, _ in ours] == [i.label for i in theirs]
    for (_, score, mask), their in zip(ours, theirs, strict=True):
        assert score == pytest.approx(their.score, abs=1e-5)
        assert (mask != their.mask).mean() < 1e-4


# --- masks are brought to the image ---------------------------------------------------------------


def poles() -> tuple[Tensor, Tensor, Frame]:
    """A street as Mask2Former sees one of Cityscapes, with poles of one cell's width."""
    masks = torch.full((2, 256, 512), 6.0)
    masks[0] = -6.0
    masks[:, :, 1::4] *= -1
    return queries((0, 0.99), (6, 0.98)), masks, frame_of((512, 1024), padded=(1024, 2048))


def test_thin_things_are_lost_when_mask2former_masks_are_squeezed_to_384_by_384():
    classes, masks, frame = poles()
    outputs, targets = raw(classes, masks), [frame.image]

    found = MASK2FORMER.post_process_instance_segmentation(outputs, target_sizes=targets)[0]
    still(0 not in [s["label_id"] for s in found["segments_info"]])
    ours = our_instances("mask2former", classes, masks, frame)
    theirs = reference.mask2former_instance(classes, masks, **sizes(frame))
    assert_same_instances(ours, [i for i in theirs if i.score > 0.5])
    assert [label for label, _, _ in ours] == [0, 6]

    found = MASK2FORMER.post_process_semantic_segmentation(outputs, target_sizes=targets)[0]
    theirs = reference.mask2former_semantic(classes, masks, resize_first=True, **sizes(frame))
    still((found.numpy() == 0).mean() < 0.5 * (theirs == 0).mean())
    labels, _ = semantic.from_queries(classes.numpy(), masks.numpy(), frame, masks_first=True)
    assert (labels != theirs).mean() < 1e-4

    found = MASK2FORMER.post_process_panoptic_segmentation(
        outputs, target_sizes=targets, label_ids_to_fuse=STUFF
    )[0]
    theirs = reference.mask2former_panoptic(classes, masks, stuff=STUFF, **sizes(frame))
    still((found["segmentation"].numpy() - 1 != theirs.ids).mean() > 0.1)
    ids, segments = our_panoptic("mask2former", classes, masks, frame)
    assert (ids - 1 != theirs.ids).mean() < 1e-4
    assert [s.label for s in segments] == [0, 6]


def disc(cells: int, radius: float) -> Tensor:
    """(1, cells, cells) logits of a disc with a soft edge."""
    y, x = torch.meshgrid(torch.arange(cells), torch.arange(cells), indexing="ij")
    centre = (cells - 1) / 2
    return (radius - ((y - centre) ** 2 + (x - centre) ** 2).sqrt())[None]


def test_instance_masks_have_the_blocky_edges_of_the_small_masks():
    classes, masks, frame = queries((0, 0.99)), disc(32, 9.3), frame_of((256, 256))
    found = MASKFORMER.post_process_instance_segmentation(
        raw(classes, masks), threshold=0, target_sizes=[frame.image], return_binary_maps=True
    )[0]["segmentation"][0].numpy()
    theirs = reference.maskformer_instance(classes, masks, **sizes(frame))[:1]
    blocks = found.reshape(32, 8, 32, 8)
    still((blocks == blocks[:, :1, :, :1]).all())
    mask = theirs[0].mask
    edge = mask ^ (mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0))
    edge |= mask ^ (mask & np.roll(mask, 1, 1) & np.roll(mask, -1, 1))
    still((mask != (found == 1)).sum() > edge.sum())  # more wrong pixels than the disc has edge
    assert_same_instances(our_instances("maskformer", classes, masks, frame), theirs)


def test_mask_probabilities_are_scaled_instead_of_mask_logits():
    generator = torch.Generator().manual_seed(0)
    classes = 3 * torch.randn((8, CLASSES + 1), generator=generator)
    masks, frame = 6 * torch.randn((8, 16, 16), generator=generator), frame_of((128, 128))
    found = MASKFORMER.post_process_semantic_segmentation(
        raw(classes, masks), target_sizes=[frame.image]
    )[0]
    theirs = reference.maskformer_semantic(classes, masks, resize_first=True, **sizes(frame))
    still((found.numpy() != theirs).mean() > 0.01)
    labels, _ = semantic.from_queries(classes.numpy(), masks.numpy(), frame, masks_first=True)
    assert (labels != theirs).mean() < 1e-4


def test_the_padding_of_a_batch_is_taken_for_a_part_of_the_image():
    """The image is the left half of the input; its own left half is a thing, the rest stuff."""
    masks = torch.full((2, 32, 32), -8.0)
    masks[0, :, :8], masks[1, :, 8:] = 8.0, 8.0
    classes = queries((0, 0.99), (6, 0.99))
    frame = frame_of((128, 64), padded=(128, 128), valid=(128, 64))
    theirs = reference.mask2former_panoptic(classes, masks, stuff=STUFF, **sizes(frame))
    assert (theirs.ids == 0).mean() == 0.5
    for processor, family in ((MASK2FORMER, "mask2former"), (MASKFORMER, "maskformer")):
        found = processor.post_process_panoptic_segmentation(
            raw(classes, masks), target_sizes=[frame.image], label_ids_to_fuse=STUFF
        )[0]
        still((found["segmentation"] == 1).float().mean() < 0.3)
        ids, _ = our_panoptic(family, classes, masks, frame)
        np.testing.assert_array_equal(ids - 1, theirs.ids)


def test_semantic_logits_skip_the_scaling_to_the_networks_input():
    logits = 3 * torch.randn((CLASSES, 16, 16), generator=torch.Generator().manual_seed(0))
    frame = frame_of((150, 210), padded=(64, 64))
    theirs = reference.mmseg_semantic(logits, **sizes(frame))
    found = transformers.SegformerImageProcessor().post_process_semantic_segmentation(
        SimpleNamespace(logits=logits[None]), target_sizes=[frame.image]
    )[0]
    still((found.numpy() != theirs).mean() > 0.005)
    labels, _ = semantic.from_pixels(logits.numpy(), frame, "bilinear")
    assert (labels != theirs).mean() < 1e-4


def test_deeplab_logits_are_scaled_without_aligned_corners_and_dpts_not_bicubically():
    logits = 3 * torch.randn((CLASSES, 9, 9), generator=torch.Generator().manual_seed(0))
    frame = frame_of((129, 129))
    for processor, steps, theirs in (
        (
            transformers.MobileNetV2ImageProcessor(),
            "aligned",
            reference.aligned_semantic(logits, padded_size=frame.padded),
        ),
        (
            transformers.DPTImageProcessor(),
            "bicubic",
            reference.dpt_semantic(logits, image_size=frame.image),
        ),
    ):
        found = processor.post_process_semantic_segmentation(
            SimpleNamespace(logits=logits[None]), target_sizes=[frame.image]
        )[0]
        still((found.numpy() != theirs).mean() > 0.02)
        labels, _ = semantic.from_pixels(logits.numpy(), frame, steps)
        assert (labels != theirs).mean() < 1e-4


# --- instances ------------------------------------------------------------------------------------


def test_mask_threshold_is_accepted_and_ignored_for_instances():
    outputs = raw(queries((0, 0.99)), disc(32, 9.3))
    for processor in (MASK2FORMER, MASKFORMER):
        low, high = (
            processor.post_process_instance_segmentation(outputs, threshold=0, mask_threshold=t)[0]
            for t in (0.1, 0.9)
        )
        still(torch.equal(low["segmentation"], high["segmentation"]))
        still(low["segments_info"] == high["segments_info"])
    # the authors' masks are logits > 0; pvzoo offers no such option rather than a dead one
    assert "mask_threshold" not in {f.name for f in fields(DetectionControls)}


def test_the_map_of_instances_loses_what_others_cover():
    masks = torch.full((2, 32, 32), -8.0)
    masks[0, :, :24], masks[1, :, 8:] = 8.0, 8.0
    classes, frame = queries((0, 0.99), (1, 0.98)), frame_of((64, 64))
    found = MASKFORMER.post_process_instance_segmentation(
        raw(classes, masks), target_sizes=[frame.image]
    )[0]
    areas = [int((found["segmentation"] == s["id"]).sum()) for s in found["segments_info"]]
    still(sum(areas) == 64 * 64)
    ours = our_instances("maskformer", classes, masks, frame)
    theirs = reference.maskformer_instance(classes, masks, **sizes(frame))
    assert_same_instances(ours, [i for i in theirs if i.score > 0.5])
    assert [int(mask.sum()) for _, _, mask in ours] == [48 * 64, 48 * 64]


def test_stuff_of_panoptic_checkpoints_counts_as_instances():
    classes, frame = queries((0, 0.99), (6, 0.99)), frame_of((32, 32))
    masks = disc(32, 9.3).repeat(2, 1, 1)
    found = MASK2FORMER.post_process_instance_segmentation(raw(classes, masks), threshold=0.3)[0]
    still({s["label_id"] for s in found["segments_info"]} == {0, 6})
    things = frozenset(range(CLASSES)) - STUFF
    ours = our_instances("mask2former", classes, masks, frame, 0.3, labels=things)
    theirs = reference.mask2former_instance(classes, masks, things=things, **sizes(frame))
    assert_same_instances(ours, [i for i in theirs if i.score > 0.3])
    assert [label for label, _, _ in ours] == [0]


def test_only_as_many_instances_are_ranked_as_there_are_queries():
    """Mask2Former's authors rank 100 pairs of query and class, EoMT's too."""
    classes, masks, frame = queries((0, 0.4)), 8 * disc(16, 5.3), frame_of((16, 16))
    classes[0, 1] = classes[0, 0] - 1e-3
    sizes_ = {"target_sizes": [frame.image]}
    eomt = transformers.EomtImageProcessor(size={"shortest_edge": 16, "longest_edge": 16})
    for processor, family, make in (
        (MASK2FORMER, "mask2former", reference.mask2former_instance),
        (eomt, "eomt", reference.eomt_instance),
    ):
        found = processor.post_process_instance_segmentation(
            raw(classes, masks), threshold=0.2, **sizes_
        )[0]
        still(len(found["segments_info"]) == 1)
        ours = our_instances(family, classes, masks, frame, threshold=0.2)
        theirs = [i for i in make(classes, masks, **sizes(frame)) if i.score > 0.2]
        assert_same_instances(ours, theirs)
        assert len(ours) == 2


def test_oneformers_instances_are_made_from_raw_logits_and_compete_for_pixels():
    masks = torch.full((3, 32, 32), -8.0)
    masks[0, :, :24] = 8.0
    masks[1, :, 8:] = 6.0
    masks[2, :4, :4] = 0.4  # a probability of 0.6, but no logit of one half
    classes, frame = queries((0, 0.99), (1, 0.98), (2, 0.97)), frame_of((32, 32))
    processor = transformers.OneFormerImageProcessor(
        metadata={"thing_ids": [0, 1, 2, 3]}, num_labels=CLASSES, num_text=3
    )
    processor.class_info_file = "coco_panoptic.json"
    found = processor.post_process_instance_segmentation(
        raw(classes, masks), threshold=0.5, target_sizes=[frame.image], is_demo=True
    )[0]
    areas = {
        s["label_id"]: int((found["segmentation"] == s["id"]).sum()) for s in found["segments_info"]
    }
    still(2 not in areas and sum(areas.values()) <= 32 * 32)
    still(all(s["score"] > 0.97 for s in found["segments_info"]))  # the mask's quality is left out
    ours = our_instances("oneformer", classes, masks, frame)
    theirs = reference.oneformer_instance(
        classes, masks, things=range(CLASSES), top_k=3, **sizes(frame)
    )
    assert_same_instances(ours, [i for i in theirs if i.score > 0.5])
    assert [int(mask.sum()) for _, _, mask in ours] == [24 * 32, 24 * 32, 16]


# --- panoptic maps --------------------------------------------------------------------------------


def test_a_panoptic_segment_with_a_score_below_one_half_can_never_stay():
    """Overlap is measured on score times probability, by the authors on the probability."""
    classes, frame = queries((0, 0.45)), frame_of((32, 32))
    masks = torch.full((1, 32, 32), 8.0)
    for processor, family in ((MASK2FORMER, "mask2former"), (MASKFORMER, "maskformer")):
        found = processor.post_process_panoptic_segmentation(
            raw(classes, masks), threshold=0.3, label_ids_to_fuse=STUFF
        )[0]
        still(found["segments_info"] == [])
        ids, segments = our_panoptic(family, classes, masks, frame, threshold=0.3)
        make = getattr(reference, f"{family}_panoptic")
        theirs = make(classes, masks, stuff=STUFF, score_threshold=0.3, **sizes(frame))
        np.testing.assert_array_equal(ids - 1, theirs.ids)
        assert [(s.label, s.area) for s in segments] == [(0, 32 * 32)]


def test_pixels_won_with_a_probability_below_one_half_are_not_void():
    """Right for MaskFormer, whose authors keep them; not for Mask2Former and OneFormer."""
    classes, frame = queries((0, 0.99)), frame_of((32, 32))
    masks = torch.full((1, 32, 32), -1.0)
    masks[0, :, :16] = 8.0
    found = MASK2FORMER.post_process_panoptic_segmentation(
        raw(classes, masks), label_ids_to_fuse=STUFF, target_sizes=[frame.image]
    )[0]
    still((found["segmentation"] == 1).all())
    for family, void in (("mask2former", 0.5), ("oneformer", 0.5), ("maskformer", 0.0)):
        ids, _ = our_panoptic(family, classes, masks, frame)
        theirs = getattr(reference, f"{family}_panoptic")(
            classes, masks, stuff=STUFF, **sizes(frame)
        )
        np.testing.assert_array_equal(ids - 1, theirs.ids)
        assert (ids == 0).mean() == void


def test_a_share_of_exactly_the_overlap_is_dropped():
    classes, frame = queries((0, 0.98), (1, 0.99)), frame_of((32, 32))
    masks = torch.full((2, 32, 32), -8.0)
    masks[0], masks[1, :, :16] = 6.0, 8.0
    found = MASKFORMER.post_process_panoptic_segmentation(
        raw(classes, masks), overlap_mask_area_threshold=0.5, label_ids_to_fuse=STUFF
    )[0]
    still([s["label_id"] for s in found["segments_info"]] == [1])
    ids, segments = our_panoptic("maskformer", classes, masks, frame, overlap=0.5)
    theirs = reference.maskformer_panoptic(
        classes, masks, stuff=STUFF, overlap_threshold=0.5, **sizes(frame)
    )
    np.testing.assert_array_equal(ids - 1, theirs.ids)
    assert [s.label for s in segments] == [0, 1]


def stripes(*labels: int) -> tuple[Tensor, Tensor, Frame]:
    """Each query a stripe of its own, ten cells wide."""
    masks = torch.full((len(labels), 10, 10 * len(labels)), -10.0)
    for query in range(len(labels)):
        masks[query, :, 10 * query : 10 * query + 10] = 10.0
    size = tuple(masks.shape[-2:])
    return queries(*((label, 0.99) for label in labels)), masks, frame_of(size)


def stripe_ids(ids) -> list[int]:
    return [int(i) for i in ids[5, 5::10]]


def test_a_new_segment_takes_an_id_that_is_taken_after_stuff_has_fused():
    classes, masks, frame = stripes(6, 0, 0, 6, 0)
    for processor, family in ((MASK2FORMER, "mask2former"), (MASKFORMER, "maskformer")):
        found = processor.post_process_panoptic_segmentation(
            raw(classes, masks), target_sizes=[frame.image], label_ids_to_fuse=STUFF
        )[0]
        still(stripe_ids(found["segmentation"]) == [1, 2, 3, 1, 2])
        still([s["id"] for s in found["segments_info"]] == [1, 2, 3, 1, 2])
        ids, segments = our_panoptic(family, classes, masks, frame)
        assert stripe_ids(ids) == [1, 2, 3, 1, 4]
        assert [(s.number, s.label) for s in segments] == [(1, 6), (2, 0), (3, 0), (4, 0)]
        theirs = getattr(reference, f"{family}_panoptic")(
            classes, masks, stuff=STUFF, **sizes(frame)
        )
        np.testing.assert_array_equal(ids - 1, theirs.ids)


def test_stuff_is_not_fused_unless_one_lists_its_ids():
    classes, masks, frame = stripes(6, 6)
    found = MASK2FORMER.post_process_panoptic_segmentation(
        raw(classes, masks), target_sizes=[frame.image]
    )[0]
    still(stripe_ids(found["segmentation"]) == [1, 2])
    ids, segments = our_panoptic("mask2former", classes, masks, frame)
    theirs = reference.mask2former_panoptic(classes, masks, stuff=STUFF, **sizes(frame))
    np.testing.assert_array_equal(ids - 1, theirs.ids)
    assert stripe_ids(ids) == [1, 1]
    assert len(segments) == 1


def test_void_is_minus_one_in_an_empty_panoptic_map_and_zero_in_others():
    classes, frame = queries((0, 0.98), (1, 0.99)), frame_of((32, 32))
    masks = torch.full((2, 32, 32), -8.0)
    masks[0], masks[1, :, :16] = 6.0, 8.0  # the first wins half of its mask, too little
    for threshold, values in ((0.8, [0, 1]), (0.999, [-1])):
        found = MASKFORMER.post_process_panoptic_segmentation(
            raw(classes, masks), threshold=threshold, label_ids_to_fuse=STUFF
        )[0]
        still(found["segmentation"].unique().tolist() == values)
        ids, _ = our_panoptic("maskformer", classes, masks, frame, threshold=threshold)
        theirs = reference.maskformer_panoptic(
            classes, masks, stuff=STUFF, score_threshold=threshold, **sizes(frame)
        )
        np.testing.assert_array_equal(ids - 1, theirs.ids)
        assert not ids[:, 16:].any()


def test_detrs_queries_do_not_compete_by_a_softmax():
    """By the authors' softmax every pixel is some query's, however low its logits."""
    classes, frame = queries((0, 0.99), (1, 0.98)), frame_of((40, 40))
    masks = torch.full((2, 10, 10), -4.0)
    masks[0, :, :5], masks[0, :, 5:] = -3.0, -5.0
    found = transformers.DetrImageProcessor().post_process_panoptic_segmentation(
        SimpleNamespace(logits=classes[None], pred_masks=masks[None]),
        target_sizes=[frame.image],
        label_ids_to_fuse=STUFF,
    )[0]
    still(found["segments_info"] == [])
    ids, segments = our_panoptic("detr", classes, masks, frame, threshold=0.85)
    theirs = reference.detr_panoptic(classes, masks, stuff=STUFF, **sizes(frame))
    np.testing.assert_array_equal(ids - 1, theirs.ids)
    assert [s.label for s in segments] == [0, 1]
    assert ids.all()


# --- whole models ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mask2former(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mask2former")
    return segmentation_families.build("mask2former_swin", folder)


def edit(path: Path, **values) -> None:
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8"
    )


def test_the_pipeline_reads_instance_checkpoints_as_panoptic(mask2former):
    image = segmentation_families.example_image(150, 100)
    pipeline = transformers.pipeline("image-segmentation", str(mask2former), device="cpu")
    scores = {
        subtask: [s["score"] for s in pipeline(image, threshold=0.5, subtask=subtask)]
        for subtask in (None, "panoptic", "instance")
    }
    still(scores[None] == scores["panoptic"] != scores["instance"])

    with pytest.raises(UnsupportedModelError, match="several tasks"):
        pvzoo.load(mask2former, device="cpu")
    model = pvzoo.load(mask2former, task="instance", device="cpu")
    result = model.predict(image)
    with torch.inference_mode():
        inputs = pipeline.image_processor(image, return_tensors="pt")
        outputs = pipeline.model(**inputs)
    padded = tuple(inputs["pixel_values"].shape[-2:])
    theirs = reference.mask2former_instance(
        outputs.class_queries_logits[0],
        outputs.masks_queries_logits[0],
        **sizes(frame_of((100, 150), padded=padded)),
    )
    theirs = [i for i in theirs if i.score > 0.5]
    assert len(theirs) > 1
    ours = zip(result.labels, result.scores, result.masks.to_array(), strict=True)
    assert_same_instances(list(ours), theirs)
    with pytest.raises(UsageError):
        model.predict(image, mask_threshold=0.1)


def test_the_pipeline_never_fuses_stuff(mask2former, tmp_path):
    image = segmentation_families.example_image(150, 100)
    pipeline = transformers.pipeline("image-segmentation", str(mask2former), device="cpu")
    stuff = [f"class {i}" for i in segmentation_families.STUFF]
    found = [s["label"] for s in pipeline(image, threshold=0.5) if s["label"] in stuff]
    still(len(found) > len(set(found)))
    shutil.copytree(mask2former, tmp_path / "model")
    edit(tmp_path / "model" / "config.json", pvzoo={"stuff": stuff})
    model = pvzoo.load(tmp_path / "model", task="panoptic", device="cpu")
    found = [s.name for s in model.predict(image, threshold=0.5).segments if not s.is_thing]
    assert 0 < len(found) == len(set(found))


def test_a_companion_in_the_batch_changes_the_result(mask2former):
    both = [segmentation_families.example_image(*size) for size in ((64, 64), (96, 64))]
    processor = transformers.AutoImageProcessor.from_pretrained(mask2former)
    module = transformers.AutoModelForUniversalSegmentation.from_pretrained(mask2former)
    with torch.inference_mode():
        alone, batch = (
            module(**processor(images=images, return_tensors="pt")).class_queries_logits[0]
            for images in (both[:1], both)
        )
    still((alone - batch).abs().max() > 0.1)  # although the batch has a pixel_mask
    model = pvzoo.load(mask2former, task="instance", device="cpu")
    alone, batch = model.predict(both[0]), model.predict(both)[0]
    np.testing.assert_array_equal(alone.scores, batch.scores)
    np.testing.assert_array_equal(alone.masks.to_array(), batch.masks.to_array())
    assert len(alone) > 1


@pytest.fixture(scope="module")
def detr(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("detr")
    detection_families.build("detr_resnet", folder)
    return folder


def test_the_pipeline_truncates_boxes_and_keeps_classes_without_a_name(detr):
    image = segmentation_families.example_image(150, 100)
    pipeline = transformers.pipeline("object-detection", str(detr), device="cpu")
    found = pipeline(image, threshold=0.1)
    corners = np.array([list(f["box"].values()) for f in found])
    with torch.inference_mode():
        outputs = pipeline.model(**pipeline.image_processor(image, return_tensors="pt"))
    theirs = pipeline.image_processor.post_process_object_detection(
        outputs, threshold=0.1, target_sizes=[(100, 150)]
    )[0]
    boxes = theirs["boxes"].numpy()
    still((corners == np.trunc(boxes)).all() and np.abs(corners - boxes).max() > 0.8)
    still("N/A" in [f["label"] for f in found])
    ours = pvzoo.load(detr, device="cpu").predict(image, threshold=0.1)
    named = [f["label"] != "N/A" for f in found]
    np.testing.assert_allclose(ours.boxes, boxes[named], atol=1e-3)
    assert len(ours) > 5
    assert "N/A" not in ours.names


def test_mobilevits_centre_crop_is_stretched_over_the_whole_image(tmp_path):
    segmentation_families.build("mobilevit", tmp_path)
    image = segmentation_families.example_image(320, 128)
    other = image.copy()
    other.paste((255, 0, 0), (0, 0, 90, 128))  # left of the crop
    pipeline = transformers.pipeline("image-segmentation", str(tmp_path), device="cpu")
    maps = [
        {s["label"]: s["mask"].tobytes() for s in pipeline(p, subtask="semantic")}
        for p in (image, other)
    ]
    still(maps[0] == maps[1])  # what lies there is never looked at
    model = pvzoo.load(tmp_path, device="cpu")
    ours = [model.predict(p).map for p in (image, other)]
    assert (ours[0] != ours[1])[:, :90].mean() > 0.05
    inputs, meta = model.adapter.preprocess(image)
    with torch.inference_mode():
        logits = model.network.module(torch.from_numpy(inputs["pixel_values"])).logits[0]
    to_input = reference.bilinear(logits, meta["padded"], align_corners=True)
    theirs = reference.label_of_pixels(reference.bilinear(to_input, (128, 320)))
    assert (ours[0] != theirs).mean() < 1e-3


def test_dpt_fails_on_images_that_are_not_square(tmp_path):
    segmentation_families.build("dpt", tmp_path)
    edit(tmp_path / "preprocessor_config.json", keep_aspect_ratio=True)
    image = segmentation_families.example_image(96, 64)
    pipeline = transformers.pipeline("image-segmentation", str(tmp_path), device="cpu")
    try:
        pipeline(image)
        failed = False
    except RuntimeError:
        failed = True
    still(failed)
    model = pvzoo.load(tmp_path, device="cpu")
    inputs, _ = model.adapter.preprocess(image)
    with torch.inference_mode():
        logits = model.network.module(torch.from_numpy(inputs["pixel_values"])).logits[0]
    theirs = reference.dpt_semantic(logits, image_size=(64, 96))
    assert (model.predict(image).map != theirs).mean() < 1e-3


def test_eomt_draws_lots_with_unfinished_mask_probabilities(tmp_path):
    segmentation_families.build("eomt_panoptic", tmp_path)
    module = transformers.EomtForUniversalSegmentation.from_pretrained(tmp_path)
    module.attn_mask_probs.fill_(0.5)
    module.save_pretrained(tmp_path)
    pixels = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    module = transformers.EomtForUniversalSegmentation.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        first, second = (module(pixels).masks_queries_logits for _ in range(2))
        still(not torch.equal(first, second))
        module = pvzoo.load(tmp_path, task="instance", device="cpu").network.module
        first, second = (module(pixels).masks_queries_logits for _ in range(2))
    assert torch.equal(first, second)


@pytest.fixture(scope="module")
def oneformer(tmp_path_factory) -> Path:
    return segmentation_families.build("oneformer", tmp_path_factory.mktemp("oneformer"))


def test_oneformers_input_is_not_padded_to_a_multiple_of_32_nor_its_task_with_zeros(
    oneformer,
):
    image = segmentation_families.example_image(85, 64)
    pipeline = transformers.pipeline(
        "image-segmentation",
        str(oneformer),
        image_processor=transformers.OneFormerImageProcessor.from_pretrained(
            oneformer, class_info_file=None
        ),
        tokenizer=transformers.AutoTokenizer.from_pretrained(oneformer),
        device="cpu",
    )
    found = pipeline.preprocess(image, subtask="panoptic")
    still(tuple(found["pixel_values"].shape[-2:]) == (64, 85))
    ours, meta = pvzoo.load(oneformer, task="panoptic", device="cpu").adapter.preprocess(image)
    assert ours["pixel_values"].shape[-2:] == meta["padded"] == (64, 96)
    assert meta["valid"] == (64, 85)
    np.testing.assert_array_equal(ours["pixel_values"][..., :85], found["pixel_values"])
    assert not ours["pixel_values"][..., 85:].any()

    end = pipeline.tokenizer.eos_token_id
    still(found["task_inputs"][0, -1] == end)
    words = [*pipeline.tokenizer("the task is panoptic")["input_ids"]]
    assert ours["task_inputs"][0].tolist() == words + [0] * (77 - len(words))


def test_transparency_and_sixteen_bits_are_thrown_away():
    """pvzoo lays the image over white and scales 16 bits to 8."""
    glass = Image.new("RGBA", (2, 2), (200, 0, 0, 0))
    still(load_image(glass).getpixel((0, 0)) == (200, 0, 0))
    assert pvzoo.inputs.images.open_image(glass).getpixel((0, 0)) == (255, 255, 255)
    deep = Image.fromarray(np.full((2, 2), 128 * 257, np.uint16))
    still(load_image(deep).getpixel((0, 0)) != (128, 128, 128))
    assert pvzoo.inputs.images.open_image(deep).getpixel((0, 0)) == (128, 128, 128)


def test_a_classifier_without_a_head_gets_a_random_one(tmp_path):
    bare = transformers_folder(tmp_path, "vit").vit
    bare.save_pretrained(tmp_path)
    processor_of("vit").save_pretrained(tmp_path)
    heads = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        module = transformers.AutoModelForImageClassification.from_pretrained(tmp_path)
        heads.append(module.classifier.weight)
    still(not torch.equal(*heads))
    with pytest.raises(UnsupportedModelError):
        pvzoo.load(tmp_path, device="cpu")
    edit(tmp_path / "config.json", architectures=["ViTForImageClassification"])
    with pytest.raises(WeightsError, match=r"classifier\.(weight|bias)"):
        pvzoo.load(tmp_path, device="cpu")
