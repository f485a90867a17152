"""Keep a moving average of a network's weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PARTS = 20
"""The average covers at most one part in this many of a run."""


class Average:
    """An exponential moving average of all tensors in a network's state dict.

    After step t the average is ``d * average + (1 - d) * weights`` with
    ``d = decay * (1 - exp(-t / warm_up))``, as in RT-DETR's repository (``ModelEMA``). ``d``
    depends only on the step, so a resumed run continues exactly. Integers are copied.

    Args:
        module: The network.
        decay: The limit of ``d``, near 1. Authors choose it for runs of many thousands of steps.
        warm_up: In steps.
    """

    def __init__(self, module: torch.nn.Module, *, decay: float, warm_up: int) -> None:
        self._module = module
        self._decay, self._warm_up = decay, warm_up
        self._average = {k: v.detach().clone() for k, v in module.state_dict().items()}

    def fit_to(self, steps: int) -> None:
        """Shorten the average and its warm-up for a run of only this many steps."""
        self._decay = min(self._decay, 1 - PARTS / max(steps, 2 * PARTS))
        self._warm_up = max(1, min(self._warm_up, steps // 10))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the network's weights after `step` (the first step is 1) to the average."""
        decay = self._decay * (1 - math.exp(-step / self._warm_up))
        for name, value in self._module.state_dict().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """A context in which the network has the averaged weights."""
        own = {k: v.detach().clone() for k, v in self._module.state_dict().items()}
        self._module.load_state_dict(self._average)
        try:
            yield
        finally:
            self._module.load_state_dict(own)

    def state(self) -> dict[str, torch.Tensor]:
        """The averaged weights, by their names in the network."""
        return {k: v.contiguous() for k, v in self._average.items()}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """Restore the averaged weights from `state`."""
        for name, value in self._average.items():
            value.copy_(state[name])
