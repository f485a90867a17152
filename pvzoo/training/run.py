"""`fine_tune`: from a model and labelled data to a better model."""

from __future__ import annotations

import json
import math
import random
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import EarlyStoppingCallback, TrainingArguments

from pvzoo import registry
from pvzoo.adapters.base import Adapter, Classes
from pvzoo.data.check import check
from pvzoo.data.load import load
from pvzoo.data.schema import CLASSIFICATION, class_names
from pvzoo.errors import (
    DataError,
    PvzooWarning,
    TrainingError,
    UnsupportedModelError,
    UsageError,
)
from pvzoo.evaluation import has_figures
from pvzoo.metrics.labels import LabelMatch
from pvzoo.processes import processes
from pvzoo.publishing import open_to_others
from pvzoo.training import augment as augmentations
from pvzoo.training import checkpoints, identity
from pvzoo.training.ema import Average
from pvzoo.training.features import Features, HeadTraining, head_of
from pvzoo.training.low_rank import RATE, LowRank
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

CPU_BATCH = 8
"""Where running out of memory ends the process there is nothing to be tried out."""

FIRST_BATCH_SIZE = 64
"""Where Accelerate's search for what fits an accelerator begins; it goes down from there."""

AVERAGED_PARTS = 20
"""The moving average looks back over at most this part of a run."""

SETTINGS = "run.json"
FIRST_BATCH = "first-batch.png"


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


def fine_tune(
    model: Model, adapter: Adapter, train: Any, evaluation: Any, options: Options
) -> Model:
    """See `Model.fine_tune`."""
    _check_model(model, adapter)
    _check(options)
    train_set, eval_set = _datasets(train, evaluation, model.task)
    if options.early_stopping is not None and eval_set is None:
        raise UsageError("early_stopping needs figures to go by.", "Pass eval data.")
    _check_data(train_set, eval_set, model.task)
    names = class_names(train_set.features)
    classes = Classes(
        names=names,
        kept=_kept(adapter, names),
        stuff=_stuff(train_set),
        multi_label="labels" in train_set.features,
    )
    with _own_randomness():
        tuned = adapter.retarget(classes, image_size=options.image_size, seed=options.seed)
        plan = recipe(
            getattr(tuned.module, "config", None) and tuned.module.config.model_type, model.task
        )
        if options.lora is not None:
            plan = replace(plan, rate=RATE * plan.rate, backbone=1.0)
        main = "map" if classes.multi_label else MAIN_FIGURE[model.task]
        args = _arguments(options, plan, len(train_set), None if eval_set is None else main)
        settings = _settings(model, adapter, options, plan, train_set, eval_set)
        home = options.output_dir
        state = processes()
        if state.is_main_process:
            _claim(home, settings, options.resume)
        state.wait_for_everyone()
        if (home / "report.json").is_file():
            restore(tuned, home)
            return _model(model, tuned, home, read(home))
        report = _train(model, tuned, plan, options, args, main, train_set, eval_set, settings)
    return _model(model, tuned, home, report)


# --- before anything is trained -------------------------------------------------------------------


def _check_model(model: Model, adapter: Adapter) -> None:
    if model.task in MAIN_FIGURE and type(adapter).retarget is not Adapter.retarget:
        return
    task = registry.get("tasks", model.task)()
    verbs = "predict and be evaluated" if has_figures(task) else "predict"
    labelled = f" --task {task.result.task}" if task.result.task in MAIN_FIGURE else ""
    raise UnsupportedModelError(
        f"{model.name} ({model.task}) cannot be fine-tuned.",
        f"It can {verbs}. To train, choose another model: pvzoo list{labelled} shows some.",
    )


def _check(options: Options) -> None:
    for name in ("epochs", "seed"):
        value = getattr(options, name)
        if not isinstance(value, int) or isinstance(value, bool) or value < (name == "epochs"):
            raise UsageError(f"{name} is {value!r}.", "It is a whole number.")
    size = options.batch_size
    if size != "auto" and (not isinstance(size, int) or isinstance(size, bool) or size < 1):
        raise UsageError(f"batch_size is {size!r}.", "It is 'auto' or a whole number from 1.")
    rank = options.lora
    if isinstance(rank, bool) or (isinstance(rank, int) and rank < 1):
        raise UsageError(f"lora is {rank!r}.", "It is a rank from 1, such as 16, or None.")
    if options.freeze not in (None, "backbone"):
        raise UsageError(f"freeze is {options.freeze!r}.", "It is 'backbone' or None.")
    if isinstance(options.learning_rate, Mapping) and set(options.learning_rate) != {
        "backbone",
        "rest",
    }:
        raise UsageError(
            f"learning_rate has the keys {sorted(options.learning_rate)}.",
            "It is a number, or a dict with 'backbone' and 'rest'.",
        )


