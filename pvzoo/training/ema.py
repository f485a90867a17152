"""The moving average of a network's weights."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

PARTS = 20
"""It looks back over at most this part of a run."""


class Average:
    """An exponential moving average of everything in a network's state dict.

    After step t the average is ``d * average + (1 - d) * weights`` with
    ``d = decay * (1 - exp(-t / warm_up))``, as in RT-DETR's repository (``ModelEMA``): it depends
    on the step alone, so that a resumed run goes on exactly. What is no fraction is copied.

    Args:
        module: The network.
        decay: Of the average, near 1: the authors', for runs of many thousands of steps.
        warm_up: Steps.
    """

    def __init__(self, module: torch.nn.Module, *, decay: float, warm_up: int) -> None:
        self._module = module
        self._decay, self._warm_up = decay, warm_up
        self._average = {k: v.detach().clone() for k, v in module.state_dict().items()}

    def fit_to(self, steps: int) -> None:
        """Look back, and warm up, over no more than a part of a run of so many steps."""
        self._decay = min(self._decay, 1 - PARTS / max(steps, 2 * PARTS))
        self._warm_up = max(1, min(self._warm_up, steps // 10))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after `step` (from 1)."""
        decay = self._decay * (1 - math.exp(-step / self._warm_up))
        for name, value in self._module.state_dict().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, 1 - decay)
            else:
                self._average[name].copy_(value)

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """Within it the network has the averaged weights."""
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
        """Put back what `state` gave."""
        for name, value in self._average.items():
            value.copy_(state[name])
