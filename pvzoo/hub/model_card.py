"""Write the model card of a published model: the README.md of its repo on the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport

_FIGURES = 12
"""Most metrics in the table of a card."""


def model_card(network: Network, name: str, task: str, report: TrainingReport | None) -> str:
    """A model card: the Hub's front matter, the kind of model, its training and its use."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(
        pipeline_tag=registry.get("tasks", task).hub_tag or task,
        library_name=network.library,
        tags=["pvzoo", task],
    )
    labels = [label for label in network.spec.labels if label]
    parts = [
        f"---\n{data.to_yaml()}\n---",
        f"# {name}",
        f"A network for {task}"
        + (f" with {len(labels)} classes: {_few(labels)}." if labels else "."),
    ]
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


def _trained(report: TrainingReport) -> str:
    settings = report.settings
    data = f"{settings['train']['images']} images"
    if "eval" in settings:
        data += f", measured on {settings['eval']['images']} others"
    rows = [f"| {k} | {v:.4f} |" for k, v in list(report.metrics.items())[:_FIGURES] if v == v]
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
