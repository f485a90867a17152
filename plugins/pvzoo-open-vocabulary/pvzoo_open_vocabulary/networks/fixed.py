"""Networks that were told their texts once: they take images alone, and can be exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from PIL import Image
from torch import Tensor, nn

from pvzoo.adapters.base import Arrays, Checkpoint, Meta
from pvzoo.errors import UnsupportedModelError
from pvzoo.networks.base import Network
from pvzoo.preprocess.derive import steps_of
from pvzoo.preprocess.steps import Step

if TYPE_CHECKING:
    from pvzoo_open_vocabulary.networks.text import TextNetwork


class FixedNetwork(Network):
    """A network of texts and images, with its texts read already.

    Args:
        network: The one that takes both.
        module: Takes the inputs of `network` but for the texts; gives the same outputs.
        prompts: The task's, complete.
        texts: Names of the inputs of `network` that hold texts.
    """

    def __init__(
        self,
        network: TextNetwork,
        module: nn.Module,
        prompts: Mapping[str, Any],
        texts: tuple[str, ...],
    ) -> None:
        self.module = module.eval()
        self.spec = replace(
            network.spec,
            labels=tuple(prompts["prompts"]),
            prompts={
                name: list(value) if isinstance(value, tuple) else value
                for name, value in prompts.items()
            },
        )
        self._network = network
        self._texts = texts

    @classmethod
    def load(
        cls, checkpoint: Checkpoint, *, task: str | None, dtype: Any, trust_remote_code: bool
    ) -> Self:
        """Always refused: `TextNetwork.with_prompts` makes it."""
        raise UnsupportedModelError(f"{checkpoint.name} cannot be loaded with fixed texts.")

    def prepare(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """As that of the network of texts, without the texts."""
        inputs, meta = self._network.prepare(image, **prompts)
        return {name: array for name, array in inputs.items() if name not in self._texts}, meta

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The outputs of the network of texts."""
        found: dict[str, Tensor] = self.module(**inputs)
        return found

    def steps(self) -> tuple[Step, ...]:
        """Those of the image processor."""
        return steps_of(self._network.processor)

    def write_config(self, folder: Path) -> None:
        """That of the network of texts."""
        self._network.module.config.save_pretrained(folder)


def shallow(module: nn.Module) -> Any:
    """The same module, whose parts can be exchanged without those of the other."""
    made = module.__new__(type(module))
    made.__dict__.update(module.__dict__)
    made._modules = dict(module._modules)
    return made


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    """Arrays as tensors."""
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
