"""The processes of a run, as Accelerate knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState


def processes() -> PartialState:
    """Accelerate's state; its first call joins the processes that a launcher started.

    Accelerate by itself joins processes without an accelerator only if it is told that the CPU is
    meant; started by ``torchrun`` on a machine without one, each would believe itself alone.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    return PartialState(cpu=cpu)
