"""What times depend on beside the model: the machine, the versions, and what else runs."""

from __future__ import annotations

import os
import platform
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pvzoo
from pvzoo.errors import PvzooWarning

_PACKAGES = ("torch", "transformers", "timm", "onnxruntime", "openvino")

_BUSY = 0.25
"""Load for each processor, not counting what is measured, above which times are unsteady."""


def machine() -> dict[str, Any]:
    """The processor, how many there are, and the versions of what computes; JSON."""
    versions = {"pvzoo": pvzoo.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"processor": _processor(), "cpus": cpus(), "versions": versions}


def cpus() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> float | None:
    """How many programs wanted a processor in the last minute; None where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def warn_if_busy(found: float | None) -> None:
    """Warn the caller's caller if other programs take so much that times are unsteady."""
    if found is not None and found > _BUSY * cpus():
        warnings.warn(
            f"Other programs use this machine (load {found:.1f} on {cpus()} processors), so times "
            "are longer and less steady than they could be. Stop them and measure again.",
            PvzooWarning,
            stacklevel=3,
        )


def _processor() -> str:
    """Its name; on Linux platform.processor() says only what it is compatible with."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
