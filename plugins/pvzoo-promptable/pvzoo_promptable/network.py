"""SAM, SAM-HQ and SAM 2 of transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForMaskGeneration, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.networks.from_transformers import TransformersNetwork


class SamNetwork(TransformersNetwork):
    """Any network of `AutoModelForMaskGeneration` from the families in `pvzoo_promptable.sam`."""

    auto_class = AutoModelForMaskGeneration

    def __init__(self, module: PreTrainedModel, processor: Any) -> None:
        super().__init__(module, processor)
        self.spec = Spec(
            "pvzoo-promptable:sam",
            "mask-generation",
            ("object",),
            family=module.config.model_type,
        )

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixel_values`` (1, 3, h, w), from the checkpoint's own image processor.

        The adapter prepares points and boxes; it does not need a processor for them.
        """
        found = self._processor(images=image, return_tensors="np")
        pixels = np.asarray(found["pixel_values"])
        padded = pixels.shape[-2:]
        valid = found["reshaped_input_sizes"][0] if "reshaped_input_sizes" in found else padded
        meta = {"size": image.size[::-1], "padded": padded, "valid": tuple(map(int, valid))}
        return {"pixel_values": pixels}, meta

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Mask logits (images, n, 3 or 1, h, w) and scores (images, n, 3 or 1), float32."""
        ambiguous = "input_boxes" not in inputs and inputs["input_points"].shape[2] == 1
        outputs = self.module(**inputs, multimask_output=ambiguous)
        return {name: outputs[name].float() for name in ("pred_masks", "iou_scores")}
