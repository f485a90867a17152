"""`Model.export`: write a folder that runs without PyTorch, and prove that it is correct."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from pvzoo.errors import DataError, ExportError, PvzooError, UnsupportedModelError, UsageError
from pvzoo.export import manifest, reference
from pvzoo.export.certificate import Certificate, certify, controls_of
from pvzoo.export.drift_reference import drift_reference
from pvzoo.export.exported import open_folder
from pvzoo.export.precision import Export, check_precision, lower, split_data
from pvzoo.export.seen import remember
from pvzoo.extras import needs
from pvzoo.hub.publish import new_folder
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.sources import images_of
from pvzoo.metrics.evaluate import measure, one_split
from pvzoo.pipeline import predict
from pvzoo.plugins import registry
from pvzoo.tasks.base import Task
from pvzoo.tasks.fixed import task_of
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from pvzoo.networks.base import Network

Progress = Callable[[str, int, int], None]
"""``progress(what, done, total)``."""

_IMAGES = 32
"""The largest number of the user's images that are compared one by one."""
_METRIC = 1e-3
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
    image_size: int | None = None,
    precision: str = "fp32",
    max_loss: float = 0.01,
    allow_slower: bool = False,
    prompts: Mapping[str, Any] | None = None,
    thresholds: Thresholds | None = None,
    data: Any = None,
    progress: Progress | None = None,
    keep_failed: Path | None = None,
) -> Certificate:
    """Write a network as files of a runtime, and prove that they give the same results.

    Args:
        network: The network, in float32; None raises an error.
        task: The task of the network.
        folder: A new folder to write to.
        name: The name of the model in messages and in the manifest.
        license: The licence of the weights.
        runtime: The id of the runtime that the files are for.
        image_size: Side of the square that images are scaled to; None for the network's own.
        precision: "fp32", "fp16" or "int8"; see `pvzoo.export.precision`.
        max_loss: The largest loss of the task's main metric at a lower precision.
        allow_slower: Whether a lower precision may be slower than float32 on this machine.
        prompts: The prompts of the task; they are fixed in the export.
        thresholds: The thresholds of the model; they are stored in the manifest.
        data: More test images, labelled or not, in addition to those that come with pvzoo.
        progress: Called with the name of the current work, the number of steps done and the
            number of all steps.
        keep_failed: A new folder for the files of an export that gives other results.

    Raises:
        ExportError: The network cannot be exported, or the export gives other results.
        UnsupportedModelError: The model has no network, or its family cannot be exported.
        UsageError: The folder is not empty, or the runtime does not run files.
    """
    if network is None:
        raise UnsupportedModelError(
            f"{name} has no network to export.", "It already runs without PyTorch."
        )
    needs("Export", "torch", "transformers", "onnx", "onnxscript")
    import torch

    from pvzoo.export.onnx import examples, write_graphs
    from pvzoo.networks.steps import thorough_steps
    from pvzoo.runtimes.torch import TorchRuntime

    runtime_class = registry.get("runtimes", runtime)
    if not runtime_class.suffixes:
        raise UsageError(
            f"{runtime} cannot run exported files.",
            f"Runtimes that can: {', '.join(_of_files())}.",
        )
    if why := network.unexported:
        raise UnsupportedModelError(f"{name} cannot be exported: {why}.")
    if next(network.module.parameters()).dtype != torch.float32:
        raise UsageError(f"{name} is not in float32.", "Load it without dtype, then export it.")
    check_precision(precision, max_loss, runtime_class)
    splits = split_data(data, task) if precision != "fp32" else None
    say = progress or (lambda what, done, total: None)
    if image_size is not None:
        network = network.at_size(image_size)
    side = _side(network)
    network, task = _with_prompts(network, task, prompts or {}, name)
    asked = task.tried_prompts(network.spec.labels)
    adapter_class = registry.get("adapters", network.spec.adapter)
    spec = replace(network.spec, steps=thorough_steps(network, asked[0]))
    adapter = adapter_class(spec)
    own = reference.images()
    shown, labelled = examples_of(data if splits is None else splits[1], task)
    tried = [*own, *shown]
    with new_folder(folder) as part:
        say("exporting", 0, 1)
        pair = [image for _, image in _lying_and_standing(tried)]
        running = TorchRuntime(adapter, network, device="cpu", device_map=None)
        graphs = write_graphs(network, examples(adapter, running, pair, asked), part)
        for key, graph in graphs.items():
            file = runtime_class.convert(part / graph.file)
            graphs[key] = replace(graph, file=file.name)
        say("exporting", 1, 1)
        network.write_config(part)
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
            {} if thresholds is None else thresholds.to_json(),
        )
        manifest.write(made, part)
        opened = open_folder(part, name)
        final = reference.Side(opened.adapter, opened.runtime)
        kept: list[reference.Answer] = []
        try:
            certificate = certify(
                _kept(
                    reference.answers(
                        side, tried, asked, controls_of(task, adapter.labels), made.inputs
                    ),
                    kept,
                    len(own),
                ),
                final,
                task,
                adapter.labels,
                tried,
                prompts=asked,
                progress=lambda done, total: say("comparing", done, total),
            )
        except ExportError:
            if keep_failed is not None:
                shutil.copytree(part, keep_failed)
            raise
        if labelled is not None:
            certificate.metric = _measured(task, labelled, side, final, name)
        if splits is not None:
            plain = Export(
                part, graphs, opened.adapter, runtime_class, task, asked[0], _backbone(network)
            )
            certificate.ladder = lower(
                plain,
                precision,
                splits,
                max_loss=max_loss,
                allow_slower=allow_slower,
                progress=say,
            )
            final = reference.Side(opened.adapter, runtime_class.open(part, graphs))
            controls = controls_of(task, adapter.labels)
            kept = [
                replace(answer, whole=None)
                for answer in reference.answers(final, own, asked, controls, made.inputs)
            ]
            made = replace(
                made,
                precision=precision,
                thresholds={}
                if thresholds is None
                else plain.tuned(thresholds, precision, splits[1]).to_json(),
                files=manifest.stated(
                    part, sorted(p.name for p in part.iterdir() if p.name != manifest.NAME)
                ),
            )
        reference.write(part, kept, made.thresholds)
        told = {**certificate.to_json(), "machine": _machine(), "runtime": runtime}
        made = replace(
            made,
            ranges=_ranges(made, certificate),
            files=manifest.stated(part, [*made.files, reference.NAME]),
            certificate=told,
            reference=drift_reference(
                final,
                task,
                data if splits is None else splits[1],
                labelled,
                name=name,
                thresholds=Thresholds.from_json(made.thresholds, name) if made.thresholds else None,
            ),
        )
        manifest.write(made, part)
    remember(folder)
    return certificate


