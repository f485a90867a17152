"""The task of a network, which may have prompts that were fixed when it was exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvzoo.plugins import registry
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from pvzoo.adapters.base import Spec


def task_of(spec: Spec) -> Task:
    """The task that a network serves; where its prompts are fixed, one that takes none."""
    task: Task = registry.get("tasks", spec.task)()
    return task.with_prompts(spec.prompts) if spec.prompts else task
