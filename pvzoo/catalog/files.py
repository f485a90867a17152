"""Read catalogue files: cards in TOML, of plugins and of the user.

A file looks like this; `docs/catalog.md` explains every key::

    contract = 2

    [defaults]                                  # optional: the default model of a task
    image-classification = "my-classifier"

    [[models]]
    name = "my-classifier"
    task = "image-classification"
    adapter = "timm"
    source = { hub = "me/my-classifier" }       # or { package = ..., file = ..., sha256 = ... }
    license = "apache-2.0"                      # leave out what is not known
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvzoo.catalog import schema
from pvzoo.catalog.cache import read_toml
from pvzoo.catalog.cards import USER, Card, CardMetric, WeightsSource
from pvzoo.errors import CatalogError


@dataclass(frozen=True)
class CatalogFile:
    """The content of one ``catalog.toml``."""

    cards: tuple[Card, ...]
    defaults: dict[str, str]


def read_catalog(file: Path, dist: str = USER) -> CatalogFile:
    """Read and check one catalogue file.

    Raises:
        CatalogError: It is missing, is not TOML or breaks the schema; the message names the file,
            the model and the key.
    """
    tables = read_toml(file)
    # a user may choose the model of any catalogue as a default
    schema.check_catalog(tables, file, foreign_defaults=dist == USER)
    cards = tuple([_card(table, file.parent, dist) for table in tables.get("models", ())])
    return CatalogFile(cards, tables.get("defaults", {}))


def _card(table: dict[str, Any], base: Path, dist: str) -> Card:
    """The card of a checked table; relative paths start at `base`."""
    source = dict(table["source"])
    if "path" in source:
        source["path"] = base / os.path.expanduser(source["path"])
    if "rename" in source:
        source["rename"] = tuple((pattern, new) for pattern, new in source["rename"])
    values = {**table, "source": WeightsSource(**source), "dist": dist}
    for key in ("aliases", "stuff"):
        if key in values:
            values[key] = tuple(values[key])
    if "metrics" in values:
        values["metrics"] = tuple([CardMetric(**metric) for metric in table["metrics"]])
    return Card(**values)


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
                f"PVZOO_CATALOG names {file}, which is not a file.", "Fix or unset PVZOO_CATALOG."
            )
    standard = user_config_path("pvzoo", appauthor=False) / "catalog.toml"
    # os.path.isfile: no error if the user may not read the folder
    return [*named, *([standard] if os.path.isfile(standard) else [])]
