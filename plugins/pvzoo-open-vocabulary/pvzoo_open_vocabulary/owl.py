"""OWL-ViT and OWLv2: every patch of the image gives a box, which is compared with every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.base import Meta
from pvzoo.adapters.detection import detections
from pvzoo.postprocess import corners, sigmoid
from pvzoo.results.detections import Detections
from pvzoo_open_vocabulary.adapter import TextAdapter

THRESHOLD = 0.1
"""The default threshold, as in transformers."""


class OwlAdapter(TextAdapter):
    """Any OWL-ViT or OWLv2 of transformers.

    Outputs: ``logits`` (n, patches, prompts) and ``pred_boxes`` (n, patches, 4), relative.
    """

    tasks = ("zero-shot-object-detection",)
    network = "pvzoo_open_vocabulary.networks.owl:OwlNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether it is an OWL with its detection head."""
        heads = {"OwlViTForObjectDetection", "Owlv2ForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """The best prompt of each patch with a score above the threshold, in patch order."""
        logits = outputs["logits"][0]
        if controls["threshold"] is None:
            controls["threshold"] = THRESHOLD
        height, width = meta["size"]
        square = self.spec.family == "owlv2"  # it pads the image to a square
        frame = (max(height, width),) * 2 if square else (height, width)
        return detections(
            corners(outputs["pred_boxes"][0], frame),
            sigmoid(logits.max(axis=1)),
            logits.argmax(axis=1),
            meta["prompts"],
            meta["size"],
            **controls,
        )
