"""Cards: one catalogue entry each, read from TOML, checked, looked up and searched.

A catalogue file looks like this; `docs/catalog.md` explains every key::

    contract = 2

    [defaults]                                  # optional: the model a task uses when none is named
    image-classification = "my-classifier"

    [[models]]
    name = "my-classifier"
    task = "image-classification"
    adapter = "timm"
    source = { hub = "me/my-classifier" }       # or { package = ..., file = ..., sha256 = ... }
    license = "apache-2.0"                      # leave out what is not known

What is unknown is left out of the file and is None (or empty) on the card; nothing is guessed.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pvzoo import registry
from pvzoo.catalog import schema
from pvzoo.catalog.cache import forget, read_toml
from pvzoo.errors import (
    CatalogError,
    ModelNotFoundError,
    NameClashError,
    PvzooError,
    UsageError,
    nearest,
)
from pvzoo.installed import OWN, catalog_file

USER = "user"
"""The "distribution" of cards that come from the user's own catalogue files."""

# Licences of weights that allow any use, SPDX identifiers in lower case.
PERMISSIVE = frozenset(
    {
        "apache-2.0",
        "mit",
        "bsd-2-clause",
        "bsd-3-clause",
        "cc0-1.0",
        "isc",
        "unlicense",
        "cc-by-4.0",
    }
)


@dataclass(frozen=True)
class Metric:
    """One reported figure. ``source`` says who reported it and where it was read."""

    name: str
    value: float
    dataset: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Source:
    """Where weights come from; exactly one of ``hub``, ``package`` and ``path`` is set.

    Attributes:
        hub: A Hub repo id, at ``revision`` (branch, tag or commit; None is the default branch).
        package: The import name of an installed package; ``file`` is inside it, with ``sha256``.
        path: A folder on this machine.
        file: The weights file, relative to the repo, package or folder; None finds the usual ones.
        rename: (pattern, replacement) pairs, applied in order with `re.sub` to every tensor name.
    """

    hub: str | None = None
    revision: str | None = None
    package: str | None = None
    path: Path | None = None
    file: str | None = None
    sha256: str | None = None
    rename: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        if self.hub:
            return f"Hub repo {self.hub}" + (f" at {self.revision}" if self.revision else "")
        if self.package:
            return f"{self.file} in the Python package {self.package}"
        return f"folder {self.path}"


@dataclass(frozen=True)
class Card:
    """One model of the catalogue. None (or an empty tuple) means unknown.

    Attributes:
        params: Number of parameters.
        license: The licence tag where the weights are published (an SPDX identifier, lower case).
        license_upstream: What the authors say, where that differs from the tag.
        input_size: Default side of the network's input, in pixels.
        config: What a checkpoint's ``config.json`` would say, for weights that come without one.
        facts: Where the facts on this card were looked up.
        stuff: Names of the classes that are stuff, for panoptic models whose labels do not tell.
        dist: The distribution that brought the card.
    """

    name: str
    task: str
    adapter: str
    source: Source
    aliases: tuple[str, ...] = ()
    family: str | None = None
    params: int | None = None
    license: str | None = None
    license_upstream: str | None = None
    license_note: str | None = None
    dataset: str | None = None
    input_size: int | None = None
    metrics: tuple[Metric, ...] = ()
    summary: str | None = None
    facts: str | None = None
    stuff: tuple[str, ...] | None = None
    config: dict[str, Any] = field(default_factory=dict, hash=False)
    dist: str = USER

    @property
    def qualified_name(self) -> str:
        """``dist:name``, which means this card whatever else is installed."""
        return f"{self.dist}:{self.name}"

    @property
    def license_text(self) -> str:
        """The licence for people: the tag, what upstream says, or "unknown"."""
        tag = self.license or "unknown"
        return f"{tag} (upstream: {self.license_upstream})" if self.license_upstream else tag

    @property
    def reported(self) -> str:
        """The reported figures for people, such as "top1 80.1, top5 95"."""
        return ", ".join([f"{m.name} {m.value:g}" for m in self.metrics])

    @property
    def permissive(self) -> bool:
        """Whether the tag is a permissive licence, and upstream does not say otherwise."""
        return self.license in PERMISSIVE and self.license_upstream in (None, *PERMISSIVE)


# --- files ----------------------------------------------------------------------------------------


def _card(table: dict[str, Any], base: Path, dist: str) -> Card:
    """The card of a table that passed its check; `base` is where relative paths begin."""
    source = dict(table["source"])
    if "path" in source:
        source["path"] = base / os.path.expanduser(source["path"])
    if "rename" in source:
        source["rename"] = tuple((pattern, new) for pattern, new in source["rename"])
    values = {**table, "source": Source(**source), "dist": dist}
    for key in ("aliases", "stuff"):
        if key in values:
            values[key] = tuple(values[key])
    if "metrics" in values:
        values["metrics"] = tuple([Metric(**metric) for metric in table["metrics"]])
    return Card(**values)


