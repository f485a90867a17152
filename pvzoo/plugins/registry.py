"""Load the parts of plugins by their entry points; pvzoo's own parts are loaded in the same way.

A plugin is imported only when a part of it is requested. A plugin that cannot be loaded does not
affect anything else: requesting its part raises an error, and `pvzoo.list_plugins` shows it.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

from pvzoo.errors import (
    NameClashError,
    PluginError,
    PvzooError,
    PvzooWarning,
    UsageError,
    nearest,
    short,
)
from pvzoo.plugins.installed import (
    OWN,
    Group,
    Part,
    catalog_file,
    installed,
    normalise_dist,
    plugin_error,
)

_BASES: dict[str, str | None] = {
    "adapters": "pvzoo.adapters.base:Adapter",
    "tasks": "pvzoo.tasks.base:Task",
    "runtimes": "pvzoo.runtimes.base:Runtime",
    "datasets": None,  # functions
    "formats": "pvzoo.data.formats.base:Format",
}


def forget() -> None:
    """Forget the installed plugins but not the catalogue; `catalogue.refresh` forgets both."""
    importlib.invalidate_caches()
    installed.cache_clear()
    catalog_file.cache_clear()
    _warn_once.cache_clear()


def require_contract(dist: str) -> None:
    """Raise a `PluginError` if a distribution is disabled or was built for another contract."""
    if dist in installed().unusable:
        raise installed().unusable[dist]


def fail(part: Part, error: PvzooError) -> None:
    """Record that a part could not be used, for `list_plugins`."""
    installed().failed[part] = plugin_error(error)


def failures(group: Group) -> dict[str, PluginError]:
    """The distributions with an unusable part in a group, each with its error."""
    return {p.dist: error for p, error in installed().failed.items() if p.group == group}


def succeed(part: Part, value: Any) -> None:
    """Record that a part was read or loaded."""
    here = installed()
    here.loaded[part] = value
    here.failed.pop(part, None)


Named = TypeVar("Named")


def split_name(name: str) -> tuple[str | None, str]:
    """``"dist:name"`` -> ("dist", "name"), ``"name"`` -> (None, "name")."""
    dist, colon, bare = name.partition(":")
    return (normalise_dist(dist), bare) if colon else (None, name)


def pick(what: str, name: str, claims: Iterable[tuple[str, Named]]) -> Named | None:
    """Choose one of several (distribution, thing) pairs with the same name.

    pvzoo's own thing is always chosen, with a warning about the others. If pvzoo has none, two
    pairs are an error.
    """
    claims = list(claims)
    own = [thing for dist, thing in claims if dist == OWN]
    others = sorted({dist for dist, _ in claims if dist != OWN})
    if own:
        if others:
            _warn_once(
                f"The {what} {name!r} is pvzoo's own; {', '.join(others)} also uses this name. "
                f"Write '{others[0]}:{name}' to choose that one."
            )
        return own[0]
    if len(others) > 1:
        raise NameClashError(
            f"The {what} {name!r} is ambiguous: it is in {' and in '.join(others)}.",
            f"Write '{others[0]}:{name}' or '{others[1]}:{name}' to choose one.",
        )
    return claims[0][1] if claims else None


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, PvzooWarning, stacklevel=4)


def parts(group: Group) -> list[Part]:
    """All parts of a group, pvzoo's own first."""
    found = [p for p in installed().parts if p.group == group]
    return sorted(found, key=lambda p: (p.dist != OWN, p.dist, p.name))


def names(group: Group) -> list[str]:
    """All names of a group, sorted, without loading anything."""
    return sorted({p.name for p in parts(group)})


def get(group: Group, name: str) -> Any:
    """Load the class or function with this `name` (or ``dist:name``) in a group.

    A plugin for another contract is considered only if no other plugin has the name; its error is
    then raised.

    Raises:
        UsageError: No plugin has that name.
        NameClashError: Two plugins, and not pvzoo itself, have that name.
        PluginError: The plugin cannot be loaded; the message contains its error.
    """
    dist, bare = split_name(name)
    what = group.removesuffix("s")
    claims = [p for p in parts(group) if p.name == bare and dist in (None, p.dist)]
    usable = [p for p in claims if installed().usable(p.dist)]
    part = pick(what, bare, ((p.dist, p) for p in usable or claims))
    if part is None:
        known = names(group)
        raise UsageError(
            f"No installed plugin has the {what} {name!r}.",
            nearest(bare, known) or f"Known: {', '.join(known) or 'none; is pvzoo installed?'}.",
        )
    return load_part(part)


