"""The rules of the conformance suite, and the verdicts of checking them."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pvzoo.errors import MissingExtraError


class Broken(Exception):
    """A rule is broken; the message says how."""


class NotApplicable(Exception):
    """There is nothing to check; the message says why."""


@dataclass(frozen=True)
class ConformanceRule:
    """One thing that must hold.

    Attributes:
        name: A short name, such as "batch-invariance".
        what: What must hold, as a sentence.
        fix: What to do if it does not.
        check: The check; raises `Broken`, `NotApplicable` or any error of the plugin's code.
    """

    name: str
    what: str
    fix: str
    check: Callable[[Any], None]

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check; ``detail`` says why the rule was skipped or how it is broken."""

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
    """Make a rule of a function: `name` is its name, `what` the first line of its docstring."""

    def made(check: Callable[[Any], None]) -> ConformanceRule:
        what = (check.__doc__ or "").partition("\n")[0]
        return ConformanceRule(check.__name__.replace("_", "-"), what, fix, check)

    return made


def judge(rule: ConformanceRule, subject: Any) -> Verdict:
    """Check a rule on a `Subject` or an `InstalledPlugin`; only Ctrl-C is not caught."""
    try:
        rule.check(subject)
    except (NotApplicable, MissingExtraError) as reason:
        return Verdict(rule, str(subject), "skipped", str(reason))
    except Broken as reason:
        return Verdict(rule, str(subject), "broken", str(reason))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Verdict(rule, str(subject), "broken", error_line(error))
    return Verdict(rule, str(subject), "kept")


def error_line(error: BaseException) -> str:
    """An error in one line, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    index = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{index}"


def must(holds: Any, detail: str) -> None:
    """Raise `Broken` with `detail` unless `holds` is true."""
    if not holds:
        raise Broken(detail)
