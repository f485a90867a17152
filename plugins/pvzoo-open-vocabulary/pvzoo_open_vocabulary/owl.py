"""OWL-ViT and OWLv2: every patch of the image is a box, compared with every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.detection import detections
from pvzoo.postprocess import corners, sigmoid
from pvzoo.results.detections import Detections

THRESHOLD = 0.1
"""Least score if nobody says, as in transformers."""


class OwlAdapter(Adapter):
    """Any OWL-ViT or OWLv2 of transformers.

    Outputs are ``logits`` (n, patches, prompts) and ``pred_boxes`` (n, patches, 4), relative.
    """

    tasks = ("zero-shot-object-detection",)
    network = "pvzoo_open_vocabulary.networks.owl:OwlNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The detection head of an OWL."""
        heads = {"OwlViTForObjectDetection", "Owlv2ForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """Each patch's best prompt, if its score is above the threshold, in the patches' order."""
        logits = outputs["logits"][0]
        if controls["threshold"] is None:
            controls["threshold"] = THRESHOLD
        height, width = meta["size"]
        square = self.spec.family == "owlv2"  # which fills the image up to one
        frame = (max(height, width),) * 2 if square else (height, width)
        return detections(
            corners(outputs["pred_boxes"][0], frame),
            sigmoid(logits.max(axis=1)),
            logits.argmax(axis=1),
            meta["prompts"],
            meta["size"],
            **controls,
        )
