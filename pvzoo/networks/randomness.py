"""Restore or seed the random generators of Python, NumPy and torch."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def put_back(devices: Sequence[int] | None = None) -> Iterator[None]:
    """Restore the random generators at the end of the block.

    Args:
        devices: Accelerators whose generators are restored too; None for all.
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
    """Seed the generators of the CPU (`seed` from 0), and restore them at the end of the block."""
    with put_back(devices=[]):  # a worker process cannot use accelerators
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.random.default_generator.manual_seed(seed)
        yield
