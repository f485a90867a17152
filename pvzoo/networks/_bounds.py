"""Stop building a network if its config describes one far larger than its weights file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch.nn.modules import module as hooks

from pvzoo.errors import WeightsError
from pvzoo.hub.download import shards

_MORE_NUMBERS = 2**24
"""Numbers that a network may have beyond its file: buffers that are computed, not stored."""
_MORE_TENSORS = 4096
_BYTES = 48
"""Least size of the entry of a tensor in the header of a file."""


@contextmanager
def built_within(name: str, weights: Path) -> Iterator[None]:
    """Limit the networks of this thread to about as many numbers as the file has bytes.

    A network is built before its weights are read. So a config with a size of billions would fill
    the memory before the error that the weights do not fit.

    Raises:
        WeightsError: A network has more numbers, or far more tensors than the file can describe.
    """
    size = sum(file.stat().st_size for file in shards(weights))
    left = [size + _MORE_NUMBERS, size // _BYTES + _MORE_TENSORS]
    thread = threading.get_ident()

    def count(_module: Any, _key: str, tensor: Any) -> None:
        if tensor is None or threading.get_ident() != thread:
            return
        left[0] -= tensor.numel()
        left[1] -= 1
        if min(left) < 0:
            raise WeightsError(
                f"The config of {name} describes a far larger network than the weights in "
                f"{weights} belong to.",
                "The file and its config do not belong together; fetch both again.",
            )

    taken = [
        hooks.register_module_parameter_registration_hook(count),
        hooks.register_module_buffer_registration_hook(count),
    ]
    try:
        yield
    finally:
        for one in taken:
            one.remove()
