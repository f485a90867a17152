"""Correct the number of objects that the losses of DETR and Mask2Former divide by."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from accelerate import PartialState
from accelerate.utils import reduce


@contextmanager
def counted_over_processes() -> Iterator[None]:
    """Make transformers' losses divide by the same number of objects as the authors' losses.

    That number is the sum over the processes, divided by the number of processes. transformers 5.23
    divides twice: it expects the sum from ``accelerate.utils.reduce``, which gives the mean. Parts
    of the loss would be too large by a factor of the number of processes.
    """
    if not PartialState._shared_state or PartialState().num_processes == 1:
        yield
        return
    users = [
        vars(module)
        for name, module in list(sys.modules.items())
        if name.startswith("transformers.") and vars(module).get("reduce") is reduce
    ]
    for names in users:
        names["reduce"] = partial(reduce, reduction="sum")
    try:
        yield
    finally:
        for names in users:
            names["reduce"] = reduce
