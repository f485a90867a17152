"""Augmentations that tasks share, made of torchvision's `transforms.v2`."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torchvision.transforms import v2

from pvzoo.training.targets.base import Transform, composed


def crop_and_scale() -> Transform:
    """The augmentation for maps and masks: change colours, crop half of the images, flip.

    A crop has at least 30 % of the image's area and is scaled to the image's size. This replaces
    the scale jitter of Mask2Former's authors and needs no padding.
    """
    crop = v2.RandomApply([CropAndScale(0.3)], p=0.5)
    return composed(v2.RandomPhotometricDistort(p=0.5), crop, v2.RandomHorizontalFlip())


class CropAndScale(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """torchvision's `RandomResizedCrop`, with an output of the same size as the input.

    Args:
        least: The smallest share of the image's area that a crop keeps.
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
