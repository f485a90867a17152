"""The unit of work: one shard of inputs -> one Parquet file. Doing it again does no harm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo.catalog.resolve import resolve
from pvzoo.drift.figures import Seen, figures_of
from pvzoo.drift.reference import LEAST, Reference
from pvzoo.drift.watch import shift_of
from pvzoo.errors import ImageError, PvzooError
from pvzoo.export import manifest
from pvzoo.hub import download as hub
from pvzoo.jobs.items import Item, items
from pvzoo.jobs.parts import Part, PartWriter, part_name
from pvzoo.jobs.plan import Inputs, Plan
from pvzoo.jobs.rows import of_error, of_result, schema
from pvzoo.jobs.storage import WRITING, Place
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.inputs.images import ImageHandle
    from pvzoo.model import Model


class TooManyErrors(PvzooError):
    """More inputs failed than the user allows."""


@dataclass(frozen=True)
class Work:
    """What every worker of a job has to know.

    Attributes:
        out: The output folder.
        plan: The inputs.
        job: What the metadata of each part says about the job.
        options: Options of the task.
        batch_size: Most network inputs in one forward pass.
        allow_outside: Whether paths in a table may lead out of its folder.
        watch: Whether images are compared with those that the model was validated on.
    """

    out: Place
    plan: Plan
    job: Mapping[str, Any]
    options: Mapping[str, Any]
    batch_size: int
    allow_outside: bool
    watch: bool = True


class Worker:
    """A loaded model that does shards, one after the other.

    Args:
        load: The arguments of `pvzoo.load`.
    """

    def __init__(self, load: Mapping[str, Any]) -> None:
        from pvzoo.loading import load as load_model

        self.load = load
        self.model: Model[Any] = load_model(**load)
        self._inputs: Inputs | None = None

    def about(self) -> dict[str, Any]:
        """What the model is, by which a job recognises it."""
        part = registry.part_of(type(self.model.runtime))
        revision = self.load.get("revision")
        card = self.model.card
        if revision is None and card is not None:
            revision = card.source.revision
        return {
            "model": self.model.name,
            "revision": revision,
            "task": self.model.task,
            "runtime": part.name if part else type(self.model.runtime).__name__,
            "dtype": str(self.model.dtype),
            "weights": fingerprint(self.model, self.load),
        }

    def check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that the task does not have.

        Raises:
            UsageError: The task does not have an option.
        """
        self.model.stream([], **options)

    def _reference(self) -> Reference | None:
        """What the model was validated on, if its export says it."""
        told = self.model.manifest
        if not told or not told.reference:
            return None
        return Reference.from_json(told.reference, self.model.name)

    def do(self, work: Work, shard: int, most_errors: int | None = None) -> Part:
        """Predict the inputs of a shard and write its part.

        Args:
            work: Of the job.
            shard: Its index.
            most_errors: How many rows may have errors.

        Raises:
            TooManyErrors: More rows have errors; the part is not written.
            PvzooError: The model or a store fails.
        """
        if self._inputs is None:
            self._inputs = Inputs(work.out)
        kind = registry.get("tasks", self.model.task).result
        found = items(work.plan, self._inputs.of(shard), allow_outside=work.allow_outside)
        place = work.out / part_name(shard)
        told = {**work.job, "shard": shard}
        reference = self._reference() if work.watch else None
        figures: list[dict[str, float]] | None = None if reference is None else []
        with place.committed(work.out / WRITING) as file:
            with PartWriter(file, schema(kind), told) as writer:
                for row in rows(self.model, found, work, f"{shard:06d}", figures):
                    writer.add(row)
                    if most_errors is not None and writer.errors > most_errors:
                        raise TooManyErrors(row["error"] or "")
                if reference is not None and figures:
                    writer.drift = _drift(reference, figures)
            size = file.tell()
        return Part(shard, writer.rows, writer.errors, size, writer.drift)


def rows(
    model: Model[Any],
    found: Iterator[Item],
    work: Work,
    shard: str,
    figures: list[dict[str, float]] | None = None,
) -> Iterator[dict[str, Any]]:
    """The rows of a shard in the order of its inputs, each exactly once.

    Args:
        model: The model.
        found: The inputs.
        work: Of the job.
        shard: The name of the shard, with which ids begin.
        figures: Gets what `pvzoo.drift.figures_of` says of each image; None for nothing.
    """
    names: dict[int, str] = {}
    done: dict[int, dict[str, Any]] = {}  # by the index of the input; soon emptied
    streamed: list[int] = []  # what the stream calls image 0 is the first input that was read
    count = 0

    def fail(index: int, error: ImageError) -> None:
        done[index] = of_error(error, f"{shard}-{index:06d}", names[index])

    def images() -> Iterator[ImageHandle]:
        nonlocal count
        for name, item in found:
            index, count = count, count + 1
            names[index] = name
            if isinstance(item, ImageError):
                fail(index, item)
                continue
            streamed.append(index)
            yield item if figures is None else Seen(item.data, item.name)

    def ready(first: int) -> Iterator[dict[str, Any]]:
        while first in done:
            del names[first]
            yield done.pop(first)
            first += 1

    results = model.stream(
        images(),
        batch_size=work.batch_size,
        on_error=lambda error: fail(streamed[error.index], error),
        progress=False,
        **work.options,
    )
    given = 0
    for result in results:
        index = streamed[result.image.index]
        if figures is not None and isinstance(result.image, Seen):
            figures.append(figures_of(result.image, result, own_options=bool(work.options)))
        done[index] = of_result(result, f"{shard}-{index:06d}", names[index])
        for row in ready(given):
            given += 1
            yield row
    for row in ready(given):
        given += 1
        yield row
    if given != count:
        raise PvzooError(f"Input {given} of shard {shard} has neither a result nor an error.")


def _drift(reference: Reference, figures: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    """How the images of a shard differ from the reference, if they are enough to tell."""
    if len(figures) < LEAST:
        return ()
    shifts = [
        shift_of(reference, name, [row[name] for row in figures])
        for name in reference.values
        if all(name in row for row in figures)
    ]
    return tuple(str(shift) for shift in shifts if shift.is_drift)


def fingerprint(model: Model[Any], load: Mapping[str, Any]) -> str:
    """A digest of a model's weights, of how its images are prepared, and of its thresholds."""
    told: list[Any] = [model.adapter.spec.to_json()]
    if model.thresholds is not None:
        told.append(model.thresholds.to_json())
    if model.network is None:
        told.append(_exported(load))
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    if model.network is not None:
        import torch

        for name, tensor in sorted(model.network.module.state_dict().items()):
            digest.update(name.encode())
            plain = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            digest.update(plain.numpy())
    return digest.hexdigest()[:32]


def _exported(load: Mapping[str, Any]) -> dict[str, Any]:
    """The digests of the files of an exported model; empty for a model that is not one."""
    _, source, config = resolve(load["name"], load.get("revision"))
    found = hub.find(source, str(load["name"]), config, trust_remote_code=False)
    if found.export is None:
        return {}
    return {**manifest.read(found.export(), str(load["name"])).files}
