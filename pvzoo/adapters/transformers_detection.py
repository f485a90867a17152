"""DETR and its family: every `AutoModelForObjectDetection` of transformers that gives boxes."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.heads import DETECTION, has_head
from pvzoo.errors import UnsupportedModelError
from pvzoo.postprocess.detection import RECORDS, Boxes, decode, select
from pvzoo.results.detections import Detections

# Text detectors that transformers files under object detection: they give a heat map, no boxes.
_HEAT_MAPS = frozenset(
    {"pp_ocrv5_mobile_det", "pp_ocrv5_server_det", "pp_ocrv6_medium_det", "pp_ocrv6_small_det"}
)
# Its boxes come from corner points and are sorted along a graph; the processor's own function,
# which needs no network, is used as it is.
_BY_PROCESSOR = "pp_doclayout_v4"


class TransformersDetectionAdapter(Adapter):
    """Any transformers detector; `pvzoo.postprocess.detection.RECORDS` says how each is read.

    Its outputs are ``logits`` (n, queries, classes) and ``pred_boxes`` (n, queries, 4), relative.
    """

    tasks = ("object-detection",)
    network = "pvzoo.networks.transformers_detection:TransformersDetectionNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """The architecture saved is the object-detection head of its model type."""
        return has_head(DETECTION, config)

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

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """Boxes of one image: decoded, without nameless classes, then filtered as asked."""
        size, threshold = meta["size"], controls.pop("threshold")
        if self.spec.family == _BY_PROCESSOR:
            found = _by_processor(outputs, size, threshold)
        else:
            order = outputs.get("order_logits")
            found = decode(
                RECORDS[self.spec.family],
                outputs["logits"][0],
                outputs["pred_boxes"][0],
                size,
                threshold,
                None if order is None else order[0],
            )
        if controls["classes"] is None:
            controls["classes"] = [i for i, name in enumerate(self.labels) if name]
        kept = select(found.boxes, found.scores, found.labels, **controls)
        labels = found.labels[kept]
        return Detections(
            size=size,
            boxes=found.boxes[kept],
            scores=found.scores[kept],
            labels=labels,
            names=tuple(self.labels[i] for i in labels),
        )


def _by_processor(outputs: dict[str, Any], size: tuple[int, int], threshold: float) -> Boxes:
    import torch
    from transformers import PPDocLayoutV4ImageProcessor

    tensors = {name: torch.from_numpy(value) for name, value in outputs.items()}
    found = PPDocLayoutV4ImageProcessor().post_process_object_detection(
        SimpleNamespace(**tensors), threshold=threshold, target_sizes=[size]
    )[0]
    scores, labels, boxes = (found[n].numpy() for n in ("scores", "labels", "boxes"))
    return Boxes(scores, labels, boxes, np.zeros_like(labels))  # queries are not told
