"""The processes of a run, from Accelerate."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accelerate import PartialState

_LAUNCHERS = ("ACCELERATE_", "MV2_COMM_WORLD_", "OMPI_COMM_WORLD_", "PMI_")
"""Prefixes of the environment variables of launchers, beside ``WORLD_SIZE``, which most set."""


@dataclass(frozen=True)
class OneProcess:
    """Accelerate's state if no launcher has started processes."""

    num_processes: int = 1
    process_index: int = 0
    is_main_process: bool = True

    def wait_for_everyone(self) -> None:
        """Do nothing: there are no other processes."""


def processes() -> PartialState | OneProcess:
    """The processes of this run; without a launcher's variables, nothing is imported."""
    return joined() if _is_launched() else OneProcess()


def _is_launched() -> bool:
    return "WORLD_SIZE" in os.environ or any(name.startswith(_LAUNCHERS) for name in os.environ)


def joined() -> PartialState:
    """Accelerate's state; the first call joins the processes that a launcher started.

    Without an accelerator, Accelerate joins processes only if ``cpu=True``. Otherwise, processes
    that ``torchrun`` started on such a machine would each run alone.
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
    """Destroy the process group before the interpreter ends.

    Otherwise its threads still run while C++ destroys objects that they use: one in fifteen runs of
    two processes ended with SIGABRT after all its work was done.
    """
    import torch.distributed as dist

    def leave() -> None:
        if dist.is_initialized():
            dist.destroy_process_group()

    atexit.register(leave)
