"""OpenVINO: runs exported networks on Intel's and other processors, without PyTorch."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import DeviceError, PvzooError, WeightsError, error_message
from pvzoo.extras import needs
from pvzoo.runtimes.base import Runtime
from pvzoo.runtimes.files import RUNGS, fitting, handed_out, refuse
from pvzoo.runtimes.telemetry import no_telemetry

if TYPE_CHECKING:
    from pvzoo.export.manifest import Graph
    from pvzoo.networks.base import Network

_Shapes = tuple[tuple[int, ...], ...]

SHAPES = 6
"""The largest number of input shapes that a graph stays compiled for."""
OFTEN = 4
"""How often a shape must occur before a graph is compiled for it. Compiling takes as long as many
runs; then the graph is up to twice as fast."""


class OpenVinoRuntime(Runtime):
    """Runs OpenVINO's files; `open` makes one. Any number of threads may call it at once."""

    dtype = "float32"
    suffixes = (".xml", ".onnx")

    def __init__(
        self, adapter: Adapter, network: Network | None, *, device: Any, device_map: Any
    ) -> None:
        """Always refuse: a model that was not exported has no files."""
        refuse(type(self), adapter, network)

    @classmethod
    def convert(cls, onnx: Path) -> Path:
        """Replace the ONNX file by an ``.xml`` and a ``.bin`` with weights in float32.

        Raises:
            PvzooError: OpenVINO cannot convert it.
        """
        needs("An export for OpenVINO", "openvino")
        file = onnx.with_suffix(".xml")
        try:
            with no_telemetry():
                import openvino

                openvino.save_model(openvino.convert_model(onnx), file, compress_to_fp16=False)
        except Exception as error:  # OpenVINO and its parsers raise many kinds of errors
            raise PvzooError(
                f"OpenVINO cannot convert {onnx.name} ({error_message(error)})."
            ) from error
        onnx.unlink()
        return file

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
        from pvzoo.runtimes import openvino_precision

        if precision == "fp16":
            openvino_precision.to_fp16(file, result)
            return frozenset({rung})
        return openvino_precision.to_int8(file, result, rung, samples, backbone)

    @classmethod
    def open(
        cls,
        folder: Path,
        graphs: Mapping[str, Graph],
        *,
        device: str | None = None,
        threads: int | None = None,
    ) -> Self:
        """Open OpenVINO's files, on the CPU or on the given device: "gpu" or "npu".

        Raises:
            DeviceError: The device is not available.
            MissingExtraError: The package openvino is not installed.
            WeightsError: A file is damaged.
        """
        needs("An exported model", "openvino")
        with no_telemetry():
            import openvino
        core = openvino.Core()
        made = cls.__new__(cls)
        made.device = str(device or "cpu")
        if made.device.upper().partition(".")[0] not in core.available_devices:
            raise DeviceError(
                f"OpenVINO has no device {device!r} here.",
                f"It has {', '.join(d.lower() for d in core.available_devices)}.",
            )
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",  # otherwise some processors round to bfloat16
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        made._graphs = {
            name: _Compiled(core, folder / graph.file, graph, made.device.upper(), settings)
            for name, graph in graphs.items()
        }
        return made

    _graphs: dict[str, _Compiled]

    def __call__(self, name: str, inputs: Arrays) -> dict[str, Any]:
        """A batch of arrays -> arrays; floating-point numbers are float32.

        Raises:
            PvzooError: The graph does not take this shape, failed, or gave numbers that are not
                finite.
        """
        graph = self._graphs[name]
        feed = fitting(graph.graph, inputs)
        try:
            outputs = graph.run(feed)
        except Exception as error:
            shapes = ", ".join(f"{key} {array.shape}" for key, array in feed.items())
            raise PvzooError(f"OpenVINO failed on {shapes} ({error_message(error)}).") from error
        return handed_out(graph.graph.outputs, outputs)


class _Compiled:
    """A graph, compiled for any shape, and again for each of the few shapes that occur often."""

    def __init__(
        self, core: Any, file: Path, graph: Graph, device: str, settings: dict[str, Any]
    ) -> None:
        self.graph = graph
        self._core, self._device, self._settings = core, device, settings
        self._lock = threading.Lock()
        self._seen: Counter[_Shapes] = Counter()
        self._of_shape: OrderedDict[_Shapes, _Requests] = OrderedDict()
        try:
            self._model = core.read_model(file)
            self._any = _Requests(core.compile_model(self._model, device, settings))
        except Exception as error:  # as above
            raise WeightsError(
                f"OpenVINO cannot open {file} ({error_message(error)}).",
                "Fetch it again, export the model again, or update openvino.",
            ) from error

    def run(self, feed: Arrays) -> list[Any]:
        return self._for(feed).run(feed, self.graph.outputs)

    def _for(self, feed: Arrays) -> _Requests:
        """The graph compiled for these shapes; for any shape if these do not occur often."""
        shapes = tuple(array.shape for array in feed.values())
        with self._lock:
            if (found := self._of_shape.get(shapes)) is not None:
                self._of_shape.move_to_end(shapes)
                return found
            self._seen[shapes] += 1
            if self._seen[shapes] < OFTEN:
                if len(self._seen) > 1000:
                    self._seen.clear()
                return self._any
            model = self._model.clone()
            model.reshape({name: list(array.shape) for name, array in feed.items()})
            made = _Requests(self._core.compile_model(model, self._device, self._settings))
            self._of_shape[shapes] = made
            if len(self._of_shape) > SHAPES:
                self._of_shape.popitem(last=False)
            return made


class _Requests:
    """A compiled model, with one inference request for each thread that runs it at the moment."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def run(self, feed: Arrays, names: tuple[str, ...]) -> list[Any]:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        request.infer(feed)
        outputs = [request.get_tensor(name).data.copy() for name in names]
        self._idle.put(request)
        return outputs