@dataclass(frozen=True)
class CatalogFile:
    """What one ``catalog.toml`` holds."""

    cards: tuple[Card, ...]
    defaults: dict[str, str]


def read_catalog(file: Path, dist: str = USER) -> CatalogFile:
    """Read and check one catalogue file.

    Raises:
        CatalogError: It is missing, is not TOML or breaks the schema; the message names the file,
            the model and the key.
    """
    tables = read_toml(file)
    # a user may make anybody's model a default
    schema.check_catalog(tables, file, foreign_defaults=dist == USER)
    cards = tuple([_card(table, file.parent, dist) for table in tables.get("models", ())])
    return CatalogFile(cards, tables.get("defaults", {}))


# --- the catalogue --------------------------------------------------------------------------------


def user_files() -> list[Path]:
    """The user's own catalogues: those of ``PVZOO_CATALOG``, then the one in the config folder."""
    from platformdirs import user_config_path

    named = [
        Path(os.path.expanduser(p)).absolute()
        for p in os.environ.get("PVZOO_CATALOG", "").split(os.pathsep)
        if p
    ]
    for file in named:
        if not file.is_file():
            raise CatalogError(
                f"PVZOO_CATALOG names {file}, which is not a file.", "Mend or unset PVZOO_CATALOG."
            )
    standard = user_config_path("pvzoo", appauthor=False) / "catalog.toml"
    # os.path: a home that may not be looked into is one without a catalogue, not an error
    return [*named, *([standard] if os.path.isfile(standard) else [])]


class Catalogue:
    """All cards known here, from pvzoo, its plugins and the user's own files.

    Of two cards of one name from one distribution the first counts: so the files of PVZOO_CATALOG
    come before the one in the config folder.
    """

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self._taken: dict[str, set[str]] = {}  # the names of each distribution's cards
        self.defaults: list[tuple[str, dict[str, str]]] = []
        for file in user_files():
            self._add(USER, read_catalog(file, USER))
        for part in registry.parts("catalogs"):
            try:
                registry.require_contract(part.dist)
                read = read_catalog(catalog_file(part), part.dist)
            except PvzooError as error:  # this plugin is set aside; list_plugins says why
                registry.fail(part, error)
                continue
            registry.succeed(part, read)
            self._add(part.dist, read)

    @cached_property
    def _by_name(self) -> dict[str, list[Card]]:
        """The cards that each name and alias may mean."""
        found: dict[str, list[Card]] = {}
        for card in self.cards:
            for name in (card.name, *card.aliases):
                found.setdefault(name, []).append(card)
        return found

    def _add(self, dist: str, read: CatalogFile) -> None:
        taken = self._taken.setdefault(dist, set())
        self.cards += [card for card in read.cards if card.name not in taken]
        taken.update([card.name for card in read.cards])
        self.defaults.append((dist, read.defaults))

    def find(self, name: str) -> Card | None:
        """The card that a name, an alias or ``dist:name`` means; None if there is none.

        Capitals and underscores are forgiven: ``ResNet_50`` is ``resnet-50``.
        """
        dist, bare = registry.split_name(name)
        bare = bare.lower().replace("_", "-")
        cards = self._by_name.get(bare, [])
        if dist is not None:
            cards = [c for c in cards if c.dist == dist]
        return registry.pick("model", bare, ((c.dist, c) for c in cards))

    def of_repo(self, repo: str) -> Card | None:
        """The card whose weights are in a Hub repo; of several the user's, then pvzoo's own."""
        return next((c for c in self.cards if c.source.hub == repo), None)

    def not_found(self, name: str) -> PvzooError:
        """The error for a name that `find` does not know: the nearest names, or what hid it."""
        dist, bare = registry.split_name(name)
        failed = registry.failures("catalogs")
        if dist in failed:
            return failed[dist]
        if dist is not None and dist not in {c.dist for c in self.cards}:
            return ModelNotFoundError(
                f"No installed plugin {dist!r} brings models, so {name!r} names nothing.",
                "pvzoo plugins lists what is installed.",
            )
        hints = [
            nearest(bare.lower().replace("_", "-"), self._by_name),
            "A Hub repo is written owner/name, a folder ./name; pvzoo list shows the catalogue.",
        ]
        if failed:
            hints.append(
                f"The catalogues of {', '.join(sorted(failed))} could not be used; "
                "pvzoo plugins says why."
            )
        return ModelNotFoundError(f"No model is called {name!r}.", " ".join(filter(None, hints)))

    def claimed_from_pvzoo(self, dist: str) -> list[str]:
        """Names that `dist` gives to its cards although pvzoo's own catalogue has them."""
        return sorted(
            name for name, cards in self._by_name.items() if {OWN, dist} <= {c.dist for c in cards}
        )

    def default(self, task: str) -> Card:
        """The model a task uses when none is named: the user's choice, else a plugin's.

        Raises:
            ModelNotFoundError: Nobody names one.
            NameClashError: Two plugins do, and the user does not.
        """
        named = [(dist, defaults[task]) for dist, defaults in self.defaults if task in defaults]
        for dist, name in named:
            if dist in (USER, OWN):  # the user's files come first, then pvzoo's own
                card = self.find(name)
                if card is None:
                    raise self.not_found(name)
                return card
        if len(named) > 1:
            raise NameClashError(
                f"No model was named, and {' and '.join(d for d, _ in named)} each bring a default "
                f"for {task}.",
                "Name one, or choose in [defaults] of your own catalogue file.",
            )
        if named:
            dist, name = named[0]
            return next(c for c in self._by_name[name] if c.dist == dist)
        raise ModelNotFoundError(
            f"No model was named, and no default for {task} is installed.",
            "Name one; pvzoo list shows them."
            + (
                " Or install one that needs no download: pip install pvzoo-efficientnet-lite"
                if task == "image-classification"
                else ""
            ),
        )


