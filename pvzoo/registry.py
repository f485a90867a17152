"""Entry points -> what plugins bring; pvzoo's own tasks, adapters and so on come the same way.

Nothing here imports a plugin until somebody asks for a part of it, and a plugin that cannot be
loaded takes nothing else down: asking for its part raises, `list_plugins` shows why.

| group            | name -> value                                                            |
| ---------------- | ------------------------------------------------------------------------ |
| pvzoo.catalogs   | id -> a top-level package whose ``catalog.toml`` is read as a file        |
| pvzoo.adapters   | adapter id -> class                                                      |
| pvzoo.tasks      | task id -> class                                                         |
| pvzoo.backends   | backend id -> class                                                      |
| pvzoo.datasets   | dataset id -> function (task or None, split or None) -> labelled data    |
| pvzoo.contract   | the contract version (an integer) -> anything; never loaded              |

A plugin says which contract version it was built for either by the last group or by the key
``contract`` of its ``catalog.toml``, so the version is known without running the plugin.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any, Literal, TypeVar

from pvzoo.errors import (
    DisabledError,
    NameClashError,
    PluginError,
    PvzooError,
    PvzooWarning,
    UsageError,
    nearest,
)
from pvzoo.toml_cache import read_toml

CONTRACT = 1
"""Version of the contract between pvzoo and plugins (docs/plugins.md says what it covers)."""

OWN = "pvzoo"
CHECK_SECONDS = 60.0

Group = Literal["catalogs", "adapters", "tasks", "backends", "datasets"]
_BASES: dict[str, str | None] = {
    "adapters": "pvzoo.adapters.base:Adapter",
    "tasks": "pvzoo.tasks.base:Task",
    "backends": "pvzoo.backends.base:Backend",
    "datasets": None,  # functions
}


@dataclass(frozen=True)
class Part:
    """One entry point of one distribution."""

    group: str
    name: str
    dist: str
    entry_point: EntryPoint


@dataclass(frozen=True)
class Plugin:
    """What `list_plugins` says of one installed distribution.

    ``contract`` is the version it was built for; None if it states none, or several. ``state`` is
    "ready" (all it brings was read or loaded), "not loaded" (it brings code that nobody has asked
    for yet), "disabled" (by ``PVZOO_DISABLE_PLUGINS``) or "failed" (``errors`` says why).
    ``warnings`` are claims that were set aside, such as a name that pvzoo itself brings.
    """

    name: str
    version: str
    contract: int | None
    provides: dict[str, tuple[str, ...]]
    state: Literal["ready", "not loaded", "disabled", "failed"]
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class _Installed:
    """The installed plugins and what became of them in this process."""

    parts: list[Part] = field(default_factory=list)
    contracts: dict[str, int | None] = field(default_factory=dict)
    unusable: dict[str, PluginError] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)
    loaded: dict[Part, Any] = field(default_factory=dict)
    failed: dict[Part, PluginError] = field(default_factory=dict)


@cache
def _installed() -> _Installed:
    found = _Installed()
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
            elif group in ("catalogs", *_BASES):
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
            found.contracts[name] = _contract(name, declared[name], found.parts)
            _check_contract(name, found.contracts[name])
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


def refresh() -> None:
    """Forget what is installed, so that a plugin installed a moment ago is seen."""
    from pvzoo import cards, toml_cache

    importlib.invalidate_caches()
    _installed.cache_clear()
    catalog_file.cache_clear()
    _warn_once.cache_clear()
    cards.catalogue.cache_clear()
    toml_cache.forget()


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
                stated = read_toml(catalog_file(part)).head.get("contract")
            except PvzooError as error:
                raise _plugin_error(error) from error
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
        f"Install a release of {dist} made for contract {CONTRACT}, or uninstall it.",
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


def require_contract(dist: str) -> None:
    """Raise the `PluginError` of a distribution that is disabled or built for another contract."""
    if dist in _installed().unusable:
        raise _installed().unusable[dist]


def _usable(dist: str) -> bool:
    return dist not in _installed().unusable


def fail(part: Part, error: PvzooError) -> None:
    """Note that a part could not be used, for `list_plugins` to show."""
    _installed().failed[part] = _plugin_error(error)


def _plugin_error(error: PvzooError) -> PluginError:
    return error if isinstance(error, PluginError) else PluginError(error.what, error.hint)


def failures(group: Group) -> dict[str, PluginError]:
    """The distributions whose part of a group could not be used, each with its error."""
    return {p.dist: error for p, error in _installed().failed.items() if p.group == group}


def succeed(part: Part, value: Any) -> None:
    """Note that a part was read or loaded."""
    installed = _installed()
    installed.loaded[part] = value
    installed.failed.pop(part, None)


Named = TypeVar("Named")


def split_name(name: str) -> tuple[str | None, str]:
    """``"dist:name"`` -> ("dist", "name"), ``"name"`` -> (None, "name")."""
    dist, colon, bare = name.partition(":")
    return (normalise_dist(dist), bare) if colon else (None, name)


def pick(what: str, name: str, claims: Iterable[tuple[str, Named]]) -> Named | None:
    """Who a bare name means, of those who claim it: (distribution, thing) pairs.

    pvzoo's own always wins, with a warning for the others; two others are an error.
    """
    claims = list(claims)
    own = [thing for dist, thing in claims if dist == OWN]
    others = sorted({dist for dist, _ in claims if dist != OWN})
    if own:
        if others:
            _warn_once(
                f"The {what} {name!r} is pvzoo's own; {', '.join(others)} claims it too. "
                f"Write '{others[0]}:{name}' to get that one."
            )
        return own[0]
    if len(others) > 1:
        raise NameClashError(
            f"The {what} {name!r} is claimed by {' and by '.join(others)}.",
            f"Write '{others[0]}:{name}' or '{others[1]}:{name}' to choose one.",
        )
    return claims[0][1] if claims else None


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, PvzooWarning, stacklevel=4)


def parts(group: Group) -> list[Part]:
    """All parts of a group, pvzoo's own first."""
    found = [p for p in _installed().parts if p.group == group]
    return sorted(found, key=lambda p: (p.dist != OWN, p.dist, p.name))


