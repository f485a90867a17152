"""What tasks vary pictures with, on torchvision's `transforms.v2`, and how it is drawn by lot."""

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


def crop_and_scale() -> v2.Transform:
    """For maps and masks: colours, in half of the cases a crop scaled back, a flip.

    The crop is of at least 30 % of the picture and gets the picture's size: the scale jitter of
    Mask2Former's authors, by means that need no padding.
    """
    crop = v2.RandomApply([CropAndScale(0.3)], p=0.5)
    return v2.Compose([v2.RandomPhotometricDistort(p=0.5), crop, v2.RandomHorizontalFlip()])


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
