"""Turn the options of `fine_tune` into the arguments of `transformers.Trainer`."""

from __future__ import annotations

import math

import torch
from transformers import TrainingArguments

from pvzoo.errors import UsageError
from pvzoo.families.recipes import Recipe
from pvzoo.processes import joined
from pvzoo.training.options import Options

CPU_BATCH = 8
"""On a CPU, running out of memory ends the process, so no search for a batch size is possible."""

FIRST_BATCH_SIZE = 64
"""Accelerate starts its search for a batch size that fits here, and goes down."""


def trainer_arguments(
    options: Options, plan: Recipe, images: int, main: str | None, device: torch.device
) -> TrainingArguments:
    """Make Trainer's arguments.

    Args:
        options: The options of the call.
        plan: The recipe, for values that the options leave open.
        images: The number of training images.
        main: The figure that chooses the best weights; None for no evaluation.
        device: Where the model is.

    Raises:
        UsageError: Trainer refuses an argument, or cannot train on the device.
    """
    state, more = joined(), options.trainer_args or {}
    on_cpu = device.type == "cpu"
    batch_size = options.batch_size
    if batch_size == "auto":
        batch_size = CPU_BATCH if on_cpu else FIRST_BATCH_SIZE
    per_epoch = math.ceil(images / (batch_size * state.num_processes))
    arguments = {
        "output_dir": str(options.output_dir),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": batch_size,
        "auto_find_batch_size": options.batch_size == "auto" and not on_cpu,
        "learning_rate": options.rates(plan)["rest"],
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
        "report_to": options.report_to or [],
        "seed": options.seed,
        "remove_unused_columns": False,
        "disable_tqdm": True,
        "use_cpu": on_cpu,
        "ddp_backend": "gloo" if state.num_processes > 1 and on_cpu else None,
        **more,
    }
    try:
        made = TrainingArguments(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"trainer_args is {dict(more)}, which transformers refuses ({error}).",
            "The documentation of transformers.TrainingArguments lists what is allowed.",
        ) from error
    there = made.device
    if (there.type, there.index or 0) != (device.type, device.index or 0):
        raise UsageError(
            f"The model is on {device}, but this process would train it on {there}.",
            "Load the model without device; choose an accelerator with CUDA_VISIBLE_DEVICES.",
        )
    # With several GPUs in one process, Trainer would split each batch. Detection labels are lists
    # that cannot be split.
    made._n_gpu = min(made.n_gpu, 1)
    return made
