"""CLIP, SigLIP and SigLIP 2 of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import AutoModelForZeroShotImageClassification, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.networks.from_transformers import prepared
from pvzoo_open_vocabulary.networks.fixed import FixedNetwork, tensors
from pvzoo_open_vocabulary.networks.text import TextEncoder, TextNetwork

_TEXTS = ("input_ids", "attention_mask")


class ImageTextNetwork(TextNetwork):
    """The image part and the text part of a CLIP or SigLIP."""

    auto_class = AutoModelForZeroShotImageClassification

    def __init__(self, module: PreTrainedModel, processor: Any, tokenizer: Any) -> None:
        self.module = module
        config: Any = module.config  # its attributes depend on the family
        siglip = config.model_type.startswith("siglip")
        self.spec = Spec(
            "pvzoo-open-vocabulary:image-text",
            "zero-shot-image-classification",
            (),
            family=config.model_type,
            extra={"multi_label": siglip},
        )
        self.processor = processor
        longest = config.text_config.max_position_embeddings
        # SigLIP was trained on texts padded to the full length, and uses the last token
        fill = {"padding": "max_length", "max_length": longest} if siglip else {"padding": True}
        self._encode = TextEncoder(tokenizer, longest, **fill)

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The processor's inputs and ``input_ids`` (1, prompts, tokens), perhaps with a mask."""
        names = prompts["prompts"]
        tokens = self._encode(tuple(prompts["template"].replace("{}", name) for name in names))
        tokens = {name: tokens[name][None] for name in _TEXTS if name in tokens}
        pixels = prepared(self.processor, image)
        return {**pixels, **tokens}, {"size": image.size[::-1], "prompts": names}

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits (n, prompts). A text that several images use is encoded only once."""
        given = [name for name in _TEXTS if name in inputs]
        rows = torch.stack([inputs[name] for name in given])  # (given, n, prompts, tokens)
        texts, index = torch.unique(rows.flatten(1, 2), dim=1, return_inverse=True)
        outputs = self.module(
            **{name: value for name, value in inputs.items() if name not in given},
            **dict(zip(given, texts, strict=True)),
        )
        return {"logits": outputs.logits_per_image.gather(1, index.view(rows.shape[1:3]))}

    def with_prompts(self, prompts: Mapping[str, Any]) -> FixedNetwork:
        """The half for images, which compares them with what the texts came to."""
        module: Any = self.module
        inputs = tensors(self.prepare(Image.new("RGB", (64, 64)), **prompts)[0])
        given = {name: inputs.pop(name)[0] for name in _TEXTS if name in inputs}
        with torch.no_grad():
            texts = module(**inputs, **given).text_embeds
        return FixedNetwork(self, _ImageHalf(module, texts), prompts, _TEXTS)


class _ImageHalf(nn.Module):
    """The half for images, and the texts (prompts, width) as vectors of length 1."""

    texts: torch.Tensor

    def __init__(self, module: Any, texts: torch.Tensor) -> None:
        super().__init__()
        self.vision = module.vision_model
        self.projection = getattr(module, "visual_projection", nn.Identity())
        self.register_buffer("texts", texts)
        self.register_buffer("scale", module.logit_scale.detach().exp())
        self.register_buffer("bias", getattr(module, "logit_bias", torch.zeros(1)).detach())

    def forward(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits (n, prompts)."""
        seen = self.projection(self.vision(**inputs).pooler_output)
        seen = seen / seen.norm(p=2, dim=-1, keepdim=True)
        return {"logits": seen @ self.texts.t() * self.scale + self.bias}
