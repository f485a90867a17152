"""SAM, SAM-HQ and SAM 2: one pass over the image, then a mask for each prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Graphs, Meta
from pvzoo.postprocess.frame import Frame
from pvzoo.postprocess.instances import cut_out
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks, encode

_PADDED = ("sam", "sam_hq")
"""Families that scale the image to fit into a square and pad it; SAM 2 stretches it to a square."""

NOT_THERE, LEFT_TOP, RIGHT_BOTTOM = -1, 2, 3
"""Labels of points beside 0 and 1: of one that only fills up, and of the corners of a box."""

FAMILIES = (*_PADDED, "sam2", "sam2_video")
"""By the ``model_type`` of the config. Public checkpoints of SAM 2 have the type for videos."""


class SamAdapter(Adapter):
    """Any of these networks of transformers.

    A single point may mean a part or the whole object, so the network makes three masks for it, and
    the one with the best score is used. A box or several points mean one object, so the network
    makes one mask. The authors advise this.

    Outputs: ``pred_masks`` (images, n, 3 or 1, h, w), logits, and ``iou_scores`` (images, n, 3 or
    1).
    """

    tasks = ("mask-generation",)
    network = "pvzoo_promptable.network:SamNetwork"
    on_device = ("pred_masks", "image", "finer_0", "finer_1", "earlier")

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the model type is one of these families."""
        return config.get("model_type") in FAMILIES

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The pixels and the prompts, all with a leading axis of length 1.

        The prompts are ``input_points`` (1, n, k, 2), in pixels of the network's input, and
        ``input_labels`` (1, n, k). A box is two points, its corners, as in the networks themselves.
        """
        inputs, meta = super().preprocess(image)
        (height, width), (valid_height, valid_width) = meta["size"], meta["valid"]
        scale = np.array([valid_width / width, valid_height / height])
        points, labels, boxes = (prompts[n] for n in ("points", "point_labels", "boxes"))
        places, codes = [], []
        if points is not None:
            places.append(points * scale)
            codes.append(labels)
        if boxes is not None:
            places.append(boxes.reshape(-1, 2, 2) * scale)
            codes.append(np.tile([LEFT_TOP, RIGHT_BOTTOM], (len(boxes), 1)))
        count = len(places[0])
        if boxes is None or self.spec.family not in _PADDED:  # as each family was trained
            places.append(np.zeros((count, 1, 2)))
            codes.append(np.full((count, 1), NOT_THERE))
        inputs["input_points"] = np.concatenate(places, axis=1).astype(np.float32)[None]
        inputs["input_labels"] = np.concatenate(codes, axis=1).astype(np.int64)[None]
        return inputs, meta

    def run(self, graphs: Graphs, inputs: Arrays) -> dict[str, Any]:
        """One pass over the images, then one over the points."""
        seen = graphs("encoder", {"pixel_values": inputs["pixel_values"]})
        points = {name: inputs[name] for name in ("input_points", "input_labels")}
        codes = inputs["input_labels"][0, 0]
        is_one_point = len(codes) == 2 and codes[1] == NOT_THERE
        return graphs("three_masks" if is_one_point else "one_mask", {**points, **seen})

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Instances:
        """The best mask of each prompt, at the size of the image."""
        size, chances = meta["size"], outputs["iou_scores"][0]
        best = chances.argmax(axis=1)
        # a network may estimate an IoU above 1
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
