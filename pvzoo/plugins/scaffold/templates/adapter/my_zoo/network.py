"""The network: how networks of this family are loaded, run and trained, in PyTorch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from my_zoo.adapter import MODEL_TYPE
from pvzoo.adapters.base import Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import WeightsError
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.networks.classification import class_loss, class_targets
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Rescale, Resize, Step

STEPS = (
    Resize("exact", (32, 32), filter="bicubic", arithmetic="pillow"),
    Rescale(255.0, divide=True),
)


class ColourModule(nn.Module):
    """(n, 3, height, width) pixels in 0..1 -> (n, classes) logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.head = nn.Linear(8, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        logits: torch.Tensor = self.head(self.stem(pixels).mean((2, 3)))
        return logits


class ColourNetwork(Network):
    """A `ColourModule` with weights."""

    library = "my-zoo"

    module: ColourModule

    def __init__(self, module: ColourModule, labels: tuple[str, ...]) -> None:
        self.module = module
        self.spec = Spec("my-zoo:my-zoo", "image-classification", labels)

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> ColourNetwork:
        """Every weight must be there, in its shape."""
        labels = tuple(checkpoint.config["labels"])
        module = ColourModule(len(labels)).eval()
        try:
            tensors = load_file(checkpoint.weights)
            module.load_state_dict(tensors)
        except (SafetensorError, RuntimeError) as error:
            raise WeightsError(
                f"{checkpoint.weights} does not fit {checkpoint.name} ({error}).", "Fetch it again."
            ) from error
        if dtype == "auto":
            dtype = tensors["stem.weight"].dtype
        return cls(module.to(dtype), labels)

    def steps(self) -> tuple[Step, ...]:
        """A square of 32 pixels in 0..1."""
        return STEPS

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixels`` (1, 3, 32, 32) float32: there is no processor but the steps."""
        return run(STEPS, image, "pixels")

    def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """(n, classes) logits."""
        return {"logits": self.module(inputs["pixels"])}

    # --- fine-tuning, which may be left out -------------------------------------------------------

    backbone = ("stem.",)

    def retarget(
        self, classes: TargetClasses, *, image_size: int | None, seed: int
    ) -> ColourNetwork:
        """A network with a new head; rows of classes that are kept stay."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = ColourModule(len(classes.names)).eval()
        module.stem.load_state_dict(self.module.stem.state_dict())
        with torch.no_grad():
            for row, old in enumerate(classes.kept):
                if old is not None:
                    module.head.weight[row] = self.module.head.weight[old]
                    module.head.bias[row] = self.module.head.bias[old]
        return type(self)(module, classes.names)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Pixels of all pictures, and the class of each."""
        pixels = np.concatenate([self.prepare(picture)[0]["pixels"] for picture in pictures])
        return {"pixels": torch.from_numpy(pixels), "labels": class_targets(targets)}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy."""
        return class_loss(module(batch["pixels"]), batch["labels"])

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors, which `load` reads."""
        config = {"model_type": MODEL_TYPE, "labels": list(self.spec.labels)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tensors = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
