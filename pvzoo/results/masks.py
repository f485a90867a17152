"""Binary masks that are stored run-length encoded, as in COCO, and decoded on access."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from pycocotools import mask as coco

from pvzoo.errors import UsageError
from pvzoo.results.base import read_only
from pvzoo.results.selection import Rows, indices


@dataclass(frozen=True)
class Masks(Sequence[np.ndarray]):
    """Masks of one image. ``masks[i]`` decodes one, ``masks.to_array()`` all.

    Attributes:
        size: (height, width) in pixels.
        counts: One compressed COCO run-length code per mask.
    """

    size: tuple[int, int]
    counts: tuple[bytes, ...] = ()

    @classmethod
    def from_array(cls, masks: np.ndarray) -> Masks:
        """Encode (n, height, width) masks; a pixel belongs to a mask if it is not zero.

        Raises:
            UsageError: The array does not have three axes.
        """
        masks = np.asarray(masks)
        if masks.ndim != 3:
            raise UsageError(f"The masks have the shape {masks.shape}.", "Use (n, height, width).")
        size = (masks.shape[1], masks.shape[2])
        return cls(size, tuple(encode(mask != 0, 0, 0, size) for mask in masks))

    @classmethod
    def from_map(cls, ids: np.ndarray, wanted: Iterable[int]) -> Masks:
        """A mask for each of the `wanted` values of a (height, width) map, found in one pass."""
        columns = ids.T.reshape(-1)  # COCO counts down the columns
        bounds = np.flatnonzero(columns[1:] != columns[:-1]) + 1
        bounds = np.concatenate([[0], bounds, [columns.size]])
        values, starts, ends = columns[bounds[:-1]], bounds[:-1], bounds[1:]
        size = (ids.shape[0], ids.shape[1])
        return cls(size, tuple(_pack(starts[values == i], ends[values == i], size) for i in wanted))

    @overload
    def __getitem__(self, index: int) -> np.ndarray: ...

    @overload
    def __getitem__(self, index: Rows) -> Masks: ...

    def __getitem__(self, index: int | Rows) -> np.ndarray | Masks:
        """One decoded mask, a new (height, width) bool array; or several masks, still encoded.

        Args:
            index: The index of one mask; or a slice, several indices, or True or False per mask.

        Raises:
            RowError: There is no such mask, or `index` is of another type; also an `IndexError`.
        """
        chosen = indices(index, len(self))
        if isinstance(index, int | np.integer):
            mask: np.ndarray = coco.decode(self._code(self.counts[chosen[0]])).view(bool)
            return mask
        return Masks(self.size, tuple(self.counts[i] for i in chosen))

    def __len__(self) -> int:
        return len(self.counts)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    def to_array(self) -> np.ndarray:
        """All masks in a new array, (n, height, width) bool."""
        result = np.empty((len(self), *self.size), dtype=bool)
        for i, mask in enumerate(self):
            result[i] = mask
        return result

    @property
    def areas(self) -> np.ndarray:
        """(n,) int64 pixels in each mask, read-only."""
        areas = [coco.area(self._code(c)) for c in self.counts]
        return read_only(np.array(areas, dtype=np.int64))

    @property
    def boxes(self) -> np.ndarray:
        """(n, 4) float32, read-only: left, top, right, bottom; zeros for an empty mask."""
        boxes = np.array([coco.toBbox(self._code(c)) for c in self.counts], dtype=np.float32)
        boxes = boxes.reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return read_only(boxes)

    def to_coco(self) -> list[dict[str, Any]]:
        """COCO's compressed run-length codes, with ``counts`` as text, ready for JSON."""
        return [{"size": list(self.size), "counts": c.decode("ascii")} for c in self.counts]

    def polygons(self, index: int) -> list[list[float]]:
        """The outlines of a mask as COCO polygons: flat lists x1, y1, x2, y2, ...

        They run along the edges of the pixels, so pycocotools makes the same mask of them, except
        for holes: polygons cannot represent holes, so they are filled. An empty mask has no
        polygons.
        """
        left, top, width, height = map(int, coco.toBbox(self._code(self.counts[index])))
        outlines = _outlines(self[index][top : top + height, left : left + width])
        return [(o + np.array([left, top])).astype(float).flatten().tolist() for o in outlines]

    def _code(self, counts: bytes) -> dict[str, Any]:
        return {"size": list(self.size), "counts": counts}


