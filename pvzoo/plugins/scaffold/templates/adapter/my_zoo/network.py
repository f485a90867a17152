"""The network: how networks of this family are built, run and trained, in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from pvzoo.networks.classification import class_loss, class_targets
from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.preprocess.steps import Rescale, Resize, Step


class ExampleModule(nn.Module):
    """(n, 3, height, width) pixels in 0..1 -> (n, classes) logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.head = nn.Linear(8, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logits: torch.Tensor = self.head(self.stem(pixels).mean((2, 3)))
        return logits


class ExampleNetwork(TorchNetwork):
    """An `ExampleModule` with weights."""

    adapter = "my-zoo:my-zoo"
    task = "image-classification"

    @classmethod
    def build(cls, config: Mapping[str, Any]) -> nn.Module:
        """The module of a config."""
        return ExampleModule(len(config["labels"]))

    def steps(self) -> tuple[Step, ...]:
        """A square of 32 pixels, in 0..1."""
        return (
            Resize("exact", (32, 32), filter="bicubic", arithmetic="pillow"),
            Rescale(255.0, divide=True),
        )

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """(n, classes) logits."""
        return {"logits": self.module(inputs["pixel_values"])}

    # --- fine-tuning (optional) -------------------------------------------------------------------

    backbone = ("stem.",)

    def batch(self, images: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Pixels of all images, and the classes of each."""
        pixels = [self.prepare(image)[0]["pixel_values"] for image in images]
        return {
            "pixels": torch.from_numpy(np.concatenate(pixels)),
            "labels": class_targets(targets),
        }

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy."""
        return class_loss(module(batch["pixels"]), batch["labels"])
