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
    """Holds a network where it runs, and runs it.

    Attributes:
        device: Where inputs are sent to.
        dtype: The floating-point type the network computes in; None where there is none.
        nbytes: The size of the files that `pvzoo.load` opened, in bytes; 0 if there were none.

    Class attributes:
        suffixes: Of the files that `open` opens, such as ".onnx"; empty if it runs none.
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

    # --- exported networks, for runtimes that run files ------------------------------------------

    @classmethod
    def convert(cls, onnx: Path) -> Path:
        """Make the runtime's own files of an ONNX file, beside it; by default it stays as it is.

        Returns:
            The file that `open` opens. What is left of the folder's files is what was exported.

        Raises:
            PvzooError: It cannot be converted.
        """
        return onnx

    @classmethod
    def rungs(cls, precision: str) -> tuple[str, ...]:
        """The ways to lower the precision of files, those of the most layers first.

        Args:
            precision: "fp16" or "int8".

        Returns:
            What `lower` takes as ``rung``; none if the runtime has no such precision.
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
            file: In float32.
            result: The new file.
            precision: "fp16" or "int8".
            rung: One of `rungs`.
            samples: Makes what the graph is given for images, one by one, anew at each call.
            backbone: What the names of the backbone's parameters begin with.

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
        """Open exported graphs, whose files were checked.

        Args:
            folder: Where the files are.
            graphs: What their inputs and outputs are called, and which axes are free.
            device: Where to run; None leaves it to the runtime.
            threads: Most threads that compute one batch; None leaves it to the runtime.

        Raises:
            DeviceError: The device is not here.
            UsageError: This runtime runs no files.
            WeightsError: A file is damaged.
        """
        raise UsageError(
            f"{cls.__name__} runs no exported files.", "Leave runtime out for the one they are for."
        )
