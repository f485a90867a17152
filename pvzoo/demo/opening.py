"""The images that a page offers, and whether it opens with the first of them answered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.demo import EXAMPLES
from pvzoo.demo.client_images import keep, read
from pvzoo.demo.limits import Limits
from pvzoo.errors import ImageError, PvzooError
from pvzoo.hub.download import is_here
from pvzoo.plugins import registry

if TYPE_CHECKING:
    from pvzoo.catalog.cards import Card
    from pvzoo.model import Model

QUICK = 50e6
"""Most parameters of a model that is loaded for the sake of the first image."""

_SHOWN = {
    "coffee": {"espresso", "cup"},
    "chelsea": {"cat"},
    "astronaut": {"person", "face"},
    "scene": {"cross", "heart"},
}
"""pvzoo's own images, each with words for what it shows."""


def own_examples(models: Sequence[Model]) -> list[Path]:
    """pvzoo's own images, first those that show something of the first model's classes."""
    labels = models[0].labels if models else ()
    words = set(re.findall("[a-z]+", " ".join(labels).lower()))
    names = sorted(_SHOWN, key=lambda name: not _SHOWN[name] & words)
    return [EXAMPLES / f"{name}.jpg" for name in names]


def answers_at_once(tasks: Sequence[str], card: Card | None = None) -> bool:
    """Whether an image is answered without a prompt and without a long wait.

    Args:
        tasks: Those of all models that would answer.
        card: Of the one model that would have to be loaded first.
    """
    if card is not None:
        small = card.params is not None and card.params <= QUICK
        if not small or not is_here(card.source, card.config):
            return False
    return not any(map(_needs_prompt, tasks))


def within(image: Path, limits: Limits) -> bool:
    """Whether a page may show this image."""
    try:
        read({"path": keep(image.read_bytes(), image.name)}, limits)
    except (ImageError, OSError):
        return False
    return True


def _needs_prompt(task: str) -> bool:
    try:
        registry.get("tasks", task).prompts()
    except (PvzooError, TypeError):  # the second: a field without a default
        return True
    return False
