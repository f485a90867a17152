"""The models that a server offers: loaded when they are needed, within a budget of memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pvzoo
from pvzoo.errors import ModelNotFoundError, PvzooError, UsageError, nearest
from pvzoo.serve.limits import Limits
from pvzoo.tasks.base import Task
from pvzoo.tasks.fixed import task_of
from pvzoo.web.model_cache import Shelf

if TYPE_CHECKING:
    from pvzoo.model import Model


@dataclass(frozen=True)
class Offer:
    """What is known of a model, also while it is not in memory.

    Attributes:
        name: Its name in addresses.
        task: Its task.
        labels: Its classes.
        fixed: Prompts that were fixed at export, so requests do not have them.
        card: What the server tells clients about it, ready for JSON.
        reference: How the images look that it was validated on, as its manifest has it: not
            checked; None if its export has none.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    fixed: frozenset[str]
    card: Mapping[str, Any]
    reference: Any


class Models:
    """Models by name. All are loaded once at the start, so that a wrong name or file shows then.

    Args:
        sources: For each name in addresses: a loaded model, or what `pvzoo.load` takes.
        limits: How much memory their weights may take.
        **how: Further arguments of `pvzoo.load`.

    Raises:
        UsageError: There is no model, or a name cannot be part of an address.
        PvzooError: A model cannot be loaded, or is larger than the budget.
    """

    def __init__(
        self, sources: Mapping[str, Model[Any] | str | Path], limits: Limits, **how: Any
    ) -> None:
        if not sources:
            raise UsageError("There is no model to serve.", "Name at least one.")
        for name in sources:
            if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", name):
                raise UsageError(
                    f"{name!r} cannot be part of an address.",
                    "Give the model a name of letters, digits, '-', '_' and '.': NAME=MODEL.",
                )
        self._sources = dict(sources)
        self._how = how
        self._shelf = Shelf((), [*sources], budget=limits.models, load=self._load)
        self.offers: dict[str, Offer] = {}
        for name in sources:
            try:
                model = self._shelf.get(name)
            except PvzooError as error:
                if isinstance(error.__cause__, PvzooError):  # which tells the operator more
                    raise error.__cause__ from None
                raise
            self.offers[name] = _offer(name, model)

    def offer(self, name: str) -> Offer:
        """What is known of a model.

        Raises:
            ModelNotFoundError: There is none of that name.
        """
        if name not in self.offers:
            known = ", ".join(list(self.offers)[:20])
            hint = nearest(name[:100], self.offers) or f"There is: {known}."
            raise ModelNotFoundError(f"There is no model {name[:100]!r} here.", hint)
        return self.offers[name]

    def get(self, name: str) -> Model[Any]:
        """The model, loaded if it is not in memory.

        Raises:
            PvzooError: It cannot be loaded.
        """
        return self._shelf.get(name)

    def is_loaded(self, name: str) -> bool:
        """Whether the model is in memory."""
        return self._shelf.is_loaded(name)

    def loaded(self, name: str) -> Model[Any] | None:
        """The model if it is in memory, without waiting."""
        return self._shelf.loaded(name)

    def _load(self, name: str) -> Model[Any]:
        source = self._sources[name]
        return pvzoo.load(source, **self._how) if isinstance(source, str | Path) else source


def names_of(models: list[str]) -> dict[str, str]:
    """The names in addresses of models on the command line: ``NAME=MODEL`` or ``MODEL``.

    Without a name, it is the last part of the folder or repo id.

    Raises:
        UsageError: Two models have one name.
    """
    found: dict[str, str] = {}
    for text in models:
        name, equals, source = text.partition("=")
        if not equals or "/" in name:
            source, name = text, re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
        if name in found:
            raise UsageError(
                f"Two models are called {name!r}.", f"Name one of them: other-name={source}."
            )
        found[name] = source
    return found


def _offer(name: str, model: Model[Any]) -> Offer:
    manifest = model.manifest
    card: dict[str, Any] = {
        "name": name,
        "task": model.task,
        "labels": [label for label in model.labels if label],
        "runtime": _runtime(model),
        "device": str(model.device),
        "precision": manifest.precision if manifest else str(model.dtype or ""),
        "bytes": model.nbytes,
        "license": (manifest.license if manifest else model.card and model.card.license) or None,
        "certificate": manifest.certificate if manifest else None,
    }
    spec = model.adapter.spec
    reference = manifest.reference if manifest else None
    return Offer(name, task_of(spec), model.labels, frozenset(spec.prompts), card, reference)


def _runtime(model: Model[Any]) -> str:
    from pvzoo.plugins import registry

    part = registry.part_of(type(model.runtime))
    return part.name if part else type(model.runtime).__name__
