"""The options of `fine_tune`: for each its default, its allowed values and its purpose.

They are arguments of `Model.fine_tune` and options of the command ``pvzoo fine-tune``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from math import inf
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pvzoo.errors import UsageError

if TYPE_CHECKING:
    from pvzoo.families.recipes import Recipe

_OWN = "Use the argument {} of fine_tune."
_NONE = "Leave it out: it has no effect here."
NOT_TRAINERS = {
    "learning_rate": _OWN.format("learning_rate"),
    "num_train_epochs": _OWN.format("epochs"),
    "per_device_train_batch_size": _OWN.format("batch_size"),
    "auto_find_batch_size": _OWN.format("batch_size"),
    "output_dir": _OWN.format("output_dir"),
    "seed": _OWN.format("seed"),
    "report_to": _OWN.format("report_to"),
    "push_to_hub": _OWN.format("push_to_hub"),
    "resume_from_checkpoint": _OWN.format("resume"),
    "use_cpu": "Load the model with device='cpu'.",
    "optim": "Leave it out: the recipes are made for AdamW.",
    **dict.fromkeys(
        (
            *("optim_args", "optim_target_modules", "label_smoothing_factor", "save_total_limit"),
            *("data_seed", "train_sampling_strategy", "length_column_name"),
        ),
        _NONE,
    ),
}
"""TrainingArguments that pvzoo sets itself, and what to do instead."""


def _about(
    help: str,
    *,
    may_be: Callable[[Any], bool] = lambda value: True,
    hint: str = "",
    least: int | None = None,
    example: str = "",
    decides: bool = True,
) -> dict[str, Any]:
    """The metadata of an option, in addition to its type and default.

    Args:
        help: One line for the command line. For an option that is on by default, it describes how
            to turn it off. `Model.fine_tune` explains more.
        may_be: Whether a value is allowed. None is always allowed if it is the default.
        hint: The allowed values, for the error message.
        least: Instead of `may_be` and `hint`: the value is an integer, and this is the smallest.
        example: An example for the command line, for options that are JSON there.
        decides: Whether the final weights depend on the option.
    """
    if least is not None:
        may_be, hint = lambda value: _is_whole(value, least), f"Use an integer of at least {least}."
    known = {"help": help, "may_be": may_be, "hint": hint, "least": least}
    return known | {"example": example, "decides": decides}


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_rate(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < inf


def _are_rates(value: Any) -> bool:
    if isinstance(value, Mapping):
        return set(value) == {"backbone", "rest"} and all(map(_is_rate, value.values()))
    return _is_rate(value)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The arguments of `fine_tune` except the data; see `Model.fine_tune`."""

    output_dir: Path = field(
        metadata=_about("A new folder, or the folder of a run to continue.", decides=False)
    )
    epochs: int = field(metadata=_about("How many times to train on each image.", least=1))
    batch_size: int | Literal["auto"] = field(
        default="auto",
        metadata=_about(
            "Images per training step, or auto.",
            may_be=lambda value: value == "auto" or _is_whole(value, 1),
            hint="Use 'auto' or an integer of at least 1.",
        ),
    )
    learning_rate: float | Mapping[str, float] | None = field(
        default=None,
        metadata=_about(
            'A number, or {"backbone": 1e-5, "rest": 1e-4}. Default: the rate of the recipe.',
            may_be=_are_rates,
            hint="Use a number above 0, or a dict with such numbers for 'backbone' and 'rest' "
            "(to keep the backbone unchanged, use freeze='backbone').",
            example="1e-4",
        ),
    )
    freeze: Literal["backbone"] | None = field(
        default=None,
        metadata=_about(
            "With 'backbone', train the rest alone: the backbone stays unchanged.",
            may_be=lambda value: value == "backbone",
            hint="Use 'backbone' or None.",
        ),
    )
    augment: bool | Callable[..., Any] = field(
        default=True, metadata=_about("Do not change the images at random in training.")
    )
    image_size: int | None = field(
        default=None, metadata=_about("Side length of the network's input, in pixels.", least=1)
    )
    early_stopping: int | None = field(
        default=None,
        metadata=_about("Stop after this many epochs without a better result.", least=1),
    )
    seed: int = field(default=0, metadata=_about("Seed of all random choices.", least=0))
    resume: bool = field(
        default=True,
        metadata=_about("If output_dir holds a run, stop with an error.", decides=False),
    )
    lora: int | Mapping[str, Any] | None = field(
        default=None,
        metadata=_about(
            'Train LoRA matrices of this rank, or with PEFT\'s arguments {"r": 16, ...}.',
            may_be=lambda value: _is_whole(value, 1) or isinstance(value, Mapping),
            hint="Use a rank of at least 1, such as 16, a dict of LoraConfig's arguments, or None.",
            example="16",
        ),
    )
    report_to: str | list[str] | None = field(
        default=None,
        metadata=_about("A logger, such as tensorboard; can be repeated.", decides=False),
    )
    trainer_args: Mapping[str, Any] | None = field(
        default=None,
        metadata=_about(
            "Other TrainingArguments of transformers, as JSON.",
            may_be=lambda value: isinstance(value, Mapping),
            hint="Use a dict.",
            example='{"max_grad_norm": 0.1}',
        ),
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The options among named values; other values are ignored."""
        return cls(**{option.name: values[option.name] for option in fields(cls)})

    def check(self) -> None:
        """Check all values.

        Raises:
            UsageError: A value is not allowed; the message names the argument.
        """
        for option in fields(self):
            value, known = getattr(self, option.name), option.metadata
            left_out = value is None and option.default is None
            if not left_out and not known["may_be"](value):
                raise UsageError(f"{option.name} is {value!r}.", known["hint"])
        for name in self.trainer_args or ():
            if name in NOT_TRAINERS:
                raise UsageError(
                    f"trainer_args has {name!r}, which cannot be set there.",
                    NOT_TRAINERS[name],
                )

    def rates(self, plan: Recipe) -> dict[str, float]:
        """The learning rates of "backbone" and "rest"."""
        given = self.learning_rate
        if isinstance(given, Mapping):
            return dict(given)
        rest = plan.rate if given is None else given
        return {"rest": rest, "backbone": rest * plan.backbone}


DECIDING = tuple(option.name for option in fields(Options) if option.metadata["decides"])
"""The options that the final weights depend on."""