def _side(network: Network) -> reference.Side:
    from pvzoo.runtimes.torch import TorchRuntime

    adapter = registry.get("adapters", network.spec.adapter)(network.spec)
    runtime = TorchRuntime(adapter, network, device="cpu", device_map=None)
    return reference.Side.original(network, runtime)


def _with_prompts(
    network: Network, task: Task, prompts: Mapping[str, Any], name: str
) -> tuple[Network, Task]:
    """The network and its task for the export: texts that name classes become constants."""
    if task.class_prompt is not None:
        network = network.with_prompts(task.options(prompts, ())[0])
        return network, task_of(network.spec)
    if fields(task.prompts) and not task.examples:
        raise UnsupportedModelError(
            f"{name} needs a prompt with each image, but its task has no example prompts for "
            "testing an export.",
            "It still works with PyTorch.",
        )
    if prompts:
        raise UsageError(f"{next(iter(prompts))} is not a prompt of {task.id}.", "Leave it out.")
    return network, task


def examples_of(data: Any, task: Task) -> tuple[list[tuple[str, Image.Image]], Any]:
    """The first images of the data, and the data itself if it is labelled for the task.

    Args:
        data: Anything that `Model.stream` or `pvzoo.data.load` takes; None for no data.
        task: The task.

    Returns:
        ((name, upright RGB image) of up to 32 images, the labelled split or None).

    Raises:
        ImageError: An image cannot be read.
        UsageError: The data is neither images nor a labelled data set.
    """
    if data is None:
        return [], None
    labelled = None
    if task.has_columns:
        from pvzoo.data import load

        try:
            labelled = one_split(load(data, task.id))
        except DataError:  # images without labels; any other problem is raised below
            labelled = None
    source = labelled["image"] if labelled is not None else data
    found = []
    for index, image in enumerate(islice(images_of(source), _IMAGES)):
        handle = ImageHandle.of(image, index)
        found.append((str(handle.name), handle.open()))
    return found, labelled


def _measured(
    task: Task, data: Any, original: reference.Side, export: reference.Side, name: str
) -> dict[str, tuple[float, float]]:
    """Measure the original and the export on labelled data.

    Returns:
        (value of the original, value of the export) by the name of the metric.

    Raises:
        ExportError: A metric differs by more than 0.001.
    """
    found = []
    for side in (original, export):

        def stream(images: Any, side: reference.Side = side, **options: Any) -> Iterator[Any]:
            batch_size, progress = options.pop("batch_size"), options.pop("progress")
            runtime: Any = side.runtime
            return predict.stream(
                side.adapter,
                runtime,
                task,
                images,
                options,
                name=name,
                batch_size=batch_size,
                progress=progress,
            )

        found.append(measure(stream, task, export.adapter.labels, data, {}, batch_size=8))
    pairs = {key: (value, found[1][key]) for key, value in found[0].items()}
    apart = {key: abs(a - b) for key, (a, b) in pairs.items() if a == a and b == b}
    worst = max(apart, key=lambda key: apart[key], default=None)
    if worst is not None and apart[worst] > _METRIC:
        raise ExportError(
            f"{worst} is {pairs[worst][0]:.4f} with the original and {pairs[worst][1]:.4f} with "
            f"the export; {_METRIC} is allowed.",
            "The single results that were compared are within their bounds. Give more data to "
            "find where they differ.",
            stage="graph",
        )
    return pairs


def _kept(
    answers: Iterator[reference.Answer], kept: list[reference.Answer], most: int
) -> Iterator[reference.Answer]:
    """Pass on the answers one by one, and keep the first `most` without their whole outputs."""
    for answer in answers:
        if len(kept) < most:
            kept.append(replace(answer, whole=None))
        yield answer


def _backbone(network: Network) -> tuple[str, ...]:
    """The prefixes of the names of the backbone's parameters; empty if they are not known."""
    try:
        return tuple(network.backbone)
    except PvzooError:
        return ()


def _of_files() -> list[str]:
    return [name for name in registry.names("runtimes") if registry.get("runtimes", name).suffixes]


def _lying_and_standing(
    tried: Sequence[tuple[str, Image.Image]],
) -> list[tuple[str, Image.Image]]:
    """The widest and the tallest image.

    Other axes of the graphs are unlikely to have the same lengths as the sides of these images.
    """
    wide = max(tried, key=lambda pair: pair[1].width / pair[1].height)
    tall = min(tried, key=lambda pair: pair[1].width / pair[1].height)
    return [wide, tall]


def _ranges(made: manifest.Manifest, certificate: Certificate) -> dict[str, tuple[int, int, int]]:
    """The tested lengths of each free axis: (smallest, largest, 1)."""
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
