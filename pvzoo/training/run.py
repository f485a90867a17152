"""Fine-tune a network on labelled data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.state import AcceleratorState
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback, TrainerCallback, TrainingArguments

from pvzoo.adapters.base import Adapter
from pvzoo.errors import TrainingError, UnsupportedModelError, UsageError, short
from pvzoo.families.recipes import Recipe
from pvzoo.hub.publish import open_to_others
from pvzoo.metrics.evaluate import has_figures, measure
from pvzoo.networks.base import Network
from pvzoo.networks.randomness import put_back
from pvzoo.networks.steps import adapter_of
from pvzoo.pipeline import predict as prediction
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.processes import joined
from pvzoo.runtimes.torch import TorchRuntime
from pvzoo.tasks.base import Task
from pvzoo.training import checkpoints, identity
from pvzoo.training.arguments import trainer_arguments
from pvzoo.training.data import check_data, classes_of, datasets_of
from pvzoo.training.ema import Average
from pvzoo.training.features import Features, HeadTraining, decides, head_of
from pvzoo.training.low_rank import RATE, LowRank
from pvzoo.training.options import Options
from pvzoo.training.prediction_sheet import draw_predictions
from pvzoo.training.progress import Progress
from pvzoo.training.report import TrainingReport, read
from pvzoo.training.sample_grid import draw_first_batch
from pvzoo.training.samples import Samples
from pvzoo.training.targets.base import training_of
from pvzoo.training.trainer import FineTuner, restore

if TYPE_CHECKING:
    from datasets import Dataset

FIRST_BATCH = "first-batch.png"


def fine_tune(
    network: Network | None,
    task: Task,
    train: Any,
    evaluation: Any,
    options: Options,
    *,
    name: str,
    device: torch.device,
    callbacks: Sequence[TrainerCallback] = (),
) -> tuple[Adapter, Network, TrainingReport]:
    """The adapter, the tuned network and the report; see `Model.fine_tune`.

    Args:
        network: The network to start from; it does not change. None raises an error.
        task: The task to train for.
        train: As for `Model.fine_tune`.
        evaluation: The argument ``eval`` of `Model.fine_tune`.
        options: The other arguments of `Model.fine_tune`.
        name: The name of the model, for messages and the report.
        device: Where `network` is and is trained.
        callbacks: As for `Model.fine_tune`.

    Raises:
        PvzooError: As `Model.fine_tune`.
    """
    network = _trainable(network, task, name)
    options.check()
    _check_callbacks(callbacks)
    train_set, eval_set = datasets_of(train, evaluation, task.id)
    if options.early_stopping is not None and eval_set is None:
        raise UsageError("early_stopping needs data to evaluate on.", "Pass eval data.")
    check_data(train_set, eval_set, one_source=evaluation is None)
    classes = classes_of(train_set, network, training_of(task))
    with put_back():  # the caller's random generators do not change
        tuned = network.retarget(classes, image_size=options.image_size, seed=options.seed)
        adapter = adapter_of(tuned)
        plan = adapter.family.recipe or training_of(task).recipe
        if options.lora is not None:
            plan = replace(plan, rate=RATE * plan.rate, backbone=1.0)
        main = "map" if classes.multi_label else task.main_metric or ""
        if eval_set is not None and not main:
            raise fault_of(task, "main_metric", "is None, so the best weights cannot be chosen")
        args = trainer_arguments(
            options, plan, len(train_set), None if eval_set is None else main, device
        )
        settings = identity.settings_of(name, task.id, network, options, plan, train_set, eval_set)
        home = options.output_dir
        state = joined()
        if state.is_main_process:
            identity.claim(home, settings, options.resume)
        state.wait_for_everyone()
        if (home / "report.json").is_file():
            restore(tuned, home)
            return adapter, tuned, read(home)
        try:
            report = _train(
                tuned,
                adapter,
                task,
                plan,
                options,
                args,
                main,
                train_set,
                eval_set,
                settings,
                callbacks,
                named={
                    part: str(data)
                    for part, data in (("train", train), ("eval", evaluation))
                    if isinstance(data, str | Path)
                },
            )
        finally:
            if args.use_cpu and torch.accelerator.is_available() and state.num_processes == 1:
                AcceleratorState._reset_state(reset_partial_state=True)  # it only knows the CPU
    return adapter, tuned, report


def _trainable(network: Network | None, task: Task, name: str) -> Network:
    if (
        task.training is not None
        and network is not None
        and type(network).retarget is not Network.retarget
    ):
        return network
    verbs = "predict and be evaluated" if has_figures(task) else "predict"
    kind = task.result.task
    labelled = f" --task {kind}" if registry.get("tasks", kind).training else ""
    raise UnsupportedModelError(
        f"{name} ({task.id}) cannot be fine-tuned.",
        f"It can {verbs}. To train, choose another model: pvzoo list{labelled} shows some.",
    )


def _check_callbacks(callbacks: Any) -> None:
    many = isinstance(callbacks, Sequence)
    if not many or not all(isinstance(callback, TrainerCallback) for callback in callbacks):
        raise UsageError(
            f"callbacks is {short(callbacks)}, not a list of callbacks.",
            "Use a list of instances of subclasses of transformers.TrainerCallback.",
        )


def _train(
    tuned: Network,
    adapter: Adapter,
    task: Task,
    plan: Recipe,
    options: Options,
    args: TrainingArguments,
    main: str,
    train_set: Dataset,
    eval_set: Dataset | None,
    settings: dict[str, Any],
    callbacks: Sequence[TrainerCallback],
    named: Mapping[str, str],
) -> TrainingReport:
    state, home = joined(), options.output_dir
    tuned.module.to(args.device, torch.float32)  # AdamW needs it; autocast is bf16=True
    training = training_of(task)
    with calling(training, "augmentation"):
        transform = training.augmentation() if options.augment is True else options.augment
    images = Samples(train_set, transform or None, options.seed)
    batch_size = args.per_device_train_batch_size
    checkpoint = checkpoints.latest(home, state.num_processes)
    if checkpoint is None and state.is_main_process:
        draw_first_batch(
            tuned,
            adapter,
            images,
            train_set.features,
            batch_size=batch_size,
            seed=options.seed,
            path=home / FIRST_BATCH,
        )
    callbacks = list(callbacks)
    if state.is_main_process:
        callbacks.insert(0, Progress(main if eval_set is not None else None))
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
    decay = (options.trainer_args or {}).get("weight_decay", plan.decay)
    groups = parameter_groups(tuned, rates, decay, frozen)
    average = None
    if plan.average is not None:
        average = Average(tuned.module, decay=plan.average, warm_up=2000)
    stream = _stream(tuned, adapter, task, args.device, str(home))
    measured = None
    if eval_set is not None:
        measured = _figures(stream, adapter, task, eval_set, main)
    samples: Samples | Features = images
    step: Network | HeadTraining = tuned
    trained = [n for n, p in tuned.module.named_parameters() if p.requires_grad]
    head = head_of(tuned.module, trained) if frozen and low_rank is None else None
    if (
        head is not None
        and transform is False
        and training.head is not None
        and state.num_processes == 1  # Accelerate can only synchronise the whole network
        and decides(tuned, head, images)
    ):
        samples = Features(tuned, head, images, batch_size)
        step = HeadTraining(head, training.head)
    trainer = FineTuner(
        network=tuned,
        step=step,
        groups=groups,
        frozen=_modules_of(tuned.module, frozen),
        low_rank=low_rank,
        samples=samples,
        measure=measured,
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
        data=dict(named),
    )
    if state.is_main_process:
        try:
            tuned.save(home)
            open_to_others(home.glob("*.safetensors"))
            report.write()
            draw_predictions(stream, train_set if eval_set is None else eval_set, home, batch_size)
        except (OSError, SafetensorError) as error:
            raise TrainingError(
                f"The tuned model cannot be written to {home} ({error}).",
                "Free some space or repair the disk, then repeat the call: it does not train "
                "again.",
            ) from error
    state.wait_for_everyone()
    if not state.is_main_process:
        restore(tuned, home)  # each process has its own normalisation statistics
    return report


def _stream(
    network: Network, adapter: Adapter, task: Task, device: Any, name: str
) -> Callable[..., Iterator[Any]]:
    """A function that predicts images; `name` is for messages."""
    runtime = TorchRuntime(adapter, network, device=device, device_map=None)

    def stream(
        images: Any, *, batch_size: int, progress: bool = False, **options: Any
    ) -> Iterator[Any]:
        return prediction.stream(
            adapter,
            runtime,
            task,
            images,
            options,
            name=name,
            batch_size=batch_size,
            progress=progress,
        )

    return stream


def _figures(
    stream: Callable[..., Iterator[Any]],
    adapter: Adapter,
    task: Task,
    dataset: Dataset,
    main: str,
) -> Callable[[int], dict[str, float]]:
    """A function ``figures(batch_size)`` that evaluates the network.

    The best weights are chosen by the metric `main`.
    """

    def figures(batch_size: int) -> dict[str, float]:
        found = dict(measure(stream, task, adapter.labels, dataset, {}, batch_size=batch_size))
        if main not in found:
            fault = f"is {main!r}, but its metric has only {', '.join(found) or 'no values'}"
            raise fault_of(task, "main_metric", fault)
        return found

    return figures


def parameter_groups(
    network: Network, rates: Mapping[str, float], decay: float, frozen: set[str]
) -> list[dict[str, Any]]:
    """AdamW's groups: backbone and rest, each with and without weight decay, without `frozen`."""
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
    """The modules in which all parameters are frozen."""
    return [
        part
        for prefix, part in module.named_modules()
        if (names := [f"{prefix}.{n}" for n, _ in part.named_parameters()]) and set(names) <= frozen
    ]


def _history(log: list[dict[str, float]]) -> tuple[dict[str, float], ...]:
    """The points of a report's curves, from Trainer's log."""
    kept = ("step", "epoch", "loss", "grad_norm", "learning_rate")
    rows = [
        {k.removeprefix("eval_"): v for k, v in row.items() if k in kept or k.startswith("eval_")}
        for row in log
    ]
    return tuple(row for row in rows if len(row) > 2)
