"""The results of the original model on the test images, stored with the export.

With this file, the comparison can be repeated on the machine where the export runs, without the
original model and without PyTorch. Raw outputs may be large. The file therefore keeps only some of
their values, at positions chosen with a fixed seed.
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
"""The largest number of values of one output that are kept for an image."""
IMAGES = Path(__file__).parent / "images"

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Side:
    """One of the two models that are compared: an adapter and a runtime.

    Attributes:
        adapter: Makes the inputs and reads the outputs.
            The adapter of an original prepares images with the checkpoint's own processor. The
            steps of the export are compared with that.
        runtime: Runs the graphs.
    """

    adapter: Adapter
    runtime: Graphs

    @classmethod
    def original(cls, network: Network, runtime: Graphs) -> Side:
        """The side of a PyTorch network, which `runtime` runs."""
        adapter_class: type[Adapter] = registry.get("adapters", network.spec.adapter)
        return cls(adapter_class(network.spec, network.prepare), runtime)


@dataclass(frozen=True)
class Sample:
    """Some values of an output.

    Attributes:
        shape: The shape of the whole output.
        span: The largest value minus the smallest value of the whole output.
        values: The values at `indices`, float32.
    """

    shape: tuple[int, ...]
    span: float
    values: np.ndarray

    @classmethod
    def of(cls, output: Any) -> Sample:
        """Take a sample of an output."""
        array = np.asarray(output, np.float32)
        flat = array.ravel()
        span = float(np.ptp(flat)) if flat.size else 0.0
        return cls(array.shape, span, flat[indices(flat.size)])


def indices(size: int) -> np.ndarray:
    """The indices of the values that are kept of `size` values: all, or `VALUES` of them."""
    if size <= VALUES:
        return np.arange(size)
    return np.sort(np.random.default_rng(size).choice(size, VALUES, replace=False))


@dataclass(frozen=True)
class Answer:
    """The answer of the original to one image.

    Attributes:
        image: The name of the image.
        inputs: The dtype, shape and SHA-256 of each network input, by name.
        drawn: Samples of the inputs, by name. They are needed for steps whose arithmetic is not
            equal to the bit each time torch runs it.
        meta: What the adapter's postprocessing gets with the outputs.
        outputs: Samples of the network's outputs, by name.
        reading: The result.
        whole: The complete outputs; None if the original is not available.
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
    """Run the original on images, one at a time.

    Args:
        original: The model.
        images: (name, upright RGB image).
        prompts: From `pvzoo.tasks.base.Task.tried_prompts`.
        controls: The options of its results.
        taken: The names of the inputs that the export takes. Other inputs, such as texts, are
            fixed in the export.
    """
    for index, (name, image) in enumerate(images):
        prompt = prompts[index % len(prompts)]
        inputs, meta = original.adapter.preprocess(image, **prompt)
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
    """The dtype, shape and SHA-256 of each input, by name."""
    return {
        name: (
            array.dtype.name,
            array.shape,
            hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
        )
        for name, array in inputs.items()
    }


def plain(value: Any) -> Any:
    """Convert a value to plain Python values: dicts, lists, texts, ints, floats, bools and None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, str | bool | None):
        return value
    return int(value) if hasattr(value, "__index__") else float(value)


def images() -> list[tuple[str, Image.Image]]:
    """The test images that come with pvzoo, of many shapes: (name, upright RGB image)."""
    found = []
    for file in sorted(IMAGES.glob("*.jpg")):
        with Image.open(file) as opened:
            found.append((file.name, opened.convert("RGB")))
    return found


# --- the file ---------------------------------------------------------------------------------


def write(folder: Path, kept: Sequence[Answer], thresholds: Mapping[str, Any]) -> None:
    """Write the answers to pvzoo's own images, and the thresholds, into the export's folder."""
    arrays: dict[str, np.ndarray] = {}
    told = []
    for index, answer in enumerate(kept):
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
    named: dict[str, Any] = arrays  # numpy takes the names as keyword arguments
    np.savez_compressed(folder / NAME, **named)


def read(folder: Path) -> list[Answer]:
    """Read the answers that `write` wrote.

    Raises:
        WeightsError: The file is missing or damaged.
    """
    with _opened(folder) as found:
        told = json.loads(found["told"].tobytes())
        return [_answer(index, one, found) for index, one in enumerate(told)]


def thresholds_of(folder: Path) -> dict[str, Any]:
    """Read the thresholds that `write` wrote.

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
    except Exception as error:  # a damaged file can raise many kinds of errors
        raise WeightsError(
            f"{folder / NAME} cannot be read ({error_message(error)}).",
            "It holds the original's results on pvzoo's test images: name the original instead.",
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
