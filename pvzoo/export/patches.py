"""Patches of libraries during an export.

Without them, the exporter would turn sizes that can change into constants, or would write a wrong
graph. The record of a family names the patches that it needs
(`pvzoo.families.base.Family.patches`). The docstring of each patch says when it can be removed.
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
    """Apply the patches with these names (keys of `PATCHES`) to a network, within a ``with``."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(PATCHES[name](module))
        yield


def _length(module: nn.Module) -> AbstractContextManager[Any]:
    """Make ``len(tensor)`` traceable.

    It gives a plain number, which becomes a constant in the graph: the batch size would be fixed.
    The patch can be removed when torch.export traces ``len`` of a tensor as ``shape[0]``, or when
    transformers uses ``shape[0]`` (5.24 does not in RT-DETR, D-FINE, DEIMv2 and PP-DocLayout).
    """

    def length(value: Any) -> Any:
        return value.shape[0] if isinstance(value, torch.Tensor) else builtins.len(value)

    return patch.object(sys.modules[type(module).__module__], "len", length, create=True)


def _integers(module: nn.Module) -> AbstractContextManager[Any]:
    """Make ``int(height)`` traceable.

    It gives a plain number, which becomes a constant in the graph: the image size would be fixed.
    The patch can be removed when torch.export traces ``int`` of a dynamic size, or when
    transformers does not call ``int`` there (5.24 does in Depth Anything).
    """

    def whole(value: Any) -> Any:
        return value if isinstance(value, torch.SymInt) else builtins.int(value)

    return patch.object(sys.modules[type(module).__module__], "int", whole, create=True)


def _sizes(module: nn.Module) -> AbstractContextManager[Any]:
    """Make ``linspace(0.5, h - 0.5, h)`` and ``as_tensor([(h, w)])`` traceable.

    Both put the numbers of one image size into the graph. Wherever transformers calls linspace
    with a dynamic number of steps, the steps are 1 apart, so ``arange(h) + 0.5`` gives the same
    values. The patch can be removed when torch.export traces both functions for dynamic sizes.
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
    """Replace a buffer of EoMT by plain numbers during the export.

    EoMT tests whether the values of this buffer are above 0, and a graph cannot branch on the
    values of a tensor. The patch can be removed when the code of EoMT in transformers tests its
    config instead (5.24 does not).
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
    """Switch off the optimizer of onnxscript.

    It removes a node from the box computation of Deformable DETR that other nodes need. The patch
    can be removed when onnxscript's optimizer keeps this node (0.7 does not).
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
