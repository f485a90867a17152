"""DETR and similar: every `AutoModelForObjectDetection` of transformers that gives boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta, Prepare, Spec
from pvzoo.adapters.detection import detections
from pvzoo.errors import UnsupportedModelError, short
from pvzoo.families import FAMILIES, family_of
from pvzoo.families.base import DETECTION
from pvzoo.families.heads import has_head
from pvzoo.postprocess.detection import Boxes, decode
from pvzoo.results.detections import Detections


class TransformersDetectionAdapter(Adapter):
    """Any transformers detector; `Family.boxes` says how to read its outputs.

    The outputs are ``logits`` (n, queries, classes) and ``pred_boxes`` (n, queries, 4), relative.

    A family without a record is read by the function of its image processor. The outputs are then
    all outputs of the network, and ``processor`` in the spec's ``extra`` has the settings.
    """

    tasks = ("object-detection",)
    network = "pvzoo.networks.transformers_detection:TransformersDetectionNetwork"
    families = FAMILIES

    def __init__(self, spec: Spec, prepare: Prepare | None = None) -> None:
        super().__init__(spec, prepare)
        if prepare is None and self.family.boxes is None:  # an export has no processor
            raise UnsupportedModelError(
                f"pvzoo does not know how to read the boxes of the family {short(spec.family)}.",
                "Load the original model: its image processor can read them.",
            )

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the config names the object-detection head of its model type."""
        return has_head(DETECTION, config)

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a network whose outputs are not boxes."""
        model_type = config.get("model_type")
        if refused := family_of(model_type).refused:
            raise UnsupportedModelError(
                f"{name} ({model_type}) {refused}.",
                "Use it with transformers directly, or choose a detector: "
                "pvzoo list --task object-detection.",
            )

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """The boxes of one image: decoded, then filtered by class and by the controls."""
        size, threshold = meta["size"], controls.pop("threshold")
        if self.family.boxes is None:
            found = _by_processor(self.spec.extra["processor"], outputs, size, threshold)
        else:
            order = outputs.get("order_logits")
            found = decode(
                self.family.boxes,
                outputs["logits"][0],
                outputs["pred_boxes"][0],
                size,
                threshold,
                None if order is None else order[0],
            )
        return detections(
            found.boxes, found.scores, found.labels, self.labels, size, threshold=None, **controls
        )


def _by_processor(
    settings: Mapping[str, Any], outputs: dict[str, Any], size: tuple[int, int], threshold: float
) -> Boxes:
    """The boxes by ``post_process_object_detection`` of an image processor with these settings."""
    import torch
    import transformers

    processor = getattr(transformers, settings["image_processor_type"]).from_dict(dict(settings))
    tensors = {name: torch.from_numpy(value) for name, value in outputs.items()}
    found = processor.post_process_object_detection(
        transformers.BatchFeature(tensors), threshold=threshold, target_sizes=[size]
    )[0]
    scores, labels, boxes = (found[n].numpy() for n in ("scores", "labels", "boxes"))
    return Boxes(scores, labels, boxes, np.zeros_like(labels))  # the queries are unknown
