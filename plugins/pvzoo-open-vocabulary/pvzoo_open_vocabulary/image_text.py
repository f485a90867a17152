"""CLIP, SigLIP and SigLIP 2: how near an image and texts are in the space they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.classification import classify, probabilities
from pvzoo.results.classification import Classification


class ImageTextAdapter(Adapter):
    """CLIP scores prompts against each other (softmax), SigLIP each by itself (sigmoid).

    The output is ``logits`` (n, prompts). The spec's ``extra`` has ``multi_label``, true of SigLIP.
    """

    tasks = ("zero-shot-image-classification",)
    network = "pvzoo_open_vocabulary.networks.image_text:ImageTextNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """A whole CLIP or SigLIP, with both its halves."""
        whole = {"CLIPModel", "SiglipModel", "Siglip2Model"}
        return not whole.isdisjoint(config.get("architectures") or ())

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Classification:
        """The best prompts of one image."""
        several = self.spec.extra["multi_label"]
        scores = probabilities(outputs["logits"], several)[0]
        return classify(scores, meta["prompts"], meta["size"], multi_label=several, **controls)
