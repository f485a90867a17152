"""Turn the options of a task into components of a page, and their values into options."""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

import gradio as gr

from pvzoo.errors import UsageError, short
from pvzoo.tasks.base import Task
from pvzoo.tasks.options import about, kinds
from pvzoo.tiles.choose import AUTO, have_tiles


class Control:
    """One option of a task, as a component.

    Attributes:
        name: The name of the option.
        about: Its first sentence in the docstring of its dataclass.
        component: The component that sets it on the page.
        typed: The component that sets it for programs, mostly the same. Where the page has a text
            field for a number that may be left out, it is a number that is not shown
            (`gradio.Number` shows an empty value as 0, and sends 0).
        is_prompt: Whether the option is an input of the network.
        may_be_none: Whether None is one of its values, and not the default.
    """

    def __init__(
        self,
        options: type,
        field: Field[Any],
        labels: Sequence[str],
        *,
        is_prompt: bool,
        own_thresholds: bool = False,
    ) -> None:
        self.name = field.name
        self.about = _about(options, field.name)
        self.is_prompt = is_prompt
        self._kinds = kinds(typing.get_type_hints(options)[field.name])
        self._number = next((kind for kind in (float, int) if kind in self._kinds), None)
        default = None if field.default is MISSING else field.default
        if own_thresholds and field.name == "threshold":
            default = None  # an empty field leaves the thresholds to the model
        # an empty field then means None, as in "at most 5, None for all"; else it means the default
        self.may_be_none = default is not None and type(None) in self._kinds
        self.component = self._component(default, [name for name in labels if name])
        self.typed = self.component
        if self._number and isinstance(self.component, gr.Textbox):
            precision = 0 if self._number is int else None
            self.typed = gr.Number(None, precision=precision, visible=False, render=False)

    def _component(self, default: Any, labels: list[str]) -> gr.components.Component:
        shared: dict[str, Any] = {
            "label": self.name.replace("_", " "),
            "info": re.sub(r"\bNone\b", "empty", self.about),
            "render": False,  # the panel renders it
        }
        if self.name == "classes":
            return gr.Dropdown(labels, multiselect=True, allow_custom_value=True, **shared)
        if bool in self._kinds:
            return gr.Checkbox(bool(default), **shared)
        if self.name == "threshold" and default is not None:
            return gr.Slider(0, 1, value=default, step=0.01, **shared)
        if self._number and default is not None:
            return gr.Number(default, precision=0 if self._number is int else None, **shared)
        if self._number:
            placeholder = "the model's own" if self.name == "threshold" else "empty"
            return gr.Textbox(placeholder=placeholder, max_lines=1, **shared)
        hint = "such as: a cat, remote control" if str in self._kinds else "such as: [[20, 30]]"
        return gr.Textbox(default or "", placeholder=hint, **shared)

    def value(self, setting: Any) -> Any:
        """The value of the component, as the task takes it; None if nothing is set.

        Raises:
            UsageError: A text must be JSON or a number, and is not; or a client sent a value of
                another kind.
        """
        if self.name == "classes":
            if setting and not isinstance(setting, list):
                raise UsageError(f"classes is {short(setting)}, not a list.", "Send a list.")
            return setting or None
        if bool in self._kinds and not isinstance(setting, bool | None):
            raise UsageError(
                f"{self.name} is {short(setting)}, not true or false.", "Send true or false."
            )
        if not isinstance(setting, str):
            return setting
        text = setting.strip()
        if not text:
            return None
        if self._number:
            return self._parsed(text, self._number)
        if str not in self._kinds:
            try:
                return json.loads(text)
            except ValueError as error:
                raise UsageError(
                    f"{self.name} is {text[:100]!r}, which is not JSON.",
                    "Write it like [[20, 30]].",
                ) from error
        if Sequence in self._kinds:
            return [part.strip() for part in text.split(",") if part.strip()]
        return setting

    def _parsed(self, text: str, number: type[float]) -> float:
        try:
            return number(text)
        except ValueError as error:
            kind = "whole number" if number is int else "number"
            raise UsageError(
                f"{self.name} is {text[:100]!r}, which is not a {kind}.",
                "Fix it, or leave it empty.",
            ) from error

    @property
    def triggers(self) -> list[Any]:
        """The events that use the value: of text and numbers, when the user has finished typing."""
        component: Any = self.component  # Gradio adds the events of components at run time
        if isinstance(component, gr.Textbox | gr.Number):
            return [component.submit, component.blur]
        return [component.change]


@dataclass(frozen=True)
class _Switches:
    """The options of a demo that are not those of a task.

    Attributes:
        tiles: Cut a large image into tiles, so that small objects are found; this takes longer.
    """

    tiles: bool = False


def controls_of(
    task: type[Task], labels: Sequence[str], *, own_thresholds: bool = False
) -> list[Control]:
    """The options of a task that a demo shows, prompts first.

    Args:
        task: The task.
        labels: The classes of the model.
        own_thresholds: Whether the model has thresholds, which hold unless another is set.
    """
    return [
        Control(
            options,
            field,
            labels,
            is_prompt=options is task.prompts,
            own_thresholds=own_thresholds,
        )
        for options in (task.prompts, task.controls, *([_Switches] if have_tiles(task) else []))
        for field in fields(options)
        if field.name not in task.not_shown
    ]


def options_of(controls: Sequence[Control], values: Sequence[Any]) -> dict[str, Any]:
    """The values of the controls, as keyword arguments of `predict`; those not set are left out.

    Raises:
        UsageError: As `Control.value`.
    """
    options = {c.name: c.value(v) for c, v in zip(controls, values, strict=True)}
    if "tiles" in options:
        options["tiles"] = AUTO if options["tiles"] else None
    kept = {c.name for c in controls if c.may_be_none}
    return {name: value for name, value in options.items() if value is not None or name in kept}


def _about(options: type, name: str) -> str:
    """The first sentence about a field in the docstring of its class or of a base class."""
    return re.split(r"(?<=\.)\s", about(options, name))[0].replace("``", "")
