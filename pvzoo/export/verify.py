"""`pvzoo verify`: an export tried again on the machine where it is to run; foreign ONNX files."""

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
    """Compare an export with its original once more, here, and measure how long an image takes.

    Without the original it is compared with what that said at export; see
    `pvzoo.export.reference`. PyTorch is not needed then.

    Args:
        folder: The export.
        original: The model it came from.
        more: (name, upright RGB image): further images, if the original is there.
        runtime: Instead of the one it was made for.
        device: As for `pvzoo.load`.
        threads: Likewise.
        progress: Called with the number of images done and of all.

    Raises:
        ExportError: It answers otherwise than the original; ``stage`` says where that begins.
        WeightsError: A file of it is damaged.
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
            f"{folder} has other thresholds than its original had.",
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
                f"{folder} was proven on other images than this pvzoo has.",
                "Name the original with --model, or export it again with this pvzoo.",
            )
        if more:
            raise UsageError(
                "Images of your own need the original to compare with.", "Name it with --model."
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
    """Milliseconds from a decoded image to the network's outputs, the median of some."""
    taken = []
    for index in range(_RUNS):
        began = time.perf_counter()
        told = prompts[index % len(prompts)]
        inputs, _ = side.adapter.preprocess(images[index % len(images)], **told)
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

    Its inputs and outputs are taken in the order of the model's where they have other names. If it
    takes more or other inputs than images, that is said.

    Args:
        file: The ONNX file.
        original: The model it is said to come from.
        more: As for `verify`.
        progress: Likewise.

    Raises:
        ExportError: It answers otherwise than the model.
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
                f"{file.name} takes {renamed_in[name]} as {types[renamed_in[name]]}, and the model "
                f"{array.dtype.name}: images are prepared in another way for it.",
                "What is done to images must be the same: mean, scale and order of channels may "
                "be inside of the file.",
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
    """The model's names and those of the file: the same ones, or else in the same order."""
    if set(wanted) <= set(given):
        return {name: name for name in wanted}
    if len(wanted) > len(given):
        raise ExportError(
            f"The file has the {what} {', '.join(given)}, and the model {', '.join(wanted)}.",
            "It is another network, or a part of it was cut off.",
            stage="graph",
        )
    return dict(zip(wanted, given, strict=False))


def _dtype(onnx_type: str) -> str:
    """ "tensor(float)" -> "float32"."""
    inner = onnx_type.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)
