"""The graphs of a network as ONNX files, by the exporter of transformers.

It exports any module, timm's too. Which axes are free is seen on images: the batch always is, and
the sides of an input if images of several shapes become inputs of several shapes.
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
"""Weights of fewer bytes are in the ONNX file itself; protobuf ends at twice as many."""
_BATCH = "batch"


@dataclass(frozen=True)
class Example:
    """What a graph was given: a batch of two, and which sides change with the image."""

    inputs: Arrays
    free: Mapping[str, Mapping[int, str]]


def examples(
    adapter: Adapter,
    runtime: Runtime,
    images: Sequence[Image.Image],
    prompts: Sequence[Mapping[str, Any]],
) -> dict[str, Example]:
    """What each graph is given when images are predicted, by the graph's name.

    Args:
        adapter: Drives the graphs.
        runtime: Runs them.
        images: Of at least two shapes, one lying and one standing.
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`; each is tried with each image.
    """
    seen: dict[str, list[Arrays]] = {}

    def recorded(name: str, inputs: Arrays) -> dict[str, Any]:
        seen.setdefault(name, []).append(inputs)
        return runtime(name, inputs)

    for image, told in product(images, prompts):
        inputs, _ = adapter.preprocess(image, **told)
        adapter.run(recorded, {n: np.concatenate([a, a]) for n, a in inputs.items()})
    return {name: _example(calls, adapter.pixels) for name, calls in seen.items()}


def _example(seen: list[Arrays], pixels: str) -> Example:
    free: dict[str, dict[int, str]] = {}
    names: dict[tuple[int, ...], str] = {}  # sides that change alike have one name
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
        network: In float32, on the CPU.
        found: From `examples`.
        folder: Where to.

    Returns:
        What a manifest says of each graph, read from the files.

    Raises:
        ExportError: A graph cannot be exported, or an axis that was to be free is not.
        MissingExtraError: A package that exports is not installed.
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
        exporter: Any = OnnxExporter()  # its types say that it takes models of transformers alone
        return exporter.export(module, tensors, OnnxConfig(dynamic_shapes=axes)).program
    except Exception as error:  # exporters raise whatever goes wrong in them
        raise ExportError(
            f"The network cannot be exported ({error_message(error, 300)}).",
            "It goes on working with PyTorch. A newer torch or transformers may export it.",
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
    for node in program.graph.all_nodes():  # stacks of this machine's paths
        node.metadata_props.clear()
    if size < _INLINE:
        onnx_ir.save(program, file)
    else:
        onnx_ir.save(program, file, external_data=f"{file.name}.data")


def _described(program: Any, file: str, example: Example) -> manifest.Graph:
    """What a manifest says of a graph, by the graph itself: free axes may have become fixed."""
    inputs = {}
    for value in program.graph.inputs:
        free = example.free[value.name]
        shape: list[int | str] = []
        for axis, side in enumerate(value.shape):
            if isinstance(side, int):
                if axis in free:
                    raise ExportError(
                        f"The exporter fixed the {free[axis]} of {value.name} at {side}.",
                        "A graph that takes no other would answer wrongly or not at all.",
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
    """Within it exporters say nothing of what they are working on."""
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
