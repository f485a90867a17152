"""Write tables and charts as HTML. Every text is escaped, and no script is needed.

Colours are classes of the style sheet or attributes, because the page's content-security policy
does not allow styles within elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from pvzoo.report.parts import Bars, Cell, Lines, Matrix, Part, Table

_WIDE, _HIGH = 460, 280
_LEFT, _RIGHT, _TOP, _BELOW = 40, 12, 12, 40
_MOST_CELLS = 30
"""The most classes of a matrix that is drawn as a table. Of a larger matrix, only the most frequent
confusions are listed."""
_TOP_CONFUSIONS = 20


def text_of(value: Cell) -> str:
    """The text of a cell: fractions with three decimals; nan as a dash."""
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else value


def html_of(part: Part) -> str:
    """The HTML of a part of a page."""
    if isinstance(part, Table):
        return _table(part)
    if isinstance(part, Lines):
        return _lines(part)
    if isinstance(part, Bars):
        return _bars(part)
    return _matrix(part)


def _table(part: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in part.columns)
    rows = []
    for number, row in enumerate(part.rows):
        mark = _mark(part.colours[number]) if part.colours else ""
        cells = "".join(
            f"<td>{escape(cell)}</td>"
            if isinstance(cell, str)
            else f'<td class="number">{text_of(cell)}</td>'
            for cell in row[1:]
        )
        first = escape(text_of(row[0]))
        rows.append(f'<tr><th scope="row">{mark}{first}</th>{cells}</tr>')
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _mark(colour: str) -> str:
    return (
        '<svg class="mark" viewBox="0 0 10 10" aria-hidden="true">'
        f'<rect width="10" height="10" rx="2" fill="{escape(colour)}"/></svg> '
    )


def _lines(part: Lines) -> str:
    def x(value: float) -> float:
        return _LEFT + value * (_WIDE - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _TOP + (1 - value) * (_HIGH - _TOP - _BELOW)

    drawn = [f'<svg class="chart" viewBox="0 0 {_WIDE} {_HIGH}" role="img">']
    drawn.append(f"<title>{escape(', '.join(part.series))} over {escape(part.across)}</title>")
    for tick in (0, 0.2, 0.4, 0.6, 0.8, 1):
        drawn.append(f'<path class="grid" d="M{x(0)} {y(tick):.1f}H{x(1)}"/>')
        drawn.append(f'<text class="end" x="{_LEFT - 6}" y="{y(tick) + 4:.1f}">{tick:g}</text>')
        drawn.append(f'<text class="mid" x="{x(tick):.1f}" y="{_HIGH - 24}">{tick:g}</text>')
    drawn.append(f'<text class="mid" x="{x(0.5)}" y="{_HIGH - 6}">{escape(part.across)}</text>')
    if part.diagonal:
        drawn.append(f'<path class="grid dashed" d="M{x(0)} {y(0)}L{x(1)} {y(1)}"/>')
    if part.mark is not None and not math.isnan(part.mark):
        side = "end" if part.mark > 0.6 else "start"
        place = x(part.mark) + (-4 if side == "end" else 4)
        drawn.append(f'<path class="marked" d="M{x(part.mark):.1f} {y(0)}V{y(1)}"/>')
        text = escape(part.mark_text)
        drawn.append(f'<text class="{side}" x="{place:.1f}" y="{y(0) - 6}">{text}</text>')
    for number, values in enumerate(part.series.values()):
        points = "".join(
            " " if math.isnan(v) else f"{x(across):.1f},{y(v):.1f};"
            for across, v in zip(part.x, values, strict=True)
        )
        for run in points.split(" "):
            corners = run.strip(";").split(";")
            if corners != [""]:
                drawn.append(f'<path class="line c{number % 6}" d="M{"L".join(corners)}"/>')
                if len(part.x) <= 20:
                    drawn += [_dot(corner, number) for corner in corners]
    legend = "".join(
        f'<span><svg class="mark" viewBox="0 0 10 10" aria-hidden="true"><rect class="c{n % 6}" '
        f'width="10" height="10" rx="2"/></svg> {escape(name)}</span>'
        for n, name in enumerate(part.series)
    )
    return f'<div class="figure">{"".join(drawn)}</svg><p class="legend">{legend}</p></div>'


def _dot(corner: str, number: int) -> str:
    across, down = corner.split(",")
    return f'<circle class="c{number % 6}" cx="{across}" cy="{down}" r="3"/>'


def _bars(part: Bars) -> str:
    longest = max((length for _, length, _ in part.values), default=0) or 1
    step, start = 28, 130
    high = step * len(part.values) + 4
    drawn = [f'<svg class="chart" viewBox="0 0 {_WIDE} {high}" role="img">']
    for number, (name, length, text) in enumerate(part.values):
        top = number * step + 4
        wide = max(1.0, (_WIDE - start - 120) * length / longest)
        colour = f'fill="{escape(part.colours[number])}"' if part.colours else 'class="c0"'
        drawn.append(f'<text class="end" x="{start - 8}" y="{top + 15}">{escape(name)}</text>')
        drawn.append(
            f'<rect {colour} x="{start}" y="{top}" width="{wide:.1f}" height="{step - 8}"/>'
        )
        drawn.append(f'<text x="{start + wide + 6:.1f}" y="{top + 15}">{escape(text)}</text>')
    return f'<div class="figure">{"".join(drawn)}</svg></div>'


def _matrix(part: Matrix) -> str:
    parts = []
    if len(part.rows) <= _MOST_CELLS:
        head = "".join(f'<th scope="col"><span>{escape(n)}</span></th>' for n in part.columns)
        rows = [
            f'<tr><th scope="row">{escape(name)}</th>{_shaded(counts)}</tr>'
            for name, counts in zip(part.rows, part.counts, strict=True)
        ]
        parts.append(
            '<div class="scroll" tabindex="0"><table class="matrix"><thead><tr>'
            f'<th scope="col">label \\ prediction</th>{head}</tr></thead>'
            f"<tbody>{''.join(rows)}</tbody></table></div>"
        )
    confused = [
        (count, name, other)
        for name, counts in zip(part.rows, part.counts, strict=True)
        for other, count in zip(part.columns, counts, strict=True)
        if count and name != other
    ]
    confused.sort(key=lambda found: -found[0])
    top = [(name, other, int(count)) for count, name, other in confused[:_TOP_CONFUSIONS]]
    if top:
        parts.append(_table(Table(("label", "taken for", "how often"), top)))
    return "".join(parts)


def _shaded(counts: Sequence[int]) -> str:
    """The cells of a row; a larger share of the row is darker."""
    total = sum(counts) or 1
    return "".join(
        f'<td class="number s{math.ceil(5 * count / total)}">{count:,}</td>' for count in counts
    )
