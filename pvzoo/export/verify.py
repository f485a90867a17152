"""`pvzoo verify`: test an export on the machine where it will run; test other ONNX files."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import ExportError, UsageError
from pvzoo.export import reference
from pvzoo.export.certificate import Certificate, certify, controls_of
from pvzoo.export.exported import Exported, open_folder
from pvzoo.export.onnx_file import check_graph
from pvzoo.export.seen import remember
from pvzoo.tasks.fixed import task_of

_RUNS = 20


def verify(
    folder: Path,
    *,
    original: reference.Side | None = None,
    more: Sequence[tuple[str, Image.Image]] = (),
    runtime: str | None = None,
    device: Any = None,
    threads: int | None = None,
    progress: reference.Progress | None = None,
) -> Certificate:
    """Compare an export with its original on this machine, and measure the time for one image.

    Without the original, the export is compared with the results that were stored when it was
    made; see `pvzoo.export.reference`. PyTorch is not needed then.

    Args:
        folder: The export.
        original: The model that was exported; None compares with the stored results.
        more: Further images, (name, upright RGB image). They need the original.
        runtime: The runtime to use; None uses the one that the export was made for.
        device: As for `pvzoo.load`.
        threads: As for `pvzoo.load`.
        progress: Called with the number of images done and the number of all images.

    Raises:
        ExportError: The results differ from the original's; ``stage`` says at which stage the
            difference begins.
        WeightsError: A file of the export is damaged.
    """
    opened = open_folder(folder, str(folder), runtime=runtime, device=device, threads=threads)
    return _verified(opened, folder, original, more, progress)


def _verified(
    opened: Exported,
    folder: Path,
    original: reference.Side | None,
    more: Sequence[tuple[str, Image.Image]],
    progress: reference.Progress | None,
) -> Certificate:
    spec = opened.manifest.spec
    task = task_of(spec)
    prompts = task.tried_prompts(spec.labels)
    if dict(opened.manifest.thresholds) != reference.thresholds_of(folder):
        raise ExportError(
            f"The thresholds of {folder} are not those of its original.",
            "Export the model again.",
            stage="postprocessing",
        )
    own = reference.images()
    answers: Iterable[reference.Answer]
    if original is None:
        answers = reference.read(folder)
        labels: Sequence[str] = spec.labels
        if [answer.image for answer in answers] != [name for name, _ in own]:
            raise ExportError(
                f"{folder} was tested on other images than this version of pvzoo has.",
                "Name the original with --model, or export it again with this pvzoo.",
            )
        if more:
            raise UsageError(
                "Your own images can only be compared with the original model.",
                "Name it with --model.",
            )
        tried = own
    else:
        tried = [*own, *more]
        labels = original.adapter.labels if not spec.prompts else spec.labels
        controls = controls_of(task, labels)
        taken = opened.manifest.inputs
        answers = reference.answers(original, tried, prompts, controls, taken)
    side = reference.Side(opened.adapter, opened.runtime)
    certificate = certify(answers, side, task, labels, tried, prompts=prompts, progress=progress)
    certificate.latency = _latency(side, prompts, [image for _, image in own])
    remember(folder)
    return certificate


def _latency(
    side: reference.Side, prompts: Sequence[Mapping[str, Any]], images: Sequence[Image.Image]
) -> float:
    """The median time from a decoded image to the network's outputs, in milliseconds."""
    taken = []
    for index in range(_RUNS):
        began = time.perf_counter()
        prompt = prompts[index % len(prompts)]
        inputs, _ = side.adapter.preprocess(images[index % len(images)], **prompt)
        side.adapter.run(side.runtime, inputs)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[_RUNS // 4 :])


def verify_foreign(
    file: Path,
    original: reference.Side,
    *,
    more: Sequence[tuple[str, Image.Image]] = (),
    progress: reference.Progress | None = None,
) -> Certificate:
    """Find the stage at which an ONNX file that pvzoo did not write differs from a model.

    If the inputs or outputs of the file have other names than the model's, they are matched by
    their order. Inputs that the file takes in another form than the model raise an error.

    Args:
        file: The ONNX file.
        original: The model that the file should match.
        more: As for `verify`.
        progress: As for `verify`.

    Raises:
        ExportError: The results differ from the model's.
        WeightsError: The file is damaged.
    """
    check_graph(file, [f.name for f in file.parent.iterdir() if not f.is_symlink()])
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    task = task_of(original.adapter.spec)
    prompts = task.tried_prompts(original.adapter.labels)
    image = reference.images()[0][1]
    inputs, _ = original.adapter.preprocess(image, **prompts[0])
    outputs = original.adapter.run(original.runtime, inputs)
    given = [value.name for value in session.get_inputs()]
    asked = [value.name for value in session.get_outputs()]
    renamed_in = _paired("inputs", list(inputs), given)
    renamed_out = _paired("outputs", list(outputs), asked)
    types = {value.name: _dtype(value.type) for value in session.get_inputs()}
    for name, array in inputs.items():
        if types[renamed_in[name]] != array.dtype.name:
            raise ExportError(
                f"{file.name} takes {renamed_in[name]} as {types[renamed_in[name]]}, but the model "
                f"takes {array.dtype.name}: the file needs another preparation of images.",
                "Export it so that images are prepared as for the model. The graph in the file may "
                "apply the mean, the scale or the channel order itself.",
                stage="preprocessing",
            )

    def run(name: str, feed: dict[str, np.ndarray]) -> dict[str, Any]:
        found = session.run(asked, {renamed_in[key]: array for key, array in feed.items()})
        by_name = dict(zip(asked, found, strict=True))
        return {key: by_name[renamed_out[key]] for key in outputs}

    tried = [*reference.images(), *more]
    answers = reference.answers(
        original, tried, prompts, controls_of(task, original.adapter.labels), set(inputs)
    )
    side = reference.Side(original.adapter, run)
    certificate = certify(
        answers,
        side,
        task,
        original.adapter.labels,
        tried,
        prompts=prompts,
        progress=progress,
    )
    certificate.latency = _latency(side, prompts, [shown for _, shown in tried])
    return certificate


def _paired(what: str, wanted: list[str], given: list[str]) -> dict[str, str]:
    """Match the model's names with those of the file: by name if all are there, else by order."""
    if set(wanted) <= set(given):
        return {name: name for name in wanted}
    if len(wanted) > len(given):
        raise ExportError(
            f"The file has the {what} {', '.join(given)}, but the model has {', '.join(wanted)}.",
            "The file holds another network, or only a part of this one.",
            stage="graph",
        )
    return dict(zip(wanted, given, strict=False))


def _dtype(onnx_type: str) -> str:
    """ "tensor(float)" -> "float32"."""
    inner = onnx_type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)
