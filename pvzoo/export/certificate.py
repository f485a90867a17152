"""The proof that an exported network gives the results of the original, in the runtime it is for.

Stage by stage, on real images, so that a difference is known by where it begins: what images
become for the network ("preprocessing"), what the network says of them ("graph"), and what is made
of that ("postprocessing").
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
"""By how much a raw output may differ at most, as a share of its range over all images."""
BATCHES = (1, 2, 3, 8)
IN_BATCHES = 5
"""How many images are tried in batches of each size, the others alone."""
FEWEST = 20
"""Objects, classes or segments below which nothing is decided."""
MOST_ROWS = 50


@dataclass
class Certificate:
    """What was compared, and how far apart it was.

    Attributes:
        images: How many.
        rounded: By how much inputs differ at most; 0 where they are equal to the bit.
        sizes: (height, width) of the inputs that were tried, each once.
        batches: Sizes of batches that were tried.
        outputs: By the name of each raw output its largest difference, as a share of its range.
        tally: What came of the results.
        metric: By the name of each metric its value for the original and for the export; empty
            without labelled data.
        ladder: What was tried to lower the precision; None for float32. All else is about the
            files in float32 that were lowered.
        latency: Milliseconds for one image, the median; None if it was not measured.
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
        """How close what the network is given is to what the original is given."""
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
            lines.append(f"Under {FEWEST} were compared: name images of your own with data=.")
        return "\n".join(lines)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def controls_of(task: Task, labels: Sequence[str], most: int = MOST_ROWS) -> dict[str, Any]:
    """The options of a result with as many rows as are compared, however low their scores."""
    known = {f.name for f in fields(task.controls)}
    wanted = {**task.evaluation, "threshold": 0.0, "top_k": most, "max_detections": most}
    told = next(iter(task.examples), {})  # without prompts there are no options of such a task
    return task.options({**told, **{k: v for k, v in wanted.items() if k in known}}, labels)[1]


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
    """Compare an export with what its original says of images.

    Args:
        answers: What the original says, image by image.
        export: As it was loaded from its files.
        task: Theirs.
        labels: Of the original.
        images: (name, upright RGB image), in the order of `answers`.
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`.
        progress: Called with the number of images done and of all.

    Raises:
        ExportError: They differ by more than they may; ``stage`` says where it begins.
    """
    certificate = Certificate(images=len(images))
    _check_labels(labels, export.adapter.labels)
    controls = controls_of(task, labels, MOST_ROWS + 10)  # the last of equals may change places
    raw = _Raw()
    beyond = Tally()  # of results, kept until it is known whether raw outputs differ already
    for done, (answer, (name, image)) in enumerate(zip(answers, images, strict=True)):
        told = prompts[done % len(prompts)]
        inputs, meta = _inputs(certificate, answer, export, image, told)
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
            "It reads its outputs in another way."
            if close
            else "Its raw outputs differ a little, which decides here.",
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
        f"The export has other labels than the original: class {wrong} is {theirs[0]!r}, and was "
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
    """What the export makes of an image, which must be what the original made of it."""
    try:
        inputs, meta = export.adapter.preprocess(image, **prompts)
    except Exception as error:  # steps that were tampered with fail in many ways
        raise ExportError(
            f"The export cannot prepare {answer.image} ({error_message(error)}).",
            stage="preprocessing",
        ) from error
    differs = ""
    # torch's own scaling of floats is not the same to the bit with one thread and with several
    scaled = any(getattr(s, "arithmetic", "") == "float" for s in export.adapter.spec.steps or ())
    rounding = ROUNDING if scaled else 0.0
    for name, (dtype, shape, digest) in answer.inputs.items():
        found = digests(inputs).get(name)
        if found is None:
            differs = f"{name} is not made"
        elif found[:2] != (dtype, tuple(shape)):
            differs = f"{name} is {found[1]} {found[0]}, and was {tuple(shape)} {dtype}"
        elif found[2] != digest:
            gap = _gap(inputs[name], answer.drawn[name])
            if gap > rounding:
                differs = f"the numbers of {name} are others, by up to {gap:.3g}"
            certificate.rounded = max(certificate.rounded, gap)
    told = plain(meta)
    for key, value in answer.meta.items():
        if told.get(key) != value:
            differs = differs or f"{key} is {told.get(key)}, and was {value}"
    if differs:
        raise ExportError(
            f"The export prepares {answer.image} otherwise than the original: {differs}.",
            "Images must become the same numbers: export the model again.",
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
            "Export the model again, with this pvzoo.",
            stage="graph",
        ) from error


class _Raw:
    """How far raw outputs are apart."""

    def __init__(self) -> None:
        self._spans: dict[str, float] = {}
        self._gaps: dict[str, tuple[float, str]] = {}

    def add(
        self, wanted: Mapping[str, Sample], found: Mapping[str, Any], batch: int, name: str
    ) -> None:
        """Compare the outputs of an image with each of its copies in a batch."""
        if missing := sorted(set(wanted) - set(found)):
            raise ExportError(f"The export does not say {missing[0]}.", stage="graph")
        for key, sample in wanted.items():
            given = np.asarray(found[key], np.float32)
            if given.shape != (batch * sample.shape[0], *sample.shape[1:]):
                raise ExportError(
                    f"The shape of {key} is {given.shape} for {name} in a batch of {batch}, and "
                    f"was {sample.shape} for one.",
                    "Export the model again, with this pvzoo.",
                    stage="graph",
                )
            parts = np.split(given, batch)
            kept = indices(parts[0].size)
            gap = max(float(np.abs(p.ravel()[kept] - sample.values).max(initial=0)) for p in parts)
            self._spans[key] = max(self._spans.get(key, 0.0), sample.span)
            if not gap <= self._gaps.get(key, (-1.0, ""))[0]:
                self._gaps[key] = (gap, f"{name} in a batch of {batch}")

    def shares(self) -> dict[str, float]:
        """By the name of each output its largest difference, as a share of its range.

        Raises:
            ExportError: One is larger than it may be.
        """
        found = {}
        for key, (gap, where) in self._gaps.items():
            found[key] = gap / (self._spans[key] or 1.0)
            if not found[key] <= SHARE:
                raise ExportError(
                    f"The exported network answers otherwise than the original: {key} differs by "
                    f"{found[key]:.2%} of its range, on {where}; {SHARE:.1%} is allowed.",
                    "It is not the network that was exported, or the runtime computes otherwise.",
                    stage="graph",
                )
        return found


def _check_postprocessing(
    answer: Answer, export: Side, meta: dict[str, Any], controls: Mapping[str, Any], name: str
) -> None:
    """The same outputs must become the same result."""
    tally = Tally()
    try:
        result = export.adapter.postprocess(dict(answer.whole or {}), meta, **controls)
        compare(answer.reading, Reading.of(result), tally, name, MOST_ROWS)
    except Exception as error:
        tally.faults.append(f"{name}: {error_message(error)}")
    if tally.faults:
        raise ExportError(
            f"The export reads the same outputs otherwise than the original: {tally.faults[0]}.",
            "Export the model again, with this pvzoo.",
            stage="postprocessing",
        )
