"""A rule of the conformance suite, and what came of checking it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pvzoo.errors import MissingExtraError


class Broken(Exception):
    """A rule is broken; the message says by what."""


class NotApplicable(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class ConformanceRule:
    """One thing that must hold.

    Attributes:
        name: A short name, such as "batch-invariance".
        what: What must hold, as a sentence.
        fix: What to do if it does not.
        check: Raises `Broken`, `NotApplicable`, or whatever the plugin's code raises.
    """

    name: str
    what: str
    fix: str
    check: Callable[[Any], None]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Verdict:
    """What came of checking a rule; ``detail`` says why it was skipped or by what it is broken."""

    rule: ConformanceRule
    subject: str
    state: Literal["kept", "skipped", "broken"]
    detail: str = ""

    def __str__(self) -> str:
        if self.state == "broken":
            return (
                f"{self.rule.name} ({self.subject}): {self.rule.what}\n"
                f"  Found: {self.detail}\n  To fix: {self.rule.fix}"
            )
        return f"{self.rule.name} ({self.subject}): {self.detail or self.state}"


def rule(fix: str) -> Callable[[Callable[[Any], None]], ConformanceRule]:
    """Make a function a rule: named by its name, explained by its docstring's first line."""

    def made(check: Callable[[Any], None]) -> ConformanceRule:
        what = (check.__doc__ or "").partition("\n")[0]
        return ConformanceRule(check.__name__.replace("_", "-"), what, fix, check)

    return made


def judge(rule: ConformanceRule, subject: Any) -> Verdict:
    """Check a rule on a `Subject` or an `InstalledPlugin`; nothing but Ctrl-C escapes."""
    try:
        rule.check(subject)
    except (NotApplicable, MissingExtraError) as reason:
        return Verdict(rule, str(subject), "skipped", str(reason))
    except Broken as reason:
        return Verdict(rule, str(subject), "broken", str(reason))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Verdict(rule, str(subject), "broken", said(error))
    return Verdict(rule, str(subject), "kept")


def said(error: BaseException) -> str:
    """An error in one line, with the place it was raised at."""
    frames = traceback.extract_tb(error.__traceback__)
    index = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{index}"


def must(holds: Any, detail: str) -> None:
    """Raise `Broken` unless something holds."""
    if not holds:
        raise Broken(detail)
