"""What the original says of the images an export is tried on; it goes with the export.

So the comparison can be repeated where the export is to run, without the original and PyTorch. Of
raw outputs, which may be large, the file keeps values at places drawn with a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Graphs, Meta
from pvzoo.errors import WeightsError, error_message
from pvzoo.export.compare import Reading, Row
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.networks.base import Network

NAME = "pvzoo-reference.npz"
VALUES = 2048
"""Most values of an output that are kept of an image."""
IMAGES = Path(__file__).parent / "images"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        adapter: Makes inputs and reads outputs.
            That of an original prepares images by the checkpoint's own processor, which is what
            the export's steps are measured by.
        runtime: Runs the graphs.
    """

    adapter: Adapter
    runtime: Graphs

    @classmethod
    def original(cls, network: Network, runtime: Graphs) -> Side:
        """That of a network of PyTorch, which `runtime` runs."""
        adapter_class: type[Adapter] = registry.get("adapters", network.spec.adapter)
        return cls(adapter_class(network.spec, network.prepare), runtime)


@dataclass(frozen=True)
class Sample:
    """Some values of an output.

    Attributes:
        shape: Of the whole output.
        span: Its largest value less its least.
        values: Those at `places`, float32.
    """

    shape: tuple[int, ...]
    span: float
    values: np.ndarray

    @classmethod
    def of(cls, output: Any) -> Sample:
        """A sample of an output."""
        array = np.asarray(output, np.float32)
        flat = array.ravel()
        span = float(np.ptp(flat)) if flat.size else 0.0
        return cls(array.shape, span, flat[indices(flat.size)])


def indices(size: int) -> np.ndarray:
    """Which values of an output of `size` values are kept: all, or `VALUES` of them."""
    if size <= VALUES:
        return np.arange(size)
    return np.sort(np.random.default_rng(size).choice(size, VALUES, replace=False))


@dataclass(frozen=True)
class Answer:
    """What the original says of one image.

    Attributes:
        image: Its name.
        inputs: By name the type, the shape and the SHA-256 of what the network is given.
        drawn: Samples of that, for steps whose arithmetic torch itself does not repeat to the bit.
        meta: What postprocessing is told of the image.
        outputs: Samples of what the network says.
        reading: What it comes to.
        whole: The outputs themselves, where the original is there.
    """

    image: str
    inputs: Mapping[str, tuple[str, tuple[int, ...], str]]
    drawn: Mapping[str, Sample]
    meta: Meta
    outputs: Mapping[str, Sample]
    reading: Reading
    whole: Mapping[str, Any] | None = field(default=None, repr=False)


def answers(
    original: Side,
    images: Sequence[tuple[str, Image.Image]],
    prompts: Sequence[Mapping[str, Any]],
    controls: Mapping[str, Any],
    taken: Collection[str],
) -> Iterator[Answer]:
    """What the original says of images, each alone.

    Args:
        original: The model.
        images: (name, upright RGB image).
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`.
        controls: Of its results.
        taken: The inputs that the export takes; others are fixed in it, such as texts.
    """
    for index, (name, image) in enumerate(images):
        told = prompts[index % len(prompts)]
        inputs, meta = original.adapter.preprocess(image, **told)
        outputs = original.adapter.run(original.runtime, inputs)
        result = original.adapter.postprocess(dict(outputs), meta, **controls)
        yield Answer(
            name,
            {key: value for key, value in digests(inputs).items() if key in taken},
            {key: Sample.of(value) for key, value in inputs.items() if key in taken},
            plain(meta),
            {key: Sample.of(value) for key, value in outputs.items()},
            Reading.of(result),
            outputs,
        )


def digests(inputs: Arrays) -> dict[str, tuple[str, tuple[int, ...], str]]:
    """By name the type, the shape and the SHA-256 of inputs."""
    return {
        name: (
            array.dtype.name,
            array.shape,
            hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
        )
        for name, array in inputs.items()
    }


