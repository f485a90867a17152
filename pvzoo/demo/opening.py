"""The example images of a page, and whether it opens with the result for the first one."""

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
"""Most parameters of a model that a page loads for its first image."""

_SHOWN = {
    "coffee": {"espresso", "cup"},
    "chelsea": {"cat"},
    "astronaut": {"person", "face"},
    "scene": {"cross", "heart"},
}
"""pvzoo's own images -> words in the names of classes that each shows."""


def own_examples(models: Sequence[Model]) -> list[Path]:
    """pvzoo's own images; those that show classes of the first model come first."""
    labels = models[0].labels if models else ()
    words = set(re.findall("[a-z]+", " ".join(labels).lower()))
    names = sorted(_SHOWN, key=lambda name: not _SHOWN[name] & words)
    return [EXAMPLES / f"{name}.jpg" for name in names]


def answers_at_once(tasks: Sequence[str], card: Card | None = None) -> bool:
    """Whether the page gets a result for an image without a prompt and without a long wait.

    Args:
        tasks: The tasks of all models that would predict.
        card: The card of the model that would have to be loaded first; None if there is none.
    """
    if card is not None:
        small = card.params is not None and card.params <= QUICK
        if not small or not is_here(card.source, card.config):
            return False
    return not any(map(_needs_prompt, tasks))


def within(image: Path, limits: Limits) -> bool:
    """Whether an image is within the limits."""
    try:
        read({"path": keep(image.read_bytes(), image.name)}, limits)
    except (ImageError, OSError):
        return False
    return True


def _needs_prompt(task: str) -> bool:
    try:
        registry.get("tasks", task).prompts()
    except (PvzooError, TypeError):  # TypeError: a field has no default
        return True
    return False
