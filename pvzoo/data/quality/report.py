"""What `pvzoo.data.check` found, and what `pvzoo.data.fix` does about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pvzoo.data.quality.rules import Rule
from pvzoo.errors import DataError

Size = tuple[int, int]
"""(width, height) in pixels."""

SHOWN = 5
"""How many rows a finding names."""


@dataclass(frozen=True)
class Finding:
    """A rule that is broken, how often and where.

    Attributes:
        rule: The name of the rule, such as "box-out-of-frame".
        severity: "error" or "warning".
        count: How many images, objects or classes break it.
        what: What is wrong.
        fix: What to do about it.
        fixable: Whether `pvzoo.data.fix` does it.
        where: The first few places, in words.
        rows: The images of these places, as (split, row). Data without splits has the split "".
    """

    rule: str
    severity: Literal["error", "warning"]
    count: int
    what: str
    fix: str
    fixable: bool
    where: tuple[str, ...]
    rows: tuple[tuple[str, int], ...]

    def __str__(self) -> str:
        lines = [f"{self.severity}: {self.rule} ({self.count:,}). {self.what}"]
        lines += [f"    {index}" for index in self.where]
        if self.count > len(self.where):
            lines.append(f"    and {self.count - len(self.where):,} more")
        done = " (fixing does that)" if self.fixable else ""
        lines.append(f"    To fix: {self.fix.rstrip('.')}{done}.")
        return "\n".join(lines)


@dataclass(frozen=True)
class Plan:
    """What `pvzoo.data.fix` does to one split.

    Attributes:
        fingerprint: `pvzoo.data.labels.fingerprint` of the labels that were checked.
        drop: Rows to leave out.
        turned: Rows whose labels are in stored pixels -> (EXIF orientation, (width, height) of the
            stored pixels).
        convention: The convention of the boxes, see `pvzoo.data.quality.boxes`.
        class_shift: What to add to class ids.
        value_shift: What to add to the values listed for semantic maps.
        relabel: Whether any label changes.
    """

    fingerprint: str
    drop: tuple[int, ...]
    turned: Mapping[int, tuple[int, Size]]
    convention: str
    class_shift: int
    value_shift: int
    relabel: bool


@dataclass(frozen=True)
class Report:
    """What `check` found. Printed, it says what, where, how often and how to fix it.

    Attributes:
        findings: The broken rules, errors first.
        images: How many images were checked.
        objects: How many objects or segments they have; 0 for tasks without objects or segments.
        plans: What `fix` does, by split. Data without splits has the split "".
    """

    findings: tuple[Finding, ...]
    images: int
    objects: int
    plans: Mapping[str, Plan] = field(repr=False)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Mistakes that spoil training or metrics."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Things that may be intended."""
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def rows(self) -> tuple[tuple[str, int], ...]:
        """The images that findings name, as (split, row), each once, those of errors first."""
        return tuple(dict.fromkeys(row for f in self.findings for row in f.rows))

    def raise_for_errors(self) -> None:
        """Raise a `DataError` that names the rules, if there are errors."""
        if self.errors:
            named = ", ".join(f"{f.rule} ({f.count:,})" for f in self.errors)
            hint = "See where with print(pvzoo.data.check(data)) or 'pvzoo check'."
            if any(f.fixable for f in self.errors):
                hint += " pvzoo.data.fix(data) fixes what is unambiguous."
            raise DataError(f"The labelled data has mistakes: {named}.", hint)

    def fixed(self, left: Report) -> dict[str, int]:
        """How many mistakes of each rule were fixed; `left` is the report on the fixed data."""
        before, after = (
            sum((Counter({f.rule: f.count}) for f in report.findings if f.fixable), Counter())
            for report in (self, left)
        )
        return dict(before - after)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, ready for JSON."""
        return {
            "images": self.images,
            "objects": self.objects,
            "errors": len(self.errors),
            "warnings": len(self.warnings),
            "findings": [
                {
                    "rule": f.rule,
                    "severity": f.severity,
                    "count": f.count,
                    "what": f.what,
                    "fix": f.fix,
                    "fixable": f.fixable,
                    "where": list(f.where),
                }
                for f in self.findings
            ],
        }

    def __str__(self) -> str:
        counted = f"{self.images:,} image{'s' * (self.images != 1)}"
        if self.objects:
            counted += f" with {self.objects:,} object{'s' * (self.objects != 1)}"
        if not self.findings:
            return f"{counted}: nothing wrong was found."
        found = f"errors: {len(self.errors)}, warnings: {len(self.warnings)}"
        return "\n\n".join([f"{counted}: {found}.", *map(str, self.findings)])


class Notes:
    """Collects broken rules during the check: how often, and the first rows."""

    def __init__(self) -> None:
        self.count: Counter[Rule] = Counter()
        self.where: dict[Rule, list[tuple[str, tuple[str, int] | None]]] = {}

    def add(
        self,
        rule: Rule,
        text: str | Callable[[], str],
        index: tuple[str, int] | None,
        count: int = 1,
    ) -> None:
        """Note that a rule is broken; a `text` that is a function is called only if it is shown."""
        self.count[rule] += count
        where = self.where.setdefault(rule, [])
        if len(where) < SHOWN:
            where.append((text if isinstance(text, str) else text(), index))

    def rename(self, old: Rule, new: Rule) -> None:
        """Move everything noted for rule `old` to rule `new`."""
        if old in self.count:
            self.count[new], self.where[new] = self.count.pop(old), self.where.pop(old)

    def findings(self) -> tuple[Finding, ...]:
        """Everything that was noted, errors first."""
        found = [
            Finding(
                rule=rule.name,
                severity=rule.severity,
                count=self.count[rule],
                what=rule.what,
                fix=rule.fix,
                fixable=rule.fixable,
                where=tuple(text for text, _ in where),
                rows=tuple(dict.fromkeys(row for _, row in where if row)),
            )
            for rule, where in self.where.items()
        ]
        return tuple(sorted(found, key=lambda f: f.severity))  # "error" comes before "warning"
