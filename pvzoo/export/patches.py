"""What is changed in libraries while a network is exported, because it would fix what is free.

The record of a family names those that it needs (`pvzoo.families.base.Family.patches`). Each says
when it can go.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import nn


@contextmanager
def applied(names: Sequence[str], module: nn.Module) -> Iterator[None]:
    """Within it the patches of these names, keys of `PATCHES`, are in place for a network."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(PATCHES[name](module))
        yield


def _length(module: nn.Module) -> AbstractContextManager[Any]:
    """``len(tensor)`` gives a plain number, which the graph keeps: the batch would be fixed.

    It can go when torch.export traces ``len`` of a tensor as ``shape[0]``, or transformers uses the
    latter (5.24 does not in RT-DETR, D-FINE, DEIMv2 and PP-DocLayout).
    """

    def length(value: Any) -> Any:
        return value.shape[0] if isinstance(value, torch.Tensor) else builtins.len(value)

    return patch.object(sys.modules[type(module).__module__], "len", length, create=True)


def _linspace(module: nn.Module) -> AbstractContextManager[Any]:
    """``torch.linspace(0.5, h - 0.5, h)`` puts the numbers for one height into the graph.

    Wherever transformers asks for a free number of steps, they are 1 apart, so ``arange(h) + 0.5``
    is the same. It can go when torch.export traces linspace of a free size.
    """
    linspace = torch.linspace

    def traced(start: Any, end: Any, steps: Any, **options: Any) -> torch.Tensor:
        if isinstance(steps, torch.SymInt):
            return torch.arange(steps, **options) + start
        return linspace(start, end, steps, **options)

    return patch.object(torch, "linspace", traced)


PATCHES: dict[str, Callable[[nn.Module], AbstractContextManager[Any]]] = {
    "length": _length,
    "linspace": _linspace,
}
