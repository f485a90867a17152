"""What runtimes of exported files share: checks of what a graph is given and of what it gives."""

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
"""By precision the ways to lower it: which layers, the most first; others stay in float32."""


def refuse(runtime: type, adapter: Adapter, network: Network | None) -> NoReturn:
    """Refuse to run what was not exported.

    Raises:
        UsageError: Always.
    """
    what = type(adapter if network is None else network).__name__
    raise UsageError(
        f"{runtime.__name__} runs exported files, and {what} is none.",
        "Export the model first: model.export(folder), or pvzoo export; then load the folder.",
    )


def fitting(graph: Graph, inputs: Arrays) -> Arrays:
    """Inputs as a graph takes them: in its types, and of its shapes.

    A runtime may answer wrongly, and without an error, where a shape is not one that was exported.

    Raises:
        PvzooError: One has another shape than the graph takes.
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
                f"The exported network takes {name} of the shape ({', '.join(free)}), and this "
                f"is {array.shape}.",
                "Export the model again, with free sizes or in this size.",
            )
        made[name] = np.ascontiguousarray(array, dtype=dtype)
    return made


def handed_out(names: Iterable[str], outputs: Iterable[Any]) -> dict[str, np.ndarray]:
    """Outputs by their names, numbers with a fraction in float32.

    Raises:
        PvzooError: There are numbers that are not finite, from which nothing right can be read.
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
