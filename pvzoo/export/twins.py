"""Exports of default models: where they are stored, and when one is used instead of its original.

With such an export, ``pvzoo predict`` without a model answers in about a second, because it does
not import PyTorch. A plugin may ship exports of its models in the folder ``exports`` of its
package.
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
    """The folder for the export of a catalogue model, for this user."""
    from platformdirs import user_data_path

    return user_data_path("pvzoo") / "exports" / card.dist / card.name


def shipped_folder(card: Card) -> Path | None:
    """The folder in which a package ships the export of its model.

    Returns:
        The folder, which may not exist; None if the weights are not in an installed package.
    """
    package = card.source.package
    spec = find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "exports" / card.name


def twin_of(card: Card) -> Path | None:
    """The export to use instead of a model; None if there is none, or its runtime is missing.

    An export of other weights with the same name does not count.
    """
    for folder in (twin_folder(card), shipped_folder(card)):
        if folder is None or not manifest.is_in(folder):
            continue
        try:
            found = manifest.read(folder, card.name)
        except PvzooError:  # the original can be used instead
            continue
        same = found.source == card.name and found.spec.task == card.task
        if same and find_spec(found.runtime) is not None:
            return folder
    return None
