"""Lower the precision of OpenVINO's files: int8 by NNCF, or weights in 16 bits."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from pvzoo.adapters.base import Arrays
from pvzoo.extras import needs
from pvzoo.runtimes.telemetry import no_telemetry

_CONVOLUTIONS: tuple[str, ...] = ("Convolution", "GroupConvolution", "ConvolutionBackpropData")


def to_int8(
    file: Path,
    result: Path,
    rung: str,
    samples: Callable[[], Iterator[Arrays]],
    backbone: Sequence[str],
) -> frozenset[str]:
    """Write an ``.xml`` and ``.bin`` in which the layers of a rung have 8-bit numbers.

    Args:
        file: An ``.xml`` in float32.
        result: The new ``.xml``.
        rung: One of `pvzoo.runtimes.files.RUNGS`.
        samples: Returns a new iterator over the graph's inputs, image by image.
        backbone: The prefixes of the names of the backbone's parameters.

    Returns:
        The names of the layers that may be quantised; nothing is written if there are none.
    """
    needs("int8 for OpenVINO", "openvino", "nncf")
    with _silent():
        import nncf
        import openvino
    model = openvino.Core().read_model(file)
    layers = model.get_ordered_ops()
    chosen = _layers(layers, rung, backbone)
    if not chosen:
        return frozenset()
    ignored = None
    if rung != "everything":
        left_out = [n.get_friendly_name() for n in layers if _computes(n)]
        names = sorted(set(left_out) - chosen)
        ignored = nncf.IgnoredScope(names=names, validate=False) if names else None
    attention = any(layer.get_type_name() == "Softmax" for layer in layers)
    with _silent():
        made = nncf.quantize(
            model,
            nncf.Dataset(_Samples(samples)),
            preset=nncf.QuantizationPreset.MIXED,
            model_type=nncf.ModelType.TRANSFORMER if attention else None,
            ignored_scope=ignored,
        )
    openvino.save_model(made, result, compress_to_fp16=False)
    return frozenset(chosen)


def to_fp16(file: Path, result: Path) -> None:
    """Write an ``.xml`` and ``.bin`` whose weights have 16 bits."""
    needs("fp16 for OpenVINO", "openvino")
    with no_telemetry():
        import openvino
    openvino.save_model(openvino.Core().read_model(file), result, compress_to_fp16=True)


def _layers(layers: Sequence[Any], rung: str, backbone: Sequence[str]) -> frozenset[str]:
    """The names of the layers that a rung quantises."""
    if rung == "everything":
        return frozenset(n.get_friendly_name() for n in layers if _computes(n))
    kinds = _CONVOLUTIONS
    if rung == "convolutions and linear layers":
        kinds += ("MatMul",)
    found = [n for n in layers if n.get_type_name() in kinds and _weights(n) is not None]
    if rung == "convolutions of the backbone":
        starts = tuple(f"module.{start}" for start in backbone)
        found = [n for n in found if (_weights(n) or "").startswith(starts)]
    return frozenset(n.get_friendly_name() for n in found)


def _computes(layer: Any) -> bool:
    return layer.get_type_name() not in ("Parameter", "Constant", "Result")


def _weights(layer: Any) -> str | None:
    """The name of the constant that a layer multiplies by; None if it has none."""
    for value in layer.input_values():
        node = value.get_node()
        while node.get_type_name() in ("Convert", "Reshape", "Transpose"):
            node = node.input_value(0).get_node()
        if node.get_type_name() == "Constant":
            return str(node.get_friendly_name())
    return None


class _Samples:
    """The inputs, made again each time NNCF reads them: all of them may not fit into memory."""

    def __init__(self, make: Callable[[], Iterator[Arrays]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Arrays]:
        return self._make()


@contextmanager
def _silent() -> Iterator[None]:
    """Silence NNCF: no telemetry and no output on the terminal, within a ``with``."""
    with no_telemetry(), redirect_stdout(io.StringIO()):
        import nncf

        nncf.set_log_level(logging.ERROR)
        yield
