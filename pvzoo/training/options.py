"""The arguments of `fine_tune`: what they may be, and what Trainer makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from pvzoo.errors import UsageError
from pvzoo.families.recipes import Recipe
from pvzoo.processes import joined

CPU_BATCH = 8
"""Where running out of memory ends the process there is nothing to be tried out."""

FIRST_BATCH_SIZE = 64
"""Where Accelerate's search for what fits an accelerator begins; it goes down from there."""

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


@dataclass(frozen=True)
class Options:
    """The arguments of `Model.fine_tune`, under the same names."""

    epochs: int
    batch_size: int | str
    learning_rate: float | Mapping[str, float] | None
    freeze: str | None
    augment: bool | Callable[..., Any]
    image_size: int | None
    early_stopping: int | None
    seed: int
    output_dir: Path
    resume: bool
    lora: int | Mapping[str, Any] | None
    report_to: str | list[str] | None
    trainer_args: Mapping[str, Any]

    def check(self) -> None:
        """Refuse what cannot be used.

        Raises:
            UsageError: It names the argument.
        """
        for name in ("epochs", "seed"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < (name == "epochs"):
                raise UsageError(f"{name} is {value!r}.", "It is a whole number.")
        size = self.batch_size
        if size != "auto" and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
            raise UsageError(f"batch_size is {size!r}.", "It is 'auto' or a whole number from 1.")
        rank = self.lora
        whole = isinstance(rank, int) and not isinstance(rank, bool) and rank > 0
        if not (rank is None or whole or isinstance(rank, Mapping)):
            raise UsageError(
                f"lora is {rank!r}.",
                "It is a rank from 1, such as 16, arguments of LoraConfig, or None.",
            )
        if self.freeze not in (None, "backbone"):
            raise UsageError(f"freeze is {self.freeze!r}.", "It is 'backbone' or None.")
        given = self.learning_rate
        rates = given if isinstance(given, Mapping) else {"backbone": given, "rest": given}
        if set(rates) != {"backbone", "rest"} or (
            given is not None and not all(map(_rate, rates.values()))
        ):
            raise UsageError(
                f"learning_rate is {given!r}.",
                "It is a number above 0, or a dict with such numbers for 'backbone' and 'rest' "
                "(freeze='backbone' leaves the backbone as it is).",
            )
        if not isinstance(self.trainer_args, Mapping):
            raise UsageError(f"trainer_args is {self.trainer_args!r}.", "It is a dict.")
        for name in self.trainer_args:
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

    def trainer(
        self, plan: Recipe, images: int, main: str | None, device: torch.device
    ) -> TrainingArguments:
        """Trainer's arguments.

        Args:
            plan: Says what the options leave open.
            images: How many there are to train on.
            main: The figure that the best weights are chosen by, if there is one.
            device: Where the model is.

        Raises:
            UsageError: Trainer refuses one, or cannot train on the device.
        """
        state = joined()
        on_cpu = device.type == "cpu"
        batch_size = self.batch_size
        if batch_size == "auto":
            batch_size = CPU_BATCH if on_cpu else FIRST_BATCH_SIZE
        per_epoch = math.ceil(images / (batch_size * state.num_processes))
        arguments = {
            "output_dir": str(self.output_dir),
            "num_train_epochs": self.epochs,
            "per_device_train_batch_size": batch_size,
            "auto_find_batch_size": self.batch_size == "auto" and not on_cpu,
            "learning_rate": self.rates(plan)["rest"],
            "lr_scheduler_type": plan.schedule,
            "warmup_steps": plan.warm_up,
            "max_grad_norm": plan.clip,
            "eval_strategy": "epoch" if main is not None else "no",
            "save_strategy": "epoch",
            "load_best_model_at_end": main is not None,
            "metric_for_best_model": main,
            "greater_is_better": True,
            "logging_steps": min(10, per_epoch),
            "logging_nan_inf_filter": False,
            "restore_callback_states_from_checkpoint": True,
            "report_to": self.report_to or [],
            "seed": self.seed,
            "remove_unused_columns": False,
            "disable_tqdm": True,
            "use_cpu": on_cpu,
            "ddp_backend": "gloo" if state.num_processes > 1 and on_cpu else None,
            **self.trainer_args,
        }
        try:
            made = TrainingArguments(**arguments)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"trainer_args {dict(self.trainer_args)} cannot be used ({error}).",
                "See transformers.TrainingArguments.",
            ) from error
        there = made.device
        if (there.type, there.index or 0) != (device.type, device.index or 0):
            raise UsageError(
                f"The model is on {device}, and this process would train it on {there}.",
                "Load it without device; CUDA_VISIBLE_DEVICES chooses among accelerators.",
            )
        # else Trainer would cut each batch in parts, which the labels of detection do not bear
        made._n_gpu = min(made.n_gpu, 1)
        return made


def _rate(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < value < float("inf")
