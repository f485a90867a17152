"""A network is not built where its config describes one far larger than its weights file."""

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
"""Allowed beyond what the file can hold: buffers that are computed, not stored."""
_MORE_TENSORS = 4096
_BYTES = 48
"""Of a file's header, at least, for each tensor."""


@contextmanager
def built_within(name: str, weights: Path) -> Iterator[None]:
    """Within it networks of this thread may have as many numbers as the file has bytes.

    A config that names a size of billions would fill the memory before anybody sees that the
    weights do not fit: networks are made first.

    Raises:
        WeightsError: A network has more, or far more tensors than the file can describe.
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
                f"The config of {name} describes a far larger network than {weights} has the "
                "weights of.",
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
