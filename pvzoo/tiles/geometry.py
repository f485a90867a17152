"""How an image is cut into tiles of equal size that overlap."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from pvzoo.errors import UsageError, short

LEAST = 32
"""The least side of a tile, in pixels."""
MOST_OVERLAP = 0.75
"""The largest share of a side that two tiles may have in common."""

Size = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True)
class Tiles:
    """How large images are cut into tiles, for the option ``tiles`` of `pvzoo.Model.predict`.

    All tiles of an image have the same size. They are spaced evenly, so that the last one ends
    where the image ends. An image that is not larger than a tile is predicted as without tiles.

    Attributes:
        size: The side of a tile in pixels of the image, or (height, width). At least 32.
        overlap: The least share of a tile's side that it has in common with the next tile, from 0
            to 0.75. An object that is smaller than this part is seen whole by at least one tile.
        whole: Whether the whole image, scaled down, is predicted too, for objects that are larger
            than a tile. Maps of classes do not use it.
        batch_size: Most tiles in one forward pass; None for the ``batch_size`` of the call.

    Raises:
        UsageError: A value is not possible.
    """

    size: int | Size
    overlap: float = 0.2
    whole: bool = True
    batch_size: int | None = None

    def __post_init__(self) -> None:
        sides = self.size if isinstance(self.size, tuple | list) else (self.size, self.size)
        if len(sides) != 2 or not all(_is_whole(side, LEAST) for side in sides):
            raise UsageError(
                f"The size of tiles is {short(self.size)}.",
                f"Use a number of pixels from {LEAST}, or (height, width).",
            )
        overlap = self.overlap
        if (
            not isinstance(overlap, numbers.Real)
            or isinstance(overlap, bool)
            or not 0 <= overlap <= MOST_OVERLAP
        ):
            raise UsageError(
                f"The overlap of tiles is {short(overlap)}.",
                f"Use a number from 0 to {MOST_OVERLAP}.",
            )
        if not isinstance(self.whole, bool):
            raise UsageError(f"whole is {short(self.whole)}.", "Use True or False.")
        if self.batch_size is not None and not _is_whole(self.batch_size, 1):
            raise UsageError(
                f"batch_size is {short(self.batch_size)}.", "Use an integer of at least 1, or None."
            )

    @property
    def sides(self) -> Size:
        """(height, width) of a tile in pixels."""
        if isinstance(self.size, tuple | list):
            return int(self.size[0]), int(self.size[1])
        return int(self.size), int(self.size)

    def to_json(self) -> dict[str, Any]:
        """What decides the results, as plain values."""
        return {"size": list(self.sides), "overlap": float(self.overlap), "whole": self.whole}


def _is_whole(value: Any, least: int) -> bool:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and value >= least


Given = int | Literal["auto"] | Tiles
"""What the option ``tiles`` accepts: the side of a tile in pixels, "auto", or `Tiles`."""


class Area(NamedTuple):
    """A part of an image, in pixels; right and bottom are outside it."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


@dataclass(frozen=True)
class Grid:
    """The tiles of an image, row by row.

    Attributes:
        image: (height, width) of the image.
        tile: (height, width) of every tile.
        tops: Where the rows of tiles begin, ascending.
        lefts: Where the columns of tiles begin, ascending.
    """

    image: Size
    tile: Size
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    @classmethod
    def of(cls, image: Size, tiles: Tiles) -> Grid:
        """The grid of an image of (height, width)."""
        tile = min(image[0], tiles.sides[0]), min(image[1], tiles.sides[1])
        tops, lefts = (
            _starts(side, tile_side, float(tiles.overlap))
            for side, tile_side in zip(image, tile, strict=True)
        )
        return cls(image, tile, tops, lefts)

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[Area]:
        height, width = self.tile
        for top in self.tops:
            for left in self.lefts:
                yield Area(top, left, top + height, left + width)

    @property
    def shared(self) -> Size:
        """(height, width) of the largest object that at least one tile sees whole, wherever it is.

        Along a side that one tile covers, this is the whole side.
        """
        height, width = (
            min(
                (start + tile - after for start, after in pairwise(starts)),
                default=image,
            )
            for starts, tile, image in zip(
                (self.tops, self.lefts), self.tile, self.image, strict=True
            )
        )
        return height, width


def _starts(side: int, tile: int, overlap: float) -> tuple[int, ...]:
    """Where the tiles along a side begin: as few as have the overlap, evenly spaced."""
    step = tile - int(tile * overlap)
    count = math.ceil((side - tile) / step) + 1
    if count == 1:
        return (0,)
    return tuple(index * (side - tile) // (count - 1) for index in range(count))
