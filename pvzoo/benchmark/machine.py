"""The machine, the versions and the load, on which measured times depend."""

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
"""The load for each processor, before measuring, above which times are unsteady."""


def machine() -> dict[str, Any]:
    """The processor, the number of processors, and versions of libraries; ready for JSON."""
    versions = {"pvzoo": pvzoo.__version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"processor": _processor(), "cpus": cpus(), "versions": versions}


def cpus() -> int:
    """The number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load() -> float | None:
    """The number of busy programs in the last minute; None if the system does not count them."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def warn_if_busy(found: float | None) -> None:
    """Warn if other programs are so busy that times are unsteady."""
    if found is not None and found > _BUSY * cpus():
        warnings.warn(
            f"Other programs use this machine (load {found:.1f} on {cpus()} processors), so the "
            "measured times are too long and not steady. Stop them and measure again.",
            PvzooWarning,
            stacklevel=3,
        )


def _processor() -> str:
    """The name of the processor. On Linux, platform.processor() gives only its kind."""
    file = Path("/proc/cpuinfo")
    if file.is_file():
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
