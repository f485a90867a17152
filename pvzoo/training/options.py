"""The options of `fine_tune`, each written once: its default, what it may be, what it is for.

`Model.fine_tune` has them as arguments and ``pvzoo fine-tune`` as options of the command line.
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
_NONE = "Leave it out: it would do nothing."
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
    "optim": "Leave it out: AdamW is what the recipes are for.",
    **dict.fromkeys(
        (
            *("optim_args", "optim_target_modules", "label_smoothing_factor", "save_total_limit"),
            *("data_seed", "train_sampling_strategy", "length_column_name"),
        ),
        _NONE,
    ),
}
"""TrainingArguments that are pvzoo's to set, and what to do instead."""


def _about(
    help: str,
    *,
    may_be: Callable[[Any], bool] = lambda value: True,
    hint: str = "",
    least: int | None = None,
    example: str = "",
    decides: bool = True,
) -> dict[str, Any]:
    """What is known of an option beside its type and default.

    Args:
        help: A line for the command line, where an option that is on can only be turned off;
            `Model.fine_tune` says more.
        may_be: Whether a value can be used; None always can where it is the default.
        hint: What it may be, for the error message.
        least: Instead of these two: it is a whole number, and this is the smallest.
        example: How the command line says it, where that is JSON.
        decides: Whether the weights at the end depend on it.
    """
    if least is not None:
        may_be, hint = lambda value: _is_whole(value, least), f"It is a whole number from {least}."
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
    """What `fine_tune` is told beside the data; see `Model.fine_tune`."""

    output_dir: Path = field(
        metadata=_about("A new folder, or that of a run to continue.", decides=False)
    )
    epochs: int = field(metadata=_about("How many times each image is seen.", least=1))
    batch_size: int | Literal["auto"] = field(
        default="auto",
        metadata=_about(
            "Images per step, or auto.",
            may_be=lambda value: value == "auto" or _is_whole(value, 1),
            hint="It is 'auto' or a whole number from 1.",
        ),
    )
    learning_rate: float | Mapping[str, float] | None = field(
        default=None,
        metadata=_about(
            'A number, or {"backbone": 1e-5, "rest": 1e-4}; by default that of the recipe.',
            may_be=_are_rates,
            hint="It is a number above 0, or a dict with such numbers for 'backbone' and 'rest' "
            "(freeze='backbone' leaves the backbone as it is).",
            example="1e-4",
        ),
    )
    freeze: Literal["backbone"] | None = field(
        default=None,
        metadata=_about(
            "backbone: train only the rest.",
            may_be=lambda value: value == "backbone",
            hint="It is 'backbone' or None.",
        ),
    )
    augment: bool | Callable[..., Any] = field(
        default=True, metadata=_about("Train on the images as they are, unchanged.")
    )
    image_size: int | None = field(
        default=None, metadata=_about("Side of the network's input, in pixels.", least=1)
    )
    early_stopping: int | None = field(
        default=None,
        metadata=_about("Stop after this many epochs without a better result.", least=1),
    )
    seed: int = field(default=0, metadata=_about("Seed of all random choices.", least=0))
    resume: bool = field(
        default=True,
        metadata=_about("Do not continue a run; end with an error instead.", decides=False),
    )
    lora: int | Mapping[str, Any] | None = field(
        default=None,
        metadata=_about(
            'Train low-rank matrices of this rank, or with PEFT\'s arguments {"r": 16, ...}.',
            may_be=lambda value: _is_whole(value, 1) or isinstance(value, Mapping),
            hint="It is a rank from 1, such as 16, arguments of LoraConfig, or None.",
            example="16",
        ),
    )
    report_to: str | list[str] | None = field(
        default=None,
        metadata=_about("Such as tensorboard; more than once for several.", decides=False),
    )
    trainer_args: Mapping[str, Any] | None = field(
        default=None,
        metadata=_about(
            "More of transformers' TrainingArguments, as JSON.",
            may_be=lambda value: isinstance(value, Mapping),
            hint="It is a dict.",
            example='{"max_grad_norm": 0.1}',
        ),
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """The options among named values; others are passed over."""
        return cls(**{option.name: values[option.name] for option in fields(cls)})

    def check(self) -> None:
        """Refuse what cannot be used.

        Raises:
            UsageError: It names the argument.
        """
        for option in fields(self):
            value, known = getattr(self, option.name), option.metadata
            left_out = value is None and option.default is None
            if not left_out and not known["may_be"](value):
                raise UsageError(f"{option.name} is {value!r}.", known["hint"])
        for name in self.trainer_args or ():
            if name in NOT_TRAINERS:
                raise UsageError(
                    f"trainer_args has {name!r}, which pvzoo does not leave to Trainer.",
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
"""The options that the weights at the end depend on."""
