"""Load a model in each of the ways in which it can run here."""

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
    """The ways whose libraries are installed."""
    torch = find_spec("torch") is not None
    return tuple(
        way for way in WAYS if (find_spec(way) is not None and torch if way in EXPORTED else torch)
    )


def checked(ways: tuple[str, ...]) -> tuple[str, ...]:
    """The ways, if all of them exist and are installed.

    Raises:
        UsageError: A way does not exist.
        MissingExtraError: The libraries of a way are not installed.
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
    """Load a model so that it runs in one way.

    Args:
        name: As for `pvzoo.load`.
        way: One of `WAYS`, or "" for a model that runs in a way of its own, such as an export.
        task: As for `pvzoo.load`.
        device: As for `pvzoo.load`.
        folder: The folder of the export. It is written if it does not exist.

    Raises:
        PvzooError: The model cannot run in this way.
    """
    from pvzoo.loading import load

    if way in EXPORTED:
        if not folder.exists():
            load(name, task=task, device="cpu").export(folder, runtime=way)
        return load(folder)
    model = load(name, task=task, device=device)
    if way == CHANNELS_LAST and model.network is not None:
        import torch

        model.network.module.to(memory_format=torch.channels_last)
    if way == COMPILED and model.network is not None:
        model.network.module.compile()
    return model


def size_on_disk(model: Model[Any], folder: Path) -> int:
    """The bytes of the files of an export, or of the weights of a network."""
    if model.runtime.suffixes and folder.is_dir():
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return model.nbytes


def peak_memory() -> int | None:
    """The peak memory of this process so far, in bytes; None if the system does not count it."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux; there, `resource` includes the memory of the parent process
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
