"""CLIP, SigLIP and SigLIP 2: the similarity of an image and texts in their shared space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.base import Meta
from pvzoo.adapters.classification import classify, probabilities
from pvzoo.results.classification import Classification
from pvzoo_open_vocabulary.adapter import TextAdapter


class ImageTextAdapter(TextAdapter):
    """CLIP scores prompts against each other (softmax); SigLIP scores each prompt alone (sigmoid).

    The output is ``logits`` (n, prompts). ``multi_label`` in the spec's ``extra`` is true for
    SigLIP.
    """

    tasks = ("zero-shot-image-classification",)
    network = "pvzoo_open_vocabulary.networks.image_text:ImageTextNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether it is a complete CLIP or SigLIP, with its image part and its text part."""
        whole = {"CLIPModel", "SiglipModel", "Siglip2Model"}
        return not whole.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Classification:
        """The best prompts of one image."""
        several = self.spec.extra["multi_label"]
        scores = probabilities(outputs["logits"], several)[0]
        return classify(scores, meta["prompts"], meta["size"], multi_label=several, **controls)
