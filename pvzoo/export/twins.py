"""Exports of default models: where they are kept, and when one stands in for its original.

``pvzoo predict`` without a model then answers in about a second, for PyTorch need not be imported.
A plugin may ship the exports of its models, in the folder ``exports`` of its package.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.catalog.cards import Card
from pvzoo.errors import PvzooError
from pvzoo.export import manifest

if TYPE_CHECKING:
    pass


def twin_folder(card: Card) -> Path:
    """Where the export of a catalogue's model is kept for this user."""
    from platformdirs import user_data_path

    return user_data_path("pvzoo") / "exports" / card.dist / card.name


def shipped_folder(card: Card) -> Path | None:
    """Where the package that has the weights of a model would ship its export."""
    package = card.source.package
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "exports" / card.name


def twin_of(card: Card) -> Path | None:
    """The export that stands in for a model; None if there is none, or nothing here runs it.

    One that was made of other weights of the same name does not count.
    """
    for folder in (twin_folder(card), shipped_folder(card)):
        if folder is None or not manifest.is_in(folder):
            continue
        try:
            found = manifest.read(folder, card.name)
        except PvzooError:  # the original answers too
            continue
        same = found.source == card.name and found.spec.task == card.task
        if same and find_spec(found.runtime) is not None:
            return folder
    return None
