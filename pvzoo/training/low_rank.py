"""Train low-rank matrices (LoRA) in a network's linear layers with PEFT, then merge them.

LoRA: Hu et al., https://arxiv.org/abs/2106.09685. A layer ``W`` becomes ``W + (alpha / r) B A``;
``B`` starts at zero. Only ``A``, ``B`` and the head for the new classes are trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from pvzoo.errors import TrainingError, UnsupportedModelError, UsageError
from pvzoo.extras import needs
from pvzoo.networks.base import Network
from pvzoo.networks.randomness import seeded

RATE = 10.0
"""The learning rate with LoRA is this many times the rate for training all weights.

Schulman et al., "LoRA Without Regret", https://thinkingmachines.ai/blog/lora (2025).
"""

WEIGHTS = "model.safetensors"


class LowRank:
    """Low-rank matrices that are trained in place of a network's linear layers.

    Args:
        network: The matrices are added to its module in place; `merge` removes them again.
        lora: The rank (alpha is then twice the rank), or arguments of `peft.LoraConfig`;
            ``target_modules`` is then, by default, all linear layers except those of the head.
        skipped: Names of parameters; their layers do not change.
        seed: Seed of the matrices' initial values.

    Raises:
        UnsupportedModelError: The network has no linear layers except in its head.
        MissingExtraError: PEFT is not installed.
        UsageError: PEFT refuses `lora`.
    """

    def __init__(
        self, network: Network, lora: int | Mapping[str, Any], *, skipped: set[str], seed: int
    ) -> None:
        needs("lora", "peft")
        from peft import LoraConfig, LoraModel

        self._network = network
        head = set(network.head)
        settings = {"r": lora, "lora_alpha": 2 * lora} if isinstance(lora, int) else dict(lora)
        layers = _linear_layers(network.module, head | skipped)
        if "target_modules" not in settings and not layers:
            raise UnsupportedModelError(
                f"{type(network.module).__name__} has no linear layers except in its head, so "
                "lora cannot train it.",
                "Leave lora out, or name other layers: lora={'r': 8, 'target_modules': [...]}.",
            )
        try:
            with seeded(seed), _without_word_embeddings(network.module):
                self._tuner = LoraModel(
                    network.module, LoraConfig(**{"target_modules": layers, **settings}), "default"
                )
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"lora is {lora!r}, which PEFT refuses ({error}).", "See peft.LoraConfig."
            ) from error
        self.frozen = {
            name
            for name, _ in network.module.named_parameters()
            if name not in head and ".lora_" not in name
        }

    def save(self, folder: Path) -> None:
        """Write the trained tensors, under their names in the network."""
        save_file(
            {k: v.contiguous() for k, v in self._trained().items()},
            folder / WEIGHTS,
            metadata={"format": "pt"},
        )

    def restore(self, folder: Path) -> None:
        """Restore every tensor that `save` wrote.

        Raises:
            TrainingError: The file belongs to another network.
        """
        there, here = load_file(folder / WEIGHTS), self._trained()
        if there.keys() != here.keys():
            raise TrainingError(
                f"{folder / WEIGHTS} does not hold the trained tensors of this network.",
                "Choose a new output_dir.",
            )
        with torch.no_grad():
            for name, value in here.items():
                value.copy_(there[name])

    def merge(self) -> None:
        """Add the low-rank products to the layers' weights, and remove the low-rank matrices."""
        self._tuner.merge_and_unload()
        self._network.module.requires_grad_(True)

    def _trained(self) -> dict[str, torch.Tensor]:
        """The trained tensors; a tensor with several names is in it once."""
        module = self._network.module
        named = (*module.named_parameters(), *module.named_buffers())
        return {name: value.detach() for name, value in named if name not in self.frozen}


@contextmanager
def _without_word_embeddings(module: nn.Module) -> Iterator[None]:
    """A context in which the config says that no weights are tied to word embeddings.

    Detectors tie the heads of their layers to each other. PEFT 0.21 then asks for word embeddings,
    and transformers raises an error because there are none.
    """
    config: Any = getattr(module, "config", None)
    if not getattr(config, "tie_word_embeddings", False):
        yield
        return
    config.tie_word_embeddings = False
    try:
        yield
    finally:
        config.tie_word_embeddings = True


def _linear_layers(module: nn.Module, left_alone: set[str]) -> list[str]:
    """Names of the linear layers that can get low-rank matrices.

    Left out are:
    * layers with a parameter in `left_alone`;
    * layers that share a weight with another layer: the other layer would not get the change;
    * the output layer of `nn.MultiheadAttention`, which uses its weights without calling it.
    """
    owners = Counter(id(p) for part in module.modules() for p in part.parameters(recurse=False))
    hidden = {
        f"{name}.{inner}"
        for name, part in module.named_modules()
        if isinstance(part, nn.MultiheadAttention)
        for inner, _ in part.named_modules()
    }
    return [
        name
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear)
        and name not in hidden
        and owners[id(part.weight)] == 1
        and not any(f"{name}.{p}" in left_alone for p, _ in part.named_parameters())
    ]
