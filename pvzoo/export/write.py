"""`Model.export`: a folder that runs without PyTorch, handed over once it is proven."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pvzoo.errors import ExportError, UnsupportedModelError, UsageError
from pvzoo.export import manifest, reference
from pvzoo.export.certificate import Certificate, certify, controls_of
from pvzoo.export.exported import open_folder
from pvzoo.extras import needs
from pvzoo.hub.publish import new_folder
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from pvzoo.networks.base import Network

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""

_PACKAGES = (
    "pvzoo",
    "torch",
    "transformers",
    "timm",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "openvino",
)


def export(
    network: Network | None,
    task: Task,
    folder: Path,
    *,
    name: str,
    license: str,
    runtime: str,
    prompts: Mapping[str, Any],
    more: Sequence[tuple[str, Image.Image]] = (),
    progress: Progress | None = None,
    keep_failed: Path | None = None,
) -> Certificate:
    """Write a network as files of a runtime, and prove that they answer as it does.

    Args:
        network: In float32.
        task: Its task.
        folder: A new one.
        name: What messages and the manifest call the model.
        license: Of the weights.
        runtime: The id of the runtime that the files are for.
        prompts: The task's prompts, complete; they are fixed in the export.
        more: (name, upright RGB picture): pictures to try beside those that come with pvzoo.
        progress: Called as the work goes on.
        keep_failed: A new folder that gets the files if they are not proven.

    Raises:
        ExportError: It cannot be exported, or answers otherwise than the original.
        UsageError: The folder is not empty, or the runtime runs no files.
    """
    if network is None:
        raise UnsupportedModelError(
            f"{name} has no network that could be exported.", "It runs without PyTorch as it is."
        )
    needs("Export", "torch", "transformers", "onnx", "onnxscript")
    import torch

    from pvzoo.export.onnx import config_of, examples, write_graphs
    from pvzoo.networks.steps import thorough_steps
    from pvzoo.runtimes.torch import TorchRuntime

    runtime_class = registry.get("runtimes", runtime)
    if not runtime_class.suffixes:
        raise UsageError(
            f"{runtime} runs no exported files.",
            f"Runtimes that do: {', '.join(_of_files())}.",
        )
    if next(network.module.parameters()).dtype != torch.float32:
        raise UsageError(f"{name} is not in float32.", "Load it without dtype, then export it.")
    say = progress or (lambda what, done, total: None)
    adapter_class = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=thorough_steps(network, adapter_class.pixels, prompts))
    adapter = adapter_class(spec, network.prepare)
    original = TorchRuntime(adapter, network, device="cpu", device_map=None)
    own = reference.pictures()
    tried = [*own, *more]
    with new_folder(folder) as part:
        say("exporting", 0, 1)
        shown = [picture for _, picture in _lying_and_standing(tried)]
        graphs = write_graphs(network, examples(adapter, original, shown, prompts), part)
        for key, graph in graphs.items():
            file = runtime_class.convert(part / graph.file)
            graphs[key] = replace(graph, file=file.name)
        say("exporting", 1, 1)
        with tempfile.TemporaryDirectory() as saved:
            config_of(network, Path(saved))
            shutil.copyfile(Path(saved) / "config.json", part / "config.json")
        made = manifest.Manifest(
            spec,
            runtime,
            "fp32",
            graphs,
            {},
            manifest.stated(part, sorted(p.name for p in part.iterdir())),
            name,
            license,
            _versions(),
        )
        manifest.write(made, part)
        opened = open_folder(part, name)
        side = reference.Side(adapter, original, network.prepare)
        kept: list[reference.Answer] = []
        try:
            certificate = certify(
                _kept(
                    reference.answers(side, tried, prompts, controls_of(task, adapter.labels)),
                    kept,
                    len(own),
                ),
                reference.Side(opened.adapter, opened.runtime),
                task,
                adapter.labels,
                tried,
                prompts=prompts,
                progress=lambda done, total: say("comparing", done, total),
            )
        except ExportError:
            if keep_failed is not None:
                shutil.copytree(part, keep_failed)
            raise
        reference.write(part, kept)
        told = {**certificate.to_json(), "machine": _machine(), "runtime": runtime}
        made = replace(
            made,
            ranges=_ranges(made, certificate),
            files=manifest.stated(part, [*made.files, reference.NAME]),
            certificate=told,
        )
        manifest.write(made, part)
    return certificate


def _kept(
    answers: Iterator[reference.Answer], kept: list[reference.Answer], most: int
) -> Iterator[reference.Answer]:
    """The answers one by one; the first `most` are kept, without their whole outputs."""
    for answer in answers:
        if len(kept) < most:
            kept.append(replace(answer, whole=None))
        yield answer


def _of_files() -> list[str]:
    return [name for name in registry.names("runtimes") if registry.get("runtimes", name).suffixes]


def _lying_and_standing(
    tried: Sequence[tuple[str, Image.Image]],
) -> list[tuple[str, Image.Image]]:
    """Two pictures, one wide and one tall, both of sides that nothing else is likely to have."""
    wide = max(tried, key=lambda pair: pair[1].width / pair[1].height)
    tall = min(tried, key=lambda pair: pair[1].width / pair[1].height)
    return [wide, tall]


def _ranges(made: manifest.Manifest, certificate: Certificate) -> dict[str, tuple[int, int, int]]:
    """Of the free axes, the sizes that were tried."""
    found: dict[str, tuple[int, int, int]] = {}
    named = {
        axis
        for graph in made.graphs.values()
        for _, shape in graph.inputs.values()
        for axis in shape
        if isinstance(axis, str)
    }
    for axis in sorted(named):
        if axis == "batch":
            found[axis] = (min(certificate.batches), max(certificate.batches), 1)
        elif axis in ("height", "width") and certificate.sizes:
            sides = [size[0 if axis == "height" else 1] for size in certificate.sizes]
            found[axis] = (min(sides), max(sides), 1)
    return found


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}"
