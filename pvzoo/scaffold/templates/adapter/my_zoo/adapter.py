"""The adapter: how networks of this family are loaded, fed, read and trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from pvzoo.adapters.base import Adapter, Checkpoint, Classes
from pvzoo.errors import WeightsError
from pvzoo.tasks.image_classification import Classification

MODEL_TYPE = "my-zoo"
SIDE = 32


class ColourNet(nn.Module):
    """(n, 3, height, width) pixels in 0..1 -> (n, classes) logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.head = nn.Linear(8, classes)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return self.head(self.stem(pixels).mean((2, 3)))


class ColourNetAdapter(Adapter):
    """Drives a `ColourNet`."""

    tasks = ("image-classification",)
    library = "my-zoo"

    def __init__(self, module: nn.Module, labels: tuple[str, ...]) -> None:
        self.task = "image-classification"
        self.module = module
        self.labels = labels

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type that `save` writes."""
        return config.get("model_type") == MODEL_TYPE

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> ColourNetAdapter:
        """Every weight must be there, in its shape."""
        labels = tuple(checkpoint.config["labels"])
        module = ColourNet(len(labels)).eval()
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

    # --- predicting -------------------------------------------------------------------------------

    def preprocess(
        self, image: Image.Image, **prompts: Any
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A square of pixels in 0..1, channels first, and the picture's (height, width)."""
        small = np.asarray(image.resize((SIDE, SIDE)), np.float32) / 255
        return {"pixels": small.transpose(2, 0, 1)[None]}, {"size": image.size[::-1]}

    def forward(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """(n, classes) logits."""
        return {"logits": self.module(inputs["pixels"])}

    def postprocess(
        self, outputs: dict[str, Any], meta: dict[str, Any], **controls: Any
    ) -> Classification:
        """The best classes: at most `top_k`, none that scores less than `threshold`."""
        powers = np.exp(outputs["logits"][0] - outputs["logits"][0].max())
        scores = powers / powers.sum()
        ids = np.argsort(-scores, kind="stable")[: controls["top_k"]]
        ids = ids[scores[ids] >= controls["threshold"]]
        return Classification(
            size=meta["size"],
            labels=ids,
            scores=scores[ids],
            names=tuple(self.labels[i] for i in ids),
            probabilities=scores if controls["probabilities"] else None,
        )

    # --- fine-tuning, which may be left out -------------------------------------------------------

    backbone = ("stem.",)

    def retarget(self, classes: Classes, *, image_size: int | None, seed: int) -> ColourNetAdapter:
        """A network with a new head; rows of classes that are kept stay."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = ColourNet(len(classes.names)).eval()
        module.stem.load_state_dict(self.module.stem.state_dict())
        with torch.no_grad():
            for row, old in enumerate(classes.kept):
                if old is not None:
                    module.head.weight[row] = self.module.head.weight[old]
                    module.head.bias[row] = self.module.head.bias[old]
        return type(self)(module, classes.names)

    def batch(self, pictures: Sequence[Image.Image], targets: Sequence[Any]) -> dict[str, Any]:
        """Pixels of all pictures, and the class of each."""
        pixels = np.concatenate([self.preprocess(picture)[0]["pixels"] for picture in pictures])
        labels = torch.tensor([target["label"] for target in targets])
        return {"pixels": torch.from_numpy(pixels), "labels": labels}

    def loss(self, module: Any, batch: dict[str, Any]) -> torch.Tensor:
        """Cross-entropy."""
        return nn.functional.cross_entropy(module(batch["pixels"]), batch["labels"])

    def save(self, folder: Path) -> None:
        """config.json and model.safetensors, which `load` reads."""
        config = {"model_type": MODEL_TYPE, "labels": list(self.labels)}
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tensors = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
