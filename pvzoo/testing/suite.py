"""Check the rules on a plugin and on a model of each kind, for pytest and the command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pvzoo.testing.all_rules import MODEL_RULES, PLUGIN_RULES
from pvzoo.testing.plugin_rules import InstalledPlugin
from pvzoo.testing.rules import ConformanceRule, Verdict, judge
from pvzoo.testing.subject import Subject

Options = Mapping[str, Any]


def conformance(
    plugin: str | None = None,
    *,
    models: Sequence[str | Path] = (),
    options: Options | None = None,
) -> Callable[..., None]:
    """A pytest test of every rule: assign it to a name that begins with ``test_``.

    Args:
        plugin: An installed plugin. The suite checks it, and the smallest model of each adapter and
            task.
        models: Names or folders of other models to check instead.
        options: Keyword arguments for every `predict`, for tasks that need a prompt.

    Raises:
        UsageError: No such plugin is installed.
    """
    import pytest

    cases = [
        pytest.param(rule, subject, id=f"{subject}-{rule}")
        for rule, subject in _cases(plugin, models, options)
    ]

    def test(rule: ConformanceRule, subject: Any) -> None:
        finding = judge(rule, subject)
        if finding.state == "skipped":
            pytest.skip(str(finding))
        if finding.state == "broken":
            pytest.fail(str(finding), pytrace=False)

    parametrized: Callable[..., None] = pytest.mark.parametrize(("rule", "subject"), cases)(test)
    return parametrized


def verify(
    plugin: str, *, models: Sequence[str | Path] = (), options: Options | None = None
) -> Iterator[Verdict]:
    """The verdict of every rule, one by one; the arguments are those of `conformance`.

    If the code of a plugin does not load, the other rules do not run it.

    Raises:
        UsageError: No such plugin is installed.
    """
    for rule, subject in _cases(plugin, models, options):
        finding = judge(rule, subject)
        yield finding
        if finding.state == "broken" and rule.name in ("contract", "parts-load", "loads"):
            return


def _cases(
    plugin: str | None, models: Sequence[str | Path], options: Options | None
) -> Iterator[tuple[ConformanceRule, Any]]:
    if plugin is not None:
        installed = InstalledPlugin.of(plugin)
        for rule in PLUGIN_RULES:
            yield rule, installed
        models = models or _smallest(installed)
    for name in models:
        subject = Subject(name, options=options)
        for rule in MODEL_RULES:
            yield rule, subject


def _smallest(plugin: InstalledPlugin) -> list[str]:
    """The name of the smallest model of each adapter and task."""
    found: dict[tuple[str, str], str] = {}
    for card in sorted(plugin.cards, key=lambda card: card.params or math.inf):
        found.setdefault((card.adapter, card.task), card.qualified_name)
    return list(found.values())
