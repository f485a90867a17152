"""OWL-ViT and OWLv2 of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForZeroShotObjectDetection, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.networks.from_transformers import prepared
from pvzoo_open_vocabulary.networks.fixed import FixedNetwork, shallow, tensors
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
        self.processor = processor
        longest = config.text_config.max_position_embeddings
        self._encode = TextEncoder(tokenizer, longest, padding="max_length", max_length=longest)

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixel_values`` (1, 3, h, w), ``input_ids`` and ``attention_mask`` (1, prompts, t)."""
        texts = prompts["prompts"]
        tokens = {name: array[None] for name, array in self._encode(texts).items()}
        pixels = prepared(self.processor, image)["pixel_values"]
        return {"pixel_values": pixels, **tokens}, {"size": image.size[::-1], "prompts": texts}

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits (n, patches, prompts) and boxes (n, patches, 4), relative, as float32."""
        pixels = inputs["pixel_values"]
        tokens = {n: t.flatten(0, 1) for n, t in inputs.items() if n != "pixel_values"}
        outputs = self.module(pixel_values=pixels, **tokens)
        return {name: outputs[name].float() for name in ("logits", "pred_boxes")}

    def with_prompts(self, prompts: Mapping[str, Any]) -> FixedNetwork:
        """The part for images, which compares patches with what the texts came to."""
        inputs = tensors(self.prepare(Image.new("RGB", (64, 64)), **prompts)[0])
        pixels = inputs.pop("pixel_values")
        given = {name: tensor[0] for name, tensor in inputs.items()}
        with torch.no_grad():
            texts = self.module(pixel_values=pixels, **given).text_embeds
        return FixedNetwork(self, _Patches(self.module, texts), prompts, tuple(inputs))


class _Patches(nn.Module):
    """The part for images, and the texts as vectors (1, prompts, width)."""

    owl: Any
    texts: torch.Tensor

    def __init__(self, module: Any, texts: torch.Tensor) -> None:
        super().__init__()
        base = "owlvit" if hasattr(module, "owlvit") else "owlv2"
        self.owl = shallow(module)
        whole = shallow(getattr(module, base))
        del whole._modules["text_model"], whole._modules["text_projection"]
        self.owl._modules[base] = whole
        self.register_buffer("texts", texts)

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (n, patches, prompts) and boxes (n, patches, 4), relative."""
        seen = self.owl.image_embedder(pixel_values)[0]
        patches = seen.flatten(1, 2)
        texts = self.texts.expand(patches.shape[0], -1, -1)
        logits = self.owl.class_predictor(patches, texts)[0]
        return {"logits": logits, "pred_boxes": self.owl.box_predictor(patches, seen)}
