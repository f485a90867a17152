"""Find out which run a folder belongs to, by the content of its data and weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageColumn

from pvzoo.data.schema import class_names
from pvzoo.errors import TrainingError
from pvzoo.families.recipes import Recipe
from pvzoo.inputs.images import ImageHandle
from pvzoo.networks.base import Network
from pvzoo.processes import joined
from pvzoo.training import checkpoints
from pvzoo.training.files import read_object
from pvzoo.training.options import DECIDING, Options

SETTINGS = "run.json"


def of_data(dataset: Dataset) -> str:
    """A digest of the labels and the encoded images; it does not depend on where the files are."""
    digest = hashlib.sha256(repr(dataset.features).encode())
    images = [n for n, f in dataset.features.items() if isinstance(f, ImageColumn)]
    for name in images:
        dataset = dataset.cast_column(name, ImageColumn(decode=False))
    for row in dataset.with_format(None):
        for name in images:
            data = ImageHandle.of(row.pop(name)).data
            digest.update(data if isinstance(data, bytes) else data.read_bytes())
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def of_weights(module: Any) -> str:
    """A digest of a network's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def settings_of(
    name: str,
    task: str,
    network: Network,
    options: Options,
    plan: Recipe,
    train_set: Dataset,
    eval_set: Dataset | None,
) -> dict[str, Any]:
    """Everything that the final weights depend on, as values for JSON.

    `name`, `task` and `network` are those of the model before training.
    """
    settings = {
        "model": name,
        "task": task,
        "weights": of_weights(network.module),
        "train": {"images": len(train_set), "sha256": of_data(train_set)},
        "classes": list(class_names(train_set.features)),
        "recipe": asdict(plan),
        **{option: getattr(options, option) for option in DECIDING},
        "trainer_args": options.trainer_args or {},
        "processes": joined().num_processes,
    }
    if eval_set is not None:
        settings["eval"] = {"images": len(eval_set), "sha256": of_data(eval_set)}
    plain: dict[str, Any] = json.loads(json.dumps(settings, default=_plain))
    return plain


def claim(home: Path, settings: dict[str, Any], resume: bool) -> None:
    """Mark a folder as this run's.

    Raises:
        TrainingError: The folder holds another run or other files, or this run and `resume` is
            False.
    """
    file = home / SETTINGS
    if not file.is_file():
        if home.exists() and any(home.iterdir()):
            raise TrainingError(
                f"output_dir {home} is not empty and does not hold a run.", "Choose a new folder."
            )
        home.mkdir(parents=True, exist_ok=True)
        _write_settings(file, settings)
        return
    if not checkpoints.steps(home) and not (home / "report.json").is_file():
        _write_settings(file, settings)  # that run stopped before its first checkpoint
        return
    there = read_object(file)
    other = sorted(k for k in settings.keys() | there.keys() if settings.get(k) != there.get(k))
    if other:
        changes = "; ".join(
            f"{k} was {_short(there.get(k))}, now {_short(settings.get(k))}" for k in other
        )
        raise TrainingError(
            f"{home} belongs to another run: {changes}.",
            "Choose another output_dir, or repeat the earlier call to continue that run.",
        )
    if not resume:
        raise TrainingError(
            f"{home} already holds this run, and resume is False.",
            "Choose a new output_dir, or remove the folder.",
        )


def _write_settings(file: Path, settings: dict[str, Any]) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    part.rename(file)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _plain(value: Any) -> Any:
    """A value for JSON in place of an option's value; for a function, its name."""
    if isinstance(value, Mapping):
        return dict(value)
    if not callable(value):
        return str(value)
    kind = value if hasattr(value, "__qualname__") else type(value)
    return f"{kind.__module__}.{kind.__qualname__}"
