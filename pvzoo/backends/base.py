"""The contract of a backend: it runs the forward pass of an adapter's network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from pvzoo.adapters.base import Adapter


class Backend(ABC):
    """Holds a network where it runs, and runs it.

    Attributes:
        device: Where inputs are sent to.
        dtype: The floating-point type the network computes in.
    """

    device: Any
    dtype: Any

    @classmethod
    def default_dtype(cls) -> Any:
        """What an adapter is told to make its weights of when nobody says; None for nothing."""
        return None

    @abstractmethod
    def __init__(self, adapter: Adapter, *, device: Any, device_map: Any) -> None:
        """Place the adapter's network.

        Args:
            adapter: Holds the network, in `adapter.module`.
            device: Where to; None leaves it to the backend.
            device_map: How to spread it over several devices; excludes ``device``.

        Raises:
            DeviceError: The device is not here or too small.
            UsageError: This backend cannot run what the adapter holds.
        """

    @abstractmethod
    def forward(self, inputs: dict[str, np.ndarray]) -> dict[str, Any]:
        """A batch of input arrays -> outputs, each with the batch as its leading axis.

        They are arrays, of real numbers in float32. Those that an adapter names in ``on_device``
        may be tensors on an accelerator.
        """
