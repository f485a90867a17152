"""Make what notebooks show: images of a bounded size, and HTML in which every text is escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeVar, overload

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")

LONGEST = 1024
"""Pixels: the longest side of an image in a notebook."""
MOST_BYTES = 1_000_000
"""How many bytes the images of an output may take together."""
MOST_ROWS = 200
"""How many rows a table shows."""


class ShownList(list[T]):
    """A list whose slices have the same class, so that a notebook shows them in the same way."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found: Any = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found


def jpeg(image: Image.Image, longest: int = LONGEST, most: int = MOST_BYTES) -> bytes:
    """The RGB image as JPEG, at most about `most` bytes, its sides at most `longest` pixels."""
    small = image.copy()
    small.thumbnail((longest, longest))
    for quality in (90, 75, 50, 25):
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= most:
            break
    return buffer.getvalue()


def figure(value: float) -> str:
    """A number with four decimals; nan as a dash."""
    return "-" if value != value else f"{value:.4f}"


def lines(title: str, shown: Iterable[str], left_out: int) -> str:
    """A `repr` of several lines that ends with how many more there are."""
    more = [f"and {left_out:,} more"] if left_out > 0 else []
    return "\n  ".join([f"<{title}", *shown, *more]) + ">"


def heading(text: str) -> str:
    """A line of HTML in bold."""
    return f"<div><b>{escape(text)}</b></div>"


def note(text: str) -> str:
    """A line of HTML; nothing for an empty text."""
    return f"<div>{escape(text)}</div>" if text else ""


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: bool = False) -> str:
    """An HTML table of the first rows, in a frame that scrolls.

    Args:
        headings: The headings of the columns; empty for a table without headings.
        rows: The cells, plain text.
        right: Whether all columns but the first are aligned to the right.
    """
    sides = ["left"] + ["right" if right else "left"] * len(max([headings, *rows], key=len))

    def line(tag: str, cells: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
            for cell, side in zip(cells, sides, strict=False)
        )

    head = f"<thead><tr>{line('th', headings)}</tr></thead>" if headings else ""
    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows[:MOST_ROWS])
    more = f"and {len(rows) - MOST_ROWS:,} more" if len(rows) > MOST_ROWS else ""
    return (
        '<div style="max-height:30em;overflow:auto">'
        f"<table>{head}<tbody>{body}</tbody></table></div>{note(more)}"
    )


def grid(
    things: Sequence[T], draw: Callable[[T], Image.Image | None], text: Callable[[T], str]
) -> str:
    """HTML for the first twelve things: each an image with its text below, or only its text."""
    shown = things[:_MOST_TILES]
    tiles = []
    for thing in shown:
        drawn, image, caption = draw(thing), "", escape(text(thing))
        if drawn is not None:
            most = MOST_BYTES * 3 // 4 // len(shown)  # base64 takes a third more
            code = base64.b64encode(jpeg(drawn, _TILE, most)).decode()
            image = f'<img alt="{caption}" style="width:100%" src="data:image/jpeg;base64,{code}">'
        caption = f"<figcaption>{caption}</figcaption>"
        tiles.append(f'<figure style="width:280px;margin:0">{image}{caption}</figure>')
    more = f"and {len(things) - len(shown):,} more" if len(things) > len(shown) else ""
    style = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-start"
    return f'<div style="{style}">{"".join(tiles)}</div>{note(more)}'


_MOST_TILES = 12
_TILE = 560  # pixels: twice the width of a tile on the page, for screens with small pixels
