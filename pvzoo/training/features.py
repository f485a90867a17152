"""Training the head alone on what the frozen rest says of each image, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from pvzoo.networks.base import Network
from pvzoo.training.samples import Samples
from pvzoo.training.targets.base import HeadLoss

# activations of more images are memory that is mapped anew in every layer: a third more time
_CPU_BATCH = 4


def head_of(module: nn.Module, trained: Sequence[str]) -> nn.Module | None:
    """The smallest part of a network with all parameters `trained`; None if that is the whole."""
    paths = [name.split(".")[:-1] for name in trained]
    common = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        common.append(steps[0])
    return module.get_submodule(".".join(common)) if common else None


def decides(network: Network, head: nn.Module, samples: Samples) -> bool:
    """Whether the logits are what `head` says to one input, and nothing comes after it."""
    seen: list[tuple[Any, ...]] = []
    hook = head.register_forward_hook(lambda _, inputs, output: seen.append((*inputs, output)))
    image, target, _ = samples[0, 0]
    inputs = network.batch([image], [target])
    del inputs["labels"]
    device = next(network.module.parameters()).device
    network.module.eval()
    try:
        with torch.no_grad():
            logits = network.forward({k: v.to(device) for k, v in inputs.items()})["logits"]
    finally:
        hook.remove()
    if len(seen) != 1 or not all(isinstance(value, torch.Tensor) for value in seen[0]):
        return False
    said = seen[0][-1].flatten(1)  # some are convolutions of one pixel
    return len(seen[0]) == 2 and said.shape == logits.shape and bool((said == logits).all())


class Features(Dataset[tuple[torch.Tensor, Any, tuple[int, int]]]):
    """What the head of a network is given for each image, instead of the images.

    It is held in memory: a few kilobytes an image.

    Args:
        network: One whose head `decides`.
        head: From `head_of`.
        samples: Without augmentation, which would change the images in every epoch.
        batch_size: Images in one forward pass; on a CPU at most 4.
    """

    def __init__(
        self, network: Network, head: nn.Module, samples: Samples, batch_size: int
    ) -> None:
        self._samples = samples
        self._targets: list[Any] = []
        found: list[torch.Tensor] = []
        hook = head.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0].cpu()))
        device = next(network.module.parameters()).device
        if device.type == "cpu":
            batch_size = min(batch_size, _CPU_BATCH)
        network.module.eval()
        try:
            for start in range(0, len(samples), batch_size):
                indices = range(start, min(start + batch_size, len(samples)))
                images, targets, _ = zip(*(samples[0, i] for i in indices), strict=True)
                inputs = network.batch(images, targets)
                del inputs["labels"]
                with torch.no_grad():
                    network.forward({k: _placed(v, device) for k, v in inputs.items()})
                self._targets += targets
        finally:
            hook.remove()
        self._features = torch.cat(found)

    def __len__(self) -> int:
        return len(self._targets)

    def __getitem__(self, index: tuple[int, int]) -> tuple[torch.Tensor, Any, tuple[int, int]]:
        """(features, target, index) of image ``index[1]``."""
        return self._features[index[1]], self._targets[index[1]], index

    def name_of(self, index: int) -> str:
        """What messages call an image."""
        return self._samples.name_of(index)


def _placed(inputs: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Images with their channels last, which convolutions on a CPU take half as long for."""
    layout = torch.channels_last if inputs.ndim == 4 else torch.preserve_format
    return inputs.to(device, memory_format=layout)


class HeadTraining:
    """`batch` and `loss` of a network, for features instead of images."""

    def __init__(self, head: nn.Module, how: HeadLoss) -> None:
        self._head, self._how = head, how

    def batch(self, features: Sequence[torch.Tensor], targets: Sequence[Any]) -> dict[str, Any]:
        """Features and ``labels``."""
        return {"features": torch.stack(list(features)), "labels": self._how.targets(targets)}

    def loss(self, module: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """The task's."""
        return self._how.loss(self._head(batch["features"]).flatten(1), batch["labels"])
