"""Prove that an exported network gives the results of the original, in the export's runtime.

Both are compared on real images, stage by stage, so that a message can say where a difference
begins: in the network's inputs ("preprocessing"), in its raw outputs ("graph") or in the results
made of them ("postprocessing").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.errors import ExportError, error_message
from pvzoo.export.compare import Reading, Tally, compare
from pvzoo.export.reference import Answer, Progress, Sample, Side, digests, indices, plain
from pvzoo.preprocess.compare import ROUNDING
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from pvzoo.export.ladder import Ladder

SHARE = 1e-3
"""The largest difference of a raw output that is allowed, as a share of its range over all
images."""
BATCHES = (1, 2, 3, 8)
IN_BATCHES = 5
"""The number of images that are tested in batches of each size; the others are tested alone."""
FEWEST = 20
"""With fewer objects, classes or segments than this, the verdict is "not decided"."""
MOST_ROWS = 50


@dataclass
class Certificate:
    """What was compared, and how large the differences were.

    Attributes:
        images: The number of images.
        rounded: The largest difference of the inputs; 0 if they are equal to the bit.
        sizes: (height, width) of the inputs that were tested, each once.
        batches: The batch sizes that were tested.
        outputs: The largest difference of each raw output by its name, as a share of its range.
        tally: The differences of the results.
        metric: (value of the original, value of the export) by the name of the metric; empty
            without labelled data.
        ladder: The attempts to lower the precision; None for float32. All other attributes
            describe the files in float32, before their precision was lowered.
        latency: The median time for one image in milliseconds; None if it was not measured.
    """

    images: int = 0
    rounded: float = 0.0
    sizes: set[tuple[int, ...]] = field(default_factory=set)
    batches: set[int] = field(default_factory=set)
    outputs: dict[str, float] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    metric: dict[str, tuple[float, float]] = field(default_factory=dict)
    ladder: Ladder | None = None
    latency: float | None = None

    @property
    def is_decided(self) -> bool:
        """Whether enough was compared to call the export proven."""
        return self.tally.rows >= FEWEST or any("share of" in name for name in self.tally.worst)

    @property
    def verdict(self) -> str:
        """ "certified", or "not decided" where too little was compared."""
        return "certified" if self.is_decided else "not decided"

    @property
    def inputs(self) -> str:
        """How close the inputs of the network are to those of the original, as text."""
        return f"within {self.rounded:.1g}" if self.rounded else "equal to the bit"

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return {
            "verdict": self.verdict,
            "images": self.images,
            "sizes": sorted(map(list, self.sizes)),
            "batches": sorted(self.batches),
            "inputs": self.inputs,
            "outputs": {k: float(f"{v:.3g}") for k, v in self.outputs.items()},
            "rows": self.tally.rows,
            "worst": {k: float(f"{v:.4g}") for k, v in self.tally.worst.items()},
            "metric": {k: list(v) for k, v in self.metric.items()},
            "precision": None if self.ladder is None else self.ladder.to_json(),
            "latency_ms": None if self.latency is None else float(f"{self.latency:.3g}"),
        }

    def __str__(self) -> str:
        batches = ", ".join(map(str, sorted(self.batches)))
        lines = [
            f"{self.verdict}: {self.images} images of {_counted(len(self.sizes), 'input size')}"
            f" in batches of {batches}; {self.tally.rows} objects, classes or segments compared",
            f"inputs: {self.inputs}",
            *(f"{k}: within {v:.2g} of its range" for k, v in self.outputs.items()),
            *(f"{k}: {v:.4g} at worst" for k, v in self.tally.worst.items()),
            *(f"{k}: {a:.4f}, exported {b:.4f}" for k, (a, b) in self.metric.items()),
        ]
        if self.ladder is not None:
            lines.append(str(self.ladder))
        if self.latency is not None:
            lines.append(f"one image: {self.latency:.1f} ms")
        if not self.is_decided:
            lines.append(f"Fewer than {FEWEST} were compared: give your own images with data=.")
        return "\n".join(lines)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def controls_of(task: Task, labels: Sequence[str], most: int = MOST_ROWS) -> dict[str, Any]:
    """The options for results with up to `most` rows, even if their scores are low."""
    known = {f.name for f in fields(task.controls)}
    wanted = {**task.evaluation, "threshold": 0.0, "top_k": most, "max_detections": most}
    prompts = next(iter(task.examples), {})  # a task with prompts needs some for its options
    return task.options({**prompts, **{k: v for k, v in wanted.items() if k in known}}, labels)[1]


def certify(
    answers: Iterable[Answer],
    export: Side,
    task: Task,
    labels: Sequence[str],
    images: Sequence[tuple[str, Image.Image]],
    *,
    prompts: Sequence[Mapping[str, Any]],
    progress: Progress | None = None,
) -> Certificate:
    """Compare the results of an export with those of its original.

    Args:
        answers: The original's answers, image by image.
        export: The export, loaded from its files.
        task: The task of both.
        labels: The labels of the original.
        images: (name, upright RGB image), in the order of `answers`.
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`.
        progress: Called with the number of images done and the number of all images.

    Raises:
        ExportError: They differ by more than is allowed; ``stage`` says where the difference
            begins.
    """
    certificate = Certificate(images=len(images))
    _check_labels(labels, export.adapter.labels)
    controls = controls_of(task, labels, MOST_ROWS + 10)  # rows with equal scores may change order
    raw = _Raw()
    beyond = Tally()  # differences of results; raised only after the raw outputs are checked
    for done, (answer, (name, image)) in enumerate(zip(answers, images, strict=True)):
        prompt = prompts[done % len(prompts)]
        inputs, meta = _inputs(certificate, answer, export, image, prompt)
        pixels = inputs.get(export.adapter.pixels)
        sizes = set() if pixels is None else {pixels.shape[-2:]}
        certificate.sizes |= sizes
        count = len(next(iter(inputs.values())))
        first: dict[str, Any] = {}
        for batch in BATCHES[: len(BATCHES) if done < IN_BATCHES else 1]:
            outputs = _run(export, inputs, batch, name)
            certificate.batches.add(batch)
            raw.add(answer.outputs, outputs, batch, name)
            first = first or {key: value[:count] for key, value in outputs.items()}
        if answer.whole is not None:
            _check_postprocessing(answer, export, meta, controls, name)
        result = export.adapter.postprocess(first, meta, **controls)
        covered = max((image.width * image.height / (h * w) for h, w in sizes), default=1.0)
        compare(answer.reading, Reading.of(result), beyond, name, MOST_ROWS, max(covered, 1.0))
        if progress is not None:
            progress(done + 1, len(images))
    certificate.outputs, certificate.tally = raw.shares(), beyond
    if beyond.faults:
        more = f", and {len(beyond.faults) - 1} more" if len(beyond.faults) > 1 else ""
        close = max(certificate.outputs.values(), default=0) < SHARE / 100
        raise ExportError(
            f"The export gives other results than the original: {beyond.faults[0]}{more}.",
            "The raw outputs agree, but the export reads them in another way."
            if close
            else "The raw outputs differ a little. Here, this is enough to change the result.",
            stage="postprocessing" if close else "graph",
        )
    return certificate


def _check_labels(original: Sequence[str], export: Sequence[str]) -> None:
    if tuple(original) == tuple(export):
        return
    pairs = list(zip(original, export, strict=False))
    wrong = next((i for i, (a, b) in enumerate(pairs) if a != b), len(pairs))
    mine, theirs = (list(names[wrong : wrong + 1]) or ["nothing"] for names in (original, export))
    raise ExportError(
        f"The export has other labels than the original: class {wrong} is {theirs[0]!r}, not "
        f"{mine[0]!r}.",
        "Export the model again.",
        stage="postprocessing",
    )


def _gap(array: np.ndarray, sample: Sample) -> float:
    flat = np.asarray(array, np.float32).ravel()
    return float(np.abs(flat[indices(flat.size)] - sample.values).max(initial=1e-9))


def _inputs(
    certificate: Certificate,
    answer: Answer,
    export: Side,
    image: Image.Image,
    prompts: Mapping[str, Any],
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Prepare an image with the export, and check that the original's inputs were the same."""
    try:
        inputs, meta = export.adapter.preprocess(image, **prompts)
    except Exception as error:  # steps in a changed manifest can raise many kinds of errors
        raise ExportError(
            f"The export cannot prepare {answer.image} ({error_message(error)}).",
            stage="preprocessing",
        ) from error
    differs = ""
    # torch scales floats a little differently with one thread and with several
    scaled = any(getattr(s, "arithmetic", "") == "float" for s in export.adapter.spec.steps or ())
    rounding = ROUNDING if scaled else 0.0
    for name, (dtype, shape, digest) in answer.inputs.items():
        found = digests(inputs).get(name)
        if found is None:
            differs = f"{name} is missing"
        elif found[:2] != (dtype, tuple(shape)):
            differs = f"{name} is {found[1]} {found[0]}, not {tuple(shape)} {dtype}"
        elif found[2] != digest:
            gap = _gap(inputs[name], answer.drawn[name])
            if gap > rounding:
                differs = f"the values of {name} differ by up to {gap:.3g}"
            certificate.rounded = max(certificate.rounded, gap)
    told = plain(meta)
    for key, value in answer.meta.items():
        if told.get(key) != value:
            differs = differs or f"{key} is {told.get(key)}, not {value}"
    if differs:
        raise ExportError(
            f"The export does not prepare {answer.image} like the original: {differs}.",
            "Both must give the network the same inputs: export the model again.",
            stage="preprocessing",
        )
    return inputs, meta


def _run(export: Side, inputs: dict[str, np.ndarray], batch: int, name: str) -> dict[str, Any]:
    try:
        return export.adapter.run(
            export.runtime, {key: np.concatenate([a] * batch) for key, a in inputs.items()}
        )
    except Exception as error:
        raise ExportError(
            f"The exported network fails on {name} in a batch of {batch} ({error_message(error)}).",
            "Export the model again, with this version of pvzoo.",
            stage="graph",
        ) from error


class _Raw:
    """The differences of raw outputs."""

    def __init__(self) -> None:
        self._spans: dict[str, float] = {}
        self._gaps: dict[str, tuple[float, str]] = {}

    def add(
        self, wanted: Mapping[str, Sample], found: Mapping[str, Any], batch: int, name: str
    ) -> None:
        """Compare the outputs of an image with each of its copies in a batch."""
        if missing := sorted(set(wanted) - set(found)):
            raise ExportError(f"The export lacks the output {missing[0]}.", stage="graph")
        for key, sample in wanted.items():
            given = np.asarray(found[key], np.float32)
            if given.shape != (batch * sample.shape[0], *sample.shape[1:]):
                raise ExportError(
                    f"The shape of {key} is {given.shape} for {name} in a batch of {batch}, but "
                    f"the original's is {sample.shape} for one image.",
                    "Export the model again, with this version of pvzoo.",
                    stage="graph",
                )
            parts = np.split(given, batch)
            kept = indices(parts[0].size)
            gap = max(float(np.abs(p.ravel()[kept] - sample.values).max(initial=0)) for p in parts)
            self._spans[key] = max(self._spans.get(key, 0.0), sample.span)
            if not gap <= self._gaps.get(key, (-1.0, ""))[0]:
                self._gaps[key] = (gap, f"{name} in a batch of {batch}")

    def shares(self) -> dict[str, float]:
        """The largest difference of each output by its name, as a share of its range.

        Raises:
            ExportError: A difference is larger than allowed.
        """
        found = {}
        for key, (gap, where) in self._gaps.items():
            found[key] = gap / (self._spans[key] or 1.0)
            if not found[key] <= SHARE:
                raise ExportError(
                    f"The exported network gives other outputs than the original: {key} differs by "
                    f"{found[key]:.2%} of its range, on {where}; {SHARE:.1%} is allowed.",
                    "The file holds another network, or the runtime computes something else.",
                    stage="graph",
                )
        return found


def _check_postprocessing(
    answer: Answer, export: Side, meta: dict[str, Any], controls: Mapping[str, Any], name: str
) -> None:
    """Check that the export reads the same result from the original's outputs."""
    tally = Tally()
    try:
        result = export.adapter.postprocess(dict(answer.whole or {}), meta, **controls)
        compare(answer.reading, Reading.of(result), tally, name, MOST_ROWS)
    except Exception as error:
        tally.faults.append(f"{name}: {error_message(error)}")
    if tally.faults:
        raise ExportError(
            f"The export reads the same outputs in another way than the original: "
            f"{tally.faults[0]}.",
            "Export the model again, with this version of pvzoo.",
            stage="postprocessing",
        )
