"""What is installed, in which state, and what is wrong with it."""

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
"""How long a plugin may take to load, unless told otherwise, before it counts as one that hangs."""

State = Literal["ready", "not loaded", "disabled", "failed", "timed out"]


@dataclass(frozen=True)
class Plugin:
    """What `list_plugins` says of one installed distribution.

    ``contract`` is the version it was built for; None if it states none, or several. ``state`` is
    "ready" (all it brings was read or loaded), "not loaded" (it brings code that nobody has asked
    for yet), "disabled" (by ``PVZOO_DISABLE_PLUGINS``), "failed" (``errors`` says why) or "timed
    out" (it was tried, and was still loading when the time was up).
    ``warnings`` are claims that were set aside, such as a name that pvzoo itself brings.
    """

    name: str
    version: str
    contract: int | None
    provides: dict[str, tuple[str, ...]]
    state: State
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def list_plugins(check: bool = False, *, timeout: float = CHECK_SECONDS) -> list[Plugin]:
    """Every installed distribution that brings something, pvzoo itself first.

    Args:
        check: Try each one that is not loaded yet, in a process of its own with a time limit, so
            that one that hangs or exits does no harm here.
        timeout: That limit, in seconds for each plugin.

    Raises:
        UsageError: `timeout` is not above 0.
    """
    if not timeout > 0:
        raise UsageError(f"timeout is {timeout:g}.", "Give a number of seconds above 0.")
    catalogue.catalogue()  # reads the catalogue files, so that their faults are known
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
    """The parts of a distribution that are code and that nobody has asked for yet."""
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
    """Names that `dist` claims and pvzoo itself brings."""
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
    return [f"{c} is also pvzoo's own, and means pvzoo's" for c in clashes]


def check_in_process(dist: str, timeout: float = CHECK_SECONDS) -> tuple[State, list[str]]:
    """Load all of a distribution's parts in a new process; its state after that, and its errors."""
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
    Path(answer).write_text(json.dumps(errors))
