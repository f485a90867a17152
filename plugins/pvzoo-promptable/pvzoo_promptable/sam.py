"""SAM, SAM-HQ and SAM 2: one pass over the image, then a mask for each prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import AutoModelForMaskGeneration

from pvzoo.adapters.base import Adapter, Checkpoint
from pvzoo.masks import Masks, encode
from pvzoo.networks.from_transformers import load_model, load_processor
from pvzoo.postprocess.frame import Frame
from pvzoo.postprocess.instances import cut_out
from pvzoo.tasks.instance_segmentation import Instances

# The processor of each model type. The public checkpoints of SAM 2 are saved as those of videos.
_PROCESSORS = {
    "sam": "SamProcessor",
    "sam_hq": "SamHQProcessor",
    "sam2": "Sam2Processor",
    "sam2_video": "Sam2Processor",
}
_INPUTS = ("pixel_values", "input_points", "input_labels", "input_boxes")


class SamAdapter(Adapter):
    """Any of these networks of transformers.

    A single point may mean a part or the whole, so the network makes three masks for it and the one
    with the best score is taken. A box, or several points, mean one thing: there the network makes
    one mask. So the authors advise.
    """

    tasks = ("mask-generation",)
    on_device = ("pred_masks",)

    def __init__(self, module: torch.nn.Module, processor: Any) -> None:
        self.task = "mask-generation"
        self.labels = ("object",)
        self.module = module
        self._processor = getattr(transformers, _PROCESSORS[module.config.model_type])(processor)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """One of the model types."""
        return config.get("model_type") in _PROCESSORS

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> SamAdapter:
        """Load strictly."""
        module = load_model(AutoModelForMaskGeneration, checkpoint, dtype, trust_remote_code)
        return cls(module, load_processor(checkpoint, trust_remote_code))

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """``pixel_values`` (1, 3, h, w), points (1, n, k, 2), their labels, boxes (1, n, 4)."""
        points, labels, boxes = (prompts[n] for n in ("points", "point_labels", "boxes"))
        found = self._processor(
            images=image,
            input_points=None if points is None else [points.tolist()],
            input_labels=None if labels is None else [labels.tolist()],
            input_boxes=None if boxes is None else [boxes.tolist()],
            return_tensors="pt",
        )
        inputs = {n: found[n].numpy() for n in _INPUTS if n in found}
        meta: dict[str, Any] = {"size": image.size[::-1]}
        if "reshaped_input_sizes" in found:  # the rest of the square is padding
            meta["seen"] = tuple(found["reshaped_input_sizes"][0].tolist())
            meta["square"] = tuple(inputs["pixel_values"].shape[2:])
        return inputs, meta

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Masks (images, n, 3 or 1, h, w) as logits, and scores (images, n, 3 or 1), float32."""
        ambiguous = "input_boxes" not in inputs and inputs["input_points"].shape[2] == 1
        outputs = self.module(**inputs, multimask_output=ambiguous)
        return {name: outputs[name].float() for name in ("pred_masks", "iou_scores")}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Instances:
        """The best mask of each prompt, in the image's own size."""
        size, chances = meta["size"], outputs["iou_scores"][0]
        best = chances.argmax(axis=1)
        # a network may expect to overlap by more than all
        scores = np.clip(chances[np.arange(len(best)), best], 0, 1)
        kept = np.flatnonzero(scores >= controls["threshold"])
        logits = outputs["pred_masks"][0][kept, best[kept]]
        cells = tuple(logits.shape[-2:])
        frame = Frame(meta.get("square", cells), meta.get("seen", cells), size)
        found = cut_out(logits, frame, lambda top, left, mask: encode(mask, top, left, size))
        masks = Masks(size, tuple(one.mask for one in found))
        return Instances(
            size=size,
            boxes=masks.boxes,
            scores=scores[kept],
            labels=np.zeros(len(kept), dtype=np.int64),
            names=self.labels * len(kept),
            masks=masks,
        )
