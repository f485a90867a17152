"""The options of a task, in the signature and the docstring of a model's methods.

`predict` takes ``**options``. What ``help(model.predict)`` shows, and what a notebook completes,
are the options of this model's task, a plugin's included.
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
        name: Of the argument.
        type: Its annotation.
        default: `inspect.Parameter.empty` if there is none.
        about: What the docstring of its dataclass says of it, on one line.
    """

    name: str
    type: Any
    default: Any
    about: str


Listed = Callable[[type[Task]], list[Option]]
"""Which options of a task a method has, such as `of_predict`."""


def of_predict(task: type[Task]) -> list[Option]:
    """All: prompts, then controls."""
    return [*of_network(task), *_of(task.controls)]


def of_network(task: type[Task]) -> list[Option]:
    """Those that the network sees."""
    return _of(task.prompts)


def of_evaluate(task: type[Task]) -> list[Option]:
    """All, with the defaults that the task's figures are defined with."""
    return [
        replace(option, default=task.evaluation.get(option.name, option.default))
        for option in of_predict(task)
    ]


def about(options: type, name: str) -> str:
    """What the docstring of a dataclass, or of one it derives from, says of a field; else ""."""
    for kind in options.__mro__:
        text = inspect.cleandoc(kind.__dict__.get("__doc__") or "")
        found = re.search(
            rf"^    {name}: (.+?)(?=^    \w+: |^\S|\Z)", text, re.MULTILINE | re.DOTALL
        )
        if found:
            return " ".join(found[1].split())
    return ""


def _of(options: type) -> list[Option]:
    try:
        hints = typing.get_type_hints(options)
    except Exception:  # a plugin may import a type for type checkers only; predicting goes on
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
    """A function that does the same, and shows the options of a task instead of ``**options``.

    Args:
        function: With annotations that can be evaluated, and an entry for its ``**options`` in the
            section "Args:" of its docstring.
        listed: Which options of the task these are.
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
