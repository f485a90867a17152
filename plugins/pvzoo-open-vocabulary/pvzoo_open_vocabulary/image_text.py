"""CLIP, SigLIP and SigLIP 2: how near an image and texts are in the space they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotImageClassification

from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.adapters.classification import classify, probabilities
from pvzoo.adapters.from_transformers import load_model, load_processor, prepared
from pvzoo.tasks.image_classification import Classification
from pvzoo_open_vocabulary.text import TextEncoder, load_tokenizer

_TEXTS = ("input_ids", "attention_mask")


class ImageTextAdapter(Adapter):
    """CLIP scores prompts against each other (softmax), SigLIP each by itself (sigmoid)."""

    tasks = ("zero-shot-image-classification",)

    def __init__(self, module: torch.nn.Module, processor: Any, tokenizer: Any) -> None:
        self.task = "zero-shot-image-classification"
        self.labels = ()
        self.module = module
        self._processor = processor
        self._by_itself = module.config.model_type.startswith("siglip")
        longest = module.config.text_config.max_position_embeddings
        # SigLIP was trained on texts filled up to the full length, and looks at its last token
        fill = {"padding": "max_length", "max_length": longest}
        self._encode = TextEncoder(
            tokenizer, longest, **(fill if self._by_itself else {"padding": True})
        )

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """A whole CLIP or SigLIP, with both its halves."""
        whole = {"CLIPModel", "SiglipModel", "Siglip2Model"}
        return not whole.isdisjoint(config.get("architectures") or ())

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> ImageTextAdapter:
        """Load strictly."""
        auto = AutoModelForZeroShotImageClassification
        return cls(
            load_model(auto, checkpoint, dtype, trust_remote_code),
            load_processor(checkpoint, trust_remote_code),
            load_tokenizer(checkpoint, trust_remote_code),
        )

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The processor's inputs, and ``input_ids`` (1, prompts, tokens), perhaps with a mask."""
        names = prompts["prompts"]
        tokens = self._encode(tuple(prompts["template"].replace("{}", name) for name in names))
        tokens = {name: tokens[name][None] for name in _TEXTS if name in tokens}
        pixels = prepared(self._processor, image)
        return {**pixels, **tokens}, {"size": image.size[::-1], "prompts": names}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, prompts). A text that several images ask for is read once."""
        given = [name for name in _TEXTS if name in inputs]
        rows = torch.stack([inputs[name] for name in given])  # (given, n, prompts, tokens)
        texts, place = torch.unique(rows.flatten(1, 2), dim=1, return_inverse=True)
        outputs = self.module(
            **{name: value for name, value in inputs.items() if name not in given},
            **dict(zip(given, texts, strict=True)),
        )
        return {"logits": outputs.logits_per_image.gather(1, place.view(rows.shape[1:3]))}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Classification:
        """The best prompts of one image."""
        scores = probabilities(outputs["logits"], self._by_itself)[0]
        return classify(
            scores, meta["prompts"], meta["size"], multi_label=self._by_itself, **controls
        )
