"""Rules about weights, dtypes and devices."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

from pvzoo.adapters.base import Arrays, Checkpoint
from pvzoo.errors import PvzooError, UnsupportedModelError
from pvzoo.testing.compare import difference
from pvzoo.testing.rules import Broken, NotApplicable, error_line, must, rule
from pvzoo.testing.subject import Subject

_SMALL = 2**20  # bytes: smaller files of a checkpoint are copied


@rule("In `load`, catch the errors of the reading library; raise a `WeightsError` with their text.")
def damaged_weights(s: Subject) -> None:
    """A truncated weights file raises a PvzooError."""
    size = s.checkpoint.weights.stat().st_size
    for length in (0, min(size // 2, _SMALL)):
        with _copy(s.checkpoint) as broken:
            with s.checkpoint.weights.open("rb") as whole:
                broken.weights.write_bytes(whole.read(length))
            _must_refuse(s, broken, f"A file of the first {length} of {size} bytes")


@rule("Load strictly: every weight of the network must be in the file.")
def missing_weight(s: Subject) -> None:
    """A weights file without its largest tensor raises a PvzooError."""
    s.needs_torch()
    if s.checkpoint.weights.suffix != ".safetensors":
        raise NotApplicable("Its weights are not a safetensors file.")
    from safetensors.torch import load_file, save_file

    tensors = load_file(s.checkpoint.weights)
    largest = max(tensors, key=lambda name: tensors[name].numel())
    del tensors[largest]
    with _copy(s.checkpoint) as broken:
        save_file(tensors, broken.weights, metadata={"format": "pt"})
        _must_refuse(s, broken, f"A file without {largest}")


@contextmanager
def _copy(checkpoint: Checkpoint) -> Iterator[Checkpoint]:
    """A copy of the checkpoint in a new folder, without its weights."""
    if checkpoint.weights.name.endswith(".index.json"):
        raise NotApplicable("Its weights are in several files.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in checkpoint.folder.iterdir():
            if file != checkpoint.weights and file.is_file() and file.stat().st_size < _SMALL:
                shutil.copy(file, folder)
        yield replace(checkpoint, folder=folder, weights=folder / checkpoint.weights.name)


def _must_refuse(s: Subject, checkpoint: Checkpoint, what: str) -> None:
    try:
        if s.model.network is None:
            type(s.adapter).open(checkpoint, task=s.adapter.task)
        else:
            type(s.model.network).load(
                checkpoint, task=s.adapter.task, dtype=s.model.dtype, trust_remote_code=False
            )
    except PvzooError:
        return
    except Exception as error:
        raise Broken(f"{what} raised {error_line(error)}.") from error
    raise Broken(f"{what} was loaded without an error.")


@rule("Make constants in the dtype of the inputs, and `.float()` what becomes a numpy array.")
def dtype(s: Subject) -> None:
    """The network computes in bfloat16 when asked to, or raises an error that it cannot."""
    s.needs_torch()
    import torch

    try:
        model = s.load(dtype="bfloat16")
    except UnsupportedModelError as error:
        raise NotApplicable(str(error)) from error
    must(model.dtype == torch.bfloat16, f"Asked for bfloat16, it computes in {model.dtype}.")
    found = model.predict(s.image, **s.options())
    must(isinstance(found, s.task.result), f"It gave a {type(found).__name__}.")


@rule("Make tensors in `forward` on the device of the inputs; register constants as buffers.")
def device(s: Subject) -> None:
    """The network computes on the device it was moved to, and no tensor stays behind."""
    s.needs_torch()
    import torch

    accelerator = (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    )
    if accelerator is not None:
        found = s.load(device=accelerator).predict(s.image, **s.options())
        if text := difference(s.predict(s.image), found, tolerance=0.05):
            raise Broken(f"On {accelerator} the result differs: {text}.")
        return
    moved = copy(s.network)
    moved.module = deepcopy(s.network.module).to("meta")  # tensors there have no values
    calls: dict[str, Arrays] = {}

    def recorded(name: str, inputs: Arrays) -> dict[str, Any]:
        calls[name] = inputs
        return s.model.runtime(name, inputs)

    prompts, _ = s.sorted_options()
    s.adapter.run(recorded, s.adapter.preprocess(s.image, **prompts)[0])
    outputs: dict[str, Any] = {}
    try:
        with torch.inference_mode():
            for graph in moved.graphs():
                if graph.name not in calls:  # these options need none of it
                    continue
                given = {n: torch.from_numpy(a).to("meta") for n, a in calls[graph.name].items()}
                outputs |= graph.module(**given)
    except (RuntimeError, NotImplementedError) as error:
        if any(words in str(error) for words in ("same device", "expected device")):
            raise Broken(f"Moved to another device, it raised {error_line(error)}.") from error
        raise NotApplicable(
            f"There is no accelerator here, and it cannot run on the meta device ({error})."
        ) from error
    for name, value in outputs.items():
        must(value.device.type == "meta", f"The output {name!r} is on {value.device}.")


NETWORK_RULES = (damaged_weights, missing_weight, dtype, device)
