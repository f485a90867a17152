"""What type checkers know of models: test_options.py runs mypy on this file, nobody runs it.

Under mypy's `warn_unused_ignores` each ``type: ignore`` says that there is such an error.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
import torch
from PIL import Image

import pvzoo
from pvzoo.metrics.base import Evaluation
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.panoptic import Panoptic
from pvzoo.results.semantic import SemanticMap
from pvzoo.results.several import Results

photo = Path("photo.jpg")

classifier = pvzoo.load("resnet50", task="image-classification", device="cpu")
assert_type(classifier, pvzoo.Model[Classification])
assert_type(pvzoo.load(task="classification"), pvzoo.Model[Classification])
assert_type(classifier.predict(photo, top_k=3, threshold=0.1), Classification)
assert_type(classifier.predict([photo], probabilities=True), Results[Classification])
assert_type(classifier.stream("photos/", top_k=None), Iterator[Classification])
assert_type(classifier.evaluate("pets/", split="test", top_k=5), Evaluation)
classifier.predict(photo, topk=3)  # type: ignore[call-overload]
classifier.predict(photo, top_k="3")  # type: ignore[call-overload]
classifier.stream("street.mp4", track=True)  # type: ignore[call-arg]
classifier.stream([photo], nms=0.5)  # type: ignore[call-arg]
classifier.evaluate("pets/", overlap=0.5)  # type: ignore[call-arg]

detector = pvzoo.load("detr-resnet50", task="detection")
assert_type(detector, pvzoo.Model[Detections])
assert_type(pvzoo.load(task="object-detection"), pvzoo.Model[Detections])
assert_type(detector.predict("street.jpg", threshold=0.7, classes=["car", 3]), Detections)
assert_type(detector.predict(["a.jpg", "b.jpg"], nms=0.5, batch_size=2), Results[Detections])
assert_type(detector.predict(photo, tiles=640), Detections)
assert_type(detector.predict([photo], tiles=pvzoo.Tiles(640)), Results[Detections])
detector.predict(photo, tiles="640")  # type: ignore[call-overload]
assert_type(detector.stream("photos/", max_detections=9, on_error="skip"), Iterator[Detections])
assert_type(detector.evaluate("coco/", class_agnostic=True, progress=False), Evaluation)
detector.predict(photo, treshold=0.5)  # type: ignore[call-overload]
detector.predict([photo], top_k=3)  # type: ignore[call-overload]
detector.stream("street.mp4", every=2, start=1.5, stop=None, track="sort", threshold=0.3)
detector.stream([photo], scores=True)  # type: ignore[call-arg]
detector.evaluate("coco/", treshold=0.5)  # type: ignore[call-arg]

segmenter = pvzoo.load("mask-rcnn", task="instance-segmentation")
assert_type(segmenter, pvzoo.Model[Instances])
assert_type(pvzoo.load(task="instance"), pvzoo.Model[Instances])
assert_type(segmenter.predict(photo, threshold=0.7), Instances)
assert_type(segmenter.predict([photo], nms=None), Results[Instances])
assert_type(segmenter.stream([photo], classes=None), Iterator[Instances])
assert_type(segmenter.evaluate("coco/", threshold=0.1), Evaluation)
segmenter.predict(photo, overlap=0.5)  # type: ignore[call-overload]
segmenter.stream([photo], overlap=0.5)  # type: ignore[call-arg]
segmenter.evaluate("coco/", overlap=0.5)  # type: ignore[call-arg]

semantic = pvzoo.load("segformer-b0", task="semantic-segmentation")
assert_type(semantic, pvzoo.Model[SemanticMap])
assert_type(pvzoo.load(task="semantic"), pvzoo.Model[SemanticMap])
assert_type(semantic.predict(photo, scores=True), SemanticMap)
assert_type(semantic.predict([photo], scores=True), Results[SemanticMap])
assert_type(semantic.stream([photo], scores=True), Iterator[SemanticMap])
assert_type(semantic.evaluate("ade20k/", scores=False), Evaluation)
semantic.predict(photo, threshold=0.5)  # type: ignore[call-overload]
semantic.stream([photo], threshold=0.5)  # type: ignore[call-arg]
semantic.evaluate("ade20k/", threshold=0.5)  # type: ignore[call-arg]

panoptic = pvzoo.load("mask2former", task="panoptic-segmentation")
assert_type(panoptic, pvzoo.Model[Panoptic])
assert_type(pvzoo.load(task="panoptic"), pvzoo.Model[Panoptic])
assert_type(panoptic.predict(photo, threshold=0.5, overlap=0.8), Panoptic)
assert_type(panoptic.predict([photo], overlap=None), Results[Panoptic])
assert_type(panoptic.stream([photo], overlap=0.8), Iterator[Panoptic])
assert_type(panoptic.evaluate("coco/", overlap=0.8), Evaluation)
panoptic.predict(photo, nms=0.5)  # type: ignore[call-overload]
panoptic.stream([photo], nms=0.5)  # type: ignore[call-arg]
panoptic.evaluate("coco/", nms=0.5)  # type: ignore[call-arg]

# Without a task, and with a plugin's, anything goes.
some = pvzoo.load("detr-resnet50")
assert_type(some, pvzoo.Model[Any])
assert_type(pvzoo.load("sam-vit-base", task="mask-generation"), pvzoo.Model[Any])
assert_type(some.predict(photo, points=[[3, 4]]), Any)
assert_type(some.predict([photo], threshold=0.5), Any)
assert_type(some.stream([photo], top_k=3), Iterator[Any])
assert_type(some.evaluate("coco/", prompts=["a cat"]), Evaluation)


def bare(model: pvzoo.Model) -> None:
    """A `Model` that says no more, as plugins have them."""
    assert_type(model, pvzoo.Model[Any])
    assert_type(model.predict(photo, anything=1), Any)


def named(task: str, model: pvzoo.Model[Detections]) -> None:
    """A text that only the run knows, and a type that somebody wrote down."""
    assert_type(pvzoo.load("a-model", task=task), pvzoo.Model[Any])
    assert_type(model.predict(photo, threshold=0.5), Detections)


# Every kind of image is one image; of a list of results one is a result.
for image in (b"\xff\xd8", io.BytesIO(), Image.new("RGB", (4, 4)), memoryview(b"")):
    assert_type(detector.predict(image), Detections)
with photo.open("rb") as file:
    assert_type(detector.predict(file), Detections)
assert_type(detector.predict(np.zeros((4, 4, 3), np.uint8)), Detections)
assert_type(detector.predict(torch.zeros(3, 4, 4)), Detections)
assert_type(detector.predict({"bytes": b"", "path": None}), Detections)
assert_type(detector.predict((photo, photo)), Results[Detections])
assert_type(detector.predict([photo])[0], Detections)
assert_type(detector.predict([photo])[:1], Results[Detections])
detector.predict(iter([photo]))  # type: ignore[call-overload]

# on_error is where it works: for several images, and not for labelled data.
detector.predict([photo], on_error=lambda error: print(error.source))
detector.predict(photo, on_error="skip")  # type: ignore[call-overload]
detector.evaluate("coco/", on_error="skip")  # type: ignore[call-arg]

# What is tuned and what is seen keep their types.
assert_type(
    classifier.fine_tune("pets/", epochs=1, output_dir="runs/pets"), pvzoo.Model[Classification]
)
pvzoo.load("detr-resnet50", task="detection", devise="cpu")  # type: ignore[call-overload]
