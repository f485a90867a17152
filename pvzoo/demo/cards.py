"""Names and descriptions of models, for the page of a demo."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.catalog.cards import Card

if TYPE_CHECKING:
    from pvzoo.model import Model

_MOST = 50_000
"""Most characters of a model card that are shown: at worst they take a second to convert."""


def titles(names: Sequence[str]) -> dict[str, str]:
    """Short names of models: of a folder, only the end of its path that no other folder has."""
    found = {name: name for name in names}
    folders = {name: Path(name).resolve().parts for name in names if Path(name).is_dir()}
    for name, parts in folders.items():
        for count in range(1, len(parts) + 1):
            alike = [other for other in folders.values() if other[-count:] == parts[-count:]]
            if len(alike) == 1:
                found[name] = "/".join(parts[-count:])
                break
    return found


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
    """A loaded model as Markdown: its card, or the model card of its folder.

    Anybody can write a model card: `pvzoo.demo.markdown.harmless` makes it safe for a page.
    """
    return "\n\n".join(filter(None, [_about_weights(model), _about_thresholds(model)]))


def _about_thresholds(model: Model) -> str:
    """The thresholds of a model as Markdown; "" if it has none of its own."""
    if model.thresholds is None:
        return ""
    return "\n".join(f"* {heading}: {text}" for heading, text in model.thresholds.lines)


def _about_weights(model: Model) -> str:
    """What is known of a model without its thresholds."""
    if model.card is not None:
        return about(model.card)
    if text := _model_card(Path(model.name)):
        return text
    count = sum(map(bool, model.labels))
    classes = f", {count} classes" if count else ""
    size = f"{model.nbytes / 2**20:.1f} MB"
    name = titles([model.name])[model.name]
    return f"**{name}**: {model.task}{classes}, {size} of weights."


def _model_card(folder: Path) -> str:
    """The text of a folder's README.md without its front matter; "" if there is none."""
    file = folder / "README.md"
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8-sig", errors="replace") as lines:
        text = lines.read(_MOST + 1)
    if len(text) > _MOST:
        text = f"{text[:_MOST]}\n\n…"
    return re.sub(r"\A---\s*\n(.*?\n)??---\s*?(\n|\Z)", "", text, flags=re.DOTALL).strip()


def _size(card: Card) -> str:
    return f"{card.size_text} parameters" if card.params else "unknown"


def _weights(card: Card) -> str:
    if card.source.hub:
        return f"[{card.source.hub}](https://huggingface.co/{card.source.hub})"
    return f"the Python package {card.source.package}" if card.source.package else "a local folder"
