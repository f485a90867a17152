"""The adapter: which checkpoints are of this family, and what a network's outputs mean.

It imports no network library, so that models are found and exported ones run without any. How
pictures are prepared is data, the steps that `my_zoo.network` says; a family that needs more
overrides `preprocess`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.classification import classify, probabilities
from pvzoo.results.classification import Classification

MODEL_TYPE = "my-zoo"


class ColourAdapter(Adapter):
    """Drives networks that give ``logits`` (n, classes)."""

    tasks = ("image-classification",)
    network = "my_zoo.network:ColourNetwork"
    pixels = "pixels"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type that `ColourNetwork.save` writes."""
        return config.get("model_type") == MODEL_TYPE

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Classification:
        """The best classes: at most `top_k`, none that scores less than `threshold`."""
        scores = probabilities(outputs["logits"], multi_label=False)[0]
        return classify(scores, self.labels, meta["size"], multi_label=False, **controls)
