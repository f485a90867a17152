"""OWL-ViT and OWLv2 of transformers."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.networks.from_transformers import prepared
from pvzoo_open_vocabulary.networks.text import TextEncoder, TextNetwork


class OwlNetwork(TextNetwork):
    """Any OWL-ViT or OWLv2 of transformers."""

    auto_class = AutoModelForZeroShotObjectDetection

    def __init__(self, module: PreTrainedModel, processor: Any, tokenizer: Any) -> None:
        self.module = module
        config: Any = module.config  # its attributes depend on the family
        self.spec = Spec(
            "pvzoo-open-vocabulary:owl",
            "zero-shot-object-detection",
            (),
            family=config.model_type,
        )
        self._processor = processor
        longest = config.text_config.max_position_embeddings
        self._encode = TextEncoder(tokenizer, longest, padding="max_length", max_length=longest)

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixel_values`` (1, 3, h, w), ``input_ids`` and ``attention_mask`` (1, prompts, t)."""
        texts = prompts["prompts"]
        tokens = {name: array[None] for name, array in self._encode(texts).items()}
        pixels = prepared(self._processor, image)["pixel_values"]
        return {"pixel_values": pixels, **tokens}, {"size": image.size[::-1], "prompts": texts}

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits (n, patches, prompts) and boxes (n, patches, 4), relative, as float32."""
        pixels = inputs["pixel_values"]
        tokens = {n: t.flatten(0, 1) for n, t in inputs.items() if n != "pixel_values"}
        outputs = self.module(pixel_values=pixels, **tokens)
        return {name: outputs[name].float() for name in ("logits", "pred_boxes")}