def plain(value: Any) -> Any:
    """What is said of an image as plain values, whichever sequences and numbers they came in."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, str | bool | None):
        return value
    return int(value) if hasattr(value, "__index__") else float(value)


def images() -> list[tuple[str, Image.Image]]:
    """The images that come with pvzoo, of many shapes: (name, upright RGB image)."""
    found = []
    for file in sorted(IMAGES.glob("*.jpg")):
        with Image.open(file) as opened:
            found.append((file.name, opened.convert("RGB")))
    return found


# --- the file ---------------------------------------------------------------------------------


def write(folder: Path, said_of: Sequence[Answer], thresholds: Mapping[str, Any]) -> None:
    """Write the answers about pvzoo's own images, and the thresholds, beside an export."""
    arrays: dict[str, np.ndarray] = {}
    told = []
    for index, answer in enumerate(said_of):
        for kind, samples in (("output", answer.outputs), ("input", answer.drawn)):
            for name, sample in samples.items():
                arrays[f"{index}/{kind}/{name}"] = sample.values
        for name, array in answer.reading.maps.items():
            arrays[f"{index}/map/{name}"] = array
        rows = [
            {**vars(row), "mask": None if row.mask is None else row.mask.decode("ascii")}
            for row in answer.reading.rows
        ]
        told.append(
            {
                "image": answer.image,
                "inputs": {name: list(found) for name, found in answer.inputs.items()},
                "meta": answer.meta,
                "drawn": {n: [list(s.shape), s.span] for n, s in answer.drawn.items()},
                "outputs": {n: [list(s.shape), s.span] for n, s in answer.outputs.items()},
                "kind": answer.reading.kind,
                "size": list(answer.reading.size),
                "rows": rows,
                "maps": sorted(answer.reading.maps),
            }
        )
    text = json.dumps(told).encode("utf-8")
    arrays["told"] = np.frombuffer(text, np.uint8)
    arrays["thresholds"] = np.frombuffer(json.dumps(dict(thresholds)).encode("utf-8"), np.uint8)
    named: dict[str, Any] = arrays  # by their names, which are arguments of numpy's function
    np.savez_compressed(folder / NAME, **named)


def read(folder: Path) -> list[Answer]:
    """What `write` wrote.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    with _opened(folder) as found:
        told = json.loads(found["told"].tobytes())
        return [_answer(index, one, found) for index, one in enumerate(told)]


def thresholds_of(folder: Path) -> dict[str, Any]:
    """The thresholds that `write` wrote.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    with _opened(folder) as found:
        told = found["thresholds"].tobytes() if "thresholds" in found else b"{}"
        return dict(json.loads(told))


@contextmanager
def _opened(folder: Path) -> Iterator[Any]:
    try:
        with np.load(folder / NAME, allow_pickle=False) as found:
            yield found
    except Exception as error:  # zip files and arrays fail in many ways
        raise WeightsError(
            f"{folder / NAME} cannot be read ({error_message(error)}).",
            "It holds what the original said of pvzoo's images: name the original instead.",
        ) from error


def _answer(index: int, told: Mapping[str, Any], found: Mapping[str, np.ndarray]) -> Answer:
    rows = [
        Row(
            row["label"],
            row["name"],
            row["score"],
            None if row["box"] is None else tuple(row["box"]),
            None if row["mask"] is None else row["mask"].encode("ascii"),
        )
        for row in told["rows"]
    ]
    maps = {name: found[f"{index}/map/{name}"] for name in told["maps"]}
    return Answer(
        told["image"],
        {n: (dtype, tuple(shape), sha) for n, (dtype, shape, sha) in told["inputs"].items()},
        _samples(told["drawn"], found, f"{index}/input"),
        told["meta"],
        _samples(told["outputs"], found, f"{index}/output"),
        Reading(told["kind"], tuple(told["size"]), tuple(rows), maps),
    )


def _samples(
    told: Mapping[str, Any], found: Mapping[str, np.ndarray], where: str
) -> dict[str, Sample]:
    return {
        name: Sample(tuple(shape), span, found[f"{where}/{name}"])
        for name, (shape, span) in told.items()
    }
