"""Write the graphs of a network as ONNX files, with the exporter of transformers.

The exporter works for any module, also for those of timm. The batch axis is always free (dynamic).
The other axes are found by a trial: they are free if images of several shapes become inputs of
several shapes.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays
from pvzoo.errors import ExportError, error_message
from pvzoo.export import manifest, patches
from pvzoo.extras import needs
from pvzoo.networks.base import Network
from pvzoo.networks.from_transformers import quiet
from pvzoo.runtimes.base import Runtime

_INLINE = 1 << 30
"""Smaller weights, in bytes, are stored in the ONNX file itself. The limit of protobuf is twice
this size."""
_BATCH = "batch"


@dataclass(frozen=True)
class Example:
    """An example of a graph's inputs: a batch of two, and the names of the free axes."""

    inputs: Arrays
    free: Mapping[str, Mapping[int, str]]


def examples(
    adapter: Adapter,
    runtime: Runtime,
    images: Sequence[Image.Image],
    prompts: Sequence[Mapping[str, Any]],
) -> dict[str, Example]:
    """Record the inputs that each graph gets in predictions, by the graph's name.

    Args:
        adapter: Calls the graphs.
        runtime: Runs the graphs.
        images: Images of at least two shapes, one wide and one tall.
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`; each is tried with each image.
    """
    seen: dict[str, list[Arrays]] = {}

    def recorded(name: str, inputs: Arrays) -> dict[str, Any]:
        seen.setdefault(name, []).append(inputs)
        return runtime(name, inputs)

    for image, prompt in product(images, prompts):
        inputs, _ = adapter.preprocess(image, **prompt)
        adapter.run(recorded, {n: np.concatenate([a, a]) for n, a in inputs.items()})
    return {name: _example(calls, adapter.pixels) for name, calls in seen.items()}


def _example(seen: list[Arrays], pixels: str) -> Example:
    free: dict[str, dict[int, str]] = {}
    names: dict[tuple[int, ...], str] = {}  # axes that always have equal lengths share a name
    for name in seen[0]:
        free[name] = {0: _BATCH}
        shapes = [inputs[name].shape for inputs in seen]
        for axis in range(1, len(shapes[0])):
            sides = tuple(shape[axis] for shape in shapes)
            if len(set(sides)) > 1:
                index = len(shapes[0]) - axis
                sides_of_images = {1: "width", 2: "height"} if pixels in seen[0] else {}
                usual = sides_of_images.get(index, f"side{len(names)}")
                free[name][axis] = names.setdefault(sides, usual)
    return Example(seen[0], free)


def write_graphs(
    network: Network, found: Mapping[str, Example], folder: Path
) -> dict[str, manifest.Graph]:
    """Write the graphs of a network as ONNX files, "model.onnx" for the graph "model".

    Args:
        network: The network, in float32 and on the CPU.
        found: From `examples`.
        folder: The folder to write to.

    Returns:
        The manifest's entry for each graph, read from the files.

    Raises:
        ExportError: A graph cannot be exported, or an axis that should be free is fixed.
        MissingExtraError: A package that the export needs is not installed.
    """
    needs("Export", "transformers", "onnx", "onnxscript")
    graphs = {}
    for graph in network.graphs():
        example = found[graph.name]
        file = folder / f"{graph.name}.onnx"
        with patches.applied(network.patches, network.module), _quiet():
            program = _exported(graph.module.eval(), example)
        _save(program, file)
        graphs[graph.name] = _described(program, file.name, example)
    return graphs


def _exported(module: torch.nn.Module, example: Example) -> Any:
    from transformers.exporters import OnnxConfig, OnnxExporter

    tensors: dict[str, Any] = {
        name: torch.from_numpy(array) for name, array in example.inputs.items()
    }
    auto = torch.export.Dim.AUTO
    axes = {name: dict.fromkeys(free, auto) for name, free in example.free.items()}
    try:
        exporter: Any = OnnxExporter()  # its type hints allow only models of transformers
        return exporter.export(module, tensors, OnnxConfig(dynamic_shapes=axes)).program
    except Exception as error:  # exporters raise many kinds of errors
        raise ExportError(
            f"The network cannot be exported ({error_message(error, 300)}).",
            "It still works with PyTorch. A newer torch or transformers may export it.",
            stage="graph",
        ) from error


def _save(program: Any, file: Path) -> None:
    import onnx_ir

    size = sum(
        value.const_value.nbytes
        for value in program.graph.initializers.values()
        if value.const_value is not None
    )
    program.metadata_props.clear()
    for node in program.graph.all_nodes():  # it holds stack traces with paths of this machine
        node.metadata_props.clear()
    if size < _INLINE:
        onnx_ir.save(program, file)
    else:
        onnx_ir.save(program, file, external_data=f"{file.name}.data")


def _described(program: Any, file: str, example: Example) -> manifest.Graph:
    """The manifest's entry for a graph, read from the exported graph.

    The example is not enough, because the exporter may have fixed an axis that should be free.
    """
    inputs = {}
    for value in program.graph.inputs:
        free = example.free[value.name]
        shape: list[int | str] = []
        for axis, side in enumerate(value.shape):
            if isinstance(side, int):
                if axis in free:
                    raise ExportError(
                        f"The exporter fixed the {free[axis]} of {value.name} at {side}.",
                        "For other sizes, such a graph would give wrong results or fail.",
                        stage="graph",
                    )
                shape.append(side)
            else:
                shape.append(free.get(axis, f"axis{axis}"))
        inputs[value.name] = (value.dtype.numpy().name, tuple(shape))
    missing = set(example.inputs) - set(inputs)
    if missing:
        raise ExportError(
            f"The exporter left out the input {sorted(missing)[0]}.",
            "The network does not depend on it, or it became a constant.",
            stage="graph",
        )
    return manifest.Graph(file, inputs, tuple(value.name for value in program.graph.outputs))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters: no warnings, no log lines, no output, within a ``with``."""
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir"):
            logger = logging.getLogger(name)
            stack.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.ERROR)
        stack.enter_context(quiet())
        stack.enter_context(redirect_stdout(io.StringIO()))
        yield
