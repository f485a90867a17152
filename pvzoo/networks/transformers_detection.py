"""Networks of transformers for object detection."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import transformers
from PIL import Image
from transformers import AutoModelForObjectDetection, PreTrainedModel

from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import PvzooWarning, UnsupportedModelError
from pvzoo.families import FAMILIES
from pvzoo.networks import _training
from pvzoo.networks._counts import counted_over_processes
from pvzoo.networks.base import TargetClasses
from pvzoo.networks.from_transformers import named_classes
from pvzoo.preprocess.steps import Pad, Step

_INPUTS = ("pixel_values", "pixel_mask")
_OUTPUTS = ("logits", "pred_boxes", "order_logits")


class TransformersDetectionNetwork(_training.TrainableNetwork):
    """Any network of `AutoModelForObjectDetection`."""

    auto_class = AutoModelForObjectDetection

    def __init__(self, module: PreTrainedModel, processor: Any) -> None:
        super().__init__(module, processor)
        extra = {}
        if self.family.boxes is None:
            extra["processor"] = json.loads(processor.to_json_string())
        self.spec = Spec(
            "transformers-detection",
            "object-detection",
            named_classes(module.config),
            family=module.config.model_type,
            extra=extra,
        )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersDetectionNetwork:
        """Load the checkpoint; all weights must fit. Warns for a family without a record."""
        network = super().load(
            checkpoint, task=task, dtype=dtype, trust_remote_code=trust_remote_code
        )
        family, why = network.module.config.model_type, network.family.float32
        if why and network.module.dtype != torch.float32:
            raise UnsupportedModelError(
                f"{checkpoint.name} ({family}) runs only in float32: {why}.", "Leave dtype out."
            )
        if family not in FAMILIES:
            _check_reader(checkpoint.name, family, network.spec.extra["processor"])
        return network

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The processor's output: ``pixel_values`` (1, 3, h, w) and perhaps ``pixel_mask``."""
        found, meta = super().prepare(image)
        inputs = {n: found[n] for n in _INPUTS if n in found}
        if self.family.ignores_mask:
            inputs.pop("pixel_mask", None)
        return inputs, meta

    def steps(self) -> tuple[Step, ...]:
        """The steps of the processor."""
        steps = super().steps()
        if self.family.ignores_mask:
            steps = tuple(replace(s, mask=None) if isinstance(s, Pad) else s for s in steps)
        return steps

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, queries, classes) and boxes (n, queries, 4), relative, as float32.

        If the processor reads the outputs, these are all whose first axis is the batch.
        """
        outputs = self.module(**inputs)
        if self.family.boxes is None:
            count = len(inputs["pixel_values"])
            return {
                name: value.float() if value.is_floating_point() else value
                for name, value in outputs.items()
                if torch.is_tensor(value) and value.ndim and len(value) == count
            }
        return {n: outputs[n].float() for n in _OUTPUTS if outputs.get(n) is not None}

    @property
    def unexported(self) -> str:
        """The reason of its family; boxes of an unknown family can only be read with PyTorch."""
        if self.family.boxes is None and not super().unexported:
            return "its processor reads its boxes, and needs PyTorch"
        return super().unexported

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: TargetClasses, *, image_size: int | None, seed: int
    ) -> TransformersDetectionNetwork:
        """A new network with a head for `classes`."""
        family = self.module.config.model_type
        if family not in FAMILIES:
            raise _training.refuse(family, "pvzoo does not know how to train it")
        module = _training.retargeted(self.module, classes, seed)
        tuned = type(self)(module, _training.resized(self._processor, image_size))
        return _training.at_size(tuned, image_size)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Padded inputs, and ``labels``: classes and relative boxes.

        If the network gets a mask of the padding, boxes are relative to the image, as in the code
        of DETR's authors. (In transformers they are relative to the padded frame, so that the
        targets depend on the rest of the batch.) For other networks they are relative to the frame.
        """
        inputs = [self.prepare(image)[0] for image in images]
        batch = _training.stack(inputs)
        frame = batch["pixel_values"].shape[-2:]
        labels = []
        for image, target, own in zip(images, targets, inputs, strict=True):
            size = image.size[::-1]
            if "pixel_mask" not in batch:
                shape = own["pixel_values"].shape[-2:]
                size = tuple(s * f / v for s, f, v in zip(size, frame, shape, strict=True))
            corners = target["boxes"].as_subclass(torch.Tensor)
            boxes = _training.relative_boxes(corners, size)
            labels.append({"class_labels": target["categories"], "boxes": boxes})
        return {**batch, "labels": labels}

    def targets_of(self, batch: dict[str, Any]) -> list[dict[str, Any]]:
        """For each image, ``boxes`` and ``categories``."""
        frames = [batch["pixel_values"].shape[-2:]] * len(batch["labels"])
        if "pixel_mask" in batch:
            frames = [_training.extent(mask) for mask in batch["pixel_mask"]]
        return [
            {
                "boxes": _training.absolute_boxes(own["boxes"], frame),
                "categories": own["class_labels"],
            }
            for own, frame in zip(batch["labels"], frames, strict=True)
        ]

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """The family's own loss."""
        with counted_over_processes():
            loss: torch.Tensor = module(**batch).loss
        return loss


def _check_reader(name: str, family: str, settings: Mapping[str, Any]) -> None:
    """Warn that the processor of a detector reads its outputs.

    Raises:
        UnsupportedModelError: The processor has no function for this.
    """
    kind = settings["image_processor_type"]
    if not hasattr(getattr(transformers, kind, None), "post_process_object_detection"):
        raise UnsupportedModelError(
            f"{name} is of the family {family!r}, which pvzoo does not know, and the {kind} of "
            "transformers has no function that reads its boxes.",
            f"Known families: {', '.join(n for n, record in FAMILIES.items() if record.boxes)}.",
        )
    warnings.warn(
        f"{name} is of the family {family!r}, which pvzoo does not know. Its boxes are read by "
        f"{kind}.post_process_object_detection; they were not compared with a reference. The model "
        "needs PyTorch and cannot be fine-tuned.",
        PvzooWarning,
        stacklevel=4,
    )
