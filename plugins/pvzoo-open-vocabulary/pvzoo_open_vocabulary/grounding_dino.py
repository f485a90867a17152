"""Grounding DINO: all prompts are one text, and each box has a score for each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.detection import detections
from pvzoo.postprocess import corners, sigmoid
from pvzoo.results.detections import Detections

THRESHOLD = 0.25
"""The default threshold, as in transformers."""


class GroundingDinoAdapter(Adapter):
    """Grounding DINO and MM Grounding DINO (from MMDetection).

    A box gets the score of its best token, and the prompt of that token. (transformers names a box
    by all tokens above a second threshold; these may belong to several prompts or to none.)

    Outputs are ``logits`` (n, queries, tokens) and ``pred_boxes`` (n, queries, 4), relative.
    """

    tasks = ("zero-shot-object-detection",)
    network = "pvzoo_open_vocabulary.networks.grounding_dino:GroundingDinoNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the model type is one of these, with its detection head."""
        heads = {"GroundingDinoForObjectDetection", "MMGroundingDinoForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """The boxes with a best token above the threshold, in the order of the queries."""
        fits = sigmoid(outputs["logits"][0])
        if controls["threshold"] is None:
            controls["threshold"] = THRESHOLD
        of_prompts = np.stack([fits[:, tokens].max(axis=1) for tokens in meta["own"]], axis=1)
        return detections(
            corners(outputs["pred_boxes"][0], meta["size"]),
            fits.max(axis=1),
            of_prompts.argmax(axis=1),
            meta["prompts"],
            meta["size"],
            **controls,
        )
