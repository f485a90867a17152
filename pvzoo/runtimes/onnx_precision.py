"""Lower the precision of ONNX files: int8 by calibration, or weights in 16 bits."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pvzoo.adapters.base import Arrays
from pvzoo.extras import needs

_LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def to_int8(
    file: Path,
    result: Path,
    rung: str,
    samples: Callable[[], Iterator[Arrays]],
    backbone: Sequence[str],
) -> frozenset[str]:
    """Write an ONNX file in which the layers of a rung have activations and weights of 8 bits.

    Weights are quantised per channel. The range of an activation goes from its smallest to its
    largest value on the samples. One bit is left unused (``reduce_range``). Otherwise, sums of two
    products overflow on processors that have AVX2 but no VNNI.

    Args:
        file: The file in float32.
        result: The new file.
        rung: One of `pvzoo.runtimes.files.RUNGS`.
        samples: Returns a new iterator over the graph's inputs, image by image.
        backbone: The prefixes of the names of the backbone's parameters.

    Returns:
        The names of the nodes that were quantised; nothing is written if there are none.
    """
    needs("int8", "onnx", "onnxruntime")
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        # the optimisation would write operators that only ONNX Runtime has
        quant_pre_process(file, prepared, skip_optimization=True, skip_symbolic_shape=True)
        nodes = _nodes(onnx.load(prepared, load_external_data=False).graph, rung, backbone)
        if not nodes:
            return frozenset()
        quantization.quantize_static(
            prepared,
            result,
            _reader(samples()),
            per_channel=True,
            reduce_range=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
            nodes_to_quantize=sorted(nodes),
            calibrate_method=quantization.CalibrationMethod.MinMax,
        )
    _without_unused_domains(result)
    return nodes


def to_fp16(file: Path, result: Path) -> None:
    """Write an ONNX file whose weights have 16 bits; its inputs and outputs keep their dtypes."""
    needs("fp16", "onnx", "onnxruntime")
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with _quiet():
        made = convert_float_to_float16(str(file), keep_io_types=True, disable_shape_infer=False)
    onnx.save(made, result)


def _without_unused_domains(file: Path) -> None:
    """Remove unused operator sets: the quantiser lists every operator set that it knows."""
    import onnx

    made = onnx.load(file)
    used = {node.domain for node in made.graph.node} | {""}
    kept = [entry for entry in made.opset_import if entry.domain in used]
    del made.opset_import[:]
    made.opset_import.extend(kept)
    onnx.save(made, file)


def _reader(samples: Iterator[Arrays]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> Arrays | None:
            return next(samples, None)

    return Reader()


def _nodes(graph: Any, rung: str, backbone: Sequence[str]) -> frozenset[str]:
    """The nodes that a rung quantises."""
    if rung == "everything":
        from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

        known = {*QDQRegistry, *QLinearOpsRegistry}
        return frozenset(node.name for node in graph.node if node.op_type in known)
    constants = {value.name for value in graph.initializer}
    wanted = _LINEAR if rung == "convolutions and linear layers" else _LINEAR[:2]
    found = [
        node
        for node in graph.node
        if node.op_type in wanted and any(name in constants for name in node.input)
    ]
    if rung == "convolutions of the backbone":
        starts = tuple(f"module.{start}" for start in backbone)
        found = [n for n in found if any(name.startswith(starts) for name in n.input)]
    return frozenset(node.name for node in found)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the quantiser, which warns about files that it wrote itself, within a ``with``."""
    logger = logging.getLogger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
