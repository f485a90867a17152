"""The network: it predicts the classes of each pixel from its colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.preprocess.steps import Rescale, Resize, Step


class CoverModule(nn.Module):
    """(n, 3, height, width) pixels in 0..1 -> (n, classes) shares."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 1, bias=False)
        self.head = nn.Conv2d(3, classes, 1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        chances: torch.Tensor = self.head(self.stem(pixels)).softmax(1)
        return chances.mean((2, 3))


class CoverNetwork(TorchNetwork):
    """A `CoverModule` with weights."""

    adapter = "my-zoo:my-zoo"
    task = "my-zoo-cover"

    @classmethod
    def build(cls, config: Mapping[str, Any]) -> nn.Module:
        """The module of a config."""
        return CoverModule(len(config["labels"]))

    def steps(self) -> tuple[Step, ...]:
        """A square of 64 pixels, in 0..1."""
        return (Resize("exact", (64, 64)), Rescale(255.0, divide=True))

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """(n, classes) shares."""
        return {"shares": self.module(inputs["pixel_values"])}

    # --- fine-tuning (optional) -------------------------------------------------------------------

    backbone = ("stem.",)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Pixels and true shares of all images."""
        pixels = np.concatenate([self.prepare(one)[0]["pixel_values"] for one in images])
        shares = torch.stack([target["shares"] for target in targets])
        return {"pixels": torch.from_numpy(pixels), "shares": shares}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy of the shares."""
        found: torch.Tensor = module(batch["pixels"]).clamp(min=1e-6).log()
        loss: torch.Tensor = -(batch["shares"] * found).sum(1).mean()
        return loss
