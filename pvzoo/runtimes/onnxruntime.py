"""ONNX Runtime: runs exported ONNX files, without PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import DeviceError, PvzooError, WeightsError, error_message
from pvzoo.extras import needs
from pvzoo.runtimes.base import Runtime
from pvzoo.runtimes.files import RUNGS, fitting, handed_out, refuse

if TYPE_CHECKING:
    import onnxruntime

    from pvzoo.export.manifest import Graph
    from pvzoo.networks.base import Network

_PROVIDERS = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider",),
    "gpu": (
        *("CUDAExecutionProvider", "ROCMExecutionProvider", "MIGraphXExecutionProvider"),
        *("DmlExecutionProvider", "CoreMLExecutionProvider", "WebGpuExecutionProvider"),
    ),
    "npu": ("QNNExecutionProvider", "VitisAIExecutionProvider", "CoreMLExecutionProvider"),
}

_WAITING = {
    "session.intra_op.spin_duration_us": "50",
    "session.force_spinning_stop": "1",
}
"""How threads wait for work. At first, they wait for a moment without sleeping, which is faster.
Then they sleep; otherwise they would take processor time from the threads that read images."""


class OnnxRuntime(Runtime):
    """Runs ONNX files; `open` makes one. Any number of threads may call it at once."""

    dtype = "float32"
    suffixes = (".onnx",)

    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        """Always refuse: a model that was not exported has no files."""
        refuse(type(self), adapter, network)

    @classmethod
    def rungs(cls, precision: str) -> tuple[str, ...]:
        """See `Runtime.rungs`."""
        return RUNGS.get(precision, ())

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
        """See `Runtime.lower`."""
        from pvzoo.runtimes import onnx_precision

        if precision == "fp16":
            onnx_precision.to_fp16(file, result)
            return frozenset({rung})
        return onnx_precision.to_int8(file, result, rung, samples, backbone)

    @classmethod
    def open(
        cls,
        folder: Path,
        graphs: Mapping[str, Graph],
        *,
        device: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Open ONNX files, on the CPU or on the given device: "cuda", "gpu" or "npu".

        Raises:
            DeviceError: The installed ONNX Runtime does not support the device.
            MissingExtraError: The package onnxruntime is not installed.
            WeightsError: A file is damaged, or refers to files or operators from elsewhere.
        """
        needs("An exported model", "onnxruntime")
        import onnxruntime

        made = cls.__new__(cls)
        made.device = str(device or "cpu")
        provider = _provider(made.device, onnxruntime.get_available_providers())
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # all problems are raised as errors too
        for key, value in _WAITING.items():
            options.add_session_config_entry(key, value)
        if threads is not None:
            options.intra_op_num_threads = threads
        made._graphs = dict(graphs)
        made._sessions = {}
        for name, graph in graphs.items():
            file = folder / graph.file
            try:
                session = onnxruntime.InferenceSession(file, options, providers=[provider])
            except Exception as error:  # it has many classes of errors, and documents none
                raise WeightsError(
                    f"ONNX Runtime cannot open {file} ({error_message(error)}).",
                    "Fetch it again, export the model again, or update onnxruntime.",
                ) from error
            made._sessions[name] = session
        return made

    _graphs: dict[str, Graph]
    _sessions: dict[str, onnxruntime.InferenceSession]

    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """A batch of arrays -> arrays; floating-point numbers are float32.

        Raises:
            DeviceError: The device has too little memory.
            PvzooError: The graph does not take this shape, failed, or gave numbers that are not
                finite.
        """
        graph = self._graphs[name]
        feed = fitting(graph, inputs)
        try:
            outputs = self._sessions[name].run(list(graph.outputs), feed)
        except Exception as error:
            if any(word in str(error) for word in ("out of memory", "Failed to allocate")):
                raise DeviceError(
                    f"{self.device} has too little memory for a batch of "
                    f"{len(next(iter(feed.values())))}.",
                    "Use a smaller batch_size.",
                ) from error
            shapes = ", ".join(f"{key} {array.shape}" for key, array in feed.items())
            raise PvzooError(
                f"ONNX Runtime failed on {shapes} ({error_message(error)})."
            ) from error
        return handed_out(graph.outputs, outputs)


def _provider(device: str, there: list[str]) -> str:
    kind = device.partition(":")[0]
    found = next((p for p in _PROVIDERS.get(kind, ()) if p in there), None)
    if found is None:
        here = [name for name, providers in _PROVIDERS.items() if set(providers) & set(there)]
        raise DeviceError(
            f"The installed ONNX Runtime cannot run on {device!r}.",
            f"It has {', '.join(here)}; other devices need another build, such as "
            "onnxruntime-gpu. Leave device out for the CPU.",
        )
    return found
