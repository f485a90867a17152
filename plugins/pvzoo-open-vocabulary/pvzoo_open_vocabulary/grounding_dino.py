"""Grounding DINO: all prompts are one text, and each box says how well it fits each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection

from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.adapters.from_transformers import backbone_config, load_model, load_processor, prepared
from pvzoo.errors import UsageError
from pvzoo.tasks.object_detection import Detections
from pvzoo_open_vocabulary.objects import detections
from pvzoo_open_vocabulary.text import TextEncoder, load_tokenizer

THRESHOLD = 0.25
"""Least score if nobody says, as in transformers."""


class GroundingDinoAdapter(Adapter):
    """Grounding DINO, and the one of MMDetection.

    A box's score is that of its best token, its prompt the one with the best token. (transformers
    gives as a name all tokens above a second threshold, which may be of several prompts or none.)
    """

    tasks = ("zero-shot-object-detection",)

    def __init__(self, module: torch.nn.Module, processor: Any, tokenizer: Any) -> None:
        self.task = "zero-shot-object-detection"
        self.labels = ()
        self.module = module
        self._processor = processor
        self._encode = TextEncoder(
            tokenizer,
            module.config.max_text_len,
            return_token_type_ids=True,
            return_offsets_mapping=True,
        )

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """One of the model types, with its detection head."""
        heads = {"GroundingDinoForObjectDetection", "MMGroundingDinoForObjectDetection"}
        return not heads.isdisjoint(config.get("architectures") or ())

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> GroundingDinoAdapter:
        """Load strictly."""
        auto = AutoModelForZeroShotObjectDetection
        config = backbone_config(checkpoint)
        return cls(
            load_model(auto, checkpoint, dtype, trust_remote_code, **config),
            load_processor(checkpoint, trust_remote_code),
            load_tokenizer(checkpoint, trust_remote_code),
        )

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """``pixel_values`` (1, 3, h, w), ``pixel_mask``, and (1, tokens) of the joined prompts.

        Raises:
            UsageError: A prompt has a full stop, which is what parts prompts, or no token.
        """
        texts = prompts["prompts"]
        joined, places = _joined(texts)
        tokens = dict(self._encode((joined,)))
        own = _tokens_of(places, tokens.pop("offset_mapping")[0])
        if not own.any(1).all():
            raise UsageError(
                f"The tokenizer sees nothing in the prompt {texts[own.any(1).argmin()]!r}.",
                "Say it in other letters.",
            )
        pixels = prepared(self._processor, image)
        return {**pixels, **tokens}, {"size": image.size[::-1], "prompts": texts, "own": own}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, queries, tokens) and boxes (n, queries, 4), relative, as float32.

        The network fills logits up to the longest text it knows with minus infinity; those are
        left out here.
        """
        outputs = self.module(**inputs)
        logits = outputs["logits"][..., : inputs["input_ids"].shape[1]]
        return {"logits": logits.float(), "pred_boxes": outputs["pred_boxes"].float()}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Detections:
        """Boxes whose best token is above the threshold, in the queries' order."""
        threshold = controls.pop("threshold")
        fits = outputs["logits"][0].sigmoid()
        scores = fits.max(-1).values
        keep = scores > (THRESHOLD if threshold is None else threshold)
        own = torch.from_numpy(meta["own"]).to(fits.device)
        of_prompts = torch.stack([fits[keep][:, tokens].amax(-1) for tokens in own], dim=-1)
        return detections(
            scores[keep],
            of_prompts.argmax(-1),
            outputs["pred_boxes"][0][keep],
            frame=meta["size"],
            size=meta["size"],
            prompts=meta["prompts"],
            **controls,
        )


def _joined(prompts: tuple[str, ...]) -> tuple[str, list[tuple[int, int]]]:
    """The prompts as one text, as in "a cat. remote control.", and where each begins and ends."""
    text, places = "", []
    for prompt in prompts:
        if "." in prompt:
            raise UsageError(
                f"The prompt {prompt!r} has a full stop, which parts prompts for Grounding DINO.",
                'Leave it out; several are a list: prompts=["a cat", "remote control"].',
            )
        text += " " if text else ""
        phrase = prompt.strip().lower()
        places.append((len(text), len(text) + len(phrase)))
        text += phrase + "."
    return text, places


def _tokens_of(places: list[tuple[int, int]], offsets: np.ndarray) -> np.ndarray:
    """(prompts, tokens) bool: which tokens, of which `offsets` has the letters, are of a prompt."""
    start, stop = offsets.T
    return np.array([(start >= first) & (stop <= last) & (start < stop) for first, last in places])
