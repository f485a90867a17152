"""The parts of a page: tables and charts as data. A task decides what they show, not how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: The headings.
        rows: Texts, whole numbers, and fractions, which are shown with three decimals.
        colours: The colour of a mark before the first cell of each row, as "#rrggbb"; or empty.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    colours: Sequence[str] = ()


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis; both axes go from 0 to 1.

    Attributes:
        across: The name of the horizontal axis.
        x: The (n,) values on the horizontal axis.
        series: The (n,) values of each curve, by its name; nan leaves a gap.
        mark: A value of x that is marked, or None.
        mark_text: The text at the mark.
        diagonal: Whether the diagonal, where both axes are equal, is drawn.
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
        values: The name, the length (at least 0) and the text after the bar.
        colours: The colour of each bar, as "#rrggbb"; or empty.
    """

    values: Sequence[tuple[str, float, str]]
    colours: Sequence[str] = ()


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: how often the class of a row was predicted as the class of a column.

    Attributes:
        rows: The names of the rows.
        columns: The names of the columns.
        counts: (rows, columns) whole numbers.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]


Part = Table | Lines | Bars | Matrix


@dataclass(frozen=True)
class Section:
    """A heading, one or two sentences on how to read the section, and its tables and charts.

    Attributes:
        title: The heading.
        about: How to read the section, as plain text.
        parts: Tables and charts.
        more: More parts with titles, such as a chart for each class; they are folded away.
    """

    title: str
    about: str
    parts: Sequence[Part]
    more: Sequence[tuple[str, Part]] = ()