def encode(mask: np.ndarray, top: int, left: int, size: tuple[int, int]) -> bytes:
    """The run-length code of a (h, w) bool mask placed at (top, left) in an image of `size`.

    The runs are found in the small mask and then moved to their place in the image.

    Raises:
        ValueError: The mask is not completely inside the image.
    """
    height, width = size
    h, w = mask.shape
    if min(top, left, height - top - h, width - left - w) < 0:
        raise ValueError(f"A mask of {h}x{w} at {top}, {left} leaves the image of {height}x{width}")
    changes = np.zeros((h + 1, w), dtype=bool)  # whether a pixel differs from the one above it
    if mask.size:
        changes[0], changes[-1] = mask[0], mask[-1]
        np.not_equal(mask[1:], mask[:-1], out=changes[1:-1])
    # sorting the few changes by column is much faster than transposing the mask
    row, column = np.divmod(np.flatnonzero(changes), w) if w else np.zeros((2, 0), int)
    column, row = np.divmod(np.sort(column * (h + 1) + row), h + 1)
    # each column begins and ends outside the mask, so starts and ends alternate
    starts, ends = ((left + column) * height + top + row).reshape(-1, 2).T
    return _pack(*_joined(starts, ends), size)


def enlarge(counts: bytes, size: tuple[int, int], factor: int, to: tuple[int, int]) -> bytes:
    """The code of a mask in an image that is larger by a whole number, which is not made.

    Args:
        counts: The code of a mask.
        size: (height, width) of it.
        factor: How many pixels of the larger image, along each side, a pixel becomes.
        to: (height, width) of the larger image. What lies beyond it is cut off.
    """
    mask = coco.decode({"size": list(size), "counts": counts})
    changes = np.diff(mask.view(np.int8), axis=0, prepend=0, append=0) != 0
    column, row = (side.reshape(-1, 2) for side in np.nonzero(changes.T))
    height, width = to
    columns = (column[:, :1] * factor + np.arange(factor)).astype(np.int64)
    starts = columns * height + np.minimum(row[:, :1] * factor, height)
    ends = columns * height + np.minimum(row[:, 1:] * factor, height)
    inside = (columns < width) & (starts < ends)
    starts, ends = starts[inside], ends[inside]
    order = np.argsort(starts)
    return _pack(*_joined(starts[order], ends[order]), to)


def _joined(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Runs in order, with those joined that touch: at the bottom of a column and the next top."""
    breaks = starts[1:] != ends[:-1]
    return (
        np.concatenate([starts[:1], starts[1:][breaks]]),
        np.concatenate([ends[:-1][breaks], ends[-1:]]),
    )


def _pack(starts: np.ndarray, ends: np.ndarray, size: tuple[int, int]) -> bytes:
    """The code of runs ``start:end`` of an image's pixels, counted down its columns.

    COCO stores the lengths of alternating runs; the first run is outside the mask.
    """
    height, width = size
    bounds = np.stack([starts, ends], axis=1).flatten()
    counts = np.diff(np.concatenate([[0], bounds, [height * width]])).tolist()
    if counts[-1] == 0 and len(counts) > 1:
        counts.pop()
    code = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return bytes(code["counts"])


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    """The outer outlines of a (h, w) bool mask: (k, 2) corners x, y on the edges of its pixels.

    Pixels that touch only at a corner are separate parts. Along each row and each column of pixel
    edges, the corners are alternately the beginning and the end of a line.
    """
    pixels = np.pad(mask, 1)
    a, b, c, d = pixels[:-1, :-1], pixels[:-1, 1:], pixels[1:, :-1], pixels[1:, 1:]
    touch = (a == d) & (b == c) & (a != b)  # two corners at the same point
    y, x = (touch | (a ^ b ^ c ^ d)).nonzero()
    double = touch[y, x]
    rising = double & b[y, x]  # the line on the left goes down, the one on the right up
    y, x, rising = (np.repeat(v, 1 + double) for v in (y, x, rising))
    number = np.arange(len(x))
    down = np.lexsort((np.where(rising, -number, number), y, x))
    along_column = np.empty_like(number)
    along_column[down] = down.reshape(-1, 2)[:, ::-1].flatten()
    next_down = along_column.tolist()
    seen = bytearray(len(number))
    outlines = []
    for first in range(len(number)):  # a corner not seen yet is the upper left of an outline
        loop, corner = [], first
        while not seen[corner]:
            other = corner ^ 1  # its neighbour along the row
            seen[corner] = seen[other] = True
            loop += [corner, other]
            corner = next_down[other]
        if loop and pixels[y[first] + 1, x[first] + 1]:  # otherwise it goes round a hole
            outlines.append(np.stack([x[loop], y[loop]], axis=1))
    return outlines
