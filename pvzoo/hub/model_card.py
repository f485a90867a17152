"""Write the model card of a published model: the README.md of its repo on the Hub."""

from __future__ import annotations

import re
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.catalog.catalogue import catalogue
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, EvalResultEntry

    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport

_FIGURES = 12
"""Most metrics in the table of a card."""


def model_card(
    network: Network,
    name: str,
    task: str,
    report: TrainingReport | None,
    *,
    loaded: str,
    license: str | None = None,
    image: str | None = None,
) -> str:
    """A model card: the Hub's front matter, the kind of model, its training and its use.

    Args:
        network: The network of the model.
        name: The folder's name or Hub id that the card is for.
        task: The id of the model's task.
        report: The report of its fine-tuning, if it was fine-tuned.
        loaded: The name by which the model, or the one it was tuned from, was loaded.
        license: The licence of the weights; None takes that of the catalogue's card, if there is
            one.
        image: The file name of an image of predictions beside the card.
    """
    from huggingface_hub import ModelCardData

    base = report.settings["model"] if report else loaded
    known = catalogue().find(base) or (catalogue().of_repo(base) if is_hub_id(base) else None)
    data = ModelCardData(
        license=license or (known.license if known else None),
        base_model=base if is_hub_id(base) else (known.source.hub if known else None),
        datasets=sorted({d for d in report.data.values() if is_hub_id(d)}) if report else None,
        pipeline_tag=hub_tag(task),
        library_name=network.library,
        tags=["pvzoo", task],
        model_name=name.rpartition("/")[2],
        eval_results=_measured(report, task) or None,
    )
    labels = [label for label in network.spec.labels if label]
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        f"A network for {task}"
        + (f" with {len(labels)} classes: {_few(labels)}." if labels else "."),
    ]
    if image is not None:
        parts.append(f"![Predictions for some images of the data]({image})")
    if report is not None:
        parts.append(_trained(report))
    parts += [
        "## Use",
        f'```python\nimport pvzoo\n\nmodel = pvzoo.load("{name}")\n'
        'result = model.predict("photo.jpg")\n```',
    ]
    if snippet := network.snippet(name):
        parts.append(f"It also opens without pvzoo:\n\n```python\n{snippet}\n```")
    return "\n\n".join(parts) + "\n"


def hub_tag(task: str) -> str:
    """The tag by which the Hub knows a task."""
    return str(registry.get("tasks", task).hub_tag or task)


def is_hub_id(name: str) -> bool:
    """Whether a name has the form ``owner/name`` of the Hub and is not a folder."""
    return bool(re.fullmatch(r"[\w.-]+/[\w.-]+", name)) and not Path(name).exists()


def eval_entries(report: TrainingReport, task: str) -> list[EvalResultEntry]:
    """The main metrics for ``.eval_results/``, if they were measured on a data set of the Hub."""
    from huggingface_hub import EvalResultEntry

    data = _measured_on(report)
    if data is None or not is_hub_id(data):
        return []
    main = registry.get("tasks", task).main_metric
    return [
        EvalResultEntry(dataset_id=data, task_id=hub_tag(task), value=value, notes=metric)
        for metric, value in _finite(report)
        if metric == main
    ]


def _measured_on(report: TrainingReport) -> str | None:
    """The name of the data that the metrics were measured on, if it has one."""
    return report.data.get("eval", report.data.get("train")) if report.metrics else None


def _measured(report: TrainingReport | None, task: str) -> list[EvalResult]:
    """The metrics for the Hub's ``model-index``."""
    from huggingface_hub import EvalResult

    if report is None or not report.metrics:
        return []
    data = _measured_on(report)
    if data is not None and is_hub_id(data):
        kind, shown = data, data
    else:
        kind, shown = "imagefolder", Path(data).name if data else "labelled images"
    return [
        EvalResult(
            task_type=hub_tag(task),
            dataset_type=kind,
            dataset_name=shown,
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in _finite(report)
    ]


def _finite(report: TrainingReport) -> list[tuple[str, float]]:
    return [(k, v) for k, v in list(report.metrics.items())[:_FIGURES] if isfinite(v)]


def _trained(report: TrainingReport) -> str:
    settings = report.settings
    data = f"{settings['train']['images']} images"
    if "eval" in settings:
        data += f", measured on {settings['eval']['images']} others"
    rows = [f"| {k} | {v:.4f} |" for k, v in _finite(report)]
    lines = [
        "## Training",
        f"Fine-tuned from `{settings['model']}` with pvzoo on {data}.",
    ]
    if rows:
        lines.append("\n".join(["| metric | value |", "| --- | --- |", *rows]))
    listed = "\n".join(f"* {key}: {value}" for key, value in report.options.items())
    recipe = settings["recipe"]
    lines.append(f"{listed}\n* recipe: {recipe['source']}")
    return "\n\n".join(lines)


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:20])
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown
