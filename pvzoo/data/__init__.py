"""Labelled data: read any common format into `datasets`, check it, fix it, write it.

The public names are imported when they are first used, as in `pvzoo`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pvzoo.data.contact_sheet import contact_sheet
    from pvzoo.data.convert_task import convert_task
    from pvzoo.data.load import load
    from pvzoo.data.push import push
    from pvzoo.data.quality.check import check
    from pvzoo.data.quality.fix import fix
    from pvzoo.data.write import write

_HOMES = {
    "check": "pvzoo.data.quality.check",
    "contact_sheet": "pvzoo.data.contact_sheet",
    "load": "pvzoo.data.load",
    "fix": "pvzoo.data.quality.fix",
    "convert_task": "pvzoo.data.convert_task",
    "push": "pvzoo.data.push",
    "write": "pvzoo.data.write",
}

__all__ = ["check", "contact_sheet", "load", "fix", "convert_task", "push", "write"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pvzoo.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


class _Package(ModuleType):
    """Keeps ``pvzoo.data.load`` a function when the module of the same name is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
