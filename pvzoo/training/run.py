"""`fine_tune`: from a model and labelled data to a better model."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate.state import AcceleratorState
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainingArguments

from pvzoo import registry
from pvzoo.data.schema import CLASSIFICATION
from pvzoo.errors import TrainingError, UnsupportedModelError, UsageError
from pvzoo.evaluation import has_figures
from pvzoo.loading import assemble, drive
from pvzoo.networks.base import Network
from pvzoo.processes import joined
from pvzoo.publishing import open_to_others
from pvzoo.training import augment as augmentations
from pvzoo.training import checkpoints, identity
from pvzoo.training.data import check_data, classes_of, datasets_of
from pvzoo.training.ema import Average
from pvzoo.training.features import Features, HeadTraining, decides, head_of
from pvzoo.training.low_rank import RATE, LowRank
from pvzoo.training.options import Options
from pvzoo.training.pictures import draw_batch
from pvzoo.training.progress import Progress
from pvzoo.training.recipes import Recipe, recipe
from pvzoo.training.report import TrainingReport, read
from pvzoo.training.samples import Samples
from pvzoo.training.trainer import FineTuner, restore

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.model import Model

MAIN_FIGURE = {
    "image-classification": "top1",
    "object-detection": "map",
    "instance-segmentation": "map",
    "semantic-segmentation": "miou",
    "panoptic-segmentation": "pq",
}
"""The figure of each task by which the best weights are chosen. Multi-label data has "map"."""

FIRST_BATCH = "first-batch.png"


def fine_tune(
    model: Model, network: Network | None, train: Any, evaluation: Any, options: Options
) -> Model:
    """See `Model.fine_tune`."""
    _check_model(model, network)
    options.check()
    train_set, eval_set = datasets_of(train, evaluation, model.task)
    if options.early_stopping is not None and eval_set is None:
        raise UsageError("early_stopping needs figures to go by.", "Pass eval data.")
    check_data(train_set, eval_set, model.task)
    classes = classes_of(train_set, network)
    with _own_randomness():
        tuned = network.retarget(classes, image_size=options.image_size, seed=options.seed)
        plan = recipe(
            getattr(tuned.module, "config", None) and tuned.module.config.model_type, model.task
        )
        if options.lora is not None:
            plan = replace(plan, rate=RATE * plan.rate, backbone=1.0)
        main = "map" if classes.multi_label else MAIN_FIGURE[model.task]
        args = options.trainer(
            plan, len(train_set), None if eval_set is None else main, model.device
        )
        settings = identity.settings_of(model, network, options, plan, train_set, eval_set)
        home = options.output_dir
        state = joined()
        if state.is_main_process:
            identity.claim(home, settings, options.resume)
        state.wait_for_everyone()
        if (home / "report.json").is_file():
            restore(tuned, home)
            return _model(model, tuned, home, read(home))
        try:
            report = _train(model, tuned, plan, options, args, main, train_set, eval_set, settings)
        finally:
            if args.use_cpu and torch.accelerator.is_available() and state.num_processes == 1:
                AcceleratorState._reset_state(reset_partial_state=True)  # it knows the CPU alone
    return _model(model, tuned, home, report)


def _check_model(model: Model, network: Network | None) -> None:
    if (
        model.task in MAIN_FIGURE
        and network is not None
        and type(network).retarget is not Network.retarget
    ):
        return
    task = registry.get("tasks", model.task)()
    verbs = "predict and be evaluated" if has_figures(task) else "predict"
    labelled = f" --task {task.result.task}" if task.result.task in MAIN_FIGURE else ""
    raise UnsupportedModelError(
        f"{model.name} ({model.task}) cannot be fine-tuned.",
        f"It can {verbs}. To train, choose another model: pvzoo list{labelled} shows some.",
    )


def _train(
    model: Model,
    tuned: Network,
    plan: Recipe,
    options: Options,
    args: TrainingArguments,
    main: str,
    train_set: Dataset,
    eval_set: Dataset | None,
    settings: dict[str, Any],
) -> TrainingReport:
    state, home = joined(), options.output_dir
    tuned.module.to(args.device, torch.float32)  # AdamW needs it; autocast is bf16=True
    transform = augmentations.default(model.task) if options.augment is True else options.augment
    samples: Samples | Features = Samples(train_set, transform or None, options.seed)
    batch_size = args.per_device_train_batch_size
    checkpoint = checkpoints.latest(home, state.num_processes)
    if checkpoint is None and state.is_main_process:
        first = [samples[0, i] for i in range(min(batch_size, len(samples)))]
        draw_batch(first, train_set.features, home / FIRST_BATCH)
    callbacks: list[Any] = [Progress(main)] if state.is_main_process else []
    if options.early_stopping is not None:
        callbacks.append(EarlyStoppingCallback(options.early_stopping))
    rates = options.rates(plan)
    frozen = set()
    if options.freeze == "backbone":
        backbone = tuned.backbone
        frozen = {n for n, _ in tuned.module.named_parameters() if n.startswith(backbone)}
    low_rank = None
    if options.lora is not None:
        low_rank = LowRank(tuned, options.lora, skipped=frozen, seed=options.seed)
        frozen = low_rank.frozen
    decay = options.trainer_args.get("weight_decay", plan.decay)
    groups = parameter_groups(tuned, rates, decay, frozen)
    average = None
    if plan.average is not None:
        average = Average(tuned.module, decay=plan.average, warm_up=2000)
    shown = _model(model, tuned, home, None)

    def measure() -> dict[str, float]:
        # of the size that was found to fit, where Accelerate looks for it
        return dict(shown.evaluate(eval_set, batch_size=trainer.state.train_batch_size))

    step: Any = tuned
    trained = [n for n, p in tuned.module.named_parameters() if p.requires_grad]
    head = head_of(tuned.module, trained) if frozen and low_rank is None else None
    if (
        head is not None
        and transform is False
        and model.task == CLASSIFICATION
        and state.num_processes == 1  # only the whole network is Accelerate's to synchronise
        and decides(tuned, head, samples)
    ):
        samples, step = Features(tuned, head, samples, batch_size), HeadTraining(head)
    trainer = FineTuner(
        network=tuned,
        step=step,
        groups=groups,
        frozen=_modules_of(tuned.module, frozen),
        low_rank=low_rank,
        samples=samples,
        measure=measure if eval_set is not None else None,
        average=average,
        args=args,
        callbacks=callbacks,
    )
    start = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if average is not None:
        tuned.module.load_state_dict(average.state())
    if low_rank is not None:
        low_rank.merge()
    tuned.module.eval()
    history = _history(trainer.state.log_history)
    best = trainer.state.best_global_step or trainer.state.global_step
    figures = next((row for row in history if row["step"] == best and main in row), {})
    report = TrainingReport(
        folder=home,
        settings=settings,
        history=history,
        metrics={k: v for k, v in figures.items() if k not in ("step", "epoch")},
        seconds=time.monotonic() - start,
    )
    if state.is_main_process:
        try:
            tuned.save(home)
            open_to_others(home.glob("*.safetensors"))
            report.write()
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"The tuned model cannot be written to {home} ({error}).",
                "Make room or mend the disk, then make the same call: nothing is trained again.",
            ) from error
    state.wait_for_everyone()
    if not state.is_main_process:
        restore(tuned, home)  # normalisation has statistics of its own in each process
    return report


def parameter_groups(
    network: Network, rates: Mapping[str, float], decay: float, frozen: set[str]
) -> list[dict[str, Any]]:
    """AdamW's groups: backbone and rest, each with and without weight decay; `frozen` in none."""
    module, backbone = network.module, network.backbone
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
        if name not in frozen:
            key = (name.startswith(backbone), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates["backbone" if inside else "rest"],
            "weight_decay": decay if with_decay else 0.0,
        }
        for (inside, with_decay), parameters in sorted(groups.items(), key=lambda g: g[0])
    ]


def _modules_of(module: torch.nn.Module, frozen: set[str]) -> list[torch.nn.Module]:
    """The modules all of whose parameters are frozen."""
    return [
        part
        for prefix, part in module.named_modules()
        if (names := [f"{prefix}.{n}" for n, _ in part.named_parameters()]) and set(names) <= frozen
    ]


def _history(log: list[dict[str, float]]) -> tuple[dict[str, float], ...]:
    """Trainer's log as the curves of a report."""
    kept = ("step", "epoch", "loss", "grad_norm", "learning_rate")
    rows = [
        {k.removeprefix("eval_"): v for k, v in row.items() if k in kept or k.startswith("eval_")}
        for row in log
    ]
    return tuple(row for row in rows if len(row) > 2)


def _model(model: Model, tuned: Network, home: Path, report: TrainingReport | None) -> Model:
    """The tuned network with the verbs of a model."""
    return assemble(str(home), drive(tuned), tuned, device=model.device, report=report)


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The caller's random generators are afterwards as they were."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(before[0])
    np.random.set_state(before[1])
