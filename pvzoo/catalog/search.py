"""Search the catalogue."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from pvzoo.catalog.cards import Card
from pvzoo.catalog.catalogue import catalogue
from pvzoo.display import ShownList, lines, table
from pvzoo.errors import UsageError, nearest
from pvzoo.plugins import registry


class Cards(ShownList[Card]):
    """The result of `list_models`: a list of cards, which a notebook shows as a table."""

    def __repr__(self) -> str:
        wide = max((len(card.name) for card in self[:_SHOWN]), default=0)
        shown = [f"{card.name:{wide}}  {card.task}, {card.size_text}" for card in self[:_SHOWN]]
        return lines(f"{len(self):,} model{'s' * (len(self) != 1)}", shown, len(self) - _SHOWN)

    def _repr_html_(self) -> str:
        headings = ("model", "task", "size", "licence", "reported")
        rows = [(c.name, c.task, c.size_text, c.license_text, c.reported) for c in self]
        return table(headings, rows)


_SHOWN = 10
"""How many cards a `repr` shows."""


def list_models(
    text: str | None = None,
    *,
    task: str | None = None,
    family: str | None = None,
    license: str | None = None,
    max_params: float | None = None,
    metric: str | None = None,
    min_metric: float | None = None,
    offline: bool = False,
) -> Cards:
    """The cards that meet all conditions, sorted by name; with `metric`, the best first.

    A card with an unknown fact does not meet a condition on that fact.

    Args:
        text: Words that the card's names, family, repo, dataset or summary must all contain.
        task: A task, such as "object-detection", or just "detection".
        family: A family of networks, such as "rt_detr".
        license: A licence that all statements about the weights name; "permissive" for any in
            `PERMISSIVE`, "unknown" for cards that state no licence.
        max_params: Most parameters, such as 50e6.
        metric: A metric the card must report, such as "AP".
        min_metric: The least value of `metric`.
        offline: Only models that load without the Hub: their configuration and weights are in an
            installed package, in a folder, or in the cache of `huggingface_hub`.

    Raises:
        UsageError: No card has the task, family, licence or metric; the message suggests the
            nearest.
    """
    cards = catalogue().cards
    if task is not None:
        task = registry.task_id(task, {c.task for c in cards})
    if family is not None:
        family = _known("family", family, {c.family for c in cards})
    if license is not None:
        stated = {"permissive", "unknown"}.union(*map(_licenses, cards))
        license = _known("licence", license, stated)
    if metric is not None:
        metric = _known("metric", metric, {m.name for c in cards for m in c.metrics})
    if min_metric is not None and metric is None:
        raise UsageError("min_metric needs metric.", "Name the metric, such as metric='AP'.")

    def best(card: Card) -> float:
        """The card's best figure of `metric`; -inf if it reports none."""
        return max((m.value for m in card.metrics if m.name == metric), default=-math.inf)

    least = -math.inf if min_metric is None else min_metric
    found = [
        card
        for card in cards
        if (task is None or card.task == task)
        and (family is None or card.family == family)
        and (license is None or _license_fits(card, license))
        and (max_params is None or (card.params is not None and card.params <= max_params))
        and (metric is None or -math.inf < best(card) >= least)
        and (text is None or all(w in _haystack(card) for w in text.lower().split()))
    ]
    if offline:
        from pvzoo.hub.download import is_here  # imports huggingface_hub

        found = [card for card in found if is_here(card.source, card.config)]
    found.sort(key=lambda c: (c.name, c.dist))
    return Cards(sorted(found, key=best, reverse=True) if metric else found)


def _known(what: str, value: str, known: Iterable[str | None]) -> str:
    """`value` in the spelling of `known`; case, '-', '_' and spaces do not matter."""
    folded = {_fold(k): k for k in sorted(filter(None, known))}
    if (found := folded.get(_fold(value))) is None:
        spellings = list(folded.values())
        hint = nearest(value.lower(), spellings) or f"Known: {', '.join(spellings)}."
        raise UsageError(f"No card has the {what} {value!r}.", hint)
    return found


def _fold(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _licenses(card: Card) -> set[str]:
    """The licences that a card states for its weights; empty if it states none."""
    return {name for name in (card.license, card.license_upstream) if name}


def _license_fits(card: Card, wanted: str) -> bool:
    if wanted == "permissive":
        return card.permissive
    return _licenses(card) == (set() if wanted == "unknown" else {wanted})


def _haystack(card: Card) -> str:
    parts = (card.name, *card.aliases, card.family, card.source.hub, card.dataset, card.summary)
    return " ".join(p for p in parts if p).lower()
