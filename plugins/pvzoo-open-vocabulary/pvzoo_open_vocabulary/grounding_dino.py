"""Grounding DINO: all prompts are one text, and each box says how well it fits each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.detection import detections
from pvzoo.postprocess import corners, sigmoid
from pvzoo.results.detections import Detections

THRESHOLD = 0.25
"""Least score if nobody says, as in transformers."""


class GroundingDinoAdapter(Adapter):
    """Grounding DINO, and the one of MMDetection.

    A box's score is that of its best token, its prompt the one with the best token. (transformers
    gives as a name all tokens above a second threshold, which may be of several prompts or none.)

    Outputs are ``logits`` (n, queries, tokens) and ``pred_boxes`` (n, queries, 4), relative.
    """

    tasks = ("zero-shot-object-detection",)
    network = "pvzoo_open_vocabulary.networks.grounding_dino:GroundingDinoNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """One of the model types, with its detection head."""
        heads = {"GroundingDinoForObjectDetection", "MMGroundingDinoForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """Boxes whose best token is above the threshold, in the queries' order."""
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
