"""What a demo says of a model beside its answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.cards import Card

if TYPE_CHECKING:
    from pvzoo.model import Model


def title(name: str) -> str:
    """A model's name for people: of a folder its last part, not where it lies on the server."""
    return Path(name).name if Path(name).is_dir() else name


def about(card: Card) -> str:
    """A card as Markdown: licence, size, reported metrics with their source."""
    lines = [
        f"**{card.name}**. {card.summary}" if card.summary else f"**{card.name}**",
        "",
        f"* weights: {_weights(card)}",
        f"* size: {_size(card)}",
        f"* licence: {card.license_text}"
        + (f" ({card.license_note})" if card.license_note else ""),
        f"* trained on: {card.dataset or 'unknown'}",
    ]
    for metric in card.metrics:
        on = f" on {metric.dataset}" if metric.dataset else ""
        source = f" ({metric.source})" if metric.source else ", source unknown"
        lines.append(f"* reported: {metric.name} {metric.value:g}{on}{source}")
    return "\n".join(lines)


def about_model(model: Model) -> str:
    """The same of a loaded model, which need not be in a catalogue: its own model card then."""
    if model.card is not None:
        return about(model.card)
    readme = Path(model.name) / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        return text.split("\n---\n", 1)[1] if text.startswith("---\n") else text
    classes = sum(map(bool, model.labels))
    size = f"{model.nbytes / 2**20:.1f} MB"
    return f"**{title(model.name)}**: {model.task}, {classes} classes, {size} of weights."


def _size(card: Card) -> str:
    return f"{card.params / 1e6:.1f}M parameters" if card.params else "unknown"


def _weights(card: Card) -> str:
    if card.source.hub:
        return f"[{card.source.hub}](https://huggingface.co/{card.source.hub})"
    return f"the Python package {card.source.package}" if card.source.package else "a local folder"