def _datasets(train: Any, evaluation: Any, task: str) -> tuple[Dataset, Dataset | None]:
    """The two datasets; those of one source with splits if no second is given."""
    data = load(train, task)
    if isinstance(data, Mapping):
        if "train" not in data and len(data) > 1:
            raise DataError(
                f"The data has the splits {', '.join(data)}, none called train.",
                "Pass the one to train on.",
            )
        chosen = data["train"] if "train" in data else next(iter(data.values()))
        if evaluation is None:
            evaluation = data.get("validation")
        data = chosen
    if evaluation is not None:
        evaluation = load(evaluation, task)
        if isinstance(evaluation, Mapping):
            known = [n for n in ("validation", "test") if n in evaluation] or list(evaluation)
            evaluation = evaluation[known[0]]
    return data, evaluation


def _check_data(train_set: Dataset, eval_set: Dataset | None, task: str) -> None:
    """Stop on errors in the data, and say what else is odd about it; in one process only."""
    if not processes().is_main_process:
        return
    from datasets import DatasetDict

    splits = {"train": train_set} | ({"validation": eval_set} if eval_set is not None else {})
    report = check(DatasetDict(splits), task)
    report.raise_for_errors()
    for finding in report.warnings:
        where = "; ".join(finding.where)
        warnings.warn(f"{finding.what} ({where}) {finding.mend}", PvzooWarning, stacklevel=4)


def _kept(adapter: Adapter, names: tuple[str, ...]) -> tuple[int | None, ...]:
    """For each class of the data the class of the model that has its name."""
    try:
        to_data = LabelMatch.of(adapter.labels, names).to_data
    except DataError:  # they have none in common
        return (None,) * len(names)
    found = {j: i for i, j in enumerate(to_data) if j >= 0}
    return tuple(found.get(j) for j in range(len(names)))


def _stuff(train_set: Dataset) -> tuple[str, ...]:
    """The classes of a panoptic dataset that are stuff."""
    segments = train_set.features.get("segments")
    if not isinstance(segments, dict) or "isthing" not in segments:
        return ()
    names = class_names(train_set.features)
    found = set()
    for row in train_set.select_columns(["segments"]):
        part = row["segments"]
        found |= {
            c for c, thing in zip(part["category"], part["isthing"], strict=True) if not thing
        }
    return tuple(names[c] for c in sorted(found) if c >= 0)


def _settings(
    model: Model,
    adapter: Adapter,
    options: Options,
    plan: Recipe,
    train_set: Dataset,
    eval_set: Dataset | None,
) -> dict[str, Any]:
    """What the weights at the end depend on, as JSON has it."""
    augment = options.augment
    settings = {
        "model": model.name,
        "task": model.task,
        "weights": identity.of_weights(adapter.module),
        "train": {"images": len(train_set), "sha256": identity.of_data(train_set)},
        "classes": list(class_names(train_set.features)),
        "recipe": asdict(plan),
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "freeze": options.freeze,
        "augment": augment if isinstance(augment, bool) else _name_of(augment),
        "image_size": options.image_size,
        "early_stopping": options.early_stopping,
        "lora": options.lora,
        "seed": options.seed,
        "trainer_args": dict(options.trainer_args),
        "processes": processes().num_processes,
    }
    if eval_set is not None:
        settings["eval"] = {"images": len(eval_set), "sha256": identity.of_data(eval_set)}
    return json.loads(json.dumps(settings, default=str))


def _name_of(function: Any) -> str:
    kind = function if hasattr(function, "__qualname__") else type(function)
    return f"{kind.__module__}.{kind.__qualname__}"


def _claim(home: Path, settings: dict[str, Any], resume: bool) -> None:
    """Make the folder this run's own; one that holds another run or other files is refused."""
    file = home / SETTINGS
    if not file.is_file():
        if home.exists() and any(home.iterdir()):
            raise TrainingError(f"{home} is not empty, and holds no run.", "Choose a new folder.")
        home.mkdir(parents=True, exist_ok=True)
        _write_settings(file, settings)
        return
    if not checkpoints.steps(home) and not (home / "report.json").is_file():
        _write_settings(file, settings)  # it stopped before there was anything to go on with
        return
    there = json.loads(file.read_text(encoding="utf-8"))
    other = sorted(k for k in settings.keys() | there.keys() if settings.get(k) != there.get(k))
    if other:
        said = "; ".join(
            f"{k} was {_short(there.get(k))}, now {_short(settings.get(k))}" for k in other
        )
        raise TrainingError(
            f"{home} belongs to another run: {said}.",
            "Choose another output_dir, or make the same call to go on with that run.",
        )
    if not resume:
        raise TrainingError(
            f"{home} holds this run already, and resume=False.",
            "Choose a new output_dir, or remove the folder.",
        )