def names(group: Group) -> list[str]:
    """All names of a group, sorted, without loading anything."""
    return sorted({p.name for p in parts(group)})


def get(group: Group, name: str) -> Any:
    """The class or function registered as `name` (or ``dist:name``) in a group, loaded now.

    A plugin for another contract claims a name only if nobody else does: then to raise its error.

    Raises:
        UsageError: No plugin brings that name.
        NameClashError: Two third parties claim it.
        PluginError: The plugin that brings it fails to load; the message carries its error.
    """
    dist, bare = split_name(name)
    what = group.removesuffix("s")
    claims = [p for p in parts(group) if p.name == bare and dist in (None, p.dist)]
    usable = [p for p in claims if _usable(p.dist)]
    part = pick(what, bare, ((p.dist, p) for p in usable or claims))
    if part is None:
        known = names(group)
        raise UsageError(
            f"No installed plugin brings the {what} {name!r}.",
            nearest(bare, known) or f"Known: {', '.join(known) or 'none; is pvzoo installed?'}.",
        )
    return load_part(part)


def task_id(name: str) -> str:
    """The id of a task, also from one of its words: "panoptic" is "panoptic-segmentation".

    A word that one of pvzoo's own tasks has means that one, whatever is installed: "detection" is
    "object-detection".

    Raises:
        UsageError: No task has that name, or several have that word.
    """
    ids = names("tasks")
    own = [p.name for p in parts("tasks") if p.dist == OWN]
    fits = (
        [i for i in ids if name.lower() == i]
        or [i for i in own if name.lower() in i.split("-")]
        or [i for i in ids if name.lower() in i.split("-")]
    )
    if len(fits) != 1:
        known = fits or ids
        problem = f"{name!r} names several tasks." if fits else f"No task is called {name!r}."
        raise UsageError(problem, nearest(name, ids) or f"Say one of: {', '.join(known)}.")
    return fits[0]


def load_part(part: Part) -> Any:
    """The object of an entry point; its failure becomes a `PluginError` that is remembered."""
    installed = _installed()
    if part in installed.loaded:
        return installed.loaded[part]
    try:
        require_contract(part.dist)
        value = _import(part)
    except PluginError as error:
        fail(part, error)
        raise
    succeed(part, value)
    return value


def _import(part: Part) -> Any:
    where = f"{part.group.removesuffix('s')} {part.name!r} of plugin {part.dist!r}"
    report = f"Report this to the author of {part.dist}, or uninstall it."
    try:
        value = part.entry_point.load()
    except KeyboardInterrupt:
        raise
    except PvzooError as error:  # the plugin says itself what is wrong
        raise PluginError(f"The {where} cannot be loaded: {error.what}", error.hint) from error
    except ModuleNotFoundError as error:
        raise lacking(part, error) from error
    except BaseException as error:  # sys.exit and the panics of native code are no Exception
        said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError(f"The {where} cannot be loaded ({said}).", report) from error
    if wrong := _wrong_kind(value, _BASES[part.group]):
        raise PluginError(f"The {where} is {value!r}, {wrong}.", report)
    return value


def lacking(part: Part, error: ModuleNotFoundError) -> PluginError:
    """What to say of a part that needs a module which is not installed, and what installs it.

    That is the extra of the plugin that brings the module, if its metadata tells, else the
    distribution of the module's name.
    """
    where = f"{part.group.removesuffix('s')} {part.name!r} of plugin {part.dist!r}"
    name = error.name or str(error)
    top, _, inner = name.partition(".")
    if inner or top == part.entry_point.module.partition(".")[0]:
        mend = f"Report this to the author of {part.dist}, or uninstall it."
    else:
        mend = f"Try: pip install {_bringing(top, part.dist)}"
    return PluginError(f"The {where} needs the module {name!r}, which is not installed.", mend)


