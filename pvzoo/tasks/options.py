"""Show the options of a task in the signature and the docstring of a model's methods.

`predict` takes ``**options``. ``help(model.predict)`` and the completion of notebooks show the
options of the model's task, also for tasks of plugins.
"""

from __future__ import annotations

import inspect
import re
import textwrap
import types
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, replace
from functools import lru_cache
from typing import Any

from pvzoo.tasks.base import Task


@dataclass(frozen=True)
class Option:
    """A keyword argument that a task adds to a method.

    Attributes:
        name: The name of the argument.
        type: Its annotation.
        default: Its default; `inspect.Parameter.empty` if there is none.
        about: Its description in the docstring of its dataclass, on one line.
    """

    name: str
    type: Any
    default: Any
    about: str


Listed = Callable[[type[Task]], list[Option]]
"""A function that returns the options of a task that a method has, such as `of_predict`."""


def of_predict(task: type[Task]) -> list[Option]:
    """All options: prompts, then controls."""
    return [*of_network(task), *_of(task.controls)]


def of_network(task: type[Task]) -> list[Option]:
    """The options that change the network's input."""
    return _of(task.prompts)


def of_evaluate(task: type[Task]) -> list[Option]:
    """All options, with the defaults for evaluation."""
    return [
        replace(option, default=task.evaluation.get(option.name, option.default))
        for option in of_predict(task)
    ]


def about(options: type, name: str) -> str:
    """The description of a field in the docstring of a dataclass or its base classes; or ""."""
    for kind in options.__mro__:
        text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
        found = re.search(
            rf"^    {name}: (.+?)(?=^    \w+: |^\S|\Z)", text, re.MULTILINE | re.DOTALL
        )
        if found:
            return " ".join(found[1].split())
    return ""


def kinds(hint: Any) -> set[Any]:
    """The alternatives of a type hint, each without its parameters."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return {kind for part in typing.get_args(hint) for kind in kinds(part)}
    return {typing.get_origin(hint) or hint}


def _of(options: type) -> list[Option]:
    try:
        hints = typing.get_type_hints(options)
    except Exception:  # a plugin may import a type only for type checkers; predict still works
        hints = {}
    found = []
    for field in fields(options):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        hint = hints.get(field.name, field.type)
        found.append(Option(field.name, hint, default, about(options, field.name)))
    return found


@lru_cache
def for_task(function: types.FunctionType, listed: Listed, task: type[Task]) -> types.FunctionType:
    """A copy of a function that shows the options of a task instead of ``**options``.

    Args:
        function: A function with annotations that can be evaluated, and an entry for its
            ``**options`` in the section "Args:" of its docstring.
        listed: Returns the options of a task that the function has.
        task: The task.
    """
    shown = types.FunctionType(
        function.__code__, function.__globals__, closure=function.__closure__
    )
    shown.__kwdefaults__ = function.__kwdefaults__
    shown.__module__, shown.__qualname__ = function.__module__, function.__qualname__
    signature = inspect.signature(function, eval_str=True)
    taken = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    options = {o.name: o for o in listed(task) if o.name not in signature.parameters}.values()
    added = [
        inspect.Parameter(
            o.name, inspect.Parameter.KEYWORD_ONLY, default=o.default, annotation=o.type
        )
        for o in options
    ]
    returned = signature.return_annotation
    if getattr(returned, "__parameters__", ()):
        returned = returned[task.result]
    shown.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*taken, *added], return_annotation=returned
    )
    entries = "".join(_entry(o.name, o.about or f"An option of {task.id}.") for o in options)
    text = inspect.cleandoc(function.__doc__ or "")
    shown.__doc__ = re.sub(
        r"^    \*\*\w+: .*\n(?:     .*\n)*", lambda _: entries, text, count=1, flags=re.MULTILINE
    )
    return shown


def _entry(name: str, about: str) -> str:
    lines = textwrap.wrap(f"{name}: {about}", 92, initial_indent=" " * 4, subsequent_indent=" " * 8)
    return "\n".join(lines) + "\n"