def _write_settings(file: Path, settings: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    part.rename(file)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


# --- training -------------------------------------------------------------------------------------


def _train(
    model: Model,
    tuned: Adapter,
    plan: Recipe,
    options: Options,
    args: TrainingArguments,
    main: str,
    train_set: Dataset,
    eval_set: Dataset | None,
    settings: dict[str, Any],
) -> TrainingReport:
    state, home = processes(), options.output_dir
    tuned.module.to(state.device, torch.float32)  # AdamW needs it; autocast is bf16=True
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
    rates = _rates(options.learning_rate, plan)
    frozen = [n for n, _ in tuned.module.named_parameters() if n.startswith(tuned.backbone)]
    frozen = set(frozen) if options.freeze == "backbone" else set()
    low_rank = None
    if options.lora is not None:
        low_rank = LowRank(tuned, options.lora, skipped=frozen, seed=options.seed)
        frozen = low_rank.frozen
    groups = parameter_groups(tuned, rates, plan.decay, frozen)
    average = None
    if plan.average is not None:
        steps = options.epochs * math.ceil(len(samples) / (batch_size * state.num_processes))
        # the authors' decay looks back over thousands of steps, more than a short run has
        decay = min(plan.average, 1 - AVERAGED_PARTS / max(steps, 2 * AVERAGED_PARTS))
        average = Average(tuned.module, decay=decay, warm_up=max(1, min(2000, steps // 10)))
    shown = _model(model, tuned, home, None)

    def measure() -> dict[str, float]:
        return dict(shown.evaluate(eval_set, batch_size=batch_size))

    step: Any = tuned
    trained = [n for n, p in tuned.module.named_parameters() if p.requires_grad]
    head = head_of(tuned.module, trained) if frozen and low_rank is None else None
    if (
        head is not None
        and transform is False
        and model.task == CLASSIFICATION
        and state.num_processes == 1  # only the whole network is Accelerate's to synchronise
    ):
        samples, step = Features(tuned, head, samples, batch_size), HeadTraining(head)
    trainer = FineTuner(
        adapter=tuned,
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
        tuned.save(home)
        open_to_others(home.glob("*.safetensors"))
        report.write()
    state.wait_for_everyone()
    return report


def _arguments(options: Options, plan: Recipe, images: int, main: str | None) -> TrainingArguments:
    """Trainer's; `main` is the figure that the best weights are chosen by, if there is one."""
    state = processes()
    on_cpu = state.device.type == "cpu"
    batch_size = options.batch_size
    if batch_size == "auto":
        batch_size = CPU_BATCH if on_cpu else FIRST_BATCH_SIZE
    per_epoch = math.ceil(images / (batch_size * state.num_processes))
    arguments = {
        "output_dir": str(options.output_dir),
        "num_train_epochs": options.epochs,
        "per_device_train_batch_size": batch_size,
        "auto_find_batch_size": options.batch_size == "auto" and not on_cpu,
        "learning_rate": _rates(options.learning_rate, plan)["rest"],
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
        **options.trainer_args,
    }
    try:
        return TrainingArguments(**arguments)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"trainer_args {dict(options.trainer_args)} cannot be used ({error}).",
            "See transformers.TrainingArguments.",
        ) from error


def _rates(given: float | Mapping[str, float] | None, plan: Recipe) -> dict[str, float]:
    if isinstance(given, Mapping):
        return dict(given)
    rest = plan.rate if given is None else given
    return {"rest": rest, "backbone": rest * plan.backbone}


def parameter_groups(
    adapter: Adapter, rates: Mapping[str, float], decay: float, frozen: set[str]
) -> list[dict[str, Any]]:
    """AdamW's groups: backbone and rest, each with and without weight decay; `frozen` in none."""
    module = adapter.module
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
        if name not in frozen:
            key = (name.startswith(adapter.backbone), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "lr": rates["backbone" if backbone else "rest"],
            "weight_decay": decay if with_decay else 0.0,
        }
        for (backbone, with_decay), parameters in sorted(groups.items(), key=lambda g: g[0])
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


def _model(model: Model, tuned: Adapter, home: Path, report: TrainingReport | None) -> Model:
    """The tuned network with the verbs of a model."""
    from pvzoo.backends.torch import TorchBackend
    from pvzoo.model import Model

    return Model(
        name=str(home),
        adapter=tuned,
        backend=TorchBackend(tuned, device=model.device, device_map=None),
        task=type(model._task)(),
        card=None,
        report=report,
    )


@contextmanager
def _own_randomness() -> Iterator[None]:
    """The caller's random generators are afterwards as they were."""
    before = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        yield
    random.setstate(before[0])
    np.random.set_state(before[1])
