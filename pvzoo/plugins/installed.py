"""Entry points of what is installed, found without importing any of it.

| group            | name -> value                                                            |
| ---------------- | ------------------------------------------------------------------------ |
| pvzoo.catalogs   | id -> a top-level package whose ``catalog.toml`` is read as a file        |
| pvzoo.adapters   | adapter id -> class                                                      |
| pvzoo.tasks      | task id -> class                                                         |
| pvzoo.runtimes   | runtime id -> class                                                      |
| pvzoo.datasets   | dataset id -> function (task or None, split or None) -> labelled data    |
| pvzoo.formats    | format id -> class                                                       |
| pvzoo.contract   | the contract version (an integer) -> anything; never loaded              |

A plugin says which contract version it was built for either by the last group or by the key
``contract`` of its ``catalog.toml``, so the version is known without running the plugin.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Literal, get_args

from pvzoo.catalog.cache import read_toml
from pvzoo.errors import DisabledError, PluginError, PvzooError

CONTRACT = 2
"""Version of the contract between pvzoo and plugins (docs/plugins.md says what it covers)."""

OWN = "pvzoo"
"""The distribution of pvzoo itself."""

Group = Literal["catalogs", "adapters", "tasks", "runtimes", "datasets", "formats"]


@dataclass(frozen=True)
class Part:
    """One entry point of one distribution."""

    group: str
    name: str
    dist: str
    entry_point: EntryPoint


@dataclass
class Installed:
    """The installed plugins and what became of them in this process."""

    parts: list[Part] = field(default_factory=list)
    contracts: dict[str, int | None] = field(default_factory=dict)
    unusable: dict[str, PluginError] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)
    loaded: dict[Part, Any] = field(default_factory=dict)
    failed: dict[Part, PluginError] = field(default_factory=dict)

    def usable(self, dist: str) -> bool:
        """Whether a distribution is neither turned off nor built for another contract."""
        return dist not in self.unusable


@cache
def installed() -> Installed:
    """What is installed, found once in a process; `pvzoo.catalog.catalogue.refresh` forgets it."""
    found = Installed()
    declared: dict[str, set[str]] = defaultdict(set)
    for dist in sorted(distributions(), key=_is_build_leftover):
        try:
            points = [p for p in dist.entry_points if p.group.startswith("pvzoo.")]
            name = normalise_dist(_name(dist)) if points else ""
        except Exception:  # damaged metadata of any distribution at all must not matter here
            continue
        if not points:
            continue
        if found.distributions.setdefault(name, dist) is not dist:
            continue  # the same one again, later on sys.path, where imports do not find it
        for point in points:
            group = point.group.removeprefix("pvzoo.")
            if group == "contract":
                declared[name].add(point.name)
            elif group in get_args(Group):
                found.parts.append(Part(group, point.name, name, point))
    disabled = _disabled()
    for name in found.distributions:
        if name != OWN and (disabled & {name, "*", "all"}):
            found.contracts[name] = None
            found.unusable[name] = DisabledError(
                f"Plugin {name!r} is turned off by PVZOO_DISABLE_PLUGINS.",
                "Take it out of that environment variable, or unset it.",
            )
            continue
        try:
            version = _contract(name, declared[name], found.parts)
            found.contracts[name] = version
            _check_contract(name, version)
        except PluginError as error:
            found.contracts.setdefault(name, None)
            found.unusable[name] = error
    return found


def _name(dist: Distribution) -> str:
    """Its name; `Distribution.name` parses the whole of the metadata for that."""
    headers, _, _ = (dist.read_text("METADATA") or "").partition("\n\n")
    named = re.search(r"^Name:[ \t]*(\S+)[ \t]*$", headers, re.MULTILINE)
    return named[1] if named else dist.name


def _disabled() -> set[str]:
    """What ``PVZOO_DISABLE_PLUGINS`` names: distributions, or "all" or "*"."""
    named = os.environ.get("PVZOO_DISABLE_PLUGINS", "").split(",")
    return {normalise_dist(name.strip()) for name in named} - {""}


def _is_build_leftover(dist: Distribution) -> bool:
    """Whether its metadata is an ``.egg-info``, which a build leaves in a source folder.

    One of an older build lies there for ever, and comes first where Python runs in that folder.
    """
    return str(getattr(dist, "_path", "")).endswith(".egg-info")


def normalise_dist(name: str) -> str:
    """A distribution's name as the packaging index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _contract(dist: str, declared: set[str], parts: Iterable[Part]) -> int:
    """The contract version `dist` says it was built for.

    Raises:
        PluginError: It says none, several, or one that is no number.
    """
    versions: set[Any] = {int(v) if v.isdecimal() else v for v in declared}
    for part in parts:
        if part.dist == dist and part.group == "catalogs":
            try:
                stated = read_toml(catalog_file(part)).get("contract")
            except PvzooError as error:
                raise plugin_error(error) from error
            if stated is not None:
                versions.add(stated if type(stated) is int else repr(stated))
    if not versions:
        raise PluginError(
            f"Plugin {dist!r} does not say which pvzoo contract it was built for.",
            f"Its author should put 'contract = {CONTRACT}' at the top of its catalog.toml, or an "
            f"entry point named {CONTRACT} in the group pvzoo.contract.",
        )
    version = versions.pop()
    if versions or type(version) is not int:
        raise _other_contract(dist, " and ".join(sorted(map(str, [version, *versions]))))
    return version


def _check_contract(dist: str, version: int) -> None:
    if version != CONTRACT:
        raise _other_contract(dist, str(version))


def _other_contract(dist: str, stated: str) -> PluginError:
    return PluginError(
        f"Plugin {dist!r} was built for pvzoo contract {stated}; this pvzoo has {CONTRACT}.",
        f"Install a release of {dist} made for contract {CONTRACT}, or uninstall it. Its author "
        "finds what changed in pvzoo's docs/plugins.md, under 'From contract 1 to 2'.",
    )


@cache
def catalog_file(part: Part) -> Path:
    """Where the ``catalog.toml`` of a `pvzoo.catalogs` entry point is, found without importing it.

    The import system only *locates* a top-level package, in wheels, flat, src and editable
    installs alike; a dotted name would import the package around it, so it is refused.
    """
    value = part.entry_point.value
    if not value.isidentifier():
        raise PluginError(
            f"Plugin {part.dist!r} names {value!r} as its catalogue, which is not a top-level "
            "package.",
            "The value of a pvzoo.catalogs entry point is the bare name of the package that holds "
            "catalog.toml.",
        )
    try:
        spec = importlib.util.find_spec(value)
    except Exception as error:  # whatever an import hook raises is this plugin's fault alone
        raise PluginError(f"Package {value!r} of plugin {part.dist!r}: {error}.") from error
    places = list(spec.submodule_search_locations or ()) if spec else []
    for place in places:
        file = Path(place) / "catalog.toml"
        if file.is_file():
            return file
    raise PluginError(
        f"Plugin {part.dist!r} has no catalog.toml in its package {value!r}"
        + (f" (looked in {', '.join(places)})." if places else " (no such package)."),
        "If it was built as a wheel, catalog.toml may be missing from its package data.",
    )


def plugin_error(error: PvzooError) -> PluginError:
    """The error as one of a plugin."""
    return error if isinstance(error, PluginError) else PluginError(error.what, error.hint)