def _bringing(module: str, dist: str) -> str:
    """What to give pip for a module that a plugin needs: "module", or "plugin[extra]" in quotes."""
    wanted = normalise_dist(module)
    for requirement in _installed().distributions[dist].requires or ():
        named = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", requirement)
        if named and extra and normalise_dist(named[0]) == wanted:
            return f"'{dist}[{extra[1]}]'"
    return wanted


def part_of(value: Any) -> Part | None:
    """The part that a loaded class or function came from."""
    return next((p for p, v in _installed().loaded.items() if v is value), None)


def _wrong_kind(value: Any, base: str | None) -> str:
    """Why `value` is not what an entry point should name; empty if it is."""
    if base is None:
        return "" if callable(value) else "not a function"
    module, _, attribute = base.partition(":")
    wanted = getattr(importlib.import_module(module), attribute)
    fits = isinstance(value, type) and issubclass(value, wanted)
    return "" if fits else f"not a subclass of {module}.{attribute}"


def list_plugins(check: bool = False) -> list[Plugin]:
    """Every installed distribution that brings something, pvzoo itself first.

    Args:
        check: Try each one that is not loaded yet, in a process of its own with a time limit
            (`CHECK_SECONDS`), so that one that hangs or exits does no harm here.
    """
    from pvzoo import cards

    cards.catalogue()  # reads the catalogue files, so that their faults are known
    installed = _installed()
    dists = sorted(installed.distributions, key=lambda d: (d != OWN, d))
    checked: dict[str, list[str]] = {}
    if check:
        untried = [d for d in dists if _usable(d) and _code_not_loaded(d)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            checked = dict(zip(untried, pool.map(_check_in_process, untried), strict=True))
    return [_describe(dist, checked.get(dist)) for dist in dists]


def _code_not_loaded(dist: str) -> list[Part]:
    installed = _installed()
    return [
        p
        for p in installed.parts
        if p.dist == dist and p.group != "catalogs" and p not in installed.loaded
    ]


def _describe(dist: str, checked: list[str] | None) -> Plugin:
    from pvzoo import cards

    installed = _installed()
    provides: dict[str, list[str]] = defaultdict(list)
    errors: list[str] = []
    unusable = installed.unusable.get(dist)
    if unusable is not None:
        errors.append(str(unusable))
    for part in installed.parts:
        if part.dist == dist:
            provides[part.group].append(part.name)
            if part in installed.failed:
                errors.append(str(installed.failed[part]))
    if models := [c.name for c in cards.catalogue().cards if c.dist == dist]:
        provides["models"] = models
    errors = list(dict.fromkeys([*errors, *(checked or [])]))
    if isinstance(unusable, DisabledError):
        state, errors = "disabled", []
    elif errors:
        state = "failed"
    elif checked is None and _code_not_loaded(dist):
        state = "not loaded"
    else:
        state = "ready"
    return Plugin(
        name=dist,
        version=installed.distributions[dist].version,
        contract=installed.contracts[dist],
        provides={group: tuple(values) for group, values in provides.items()},
        state=state,
        errors=tuple(errors),
        warnings=tuple(_set_aside(dist)),
    )


def _set_aside(dist: str) -> list[str]:
    """Names that `dist` claims and pvzoo itself brings."""
    from pvzoo import cards

    if dist == OWN or not _usable(dist):
        return []
    installed = _installed()
    own = {(p.group, p.name) for p in installed.parts if p.dist == OWN and p.group != "catalogs"}
    clashes = [
        f"{p.group.removesuffix('s')} {p.name!r}"
        for p in installed.parts
        if p.dist == dist and (p.group, p.name) in own
    ]
    clashes += [f"model {name!r}" for name in cards.catalogue().claimed_from_pvzoo(dist)]
    return [f"{c} is also pvzoo's own, and means pvzoo's" for c in clashes]


def _check_in_process(dist: str) -> list[str]:
    """Load all of a distribution's parts in a new process; its errors, none if all went well."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        code = "import sys; from pvzoo.registry import _check_main; _check_main(*sys.argv[1:])"
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, dist, str(answer)],
                timeout=CHECK_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
        except subprocess.TimeoutExpired:
            return [f"Plugin {dist!r} did not finish loading within {CHECK_SECONDS:g} seconds."]
        if not answer.exists():
            return [f"Plugin {dist!r} ended the process it was loaded in (exit {done.returncode})."]
        return json.loads(answer.read_text())


def _check_main(dist: str, answer: str) -> None:
    errors = []
    for part in _code_not_loaded(dist):
        try:
            load_part(part)
        except PluginError as error:
            errors.append(str(error))
    Path(answer).write_text(json.dumps(errors))
