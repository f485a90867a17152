"""The ways in which a model can run here, each as a loaded model."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.errors import MissingExtraError, UsageError, nearest

if TYPE_CHECKING:
    from pvzoo.model import Model

EAGER, CHANNELS_LAST, COMPILED = "torch", "torch-channels-last", "torch-compile"
EXPORTED = ("onnxruntime", "openvino")
WAYS = (EAGER, CHANNELS_LAST, COMPILED, *EXPORTED)


def installed() -> tuple[str, ...]:
    """The ways for which everything is installed here."""
    torch = find_spec("torch") is not None
    return tuple(
        way for way in WAYS if (find_spec(way) is not None and torch if way in EXPORTED else torch)
    )


def checked(ways: tuple[str, ...]) -> tuple[str, ...]:
    """The ways asked for.

    Raises:
        UsageError: There is no such way.
        MissingExtraError: It is not installed.
    """
    for way in ways:
        if way not in WAYS:
            raise UsageError(
                f"There is no runtime {way!r}.",
                nearest(way, WAYS) or f"There are: {', '.join(WAYS)}.",
            )
        if way not in installed():
            extra = "torch" if way not in EXPORTED or find_spec("torch") is None else way
            raise MissingExtraError(
                f"{way} is not installed.",
                f'Try: pip install "pvzoo[{extra.removesuffix("runtime")}]"',
            )
    return ways


def opened(name: str, way: str, task: str | None, device: Any, folder: Path) -> Model[Any]:
    """A model that runs in one way.

    Args:
        name: As for `pvzoo.load`.
        way: One of `WAYS`, or "" for a model that runs in a way of its own, such as an export.
        task: As for `pvzoo.load`.
        device: As for `pvzoo.load`.
        folder: Where an export is written, or was written before.

    Raises:
        PvzooError: It cannot run this way.
    """
    from pvzoo.loading import load

    if way in EXPORTED:
        if not folder.exists():
            load(name, task=task, device="cpu").export(folder, runtime=way)
        return load(folder)
    model = load(name, task=task, device=device)
    if way == CHANNELS_LAST and model.network is not None:
        import torch

        model.network.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if way == COMPILED and model.network is not None:
        model.network.module.compile()
    return model


def size_on_disk(model: Model[Any], folder: Path) -> int:
    """Bytes: of the files of an export, or of a network's weights as they are stored."""
    if model.runtime.suffixes and folder.is_dir():
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return model.nbytes


def peak_memory() -> int | None:
    """The most memory that this process has taken so far, in bytes; None where nobody counts."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
