"""DETR and its family: every `AutoModelForObjectDetection` of transformers that gives boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForObjectDetection
from transformers.models.auto.modeling_auto import MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES

from pvzoo.adapters import _training
from pvzoo.adapters._counts import counted_over_processes
from pvzoo.adapters.base import Adapter, Checkpoint, Classes
from pvzoo.adapters.from_transformers import (
    backbone_config,
    load_model,
    load_processor,
    named_classes,
    prepared,
)
from pvzoo.errors import UnsupportedModelError
from pvzoo.postprocess.detection import RECORDS, Boxes, best, decode, suppress
from pvzoo.tasks.object_detection import Detections

# Text detectors that transformers files under object detection: they give a heat map, no boxes.
_HEAT_MAPS = frozenset(
    {"pp_ocrv5_mobile_det", "pp_ocrv5_server_det", "pp_ocrv6_medium_det", "pp_ocrv6_small_det"}
)
# Its boxes come from corner points and are sorted along a graph; the processor's own function,
# which needs no network, is used as it is.
_BY_PROCESSOR = "pp_doclayout_v4"
_INPUTS = ("pixel_values", "pixel_mask")
_OUTPUTS = (
    "logits",
    "pred_boxes",
    "order_logits",
    "relative_order_logits",
    "successor_order_logits",
)


class TransformersDetectionAdapter(Adapter):
    """Any transformers detector; `pvzoo.postprocess.detection.RECORDS` says how each is read."""

    tasks = ("object-detection",)

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        self.task = "object-detection"
        self.module = module
        self.labels = named_classes(module.config)
        self._model_type = module.config.model_type
        self._processor = processor

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The architecture saved is the object-detection head of its model type."""
        head = MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES.get(config.get("model_type", ""))
        return head in (config.get("architectures") or ())

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a network whose outputs are not known to be boxes."""
        model_type = config.get("model_type")
        if model_type in _HEAT_MAPS:
            raise UnsupportedModelError(
                f"{name} ({model_type}) finds lines of text as a heat map, not objects with "
                "classes and boxes.",
                "Use it with transformers directly, or choose a detector: "
                "pvzoo list --task object-detection.",
            )
        if model_type not in RECORDS and model_type != _BY_PROCESSOR:
            raise UnsupportedModelError(
                f"{name} is of the family {model_type!r}, whose post-processing is not known here.",
                f"Known: {', '.join([*RECORDS, _BY_PROCESSOR])}.",
            )

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> TransformersDetectionAdapter:
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

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The checkpoint's own processor: ``pixel_values`` (1, 3, h, w), perhaps ``pixel_mask``."""
        found = prepared(self._processor, image)
        inputs = {n: found[n] for n in _INPUTS if n in found}
        if self._model_type == "yolos":  # does not look at it
            inputs.pop("pixel_mask", None)
        return inputs, {"size": image.size[::-1]}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Logits (n, queries, classes) and boxes (n, queries, 4), relative, as float32."""
        outputs = self.module(**inputs)
        return {n: outputs[n].float() for n in _OUTPUTS if outputs.get(n) is not None}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Detections:
        """Boxes of one image: decoded, without nameless classes, then filtered as asked."""
        size, threshold = meta["size"], controls["threshold"]
        if self._model_type == _BY_PROCESSOR:
            found = self._by_processor(outputs, size, threshold)
        else:
            order = outputs.get("order_logits")
            found = decode(
                RECORDS[self._model_type],
                outputs["logits"][0],
                outputs["pred_boxes"][0],
                size,
                threshold,
                None if order is None else order[0],
            )
        wanted = controls["classes"]
        if wanted is None:
            wanted = [i for i, name in enumerate(self.labels) if name]
        found = found[torch.isin(found.labels, torch.tensor(wanted, device=found.labels.device))]
        if controls["nms"] is not None:
            found = suppress(found, controls["nms"], controls["class_agnostic"])
        if controls["max_detections"] is not None:
            found = best(found, controls["max_detections"])
        labels = found.labels.cpu().numpy()
        return Detections(
            size=size,
            boxes=found.boxes.cpu().numpy(),
            scores=found.scores.cpu().numpy(),
            labels=labels,
            names=tuple(self.labels[i] for i in labels),
        )

    def _by_processor(
        self, outputs: dict[str, Any], size: tuple[int, int], threshold: float
    ) -> Boxes:
        found = self._processor.post_process_object_detection(
            SimpleNamespace(**outputs), threshold=threshold, target_sizes=[size]
        )[0]
        queries = torch.zeros_like(found["labels"])  # not told, and not needed
        return Boxes(found["scores"], found["labels"], found["boxes"], queries)

    # --- fine-tuning ------------------------------------------------------------------------------

    def retarget(
        self, classes: Classes, *, image_size: int | None, seed: int
    ) -> TransformersDetectionAdapter:
        """With the head of `classes`; all families but PP-DocLayout, which has no loss."""
        if self._model_type.startswith("pp_doclayout"):
            raise _training.refuse(self._model_type, "transformers has no loss for it")
        module = _training.retargeted(self.module, classes, seed)
        if self._model_type == "deformable_detr":
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
        inputs = [self.preprocess(picture)[0] for picture in pictures]
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
        _training.save(self.module, self._processor, folder, {"task": self.task})

    def snippet(self, name: str) -> str:
        """For model cards."""
        return _training.snippet("AutoModelForObjectDetection", name)
