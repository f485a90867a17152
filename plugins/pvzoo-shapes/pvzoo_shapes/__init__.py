"""Labelled scenes of drawn shapes, for all five tasks.

    >>> import pvzoo_shapes
    >>> train = pvzoo_shapes.scenes("instance-segmentation", count=10_000, size=128, seed=0)

`scenes` returns a `datasets.Dataset` with pvzoo's columns; `Shapes` is its `datasets` builder.
Parts that need `datasets` are imported at their first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pvzoo_shapes.backgrounds import STUFF
from pvzoo_shapes.drawing import ANY_COLOUR
from pvzoo_shapes.forms import MORE_SHAPES, SHAPES

if TYPE_CHECKING:
    from pvzoo_shapes.builder import Shapes, load, scenes

_IN_BUILDER = ("Shapes", "load", "scenes")

__all__ = [
    "scenes",
    "load",
    "Shapes",
    "SHAPES",
    "MORE_SHAPES",
    "STUFF",
    "ANY_COLOUR",
]


def __getattr__(name: str) -> Any:
    if name not in _IN_BUILDER:
        raise AttributeError(f"module 'pvzoo_shapes' has no attribute {name!r}")
    return getattr(importlib.import_module("pvzoo_shapes.builder"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_IN_BUILDER})