@cache
def catalogue() -> Catalogue:
    """The catalogue of this process; `refresh` has it read anew."""
    return Catalogue()


def refresh() -> None:
    """Forget what is installed and its catalogues: a plugin installed a moment ago is seen."""
    registry.forget()
    catalogue.cache_clear()
    forget()


def list_models(
    text: str | None = None,
    *,
    task: str | None = None,
    family: str | None = None,
    license: str | None = None,
    max_params: float | None = None,
    metric: str | None = None,
    min_metric: float | None = None,
) -> list[Card]:
    """The cards that fit every condition given, by name; with `metric`, best first.

    A card whose fact is unknown never passes a condition on that fact.

    Args:
        text: Words that must all occur in the card's names, family, repo, dataset or summary.
        task: A task id, such as "object-detection".
        family: A family of networks, such as "rt_detr".
        license: A licence every statement about the weights agrees with; "permissive" for any in
            `PERMISSIVE`, "unknown" for cards that state none.
        max_params: Most parameters, such as 50e6.
        metric: A metric the card must report, such as "AP".
        min_metric: The least value of `metric`.

    Raises:
        UsageError: A task, family, licence or metric that no card has; it names the nearest.
    """
    cards = catalogue().cards
    if task is not None:
        task = _known("task", task, {c.task for c in cards} | set(registry.names("tasks")))
    if family is not None:
        family = _known("family", family, {c.family for c in cards})
    if license is not None:
        stated = {"permissive", "unknown"}.union(*map(_licenses, cards))
        license = _known("licence", license, stated)
    if metric is not None:
        metric = _known("metric", metric, {m.name for c in cards for m in c.metrics})
    if min_metric is not None and metric is None:
        raise UsageError("min_metric needs metric.", "Say which one, such as metric='AP'.")

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
    found.sort(key=lambda c: (c.name, c.dist))
    return sorted(found, key=best, reverse=True) if metric else found


def _known(what: str, value: str, known: Iterable[str | None]) -> str:
    """`value` in the spelling of `known`, compared without capitals, '-', '_' and spaces."""
    folded = {_fold(k): k for k in sorted(filter(None, known))}
    if (found := folded.get(_fold(value))) is None:
        spellings = list(folded.values())
        hint = nearest(value.lower(), spellings) or f"Known: {', '.join(spellings)}."
        raise UsageError(f"No card has the {what} {value!r}.", hint)
    return found


def _fold(name: str) -> str:
    return re.sub(r"[-_ ]", "", name.lower())


def _licenses(card: Card) -> set[str]:
    """The licences stated for a card's weights; empty if none is."""
    return {name for name in (card.license, card.license_upstream) if name}


def _license_fits(card: Card, wanted: str) -> bool:
    if wanted == "permissive":
        return card.permissive
    return _licenses(card) == (set() if wanted == "unknown" else {wanted})


def _haystack(card: Card) -> str:
    parts = (card.name, *card.aliases, card.family, card.source.hub, card.dataset, card.summary)
    return " ".join(p for p in parts if p).lower()


def info(name: str) -> Card:
    """The card of a catalogue name, an alias, ``dist:name`` or a Hub repo of the catalogue.

    Raises:
        ModelNotFoundError: No card has that name; the message has the nearest ones.
        NameClashError: Two plugins give a card that name.
        PluginError: The plugin named before the colon could not be used.
    """
    card = catalogue().of_repo(name) if "/" in name else catalogue().find(name)
    if card is None:
        raise catalogue().not_found(name)
    return card
