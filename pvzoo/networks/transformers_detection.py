"""Networks of transformers for object detection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForObjectDetection

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import UnsupportedModelError
from pvzoo.networks import _training
from pvzoo.networks._counts import counted_over_processes
from pvzoo.networks.base import Classes
from pvzoo.networks.from_transformers import named_classes
from pvzoo.preprocess.steps import Pad, Step

_INPUTS = ("pixel_values", "pixel_mask")
_OUTPUTS = (
    "logits",
    "pred_boxes",
    "order_logits",
    "relative_order_logits",
    "successor_order_logits",
)


class TransformersDetectionNetwork(_training.TrainableNetwork):
    """Any network of `AutoModelForObjectDetection`."""

    auto_class = AutoModelForObjectDetection

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        super().__init__(module, processor)
        self.spec = Spec(
            "transformers-detection",
            "object-detection",
            named_classes(module.config),
            family=module.config.model_type,
        )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersDetectionNetwork:
        """Load strictly."""
        network = super().load(
            checkpoint, task=task, dtype=dtype, trust_remote_code=trust_remote_code
        )
        if network.spec.family == "dab-detr" and network.module.dtype != torch.float32:
            raise UnsupportedModelError(
                f"{checkpoint.name} (dab-detr) runs in float32 alone: transformers makes its "
                "position embeddings in float32, whatever the weights are.",
                "Leave dtype out.",
            )
        return network

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The checkpoint's own processor: ``pixel_values`` (1, 3, h, w), perhaps ``pixel_mask``."""
        found, meta = super().prepare(image)
        inputs = {n: found[n] for n in _INPUTS if n in found}
        if self.spec.family == "yolos":  # does not look at it
            inputs.pop("pixel_mask", None)
        return inputs, meta

    def steps(self) -> tuple[Step, ...]:
        """Those of the processor."""
        steps = super().steps()
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
            corners = target["boxes"].as_subclass(torch.Tensor)
            boxes = _training.relative_boxes(corners, size)
            labels.append({"class_labels": target["categories"], "boxes": boxes})
        return {**batch, "labels": labels}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The family's own loss."""
        with counted_over_processes():
            return module(**batch).loss
