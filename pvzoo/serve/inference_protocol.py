"""The Open Inference Protocol, version 2, of KServe: the network itself, arrays in and arrays out.

It is for pipelines that prepare images and interpret outputs themselves. It serves exported models
with one graph, and arrays as JSON.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.errors import DeviceError, PvzooError, short
from pvzoo.export.manifest import Graph
from pvzoo.serve.errors import RefusedError
from pvzoo.serve.limits import Limits
from pvzoo.serve.request import plain_json

if TYPE_CHECKING:
    from pvzoo.model import Model

MOST_BYTES = 2**24
"""Of a request: the numbers take up to sixteen times as much memory."""
MOST_VALUES = 2**22
"""Of all outputs of a request."""
_GRAPH = "model"
_TYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "float64": "FP64",
    "int64": "INT64",
    "int32": "INT32",
    "uint8": "UINT8",
    "int8": "INT8",
    "bool": "BOOL",
}


def graph_of(model: Model[Any], name: str) -> Graph:
    """The graph of an exported model.

    Raises:
        RefusedError: It was not exported, or has several graphs (404).
    """
    graphs = model.manifest.graphs if model.manifest else {}
    if set(graphs) != {_GRAPH}:
        raise RefusedError(
            404,
            f"{name} is not an exported model with one graph, so it has no raw inputs.",
            f"Send images to /v1/models/{name}/predict.",
        )
    return graphs[_GRAPH]


def metadata(name: str, platform: str, graph: Graph) -> dict[str, Any]:
    """What the network takes and gives; -1 is an axis of any size. Outputs are in float32."""
    inputs = [
        {
            "name": key,
            "datatype": _TYPES[dtype],
            "shape": [axis if isinstance(axis, int) else -1 for axis in shape],
        }
        for key, (dtype, shape) in graph.inputs.items()
    ]
    outputs = [{"name": key, "datatype": "FP32", "shape": [-1]} for key in graph.outputs]
    return {
        "name": name,
        "versions": [],
        "platform": platform,
        "inputs": inputs,
        "outputs": outputs,
    }


def infer(body: bytes, model: Model[Any], name: str, limits: Limits) -> bytes:
    """Run the network on the arrays of a request.

    Args:
        body: JSON as the protocol has it.
        model: The model.
        name: Its name for clients.
        limits: The largest batch.

    Returns:
        JSON as the protocol has it.

    Raises:
        RefusedError: The request is not as the protocol has it (400), is too large (413), or the
            network does not take its arrays or gives values that are not finite (422).
        DeviceError: There is too little memory.
    """
    graph = graph_of(model, name)
    found = plain_json(body, "The body")
    if not isinstance(found, dict) or not isinstance(found.get("inputs"), list):
        raise RefusedError(400, 'The body has no list "inputs".', "Send arrays with their names.")
    arrays = dict(_array(entry, graph, limits) for entry in found["inputs"])
    if missing := set(graph.inputs) - set(arrays):
        raise RefusedError(422, f"The input {min(missing)!r} is missing.", "Send it too.")
    wanted = _wanted(found.get("outputs"), graph)
    try:
        outputs = model.runtime(_GRAPH, arrays)
    except DeviceError:
        raise
    except PvzooError as error:
        raise RefusedError(422, error.what, error.hint) from error
    if sum(outputs[key].size for key in wanted) > MOST_VALUES:
        raise RefusedError(
            413,
            f"The outputs have more than {MOST_VALUES:,} values.",
            'Name those that you need in "outputs", or send a smaller batch.',
        )
    answer: dict[str, Any] = {"model_name": name}
    if isinstance(found.get("id"), str):
        answer["id"] = found["id"][:200]
    answer["outputs"] = [
        {
            "name": key,
            "datatype": "FP32",
            "shape": list(outputs[key].shape),
            "data": np.asarray(outputs[key], np.float32).ravel().tolist(),
        }
        for key in wanted
    ]
    try:
        return json.dumps(answer, allow_nan=False).encode()
    except ValueError:
        raise RefusedError(
            422, "An output of the network is not finite for these inputs.", "Send other values."
        ) from None


def _array(entry: Any, graph: Graph, limits: Limits) -> tuple[str, np.ndarray]:
    try:
        name, datatype, shape, data = (entry[k] for k in ("name", "datatype", "shape", "data"))
    except (KeyError, TypeError):
        raise RefusedError(
            400, "An input lacks name, datatype, shape or data.", "Send all four."
        ) from None
    if not isinstance(name, str) or name not in graph.inputs:
        raise RefusedError(
            422,
            f"The network has no input {short(name)}.",
            f"It has: {', '.join(graph.inputs)}.",
        )
    dtype, axes = graph.inputs[name]
    if datatype != _TYPES[dtype]:
        raise RefusedError(
            422, f"{name} is {short(datatype)}.", f"The network takes {_TYPES[dtype]}."
        )
    if not isinstance(shape, list) or not all(type(n) is int and n > 0 for n in shape):
        raise RefusedError(400, f"The shape of {name} is {short(shape)}.", "Send positive numbers.")
    fits = len(shape) == len(axes) and all(
        isinstance(axis, str) or axis == count for axis, count in zip(axes, shape, strict=True)
    )
    if not fits:
        raise RefusedError(
            422, f"The shape of {name} is {short(shape)}.", f"The network takes {list(axes)}."
        )
    if shape[0] > limits.batch_size:
        raise RefusedError(
            413,
            f"{name} has a batch of {shape[0]}, more than {limits.batch_size}.",
            "Send several requests.",
        )
    try:
        with np.errstate(over="ignore"):  # too large numbers become infinite
            array = np.array(data, dtype=dtype)
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(
            400, f"The data of {name} is not an array of {datatype}.", "Send numbers."
        ) from None
    if array.size != math.prod(shape):
        raise RefusedError(
            400,
            f"{name} has {array.size:,} values, but its shape {shape} has {math.prod(shape):,}.",
            "Correct one of them.",
        )
    if not np.isfinite(array).all():
        raise RefusedError(
            400, f"The data of {name} has null or a number too large for {datatype}.", "Correct it."
        )
    return name, array.reshape(shape)


def _wanted(found: Any, graph: Graph) -> tuple[str, ...]:
    """The names of the outputs that a request asks for; all if it names none."""
    if not found:
        return graph.outputs
    try:
        names: tuple[str, ...] = tuple(entry["name"] for entry in found)
    except (KeyError, TypeError):
        raise RefusedError(400, '"outputs" is not a list of names.', "Leave it out.") from None
    if unknown := [name for name in names if name not in graph.outputs]:
        raise RefusedError(
            422,
            f"The network has no output {short(unknown[0])}.",
            f"It has: {', '.join(graph.outputs)}.",
        )
    return names
