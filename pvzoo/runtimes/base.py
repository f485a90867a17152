"""The contract of a runtime: it runs the graphs of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import UsageError

if TYPE_CHECKING:
    from pvzoo.export.manifest import Graph
    from pvzoo.networks.base import Network


class Runtime(ABC):
    """Holds a network on its device, and runs it.

    Attributes:
        device: The device that runs the network.
        dtype: The floating-point type the network computes in; None if there is no network.
        nbytes: The size of the files that `pvzoo.load` opened, in bytes; 0 if there were none.

    Class attributes:
        suffixes: The suffixes of the files that `open` opens, such as ".onnx"; empty if the
            runtime does not run files.
    """

    device: Any
    dtype: Any
    nbytes: int = 0
    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        """Place a network.

        Args:
            adapter: The adapter, which knows the meaning of inputs and outputs.
            network: The network with its weights; None if the adapter has no network.
            device: The device to run on; None lets the runtime choose.
            device_map: How to spread the network over several devices; excludes ``device``.

        Raises:
            DeviceError: The device is not available, or it has too little memory.
            UsageError: This runtime cannot run the network.
        """

    @abstractmethod
    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """Run a graph: a batch of arrays -> outputs, each with the batch as its leading axis.

        Outputs are arrays; floating-point numbers are float32. Outputs that the adapter names in
        ``on_device`` may be tensors on an accelerator.
        """

    # --- exported networks: only for runtimes that run files -------------------------------------

    @classmethod
    def convert(cls, onnx: Path) -> Path:
        """Convert an ONNX file to the runtime's own files, beside it; by default, keep it.

        Returns:
            The file that `open` opens. All files that are then in the folder are the export.

        Raises:
            PvzooError: The file cannot be converted.
        """
        return onnx

    @classmethod
    def rungs(cls, precision: str) -> tuple[str, ...]:
        """The ways to lower the precision of files; the way that lowers the most layers is first.

        Args:
            precision: "fp16" or "int8".

        Returns:
            Values for the argument ``rung`` of `lower`; empty if the runtime does not support
            this precision.
        """
        return ()

    @classmethod
    def lower(
        cls,
        file: Path,
        result: Path,
        precision: str,
        rung: str,
        samples: Callable[[], Iterator[Arrays]],
        backbone: Sequence[str],
    ) -> frozenset[str]:
        """Write a graph's file in a lower precision.

        Args:
            file: The file in float32.
            result: The new file.
            precision: "fp16" or "int8".
            rung: One of `rungs`.
            samples: Returns a new iterator over the graph's inputs for images, one by one.
            backbone: The prefixes of the names of the backbone's parameters.

        Returns:
            The names of the layers that were lowered; nothing is written if there are none.

        Raises:
            MissingExtraError: A package is not installed.
        """
        raise NotImplementedError

    @classmethod
    def open(
        cls,
        folder: Path,
        graphs: Mapping[str, Graph],
        *,
        device: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Open exported graphs; their files were checked before.

        Args:
            folder: The folder with the files.
            graphs: The file, inputs and outputs of each graph, by its name.
            device: The device to run on; None lets the runtime choose.
            threads: The largest number of threads for one batch; None lets the runtime choose.

        Raises:
            DeviceError: The device is not available.
            UsageError: This runtime does not run files.
            WeightsError: A file is damaged.
        """
        raise UsageError(
            f"{cls.__name__} cannot run exported files.",
            "Leave runtime out to use the one that they were exported for.",
        )
