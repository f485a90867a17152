"""SAM, SAM-HQ and SAM 2: one pass over the image, then a mask for each prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Meta
from pvzoo.postprocess.frame import Frame
from pvzoo.postprocess.instances import cut_out
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks, encode

_PADDED = ("sam", "sam_hq")
"""Families that scale the image to fit a square and fill it up; SAM 2 stretches it to one."""

FAMILIES = (*_PADDED, "sam2", "sam2_video")
"""By the ``model_type`` of the config. Public checkpoints of SAM 2 are saved as those of videos."""


class SamAdapter(Adapter):
    """Any of these networks of transformers.

    A single point may mean a part or the whole, so the network makes three masks for it and the one
    with the best score is taken. A box, or several points, mean one thing: there the network makes
    one mask. So the authors advise.

    Outputs are ``pred_masks`` (images, n, 3 or 1, h, w), logits, and ``iou_scores`` (images, n, 3
    or 1).
    """

    tasks = ("mask-generation",)
    network = "pvzoo_promptable.network:SamNetwork"
    on_device = ("pred_masks",)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """One of the model types."""
        return config.get("model_type") in FAMILIES

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The pixels, and where the objects are in them, all with an axis of one in front.

        ``input_points`` (1, n, k, 2), ``input_labels`` (1, n, k) and ``input_boxes`` (1, n, 4), if
        there are some; in pixels of the network's input.
        """
        inputs, meta = super().preprocess(image)
        (height, width), (valid_height, valid_width) = meta["size"], meta["valid"]
        scale = np.array([valid_width / width, valid_height / height])
        points, labels, boxes = (prompts[n] for n in ("points", "point_labels", "boxes"))
        if points is not None:
            inputs["input_points"] = (points * scale).astype(np.float32)[None]
            inputs["input_labels"] = labels[None]
        if boxes is not None:
            inputs["input_boxes"] = (boxes * np.tile(scale, 2)).astype(np.float32)[None]
        return inputs, meta

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Instances:
        """The best mask of each prompt, in the image's own size."""
        size, chances = meta["size"], outputs["iou_scores"][0]
        best = chances.argmax(axis=1)
        # a network may expect to overlap by more than all
        scores = np.clip(chances[np.arange(len(best)), best], 0, 1)
        kept = np.flatnonzero(scores >= controls["threshold"])
        logits = outputs["pred_masks"][0][kept, best[kept]]
        if self.spec.family in _PADDED:
            frame = Frame(meta["padded"], meta["valid"], size)
        else:
            cells = tuple(logits.shape[-2:])
            frame = Frame(cells, cells, size)
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
