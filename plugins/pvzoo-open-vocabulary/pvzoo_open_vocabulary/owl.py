"""OWL-ViT and OWLv2: every patch of the image is a box, compared with every text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection

from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.adapters.from_transformers import load_model, load_processor, prepared
from pvzoo.tasks.object_detection import Detections
from pvzoo_open_vocabulary.objects import detections
from pvzoo_open_vocabulary.text import TextEncoder, load_tokenizer

THRESHOLD = 0.1
"""Least score if nobody says, as in transformers."""


class OwlAdapter(Adapter):
    """Any OWL-ViT or OWLv2 of transformers."""

    tasks = ("zero-shot-object-detection",)

    def __init__(self, module: torch.nn.Module, processor: Any, tokenizer: Any) -> None:
        self.task = "zero-shot-object-detection"
        self.labels = ()
        self.module = module
        self._processor = processor
        self._square = module.config.model_type == "owlv2"  # it fills the image up to one
        longest = module.config.text_config.max_position_embeddings
        self._encode = TextEncoder(tokenizer, longest, padding="max_length", max_length=longest)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The detection head of an OWL."""
        heads = {"OwlViTForObjectDetection", "Owlv2ForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> OwlAdapter:
        """Load strictly."""
        return cls(
            load_model(AutoModelForZeroShotObjectDetection, checkpoint, dtype, trust_remote_code),
            load_processor(checkpoint, trust_remote_code),
            load_tokenizer(checkpoint, trust_remote_code),
        )

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """``pixel_values`` (1, 3, h, w), ``input_ids`` and ``attention_mask`` (1, prompts, t)."""
        texts = prompts["prompts"]
        tokens = {name: array[None] for name, array in self._encode(texts).items()}
        pixels = prepared(self._processor, image)["pixel_values"]
        return {"pixel_values": pixels, **tokens}, {"size": image.size[::-1], "prompts": texts}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, patches, prompts) and boxes (n, patches, 4), relative, as float32."""
        pixels = inputs["pixel_values"]
        tokens = {n: t.flatten(0, 1) for n, t in inputs.items() if n != "pixel_values"}
        outputs = self.module(pixel_values=pixels, **tokens)
        return {name: outputs[name].float() for name in ("logits", "pred_boxes")}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Detections:
        """Each patch's best prompt, if its score is above the threshold, in the patches' order."""
        threshold = controls.pop("threshold")
        logits, labels = outputs["logits"][0].max(-1)
        scores = logits.sigmoid()
        keep = scores > (THRESHOLD if threshold is None else threshold)
        height, width = meta["size"]
        return detections(
            scores[keep],
            labels[keep],
            outputs["pred_boxes"][0][keep],
            frame=(max(height, width),) * 2 if self._square else (height, width),
            **meta,
            **controls,
        )
