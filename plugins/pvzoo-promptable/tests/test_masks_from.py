"""Boxes of a detector and masks of a SAM, as one model."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image
from pvzoo_promptable import masks_from
from pvzoo_promptable.compose import MasksFrom

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import ImageError, UsageError

RNG = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((48, 64), (100, 40), (48, 64))
]


@pytest.fixture(scope="module")
def detector(checkpoint) -> pvzoo.Model:
    return pvzoo.load(checkpoint("rt_detr_v2"), device="cpu")


@pytest.fixture(scope="module")
def segmenter(checkpoint) -> pvzoo.Model:
    return pvzoo.load(checkpoint("sam2"), device="cpu")


def test_boxes_and_classes_are_the_detectors_and_masks_the_segmenters(detector, segmenter):
    both = masks_from(detector, segmenter)
    for image, found in zip(IMAGES, both.predict(IMAGES, max_detections=3), strict=True):
        alone = detector.predict(image, max_detections=3)
        assert len(found) == 3
        assert found.task == "instance-segmentation"
        assert found.names == alone.names
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
        masks = segmenter.predict(image, boxes=found.boxes).masks
        assert found.masks.counts == masks.counts
        assert found.plot().size[0] >= image.size[0]
    one = both.predict(IMAGES[0], max_detections=3)
    assert one.to_dict()["predictions"][0]["mask"]["size"] == [48, 64]


def test_an_image_without_objects_has_no_masks(detector, segmenter):
    found = masks_from(detector, segmenter).predict(IMAGES[0], threshold=1.0)
    assert len(found) == len(found.masks) == 0
    assert found.masks.to_array().shape == (0, 48, 64)


def test_a_stream_gives_results_one_by_one_and_skips_what_is_not_an_image(detector, segmenter):
    both = masks_from(detector, segmenter)
    skipped: list[ImageError] = []
    results = both.stream(
        iter([IMAGES[0], b"no image", IMAGES[1]]), on_error=skipped.append, max_detections=1
    )
    assert [found.size for found in results] == [(48, 64), (100, 40)]
    assert [error.index for error in skipped] == [1]
    with pytest.raises(UsageError, match="has no option 'boxes'"):
        both.stream(IMAGES, boxes=[[1, 2, 3, 4]])


def labelled(both: MasksFrom, names: list[str], **options: Any) -> datasets.Dataset:
    """The best object that the two find in each image, as if it were the truth."""
    rows = []
    for i, image in enumerate(IMAGES):
        found = both.predict(image, threshold=0, max_detections=1, **options)
        left, top, right, bottom = found.masks.boxes[0].tolist()
        objects = {
            "id": [i + 1],
            "bbox": [[left, top, right - left, bottom - top]],
            "category": [names.index(found.names[0])],
            "area": [float(found.masks.areas[0])],
            "iscrowd": [False],
            "ignore": [False],
            "segmentation": found.masks.to_coco(),
        }
        width, height = image.size
        row = {"image": image, "image_id": i, "file_name": f"{i}.png", "objects": objects}
        rows.append({**row, "width": width, "height": height})
    return datasets.Dataset.from_list(rows, features=schema.features(schema.INSTANCE, names))


def test_it_is_measured_by_its_masks(detector, segmenter):
    both = masks_from(detector, segmenter)
    data = labelled(both, sorted({name for name in detector.labels if name}))
    assert both.evaluate(data, max_detections=1)["map"] == pytest.approx(1)


def test_a_detector_by_text_is_asked_in_words_and_measured_by_its_masks(segmenter, checkpoint):
    pytest.importorskip("pvzoo_open_vocabulary")
    both = masks_from(pvzoo.load(checkpoint("owlv2"), device="cpu"), segmenter)
    asked = {"prompts": ["a fox", "a bed"], "threshold": 0.0, "max_detections": 2}
    for image, found in zip(IMAGES, both.predict(IMAGES, **asked), strict=True):
        alone = both.detector.predict(image, **asked)
        assert len(found) == len(found.masks) == 2
        assert found.names == alone.names
        assert set(found.names) <= {"a fox", "a bed"}
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-2)
    with pytest.raises(UsageError, match="Pass what to look for"):
        both.predict(IMAGES[0])
    data = labelled(both, ["a bed", "a fox"], prompts=asked["prompts"])
    assert both.evaluate(data, max_detections=1)["map"] == pytest.approx(1)


def test_the_wrong_models_are_refused(detector, segmenter):
    with pytest.raises(UsageError, match=r"mask-generation\) does not find boxes. Pass a detector"):
        masks_from(segmenter, detector)
    with pytest.raises(UsageError, match=r"object-detection\) does not make masks for boxes"):
        masks_from(detector, detector)
    classifier = pvzoo.load("efficientnet-lite0-pip", device="cpu")
    with pytest.raises(UsageError, match="does not find boxes"):
        masks_from(classifier, segmenter)
