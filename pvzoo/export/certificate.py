"""The proof that an exported network gives the results of the original, in the runtime it is for.

Stage by stage, on real pictures, so that a difference is known by where it begins: what pictures
become for the network ("preprocessing"), what the network says of them ("graph"), and what is made
of that ("postprocessing").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Graphs, Meta, Prepare
from pvzoo.errors import ExportError, said
from pvzoo.export.compare import Tally, compare
from pvzoo.preprocess.compare import unlike
from pvzoo.tasks.base import Task

SHARE = 1e-3
"""By how much a raw output may differ at most, as a share of its range over all pictures."""
BATCHES = (1, 2, 3, 8)
FEWEST = 20
"""Objects, classes or segments below which nothing is decided."""
MOST_ROWS = 50
PICTURES = Path(__file__).parent / "pictures"

Progress = Callable[[int, int], None]


class Original(Protocol):
    """What an export is compared with: an adapter, what runs its network, and its processor."""

    adapter: Adapter
    runtime: Graphs
    prepare: Prepare | None


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        adapter: Makes inputs and reads outputs.
        runtime: Runs the graphs.
        prepare: The checkpoint's own processor, of an original that has one; it is what the
            export's steps are measured by.
    """

    adapter: Adapter
    runtime: Graphs
    prepare: Prepare | None = None

    def inputs(self, picture: Image.Image, prompts: Mapping[str, Any]) -> tuple[Arrays, Meta]:
        """What the network is given for a picture."""
        return (self.prepare or self.adapter.preprocess)(picture, **prompts)


