"""The catalogue: all cards that are known here, and the card that a name means."""

from __future__ import annotations

from functools import cache, cached_property

from pvzoo.catalog.cache import forget
from pvzoo.catalog.cards import USER, Card
from pvzoo.catalog.files import CatalogFile, read_catalog, user_files
from pvzoo.errors import ModelNotFoundError, NameClashError, PvzooError, nearest
from pvzoo.plugins import registry
from pvzoo.plugins.installed import OWN, catalog_file


class Catalogue:
    """All cards of pvzoo, its plugins and the user's own files.

    If a distribution has two cards of the same name, the first one counts. So the files of
    PVZOO_CATALOG take precedence over the file in the config folder.
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
            except PvzooError as error:  # this plugin is skipped; list_plugins says why
                registry.fail(part, error)
                continue
            registry.succeed(part, read)
            self._add(part.dist, read)

    @cached_property
    def _by_name(self) -> dict[str, list[Card]]:
        """Each name and alias -> the cards that it may mean."""
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

        Case does not matter, and "_" counts as "-": ``ResNet_50`` is ``resnet-50``.
        """
        dist, bare = registry.split_name(name)
        bare = bare.lower().replace("_", "-")
        cards = self._by_name.get(bare, [])
        if dist is not None:
            cards = [c for c in cards if c.dist == dist]
        return registry.pick("model", bare, ((c.dist, c) for c in cards))

    def of_repo(self, repo: str) -> Card | None:
        """The card with weights in a Hub repo; of several the user's comes first, then pvzoo's."""
        return next((c for c in self.cards if c.source.hub == repo), None)

    def not_found(self, name: str) -> PvzooError:
        """The error for a name that `find` does not know, with similar names or a failed plugin."""
        dist, bare = registry.split_name(name)
        failed = registry.failures("catalogs")
        if dist in failed:
            return failed[dist]
        if dist is not None and dist not in {c.dist for c in self.cards}:
            return ModelNotFoundError(
                f"No installed plugin {dist!r} has models, so there is no model {name!r}.",
                "pvzoo plugins lists what is installed.",
            )
        hints = [
            nearest(bare.lower().replace("_", "-"), self._by_name),
            "Write a Hub repo as owner/name, a folder as ./name; pvzoo list shows the catalogue.",
        ]
        if failed:
            hints.append(
                f"The catalogues of {', '.join(sorted(failed))} could not be used; "
                "pvzoo plugins says why."
            )
        return ModelNotFoundError(f"No model is called {name!r}.", " ".join(filter(None, hints)))

    def claimed_from_pvzoo(self, dist: str) -> list[str]:
        """Names of cards of `dist` that pvzoo's own catalogue uses too."""
        return sorted(
            name for name, cards in self._by_name.items() if {OWN, dist} <= {c.dist for c in cards}
        )

    def default(self, task: str) -> Card:
        """The model that a task uses by default: the user's, else pvzoo's, else a plugin's.

        Raises:
            ModelNotFoundError: No catalogue has a default for the task.
            NameClashError: Several plugins have one, and neither the user nor pvzoo has one.
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
                f"No model was named, and {' and '.join(d for d, _ in named)} each have a default "
                f"for {task}.",
                "Name a model, or set a default in [defaults] of your own catalogue file.",
            )
        if named:
            dist, name = named[0]
            return next(c for c in self._by_name[name] if c.dist == dist)
        raise ModelNotFoundError(
            f"No model was named, and no installed catalogue has a default for {task}.",
            "Name a model; pvzoo list shows them."
            + (
                " Or install one that needs no download: pip install pvzoo-efficientnet-lite"
                if task == "image-classification"
                else ""
            ),
        )


@cache
def catalogue() -> Catalogue:
    """The catalogue of this process; after `refresh` it is read again."""
    return Catalogue()


def refresh() -> None:
    """Forget the installed plugins and their catalogues, so that new plugins are found."""
    registry.forget()
    catalogue.cache_clear()
    forget()


def info(name: str) -> Card:
    """The card of a catalogue name, an alias, ``dist:name`` or a Hub repo of the catalogue.

    Raises:
        ModelNotFoundError: No card has that name; the message suggests similar names.
        NameClashError: Two plugins give a card that name.
        PluginError: The plugin named before the colon could not be used.
    """
    card = catalogue().of_repo(name) if "/" in name else catalogue().find(name)
    if card is None:
        raise catalogue().not_found(name)
    return card
