"""The contract of a runtime: it runs the graphs of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from pvzoo.adapters.base import Adapter, Arrays

if TYPE_CHECKING:
    from pvzoo.networks.base import Network


class Runtime(ABC):
    """Holds a network where it runs, and runs it.

    Attributes:
        device: Where inputs are sent to.
        dtype: The floating-point type the network computes in; None where there is none.
    """

    device: Any
    dtype: Any

    @abstractmethod
    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        """Place a network.

        Args:
            adapter: Knows what its inputs and outputs mean.
            network: Holds the weights; None where the adapter has no network.
            device: Where to; None leaves it to the runtime.
            device_map: How to spread it over several devices; excludes ``device``.

        Raises:
            DeviceError: The device is not here or too small.
            UsageError: This runtime cannot run it.
        """

    @abstractmethod
    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """Run a graph: a batch of arrays -> outputs, each with the batch as its leading axis.

        Outputs are arrays, of real numbers in float32. Those that the adapter names in
        ``on_device`` may be tensors on an accelerator.
        """
