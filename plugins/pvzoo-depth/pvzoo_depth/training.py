"""The training targets of a depth estimator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.tv_tensors import Mask

from pvzoo.families import Recipe
from pvzoo.training.targets.base import Target, Training
from pvzoo_depth.data import depth_cell, read_depth


class DepthTraining(Training):
    """``depth``, (height, width) float32 `Mask` in metres, 0 where it is not known.

    The augmentation changes colours and flips images. It does not crop: scaled crops would change
    the apparent depth.
    """

    recipe = Recipe(
        "DepthAnything/Depth-Anything-V2, metric_depth/train.py", 5e-5, 0.1, 0.01, 0.0, "polynomial"
    )

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        metres = np.nan_to_num(read_depth(row["depth"], row["file_name"], image.size))
        return {"depth": Mask(torch.from_numpy(metres))}

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """``depth``."""
        return {"depth": depth_cell(target["depth"].numpy())}

    def example(self, image: Image.Image, things: Any) -> Target:
        """Rectangles 1 m and 2 m away, in front of a background 4 m away."""
        depth = torch.full(image.size[::-1], 4.0)
        for label, (left, top, right, bottom) in things:
            depth[top:bottom, left:right] = label
        return {"depth": depth}
