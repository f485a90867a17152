"""Find the entry points of installed packages without importing any of them.

| group            | name -> value                                                            |
| ---------------- | ------------------------------------------------------------------------ |
| pvzoo.catalogs   | id -> a top-level package whose ``catalog.toml`` is read as a file        |
| pvzoo.adapters   | adapter id -> class                                                      |
| pvzoo.tasks      | task id -> class                                                         |
| pvzoo.runtimes   | runtime id -> class                                                      |
| pvzoo.datasets   | dataset id -> function (task or None, split or None) -> labelled data    |
| pvzoo.formats    | format id -> class                                                       |
| pvzoo.contract   | the contract version (an integer) -> anything; never loaded              |

A plugin states its contract version either with the last group or with the key ``contract`` of its
``catalog.toml``, so pvzoo knows the version without running the plugin.
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
"""Version of the contract between pvzoo and plugins; see docs/plugins.md."""

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
    """The installed plugins, and which of their parts this process has loaded."""

    parts: list[Part] = field(default_factory=list)
    contracts: dict[str, int | None] = field(default_factory=dict)
    unusable: dict[str, PluginError] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)
    loaded: dict[Part, Any] = field(default_factory=dict)
    failed: dict[Part, PluginError] = field(default_factory=dict)

    def usable(self, dist: str) -> bool:
        """Whether a distribution is not turned off and was built for this contract version."""
        return dist not in self.unusable


@cache
def installed() -> Installed:
    """The installed plugins; found once per process, until `pvzoo.catalog.catalogue.refresh`."""
    found = Installed()
    declared: dict[str, set[str]] = defaultdict(set)
    for dist in sorted(distributions(), key=_is_build_leftover):
        try:
            points = [p for p in dist.entry_points if p.group.startswith("pvzoo.")]
            name = normalise_dist(_name(dist)) if points else ""
        except Exception:  # skip any distribution with damaged metadata
            continue
        if not points:
            continue
        if found.distributions.setdefault(name, dist) is not dist:
            continue  # the same distribution, later on sys.path, where imports do not find it
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
                "Remove it from that environment variable, or unset the variable.",
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
    """The name of a distribution; faster than `Distribution.name`, which parses all metadata."""
    headers, _, _ = (dist.read_text("METADATA") or "").partition("\n\n")
    named = re.search(r"^Name:[ \t]*(\S+)[ \t]*$", headers, re.MULTILINE)
    return named[1] if named else dist.name


def _disabled() -> set[str]:
    """The names in ``PVZOO_DISABLE_PLUGINS``: distributions, or "all" or "*"."""
    named = os.environ.get("PVZOO_DISABLE_PLUGINS", "").split(",")
    return {normalise_dist(name.strip()) for name in named} - {""}


def _is_build_leftover(dist: Distribution) -> bool:
    """Whether the metadata is an ``.egg-info`` that a build left in a source folder.

    It stays there even if it is outdated, and Python finds it first if it runs in that folder.
    """
    return str(getattr(dist, "_path", "")).endswith(".egg-info")


def normalise_dist(name: str) -> str:
    """A distribution's name in the normalised form that PyPI uses for comparison."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _contract(dist: str, declared: set[str], parts: Iterable[Part]) -> int:
    """The contract version that `dist` states.

    Raises:
        PluginError: It states no version, several versions, or one that is not an integer.
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
            f"Plugin {dist!r} does not state the pvzoo contract it was built for.",
            f"Its author should add 'contract = {CONTRACT}' at the top of its catalog.toml, or an "
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
        f"Install a release of {dist} for contract {CONTRACT}, or uninstall it. The changes are "
        "in pvzoo's docs/plugins.md, under 'From contract 1 to 2'.",
    )


@cache
def catalog_file(part: Part) -> Path:
    """The path of the ``catalog.toml`` of a `pvzoo.catalogs` entry point, found without an import.

    The import system only *locates* a top-level package; this works for wheels and for flat, src
    and editable installs. A dotted name is an error, because it would import the parent package.
    """
    value = part.entry_point.value
    if not value.isidentifier():
        raise PluginError(
            f"Plugin {part.dist!r} names {value!r} as its catalogue, which is not a top-level "
            "package.",
            "The value of a pvzoo.catalogs entry point must be the name of the package that holds "
            "catalog.toml.",
        )
    try:
        spec = importlib.util.find_spec(value)
    except Exception as error:  # an error in an import hook must affect only this plugin
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
    """The error as a `PluginError`."""
    return error if isinstance(error, PluginError) else PluginError(error.what, error.hint)
