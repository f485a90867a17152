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


def _integers(module: nn.Module) -> AbstractContextManager[Any]:
    """``int(height)`` gives a plain number, which the graph keeps: the size would be fixed.

    It can go when torch.export traces ``int`` of a free size, or transformers leaves it out (5.24
    does not in Depth Anything).
    """

    def whole(value: Any) -> Any:
        return value if isinstance(value, torch.SymInt) else builtins.int(value)

    return patch.object(sys.modules[type(module).__module__], "int", whole, create=True)


def _sizes(module: nn.Module) -> AbstractContextManager[Any]:
    """``linspace(0.5, h - 0.5, h)`` and ``as_tensor([(h, w)])`` put numbers for one size in.

    Wherever transformers asks linspace for a free number of steps, they are 1 apart, so
    ``arange(h) + 0.5`` is the same. It can go when torch.export traces both of free sizes.
    """
    linspace, as_tensor = torch.linspace, torch.as_tensor

    def traced_linspace(start: Any, end: Any, steps: Any, **options: Any) -> torch.Tensor:
        if isinstance(steps, torch.SymInt):
            return torch.arange(steps, **options).add(start)
        made: torch.Tensor = linspace(start, end, steps, **options)
        return made

    def traced_as_tensor(data: Any, **options: Any) -> torch.Tensor:
        if not isinstance(data, list | tuple) or not _has_free(data):
            plain: torch.Tensor = as_tensor(data, **options)
            return plain
        rows = [
            traced_as_tensor(row, **options)
            if isinstance(row, list | tuple)
            else torch.scalar_tensor(row, **options)
            for row in data
        ]
        return torch.stack(rows)

    stack = ExitStack()
    stack.enter_context(patch.object(torch, "linspace", traced_linspace))
    stack.enter_context(patch.object(torch, "as_tensor", traced_as_tensor))
    return stack


def _has_free(data: Any) -> bool:
    if isinstance(data, list | tuple):
        return any(map(_has_free, data))
    return isinstance(data, torch.SymInt)


@contextmanager
def _plain_probabilities(module: nn.Module) -> Iterator[None]:
    """EoMT asks whether numbers of a buffer are above 0, and a graph cannot depend on that.

    They are plain numbers here for as long. It can go when the code of EoMT in transformers asks
    its config instead (5.24 does not).
    """
    whole: Any = module
    kept = whole.attn_mask_probs
    del whole.attn_mask_probs
    whole.attn_mask_probs = [float(value) for value in kept]
    try:
        yield
    finally:
        del whole.attn_mask_probs
        whole.register_buffer("attn_mask_probs", kept)


def _unoptimised(module: nn.Module) -> AbstractContextManager[Any]:
    """The optimizer of onnxscript takes out a node that others need, of Deformable DETR's boxes.

    It can go when onnxscript's optimizer keeps it (0.7 does not).
    """
    from onnxscript import optimizer

    return patch.object(optimizer, "optimize_ir", lambda model, *args, **options: model)


PATCHES: dict[str, Callable[[nn.Module], AbstractContextManager[Any]]] = {
    "length": _length,
    "integers": _integers,
    "plain probabilities": _plain_probabilities,
    "sizes": _sizes,
    "unoptimised": _unoptimised,
}
