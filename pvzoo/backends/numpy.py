"""The backend of adapters that compute with numpy: no network, no torch, no accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter
from pvzoo.backends.base import Backend
from pvzoo.errors import DeviceError, PvzooError, UsageError


class NumpyBackend(Backend):
    """Hands arrays to `adapter.forward` as they are; importing it imports nothing heavy."""

    device = "cpu"
    dtype = None

    def __init__(self, adapter: Adapter, *, device: Any, device_map: Any) -> None:
        if adapter.module is not None:
            raise UsageError(
                f"{type(adapter).__name__} holds a network, which numpy cannot run.",
                "Leave backend out.",
            )
        if str(device or "cpu") != "cpu" or device_map is not None:
            raise DeviceError(
                f"{type(adapter).__name__} computes with numpy, on the CPU alone.",
                "Leave device and device_map out.",
            )
        self._adapter = adapter

    def forward(self, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        """A batch of arrays -> arrays.

        Raises:
            PvzooError: The adapter cannot compute with them.
        """
        try:
            return self._adapter.forward(inputs)
        except PvzooError:
            raise
        except Exception as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise PvzooError(
                f"{type(self._adapter).__name__} failed on {shapes} ({error!r})."
            ) from error
