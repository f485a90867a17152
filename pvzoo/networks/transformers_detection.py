"""Networks of transformers for object detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForObjectDetection

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import UnsupportedModelError
from pvzoo.networks import _training
from pvzoo.networks._counts import counted_over_processes
from pvzoo.networks.base import Classes, Network
from pvzoo.networks.from_transformers import (
    backbone_config,
    load_model,
    load_processor,
    named_classes,
    prepared,
)
from pvzoo.preprocess.derive import steps_of
from pvzoo.preprocess.steps import Pad, Step

_INPUTS = ("pixel_values", "pixel_mask")
_OUTPUTS = (
    "logits",
    "pred_boxes",
    "order_logits",
    "relative_order_logits",
    "successor_order_logits",
)


class TransformersDetectionNetwork(Network):
    """Any network of `AutoModelForObjectDetection`."""

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        self.module = module
        self.spec = Spec(
            "transformers-detection",
            "object-detection",
            named_classes(module.config),
            family=module.config.model_type,
        )
        self._processor = processor

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersDetectionNetwork:
        """Load strictly."""
        module = load_model(
            AutoModelForObjectDetection,
            checkpoint,
            dtype,
            trust_remote_code,
            **backbone_config(checkpoint),
        )
        if module.config.model_type == "dab-detr" and module.dtype != torch.float32:
            raise UnsupportedModelError(
                f"{checkpoint.name} (dab-detr) runs in float32 alone: transformers makes its "
                "position embeddings in float32, whatever the weights are.",
                "Leave dtype out.",
            )
        return cls(module, load_processor(checkpoint, trust_remote_code))

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The checkpoint's own processor: ``pixel_values`` (1, 3, h, w), perhaps ``pixel_mask``."""
        found = prepared(self._processor, image)
        inputs = {n: found[n] for n in _INPUTS if n in found}
        if self.spec.family == "yolos":  # does not look at it
            inputs.pop("pixel_mask", None)
        return inputs, {"size": image.size[::-1]}

    def steps(self) -> tuple[Step, ...]:
        """Those of the processor."""
        steps = steps_of(self._processor)
        if self.spec.family == "yolos":
            steps = tuple(replace(s, mask=None) if isinstance(s, Pad) else s for s in steps)
        return steps

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, queries, classes) and boxes (n, queries, 4), relative, as float32."""
        outputs = self.module(**inputs)
        return {n: outputs[n].float() for n in _OUTPUTS if outputs.get(n) is not None}

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersDetectionNetwork:
        """With the head of `classes`; all families but PP-DocLayout, which has no loss."""
        if self.spec.family.startswith("pp_doclayout"):
            raise _training.refuse(self.spec.family, "transformers has no loss for it")
        module = _training.retargeted(self.module, classes, seed)
        if self.spec.family == "deformable_detr":
            # its authors train every decoder layer, and checkpoints leave it off; in DETR's,
            # Conditional DETR's and Table Transformer's code it would change what is predicted
            module.config.auxiliary_loss = True
        tuned = type(self)(module, _training.resized(self._processor, image_size))
        return _training.at_size(tuned, image_size)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Padded inputs, and ``labels``: classes and relative boxes.

        Boxes are relative to the picture where the network is told by a mask what is padding, as
        DETR's authors have it; their port rescales them to the padded frame, so that what is
        learned depends on the rest of the batch. Other networks see the frame.
        """
        inputs = [self.prepare(picture)[0] for picture in pictures]
        batch = _training.stack(inputs)
        frame = batch["pixel_values"].shape[-2:]
        labels = []
        for picture, target, own in zip(pictures, targets, inputs, strict=True):
            size = picture.size[::-1]
            if "pixel_mask" not in batch:
                shape = own["pixel_values"].shape[-2:]
                size = tuple(s * f / v for s, f, v in zip(size, frame, shape, strict=True))
            boxes = _training.relative_boxes(target, size)
            labels.append({"class_labels": target["categories"], "boxes": boxes})
        return {**batch, "labels": labels}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The family's own loss."""
        with counted_over_processes():
            return module(**batch).loss

    @property
    def backbone(self) -> tuple[str, ...]:
        """The convolutional or transformer network that sees the pixels."""
        return _training.backbone_of(self.module)

    @cached_property
    def head(self) -> tuple[str, ...]:
        """The tensors that have an entry for each class."""
        return _training.head_of(self.module)

    def save(self, folder: Path) -> None:
        """As `AutoModelForObjectDetection.from_pretrained` reads it."""
        _training.save(self.module, self._processor, folder, {"task": self.spec.task})

    def snippet(self, name: str) -> str:
        """For model cards."""
        return _training.snippet("AutoModelForObjectDetection", name)
