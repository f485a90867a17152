"""Exports of default models: where they are kept, and when one stands in for its original.

``pvzoo predict`` without a model then answers in about a second, for PyTorch need not be imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from pvzoo.catalog.cards import Card
from pvzoo.errors import PvzooError
from pvzoo.export import manifest


def twin_folder(card: Card) -> Path:
    """Where the export of a catalogue's model is kept for this user."""
    from platformdirs import user_data_path

    return user_data_path("pvzoo") / "exports" / card.dist / card.name


def twin_of(card: Card) -> Path | None:
    """The export that stands in for a model; None if there is none, or nothing here runs it.

    One that was made of other weights of the same name does not count.
    """
    folder = twin_folder(card)
    if not manifest.is_in(folder):
        return None
    try:
        found = manifest.read(folder, card.name)
    except PvzooError:  # the original answers too
        return None
    same = found.source == card.name and found.spec.task == card.task
    return folder if same and find_spec(found.runtime) is not None else None