@dataclass
class Certificate:
    """What was compared, and how far apart it was.

    Attributes:
        pictures: How many.
        sizes: (height, width) of the inputs that were tried, each once.
        batches: Sizes of batches that were tried.
        outputs: By the name of each raw output its largest difference, as a share of its range.
        tally: What came of the results.
        metric: By the name of each metric its value for the original and for the export; empty
            without labelled data.
    """

    pictures: int = 0
    sizes: set[tuple[int, ...]] = field(default_factory=set)
    batches: set[int] = field(default_factory=set)
    outputs: dict[str, float] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    metric: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        """Whether enough was compared to call the export proven."""
        return self.tally.rows >= FEWEST or any("share of" in name for name in self.tally.worst)

    def to_json(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        return {
            "verdict": "certified" if self.is_decided else "not decided",
            "pictures": self.pictures,
            "sizes": sorted(map(list, self.sizes)),
            "batches": sorted(self.batches),
            "inputs": "equal to the bit",
            "outputs": {k: float(f"{v:.3g}") for k, v in self.outputs.items()},
            "rows": self.tally.rows,
            "worst": {k: float(f"{v:.4g}") for k, v in self.tally.worst.items()},
            "metric": {k: list(v) for k, v in self.metric.items()},
        }


def certify(
    original: Side,
    export: Side,
    task: Task,
    pictures: Sequence[tuple[str, Image.Image]],
    *,
    prompts: Mapping[str, Any],
    batches: Sequence[int] = BATCHES,
    progress: Progress | None = None,
) -> Certificate:
    """Compare an export with its original on pictures.

    Args:
        original: With its own processor.
        export: As it was loaded from its files.
        task: Theirs.
        pictures: (name, upright RGB picture).
        prompts: The task's, complete.
        batches: Sizes of batches in which the export is run; the original runs each picture alone.
        progress: Called with the number of pictures done and of all.

    Raises:
        ExportError: They differ by more than they may; ``stage`` says where it begins.
    """
    certificate = Certificate(pictures=len(pictures))
    controls = _controls(task, original.adapter)
    spans: dict[str, float] = {}
    gaps: dict[str, tuple[float, str]] = {}
    for done, (name, picture) in enumerate(pictures):
        inputs, meta = original.inputs(picture, prompts)
        outputs = original.adapter.run(original.runtime, inputs)
        _check_inputs(name, picture, inputs, meta, export, prompts)
        certificate.sizes |= {a.shape[-2:] for n, a in inputs.items() if a.ndim > 3}
        for count in batches[: len(batches) if done < 3 else 1]:
            repeated = {n: np.concatenate([a] * count) for n, a in inputs.items()}
            found = _run(export, repeated, name)
            certificate.batches.add(count)
            _compare_outputs(outputs, found, count, name, spans, gaps)
        _check_postprocessing(name, original.adapter, export.adapter, outputs, meta, controls)
        first = {n: a[: len(next(iter(inputs.values())))] for n, a in found.items()}
        compare(
            original.adapter.postprocess(outputs, meta, **controls),
            export.adapter.postprocess(first, meta, **controls),
            certificate.tally,
            name,
            MOST_ROWS,
        )
        if progress is not None:
            progress(done + 1, len(pictures))
    for output, (gap, where) in gaps.items():
        share = gap / (spans[output] or 1.0)
        certificate.outputs[output] = share
        if not share <= SHARE:
            raise ExportError(
                f"The exported network answers otherwise than the original: {output} differs by "
                f"{share:.2%} of its range, on {where}; {SHARE:.1%} is allowed.",
                "Report it, with the model's name and the versions of torch and transformers.",
                stage="graph",
            )
    if certificate.tally.faults:
        raise ExportError(
            f"The results of the exported network are others: {certificate.tally.faults[0]}"
            + (
                f", and {len(certificate.tally.faults) - 1} more."
                if len(certificate.tally.faults) > 1
                else "."
            ),
            "Its raw outputs are within their bounds, so small differences decide: try float32.",
            stage="graph",
        )
    return certificate


def _controls(task: Task, adapter: Adapter) -> dict[str, Any]:
    """The options of a result that has as many rows as are compared, however low their scores."""
    from dataclasses import fields

    known = {f.name for f in fields(task.controls)}
    wanted = {**task.evaluation, "threshold": 0.0, "top_k": MOST_ROWS, "max_detections": MOST_ROWS}
    return task.options({k: v for k, v in wanted.items() if k in known}, adapter.labels)[1]


def _check_inputs(
    name: str,
    picture: Image.Image,
    inputs: Arrays,
    meta: Meta,
    export: Side,
    prompts: Mapping[str, Any],
) -> None:
    try:
        found, told = export.inputs(picture, prompts)
    except Exception as error:  # steps that were tampered with fail in many ways
        raise ExportError(
            f"The export cannot prepare {name} ({said(error)}).", stage="preprocessing"
        ) from error
    differs = unlike(found, inputs)
    if not differs:
        lacking = {k: v for k, v in meta.items() if _plain(told.get(k)) != _plain(v)}
        differs = f"{next(iter(lacking))} is said otherwise" if lacking else None
    if differs:
        raise ExportError(
            f"The export prepares {name} otherwise than the original: {differs}.",
            "Pictures must become the same numbers: export the model again.",
            stage="preprocessing",
        )


def _plain(value: Any) -> Any:
    """Sizes as lists of ints, whichever sequence they came in."""
    if isinstance(value, tuple | list | np.ndarray):
        return [_plain(v) for v in value]
    return int(value) if hasattr(value, "__index__") else value


def _run(export: Side, inputs: Arrays, name: str) -> dict[str, Any]:
    try:
        return export.adapter.run(export.runtime, inputs)
    except Exception as error:
        count = len(next(iter(inputs.values())))
        raise ExportError(
            f"The exported network fails on {name} in a batch of {count} ({said(error)}).",
            stage="graph",
        ) from error


def _compare_outputs(
    outputs: Mapping[str, np.ndarray],
    found: Mapping[str, np.ndarray],
    count: int,
    name: str,
    spans: dict[str, float],
    gaps: dict[str, tuple[float, str]],
) -> None:
    """Keep how far apart raw outputs are, at most, and how far they reach."""
    if missing := set(outputs) - set(found):
        raise ExportError(f"The export does not say {sorted(missing)[0]}.", stage="graph")
    for output, wanted in outputs.items():
        wanted = np.asarray(wanted, np.float32)
        given = np.asarray(found[output], np.float32)
        if given.shape != (count * len(wanted), *wanted.shape[1:]):
            raise ExportError(
                f"{output} of a batch of {count} is {given.shape}, and {wanted.shape} of one.",
                stage="graph",
            )
        spans[output] = max(spans.get(output, 0.0), float(np.ptp(wanted)) if wanted.size else 0.0)
        gap = max(
            (float(np.abs(part - wanted).max(initial=0)) for part in np.split(given, count)),
            default=0.0,
        )
        if gap > gaps.get(output, (-1.0, ""))[0]:
            gaps[output] = (gap, f"{name} in a batch of {count}")


def _check_postprocessing(
    name: str,
    original: Adapter,
    export: Adapter,
    outputs: Mapping[str, Any],
    meta: Meta,
    controls: Mapping[str, Any],
) -> None:
    """The same outputs must become the same result, labels included."""
    if original.labels != export.labels:
        wrong = next(
            (
                i
                for i, pair in enumerate(zip(original.labels, export.labels, strict=False))
                if pair[0] != pair[1]
            ),
            min(len(original.labels), len(export.labels)),
        )
        raise ExportError(
            f"The export has other labels: class {wrong} is "
            f"{export.labels[wrong : wrong + 1]}, and {original.labels[wrong : wrong + 1]} in the "
            "original.",
            "Export the model again.",
            stage="postprocessing",
        )
    tally = Tally()
    compare(
        original.postprocess(dict(outputs), meta, **controls),
        export.postprocess(dict(outputs), meta, **controls),
        tally,
        name,
        10**6,
    )
    if tally.faults:
        raise ExportError(
            f"The export reads the same outputs otherwise than the original: {tally.faults[0]}.",
            "Export the model again, with this pvzoo.",
            stage="postprocessing",
        )


def pictures() -> list[tuple[str, Image.Image]]:
    """The pictures that come with pvzoo, of many shapes."""
    return list(_pictures())


def _pictures() -> Iterator[tuple[str, Image.Image]]:
    for file in sorted(PICTURES.glob("*.jpg")):
        with Image.open(file) as opened:
            yield file.name, opened.convert("RGB")
