"""SAM, SAM-HQ and SAM 2 of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import AutoModelForMaskGeneration, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.networks.base import Graph
from pvzoo.networks.from_transformers import TransformersNetwork
from pvzoo_promptable.sam import LEFT_TOP, RIGHT_BOTTOM


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

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The embeddings of images; what they and points come to is for the other graphs."""
        found: dict[str, Tensor] = _Encoder(self.module)(**inputs)
        return found

    def graphs(self) -> tuple[Graph, ...]:
        """One for images, and two for points: one mask of each object, or three."""
        return (
            Graph("encoder", _Encoder(self.module)),
            Graph("one_mask", _Decoder(self.module, several=False)),
            Graph("three_masks", _Decoder(self.module, several=True)),
        )

    def write_config(self, folder: Path) -> None:
        """That of transformers."""
        self.module.config.save_pretrained(folder)


class _Encoder(nn.Module):
    """Images -> all that the decoder looks at: "image", and finer or earlier maps."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.sam = module

    def forward(self, pixel_values: Tensor) -> dict[str, Tensor]:
        """(n, 3, h, w) -> maps with the images as their first axis."""
        sam: Any = self.sam
        kind = sam.config.model_type
        if kind.startswith("sam2"):
            *finer, image = sam.get_image_embeddings(pixel_values)
            return {"image": image, **{f"finer_{i}": part for i, part in enumerate(finer)}}
        found = sam.vision_encoder(pixel_values)
        if kind == "sam_hq":
            return {"image": found.last_hidden_state, "earlier": found.intermediate_embeddings[0]}
        return {"image": found.last_hidden_state}


class _Decoder(nn.Module):
    """Points and the outputs of `_Encoder` -> masks; one of each object, or three."""

    def __init__(self, module: Any, *, several: bool) -> None:
        super().__init__()
        self.sam = module
        self.several = several

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Masks (images, n, 3 or 1, h, w) as logits, and scores (images, n, 3 or 1), float32."""
        sam: Any = self.sam
        points, labels, image = inputs["input_points"], inputs["input_labels"], inputs["image"]
        prompts = sam.prompt_encoder
        sparse = prompts._embed_points(points, labels, pad=False)
        if not sam.config.model_type.startswith("sam2"):  # which knows the corners of boxes there
            for code in (LEFT_TOP, RIGHT_BOTTOM):
                corner = sparse + prompts.point_embed[code].weight[0]
                sparse = torch.where((labels == code)[..., None], corner, sparse)
        count, sides = image.shape[0], prompts.image_embedding_size
        dense = prompts.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(count, -1, *sides)
        more: dict[str, Any] = {}
        if finer := [inputs[name] for name in sorted(inputs) if name.startswith("finer")]:
            more["high_resolution_features"] = finer
        if "earlier" in inputs:
            more |= {"intermediate_embeddings": [inputs["earlier"]], "hq_token_only": False}
        found = sam.mask_decoder(
            image_embeddings=image,
            image_positional_embeddings=sam.get_image_wide_positional_embeddings().repeat(
                count, 1, 1, 1
            ),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=self.several,
            **more,
        )
        return {"pred_masks": found[0].float(), "iou_scores": found[1].float()}
