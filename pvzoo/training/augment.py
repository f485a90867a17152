"""What tasks vary images with, on torchvision's `transforms.v2`."""

from __future__ import annotations

from typing import Any

from PIL import Image
from torchvision.transforms import v2

from pvzoo.training.targets.base import Transform, composed


def crop_and_scale() -> Transform:
    """For maps and masks: colours, in half of the cases a crop scaled back, a flip.

    The crop is of at least 30 % of the image and gets the image's size: the scale jitter of
    Mask2Former's authors, by means that need no padding.
    """
    crop = v2.RandomApply([CropAndScale(0.3)], p=0.5)
    return composed(v2.RandomPhotometricDistort(p=0.5), crop, v2.RandomHorizontalFlip())


class CropAndScale(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """torchvision's `RandomResizedCrop` whose output has the size of its input.

    Args:
        least: The least share of the image's area that is kept.
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
