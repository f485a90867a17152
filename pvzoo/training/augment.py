"""Training augmentations by task, on torchvision's `transforms.v2`; boxes and masks go along."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes

from pvzoo.data import schema

Target = dict[str, Any]

LEAST_SIDE = 1.0
"""Pixels: an object of which less is left by a crop is dropped."""


def default(task: str) -> v2.Transform:
    """What a task's images are put through in training unless the caller says otherwise.

    Classification: a crop of at least 35 % of the picture, a flip. Detection: colours, a crop that
    keeps objects (SSD's, as RT-DETR's authors use it) in half of the cases, a flip. Segmentation:
    colours, a crop of at least 30 % scaled back to the picture's size (the scale jitter of
    Mask2Former's authors, by means that need no padding), a flip.
    """
    flip = v2.RandomHorizontalFlip()
    colours = v2.RandomPhotometricDistort(p=0.5)
    if task == schema.CLASSIFICATION:
        return v2.Compose([CropAndScale(0.35), flip])
    if task == schema.DETECTION:
        return v2.Compose([colours, v2.RandomApply([v2.RandomIoUCrop()], p=0.5), flip])
    return v2.Compose([colours, v2.RandomApply([CropAndScale(0.3)], p=0.5), flip])


class CropAndScale(v2.Transform):
    """torchvision's `RandomResizedCrop` whose output has the size of its input.

    Args:
        least: The least share of the picture's area that is kept.
    """

    def __init__(self, least: float) -> None:
        super().__init__()
        self._least = least

    def forward(self, *inputs: Any) -> Any:
        """See `torchvision.transforms.v2.Transform`."""
        height, width = v2.functional.get_size(
            next(i for i in inputs if isinstance(i, Image.Image))
        )
        return v2.RandomResizedCrop((height, width), scale=(self._least, 1.0))(*inputs)


def tidy(picture: Image.Image, target: Target) -> Target:
    """The target without objects that a transform moved out of the picture; boxes cut to it.

    Boxes and masks come out as plain tensors.
    """
    if "boxes" not in target:
        return target
    width, height = picture.size
    boxes = v2.functional.clamp_bounding_boxes(
        BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(height, width))
    )
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)
    if "masks" in target:
        kept &= target["masks"].flatten(1).any(dim=1)
    cut = {k: v[kept] for k, v in target.items() if k in ("categories", "masks")}
    return {**target, "boxes": boxes[kept], **cut}


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Within it the random generators of Python, NumPy and torch (on the CPU) follow from `key`."""
    value = int.from_bytes(hashlib.sha256(repr(key).encode()).digest()[:4], "big")
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(value)
    np.random.seed(value)
    torch.random.default_generator.manual_seed(value)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
