"""The number of objects in all processes, by which the losses of DETR and Mask2Former divide."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from accelerate import PartialState
from accelerate.utils import reduce


@contextmanager
def counted_over_processes() -> Iterator[None]:
    """Within it transformers' losses divide by the authors' number of objects.

    That is the sum over the processes divided by their number. transformers 5.23 divides by the
    number of processes twice: ``accelerate.utils.reduce``, of which it expects the sum, gives the
    mean. The parts of a loss that are divided would be that many times too large.
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
