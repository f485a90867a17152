"""The runtime of adapters that compute with numpy: no network, no torch, no accelerator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import DeviceError, PvzooError, UsageError
from pvzoo.runtimes.base import Runtime

if TYPE_CHECKING:
    from pvzoo.networks.base import Network


class NumpyRuntime(Runtime):
    """Passes arrays to `Adapter.compute`. Its import is cheap."""

    device = "cpu"
    dtype = None

    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        if network is not None:
            raise UsageError(
                f"{type(network).__name__} is a PyTorch network; numpy cannot run it.",
                "Leave runtime out.",
            )
        if str(device or "cpu") != "cpu" or device_map is not None:
            raise DeviceError(
                f"{type(adapter).__name__} computes with numpy, which runs only on the CPU.",
                "Leave device and device_map out.",
            )
        self._adapter = adapter

    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """A batch of arrays -> arrays.

        Raises:
            PvzooError: The adapter failed on these inputs.
        """
        try:
            return self._adapter.compute(inputs)
        except PvzooError:
            raise
        except Exception as error:
            shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
            raise PvzooError(
                f"{type(self._adapter).__name__} failed on {shapes} ({error!r})."
            ) from error
