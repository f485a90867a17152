"""The network: how networks of this family are built, run and trained, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.preprocess.steps import Rescale, Resize, Step


class ExampleModule(nn.Module):
    """(n, 3, height, width) pixels in 0..1 -> (n, classes, height, width) logits of each pixel."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 1, bias=False)
        self.head = nn.Conv2d(6, classes, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logits: torch.Tensor = self.head(self.stem(pixels).relu())
        return logits


class ExampleNetwork(TorchNetwork):
    """An `ExampleModule` with weights."""

    adapter = "my-zoo:my-zoo"
    task = "object-detection"

    @classmethod
    def build(cls, config: Mapping[str, Any]) -> nn.Module:
        """The module of a config."""
        return ExampleModule(len(config["labels"]))

    def steps(self) -> tuple[Step, ...]:
        """A square of `image_size` pixels, in 0..1."""
        side = self.config["image_size"]
        return (Resize("exact", (side, side)), Rescale(255.0, divide=True))

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """``scores`` (n, classes) and ``boxes`` (n, classes, 4); see the adapter.

        The box of a class is the rectangle with the same mean and variance as the pixels of the
        class. The variance of n pixels in a row is (n^2 - 1) / 12.
        """
        chances = self.module(inputs["pixel_values"]).float().sigmoid()
        mask = (chances > 0.5).float()
        count = mask.sum((2, 3)).clamp(min=1)
        middles, sides = [], []
        for axis in (3, 2):  # x, then y
            share = mask.sum(5 - axis) / count[..., None]
            indices = torch.arange(mask.shape[axis], device=mask.device) + 0.5
            middle = (share * indices).sum(-1)
            variance = (share * (indices - middle[..., None]) ** 2).sum(-1)
            middles.append(middle / len(indices))
            sides.append((12 * variance + 1).sqrt() / len(indices))
        middle, half = torch.stack(middles, -1), torch.stack(sides, -1) / 2
        area = sides[0] * sides[1] * mask[0, 0].numel()
        return {
            "scores": ((chances * mask).sum((2, 3)) / area).clamp(max=1),
            "boxes": torch.cat([middle - half, middle + half], -1),
        }

    # --- fine-tuning (optional) -------------------------------------------------------------------

    backbone = ("stem.",)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Pixels of all images, and for each class the pixels that are in a box."""
        pixels = np.concatenate([self.prepare(one)[0]["pixel_values"] for one in images])
        side = pixels.shape[-1]
        inside = torch.zeros(len(images), len(self.spec.labels), side, side)
        for one, image, target in zip(inside, images, targets, strict=True):
            boxes = target["boxes"] * side / torch.tensor([*image.size, *image.size])
            for label, box in zip(target["categories"], boxes.round().int(), strict=True):
                left, top, right, bottom = box.tolist()
                one[label, top:bottom, left:right] = 1
        return {"pixels": torch.from_numpy(pixels), "inside": inside}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy of each pixel and class."""
        return binary_cross_entropy_with_logits(module(batch["pixels"]).float(), batch["inside"])
