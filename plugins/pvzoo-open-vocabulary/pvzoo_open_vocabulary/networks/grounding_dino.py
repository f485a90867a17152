"""Grounding DINO of transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection, PreTrainedModel

from pvzoo.adapters.base import Arrays, Meta, Spec
from pvzoo.errors import UnsupportedModelError, UsageError
from pvzoo.networks.base import Network
from pvzoo.networks.from_transformers import prepared
from pvzoo_open_vocabulary.networks.text import TextEncoder, TextNetwork


class GroundingDinoNetwork(TextNetwork):
    """Grounding DINO and MM Grounding DINO (from MMDetection)."""

    auto_class = AutoModelForZeroShotObjectDetection

    def __init__(self, module: PreTrainedModel, processor: Any, tokenizer: Any) -> None:
        self.module = module
        config: Any = module.config  # its attributes depend on the family
        self.spec = Spec(
            "pvzoo-open-vocabulary:grounding-dino",
            "zero-shot-object-detection",
            (),
            family=config.model_type,
        )
        self.processor = processor
        self._encode = TextEncoder(
            tokenizer,
            config.max_text_len,
            return_token_type_ids=True,
            return_offsets_mapping=True,
        )

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixel_values`` (1, 3, h, w), ``pixel_mask``, and the (1, tokens) joined prompts.

        ``own`` in the meta has the token indices of each prompt.

        Raises:
            UsageError: A prompt has a full stop, which separates prompts, or has no token.
        """
        texts = prompts["prompts"]
        joined, indices = _joined(texts)
        tokens = dict(self._encode((joined,)))
        own = _tokens_of(indices, tokens.pop("offset_mapping")[0])
        if [] in own:
            raise UsageError(
                f"The tokenizer finds no tokens in the prompt {texts[own.index([])]!r}.",
                "Write it with other letters.",
            )
        pixels = prepared(self.processor, image)
        return {**pixels, **tokens}, {"size": image.size[::-1], "prompts": texts, "own": own}

    def with_prompts(self, prompts: Mapping[str, Any]) -> Network:
        """Always refused.

        Raises:
            UnsupportedModelError: torch.export does not come to an end with its Swin Transformer
                where the sizes of images are free.
        """
        raise UnsupportedModelError(
            "Grounding DINO cannot be exported: PyTorch cannot trace its backbone, a Swin "
            "Transformer, for images of any size in a reasonable time.",
            "It goes on working with PyTorch. OWL-ViT can be exported.",
        )

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Logits (n, queries, tokens) and boxes (n, queries, 4), relative, as float32.

        The network pads logits to its longest text length with minus infinity; the padding is
        removed here.
        """
        outputs = self.module(**inputs)
        logits = outputs["logits"][..., : inputs["input_ids"].shape[1]]
        return {"logits": logits.float(), "pred_boxes": outputs["pred_boxes"].float()}


def _joined(prompts: tuple[str, ...]) -> tuple[str, list[tuple[int, int]]]:
    """The prompts as one text, as in "a cat. remote control.", and where each begins and ends."""
    text, indices = "", []
    for prompt in prompts:
        if "." in prompt:
            raise UsageError(
                f"The prompt {prompt!r} has a full stop, which separates prompts for Grounding "
                "DINO.",
                'Leave it out; pass several prompts as a list: prompts=["a cat", "a remote"].',
            )
        text += " " if text else ""
        phrase = prompt.strip().lower()
        indices.append((len(text), len(text) + len(phrase)))
        text += phrase + "."
    return text, indices


def _tokens_of(indices: list[tuple[int, int]], offsets: np.ndarray) -> list[list[int]]:
    """For each prompt the indices of its tokens, from the (start, end) letters of each token."""
    start, stop = offsets.T
    some = start < stop
    return [
        np.flatnonzero((start >= first) & (stop <= last) & some).tolist() for first, last in indices
    ]
