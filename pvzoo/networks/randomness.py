"""The random generators of Python, NumPy and torch: put back, or set."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def put_back(devices: Sequence[int] | None = None) -> Iterator[None]:
    """What is drawn within it does not change what is drawn after it.

    Args:
        devices: Accelerators whose generators are put back too; None for all of them.
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it what is drawn on the CPU follows from a whole number from 0; as `put_back`."""
    with put_back(devices=[]):  # a worker process cannot ask accelerators for theirs
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.random.default_generator.manual_seed(seed)
        yield
