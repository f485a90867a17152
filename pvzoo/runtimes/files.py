"""Shared by the runtimes of exported files: checks of the inputs and outputs of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import PvzooError, UsageError

if TYPE_CHECKING:
    from pvzoo.export.manifest import Graph
    from pvzoo.networks.base import Network


RUNGS: Mapping[str, tuple[str, ...]] = {
    "fp16": ("weights",),
    "int8": (
        "everything",
        "convolutions and linear layers",
        "convolutions",
        "convolutions of the backbone",
    ),
}
"""The ways to lower to each precision: the layers that are lowered, most layers first. All other
layers stay in float32."""


def refuse(runtime: type, adapter: Adapter, network: Network | None) -> NoReturn:
    """Refuse to run a model that was not exported.

    Raises:
        UsageError: Always.
    """
    what = type(adapter if network is None else network).__name__
    raise UsageError(
        f"{runtime.__name__} runs only exported files, but {what} is not exported.",
        "Export the model first: model.export(folder), or pvzoo export; then load the folder.",
    )


def fitting(graph: Graph, inputs: Arrays) -> Arrays:
    """Convert inputs to the dtypes of a graph, and check their shapes.

    For a shape that was not exported, a runtime may give wrong outputs without any error.

    Raises:
        PvzooError: The graph does not take the shape of an input.
    """
    made = {}
    for name, (dtype, shape) in graph.inputs.items():
        array = inputs[name]
        free = [a if isinstance(a, str) else f"{a:,}" for a in shape]
        if len(shape) != array.ndim or any(
            isinstance(axis, int) and axis != side
            for axis, side in zip(shape, array.shape, strict=True)
        ):
            raise PvzooError(
                f"The exported network takes {name} of the shape ({', '.join(free)}), but the "
                f"shape is {array.shape}.",
                "Export the model again, with free sizes or in this size.",
            )
        made[name] = np.ascontiguousarray(array, dtype=dtype)
    return made


def handed_out(names: Iterable[str], outputs: Iterable[Any]) -> dict[str, np.ndarray]:
    """Outputs by their names; floating-point numbers are converted to float32.

    Raises:
        PvzooError: An output has numbers that are not finite, so no result can be read from it.
    """
    found = {}
    for name, output in zip(names, outputs, strict=True):
        array = np.asarray(output)
        if array.dtype.kind == "f":
            array = array.astype(np.float32, copy=False)
            # the sum is finite only if all numbers are; it takes no memory
            if not np.isfinite(array.sum(dtype=np.float64)):
                raise PvzooError(
                    f"The exported network gave numbers that are not finite in {name}.",
                    "Run pvzoo verify on the folder; if it fails too, export the model again.",
                )
        found[name] = array
    return found
