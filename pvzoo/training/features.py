"""Train only the head, on features of the frozen backbone that are computed once per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.utils.data import Dataset

from pvzoo.networks.base import Network
from pvzoo.training.samples import Samples
from pvzoo.training.targets.base import HeadLoss

# For the activations of more images, each layer maps new memory: this takes a third more time.
_CPU_BATCH = 4


def head_of(module: nn.Module, trained: Sequence[str]) -> nn.Module | None:
    """The smallest submodule with all `trained` parameters; None if only the whole network has."""
    paths = [name.split(".")[:-1] for name in trained]
    common = []
    for steps in zip(*paths, strict=False):
        if len(set(steps)) > 1:
            break
        common.append(steps[0])
    return module.get_submodule(".".join(common)) if common else None


def decides(network: Network, head: nn.Module, samples: Samples) -> bool:
    """Whether the network's logits are the output of `head`, for a single input tensor."""
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
    output = seen[0][-1].flatten(1)  # some heads are 1 x 1 convolutions
    return len(seen[0]) == 2 and output.shape == logits.shape and bool((output == logits).all())


class Features(Dataset[tuple[torch.Tensor, Any, tuple[int, int]]]):
    """The input of a network's head for each image; a dataset that replaces the images.

    The features are held in memory: a few kilobytes per image.

    Args:
        network: A network for which `decides` is true.
        head: The module that `head_of` returned.
        samples: Samples without augmentation, because augmentation changes images in every epoch.
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
        """(features, target, index) of image ``index[1]``; ``index`` is (epoch, image)."""
        return self._features[index[1]], self._targets[index[1]], index

    def name_of(self, index: int) -> str:
        """The name of an image, for messages."""
        return self._samples.name_of(index)


def _placed(inputs: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Images with channels last: convolutions on a CPU then take half the time."""
    layout = torch.channels_last if inputs.ndim == 4 else torch.preserve_format
    return inputs.to(device, memory_format=layout)


class HeadTraining:
    """The methods `batch` and `loss` of a network, for features instead of images."""

    def __init__(self, head: nn.Module, how: HeadLoss) -> None:
        self._head, self._how = head, how

    def batch(self, features: Sequence[torch.Tensor], targets: Sequence[Any]) -> dict[str, Any]:
        """A dict with ``features`` and ``labels``."""
        return {"features": torch.stack(list(features)), "labels": self._how.targets(targets)}

    def loss(self, module: nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """The loss of the task."""
        return self._how.loss(self._head(batch["features"]).flatten(1), batch["labels"])