def task_id(name: str, also: Iterable[str] = ()) -> str:
    """The id of a task, from the id or some of its words: "panoptic" is "panoptic-segmentation".

    Words of exactly one of pvzoo's own tasks always mean that task, whatever is installed:
    "detection" is "object-detection". Upper case, and spaces or underscores instead of hyphens,
    are accepted.

    Args:
        name: The name of the task.
        also: Ids of tasks that no installed plugin has, such as those of cards.

    Raises:
        UsageError: No task has these words, or several have them; the message names the choices.
    """
    ids = sorted({*names("tasks"), *also})
    own = [p.name for p in parts("tasks") if p.dist == OWN]
    wanted = re.sub(r"[\s_-]+", "-", str(name).strip().lower())
    words = set(wanted.split("-"))
    fits = (
        [i for i in ids if i == wanted]
        or [i for i in own if words <= set(i.split("-"))]
        or [i for i in ids if words <= set(i.split("-"))]
    )
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise UsageError(f"{name!r} matches several tasks.", f"Choose one: {', '.join(fits)}.")
    hint = f"{nearest(wanted, ids)} The tasks are {', '.join(ids)}.".strip()
    raise UsageError(f"No task is called {short(name)}.", hint)


def load_part(part: Part) -> Any:
    """The object of an entry point. If it fails to load, a `PluginError` is raised and recorded."""
    here = installed()
    if part in here.loaded:
        return here.loaded[part]
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
    except PvzooError as error:  # the plugin itself explains the error
        raise PluginError(f"The {where} cannot be loaded: {error.what}", error.hint) from error
    except ModuleNotFoundError as error:
        raise lacking(part, error) from error
    except BaseException as error:  # sys.exit and panics of native code do not raise an Exception
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise PluginError(f"The {where} cannot be loaded ({text}).", report) from error
    if wrong := _wrong_kind(value, _BASES[part.group]):
        raise PluginError(f"The {where} is {value!r}, {wrong}.", report)
    return value


def lacking(part: Part, error: ModuleNotFoundError) -> PluginError:
    """The error for a part that needs a missing module; its hint is how to install the module.

    The hint names the plugin's extra that contains the module, if the plugin's metadata has one,
    and otherwise the distribution with the module's name.
    """
    where = f"{part.group.removesuffix('s')} {part.name!r} of plugin {part.dist!r}"
    name = error.name or str(error)
    top, _, inner = name.partition(".")
    path = part.entry_point.value
    if ":" not in path and path.startswith(name):
        fix = f"Its entry point is {path!r}; the form is 'package.module:Class', with a colon."
    elif inner or top == part.entry_point.module.partition(".")[0]:
        fix = f"Report this to the author of {part.dist}, or uninstall it."
    else:
        fix = f"Try: pip install {_bringing(top, part.dist)}"
    return PluginError(f"The {where} needs the module {name!r}, which is not installed.", fix)


def _bringing(module: str, dist: str) -> str:
    """The text after "pip install" for a module that a plugin needs: module, or 'plugin[extra]'."""
    wanted = normalise_dist(module)
    for requirement in installed().distributions[dist].requires or ():
        named = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", requirement)
        if named and extra and normalise_dist(named[0]) == wanted:
            return f"'{dist}[{extra[1]}]'"
    return wanted


def part_of(value: Any) -> Part | None:
    """The part that a loaded class or function came from."""
    return next((p for p, v in installed().loaded.items() if v is value), None)


def _wrong_kind(value: Any, base: str | None) -> str:
    """Why `value` is not the right kind of object for an entry point; empty if it is."""
    if base is None:
        return "" if callable(value) else "not a function"
    fits = isinstance(value, type) and issubclass(value, named(base))
    return "" if fits else f"not a subclass of {base.replace(':', '.')}"


def named(path: str) -> Any:
    """Import the object of a path such as "package.module:name"."""
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
