"""What `choose` found: candidates that fit, and why the others do not."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo import display
from pvzoo.errors import PvzooError

if TYPE_CHECKING:
    from pvzoo.catalog.cards import Card
    from pvzoo.metrics.bootstrap import Interval


@dataclass(frozen=True)
class Candidate:
    """A model of the catalogue, and what is known of it here.

    Attributes:
        card: The model.
        metric: The figure by which candidates are ranked; None if the card reports none.
        ms: Milliseconds of a forward pass of one image; None if it was not measured.
        interval: Of the figure, where it was measured on data.
        why_not: Why it is not chosen; "" for one that is.
    """

    card: Card
    metric: float | None = None
    ms: float | None = None
    interval: Interval | None = None
    why_not: str = ""

    @property
    def name(self) -> str:
        """What `pvzoo.load` takes."""
        return self.card.name

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.card.qualified_name,
            "metric": self.metric,
            "low": self.interval and self.interval.low,
            "high": self.interval and self.interval.high,
            "ms": self.ms,
            "license": self.card.license_text,
            "params": self.card.params,
            "why_not": self.why_not,
        }


@dataclass(frozen=True)
class Choice(Sequence[Candidate]):
    """What `choose` returns: the candidates that fit, best first; `best` is the first of them.

    Attributes:
        chosen: Those that fit.
        fell_out: Those that do not, each with the reason.
        not_measured: Those for which there was no time.
        metric: The name of the figure that they are ranked by.
        data: Whether it was measured here, and not reported by the models' authors.
    """

    chosen: tuple[Candidate, ...]
    fell_out: tuple[Candidate, ...]
    not_measured: tuple[Candidate, ...]
    metric: str
    data: bool

    def __getitem__(self, index: Any) -> Any:
        return self.chosen[index]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def best(self) -> Candidate:
        """The one with the best figure.

        Raises:
            PvzooError: None fits.
        """
        if not self.chosen:
            raise PvzooError(
                "No model fits all of that.", "print(choice) says why each one fell out."
            )
        return self.chosen[0]

    @property
    def headings(self) -> tuple[str, ...]:
        """Of `rows`."""
        where = "measured" if self.data else "reported"
        return ("model", f"{self.metric} ({where})", "forward", "size", "licence", "")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """All candidates for people: those that fit, those that fell out, the rest."""
        return [
            (
                c.name,
                "-" if c.metric is None else f"{c.metric:g}" if not self.data else _figure(c),
                "-" if c.ms is None else f"{c.ms:.0f} ms",
                c.card.size_text,
                c.card.license_text,
                c.why_not,
            )
            for c in (*self.chosen, *self.fell_out, *self.not_measured)
        ]

    def __repr__(self) -> str:
        columns = list(zip(self.headings, *self.rows, strict=True))
        widths = [max(map(len, column)) for column in columns]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in zip(*columns, strict=True)
        )

    def _repr_html_(self) -> str:
        return display.table(self.headings, self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "metric": self.metric,
            "measured_on_data": self.data,
            "chosen": [c.to_dict() for c in self.chosen],
            "fell_out": [c.to_dict() for c in self.fell_out],
            "not_measured": [c.to_dict() for c in self.not_measured],
        }


def _figure(candidate: Candidate) -> str:
    value, interval = candidate.metric, candidate.interval
    text = display.figure(math.nan if value is None else value)
    if interval is None:
        return text
    return f"{text} ({display.figure(interval.low)} - {display.figure(interval.high)})"
