"""`shows`: methods of a model that show the options of its task in `help` and in notebooks."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

from pvzoo.tasks.base import Task
from pvzoo.tasks.options import Listed, for_task

F = TypeVar("F", bound=Callable[..., Any])


class HasTask(Protocol):
    """What has such methods."""

    _task: Task


def shows(listed: Listed) -> Callable[[F], F]:
    """Decorate a method to show the options of its model's task instead of ``**options``."""

    def shown(function: F) -> F:
        return cast(F, _Shown(cast(types.FunctionType, function), listed))

    return shown


class _Shown:
    """A descriptor: the class has the plain function, a model has a method with its options."""

    def __init__(self, function: types.FunctionType, listed: Listed) -> None:
        self.function = function
        self.listed = listed

    def __get__(self, model: HasTask | None, owner: type) -> Callable[..., Any]:
        if model is None:
            return self.function
        return types.MethodType(for_task(self.function, self.listed, type(model._task)), model)
