"""List the installed plugins, their states and their errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Literal

from pvzoo.catalog import catalogue
from pvzoo.errors import DisabledError, PluginError, UsageError
from pvzoo.plugins.installed import OWN, Part, installed
from pvzoo.plugins.registry import load_part

CHECK_SECONDS = 60.0
"""Default time limit for loading a plugin; after it, the plugin counts as hanging."""

State = Literal["ready", "not loaded", "disabled", "failed", "timed out"]


@dataclass(frozen=True)
class Plugin:
    """An installed distribution, as `list_plugins` returns it.

    ``contract`` is the version it was built for; None if it states no version or several.
    ``state`` is one of:
    "ready" (all its parts were read or loaded), "not loaded" (it has code that was not requested
    yet), "disabled" (by ``PVZOO_DISABLE_PLUGINS``), "failed" (``errors`` says why) or "timed out"
    (a check tried to load it, and the time limit was reached).
    ``warnings`` lists names that pvzoo ignores, because pvzoo itself has them.
    """

    name: str
    version: str
    contract: int | None
    provides: dict[str, tuple[str, ...]]
    state: State
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def list_plugins(check: bool = False, *, timeout: float = CHECK_SECONDS) -> list[Plugin]:
    """All installed distributions that have parts for pvzoo, pvzoo itself first.

    Args:
        check: Load each one that is not loaded yet in a new process with a time limit, so that a
            plugin that hangs or exits does not affect this process.
        timeout: The time limit for each plugin, in seconds.

    Raises:
        UsageError: `timeout` is not above 0.
    """
    if not timeout > 0:
        raise UsageError(f"timeout is {timeout:g}.", "Use a number of seconds above 0.")
    catalogue.catalogue()  # reads the catalogue files, so that their errors are known
    found = installed()
    dists = sorted(found.distributions, key=lambda d: (d != OWN, d))
    checked: dict[str, tuple[State, list[str]]] = {}
    if check:
        untried = [d for d in dists if found.usable(d) and code_not_loaded(d)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            tried = pool.map(check_in_process, untried, repeat(timeout))
            checked = dict(zip(untried, tried, strict=True))
    return [_describe(dist, checked.get(dist)) for dist in dists]


def code_not_loaded(dist: str) -> list[Part]:
    """The parts of a distribution that are code and were not requested yet."""
    found = installed()
    return [
        p for p in found.parts if p.dist == dist and p.group != "catalogs" and p not in found.loaded
    ]


def _describe(dist: str, checked: tuple[State, list[str]] | None) -> Plugin:
    found = installed()
    provides: dict[str, list[str]] = defaultdict(list)
    errors: list[str] = []
    unusable = found.unusable.get(dist)
    if unusable is not None:
        errors.append(str(unusable))
    for part in found.parts:
        if part.dist == dist:
            provides[part.group].append(part.name)
            if part in found.failed:
                errors.append(str(found.failed[part]))
    if models := [c.name for c in catalogue.catalogue().cards if c.dist == dist]:
        provides["models"] = models
    outcome, more = checked or (None, [])
    errors = list(dict.fromkeys([*errors, *more]))
    state: State
    if isinstance(unusable, DisabledError):
        state, errors = "disabled", []
    elif outcome == "timed out":
        state = outcome
    elif errors:
        state = "failed"
    elif checked is None and code_not_loaded(dist):
        state = "not loaded"
    else:
        state = "ready"
    return Plugin(
        name=dist,
        version=found.distributions[dist].version,
        contract=found.contracts[dist],
        provides={group: tuple(values) for group, values in provides.items()},
        state=state,
        errors=tuple(errors),
        warnings=tuple(_set_aside(dist)),
    )


def _set_aside(dist: str) -> list[str]:
    """Warnings about names of `dist` that pvzoo itself also has."""
    if dist == OWN or not installed().usable(dist):
        return []
    found = installed()
    own = {(p.group, p.name) for p in found.parts if p.dist == OWN and p.group != "catalogs"}
    clashes = [
        f"{p.group.removesuffix('s')} {p.name!r}"
        for p in found.parts
        if p.dist == dist and (p.group, p.name) in own
    ]
    clashes += [f"model {name!r}" for name in catalogue.catalogue().claimed_from_pvzoo(dist)]
    return [f"pvzoo has its own {c} and uses that one" for c in clashes]


def check_in_process(dist: str, timeout: float = CHECK_SECONDS) -> tuple[State, list[str]]:
    """Load all parts of a distribution in a new process; returns its state and its errors."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        code = (
            "import sys; from pvzoo.plugins.states import _check_main; _check_main(*sys.argv[1:])"
        )
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, dist, str(answer)],
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            )
        except subprocess.TimeoutExpired:
            return "timed out", [
                f"Plugin {dist!r} timed out: it did not finish loading within {timeout:g} seconds."
            ]
        if not answer.exists():
            return "failed", [
                f"Plugin {dist!r} ended the process it was loaded in (exit {done.returncode})."
            ]
        errors: list[str] = json.loads(answer.read_text())
        return "failed" if errors else "ready", errors


def _check_main(dist: str, answer: str) -> None:
    errors = []
    for part in code_not_loaded(dist):
        try:
            load_part(part)
        except PluginError as error:
            errors.append(str(error))
    Path(answer).write_text(json.dumps(errors), encoding="utf-8")
