"""The result of `choose`: the candidates that fit, and why the others do not."""

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
    """A model of the catalogue, with what was measured.

    Attributes:
        card: The card of the model.
        metric: The metric that ranks the candidates; None if it is not known.
        ms: The milliseconds of a forward pass of one image; None if it was not measured.
        interval: The 95 % interval of the metric, if it was measured on data.
        why_not: Why the model does not fit; "" if it does.
    """

    card: Card
    metric: float | None = None
    ms: float | None = None
    interval: Interval | None = None
    why_not: str = ""

    @property
    def name(self) -> str:
        """The name of the card, for `pvzoo.load`."""
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
    """The candidates that fit, as a sequence, the best first.

    Attributes:
        chosen: The candidates that fit.
        fell_out: The candidates that do not fit, each with the reason.
        not_measured: The candidates for which there was no time.
        metric: The name of the metric that ranks them.
        data: Whether the metric was measured on data; if not, it is the reported one.
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
        """The candidate with the best metric.

        Raises:
            PvzooError: No candidate fits.
        """
        if not self.chosen:
            raise PvzooError(
                "No model meets all conditions.", "print(choice) says why each one does not."
            )
        return self.chosen[0]

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings of `rows`."""
        where = "measured" if self.data else "reported"
        return ("model", f"{self.metric} ({where})", "forward", "size", "licence", "")

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """All candidates as text: those that fit, those that do not, those not measured."""
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
