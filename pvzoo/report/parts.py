"""What a page is made of: tables and charts as data. A task says what they show, not how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: The headings.
        rows: Texts, whole numbers, and fractions, of which three decimals are shown.
        colours: For each row the colour of a mark before its first cell, as "#rrggbb"; or empty.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    colours: Sequence[str] = ()


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis; both axes go from 0 to 1.

    Attributes:
        across: What the axis below is.
        x: (n,) values of it.
        series: By name the (n,) values; nan leaves a gap.
        mark: A value of x that is marked, or None.
        mark_text: What is written there.
        diagonal: Whether the line on which both are equal is drawn.
    """

    across: str
    x: Sequence[float]
    series: dict[str, Sequence[float]]
    mark: float | None = None
    mark_text: str = ""
    diagonal: bool = False


@dataclass(frozen=True)
class Bars:
    """A horizontal bar for each name.

    Attributes:
        values: Name, length (at least 0) and the text behind the bar.
        colours: For each bar a colour, as "#rrggbb"; or empty.
    """

    values: Sequence[tuple[str, float, str]]
    colours: Sequence[str] = ()


@dataclass(frozen=True)
class Matrix:
    """Counts of a row's class that were taken for a column's class.

    Attributes:
        rows: Names.
        columns: Names.
        counts: (rows, columns) whole numbers.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]


Part = Table | Lines | Bars | Matrix


@dataclass(frozen=True)
class Section:
    """A heading, a sentence or two that say how to read what follows, and that.

    Attributes:
        title: The heading.
        about: How to read it, plain text.
        parts: Tables and charts; those in `more` are folded away.
        more: Parts with titles, such as a chart for each class.
    """

    title: str
    about: str
    parts: Sequence[Part]
    more: Sequence[tuple[str, Part]] = ()
