"""The processes of a run, as Accelerate knows them."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState

_LAUNCHERS = ("ACCELERATE_", "MV2_COMM_WORLD_", "OMPI_COMM_WORLD_", "PMI_")
"""How the environment variables of launchers begin, beside ``WORLD_SIZE``, which most set."""


@dataclass(frozen=True)
class OneProcess:
    """The answers of Accelerate's state where no launcher has started any."""

    num_processes: int = 1
    process_index: int = 0
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        """There is nobody to wait for."""


def processes() -> PartialState | OneProcess:
    """The processes of this run; without a launcher's variables nothing is imported for it."""
    return joined() if _is_launched() else OneProcess()


def _is_launched() -> bool:
    return "WORLD_SIZE" in os.environ or any(name.startswith(_LAUNCHERS) for name in os.environ)


def joined() -> PartialState:
    """Accelerate's state; its first call joins the processes that a launcher started.

    Accelerate by itself joins processes without an accelerator only if it is told that the CPU is
    meant; started by ``torchrun`` on a machine without one, each would believe itself alone.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import parse_flag_from_env

    cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    state = PartialState(cpu=cpu)
    if state.num_processes > 1:
        _leave_at_exit()
    return state


@cache
def _leave_at_exit() -> None:
    """Have the group of processes dissolved before the interpreter ends.

    Its threads would else still run when C++ takes down what they use: one run of two processes in
    fifteen was seen to end with SIGABRT after all its work was done.
    """
    import torch.distributed as dist

    def leave() -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    atexit.register(leave)
