"""From the network's resolution to the image's, a tile at a time.

Authors scale mask logits to the padded network input, crop the padding off and scale the rest to
the image, both times bilinearly. Both steps are linear and act on rows and columns apart, so each
axis is one sparse matrix, and any tile of the image depends on a small window of cells. All weights
are positive and sum to one; so the values in a tile lie between the least and the largest cell of
its window, and most tiles can be settled by that bound without computing a pixel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np

from pvzoo.postprocess.scaling import scaled, scaling

Size = tuple[int, int]
Map = tuple[np.ndarray, np.ndarray | None]
"""(height, width) int16 classes, and (height, width) float32 scores if they were asked for."""
Item = TypeVar("Item")
Found = TypeVar("Found")

ROUNDING = 4e-6
"""By what share of themselves, and at least by how much, bounds are widened for rounding."""

PRODUCT = 2**18
"""Multiplications up to which OpenBLAS makes a product of matrices in the thread that asks for it.

Larger ones it spreads over threads of its own, which is many times slower where several threads of
Python do so at once.
"""

MOST_THREADS = 8
"""More of them wait for Python's lock."""


class Contest(NamedTuple):
    """Which query won each pixel.

    Attributes:
        codes: (height, width) int16: twice the query that won, plus 1 where its own mask
            probability is at least one half.
        counts: (queries, 2) int64: the pixels that each won, by that second question.
        own: (queries,) int64: the area of each query's own mask.
    """

    codes: np.ndarray
    counts: np.ndarray
    own: np.ndarray


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the network's input; all sizes are (height, width) in pixels.

    Attributes:
        padded: The network's input.
        valid: The upper left part of it that shows the image; the rest is padding.
        image: The image itself.
    """

    padded: Size
    valid: Size
    image: Size


@dataclass(frozen=True, eq=False)
class Span:
    """Pixels ``start:end`` of an axis of the image, made of the cells ``low:high``."""

    start: int
    end: int
    low: int
    high: int

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def pixels(self) -> slice:
        """The span as a slice of the image's axis."""
        return slice(self.start, self.end)

    @property
    def cells(self) -> slice:
        """The span's window as a slice of the network's axis."""
        return slice(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Band(Span):
    """A span with what makes its pixels of its cells.

    Attributes:
        weights: (end - start, high - low) float32, each row summing to 1.
    """

    weights: np.ndarray


def axis(cells: int, padded: int, valid: int, image: int, align_corners: bool) -> np.ndarray:
    """The (image, cells) matrix of both scalings of an axis and the crop between them.

    ``align_corners`` is that of the first scaling; the second never aligns them.
    """
    # scaling the rows of the first matrix is the same as a product with the second
    return scaled(scaling(cells, padded, align_corners=align_corners)[:valid], image)


def bands(matrix: np.ndarray, size: int) -> tuple[Band, ...]:
    """Cut an axis of the image into bands of at most `size` pixels."""
    result = []
    for start in range(0, len(matrix), size):
        part = matrix[start : start + size]
        used = np.flatnonzero(part.any(axis=0))
        low, high = int(used[0]), int(used[-1]) + 1
        weights = np.ascontiguousarray(part[:, low:high])
        result.append(Band(start, start + len(part), low, high, weights))
    return tuple(result)


@lru_cache(maxsize=8)  # images of a stream are often of one size
def grid(
    cells: Size, frame: Frame, tile: int, align_corners: bool = False
) -> tuple[tuple[Band, ...], tuple[Band, ...]]:
    """The bands of rows and of columns in which maps of `cells` are scaled to the image."""
    rows, columns = (
        bands(axis(*sizes, align_corners), tile)
        for sizes in zip(cells, frame.padded, frame.valid, frame.image, strict=True)
    )
    return rows, columns


def tile_size(*scales: tuple[Size, Size], most: int = 128) -> int:
    """The side of a tile for which no product of matrices is larger than `PRODUCT`.

    Args:
        *scales: Pairs (from, to) of sizes that are scaled to each other.
        most: Largest side.
    """
    step = max(cells / pixels for pair in scales for cells, pixels in zip(*pair, strict=True))
    for side in range(most, 8, -8):
        cells = step * side + 4  # a band begins and ends within cells
        if side * cells * max(side, cells) <= PRODUCT:
            return side
    return 8


def bounds(window: np.ndarray, columns: Sequence[Band]) -> tuple[np.ndarray, np.ndarray]:
    """(n, cells, w) maps -> the least and largest value of each map in each column band.

    Both are (columns, n), widened by `ROUNDING`.
    """
    least, largest = window.min(axis=1), window.max(axis=1)
    low = np.stack([least[:, c.cells].min(axis=1) for c in columns])
    high = np.stack([largest[:, c.cells].max(axis=1) for c in columns])
    return low - ROUNDING * (1 + np.abs(low)), high + ROUNDING * (1 + np.abs(high))


def values(maps: np.ndarray, some: np.ndarray | slice, row: Band, column: Band) -> np.ndarray:
    """(k, rows, columns) float32: `some` of (n, h, w) maps in a tile of the image."""
    cells = maps[:, row.cells, column.cells][some]  # the other order would copy whole maps
    tile: np.ndarray = row.weights @ cells @ column.weights.T
    return tile


def best_of(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, rows, columns) -> the largest of each pixel, and the first place that has it, int16."""
    best, first = scores[0].copy(), np.zeros(scores.shape[1:], dtype=np.int16)
    for index in range(1, len(scores)):  # argmax over the first axis is far slower
        better = scores[index] > best
        np.copyto(best, scores[index], where=better)
        np.copyto(first, np.int16(index), where=better)
    return best, first


def in_threads(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """`work` of each item, in their order; numpy lets go of Python's lock while it computes.

    As many threads as this process may use processors, or as OMP_NUM_THREADS says.
    """
    threads = min(len(items), _processors(), MOST_THREADS)
    if threads < 2:
        return [work(item) for item in items]
    # a pool of this call's own: one that is kept would be dead after a fork
    with ThreadPoolExecutor(threads, thread_name_prefix="pvzoo-masks") as pool:
        return list(pool.map(work, items))


def _processors() -> int:
    said = os.environ.get("OMP_NUM_THREADS", "")
    if said.isdecimal() and int(said) > 0:
        return int(said)
    if hasattr(os, "sched_getaffinity"):  # not on Macs and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def two_steps(
    cells: Size, frame: Frame, rows: Sequence[Span], columns: Sequence[Span]
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Of each span: the matrices (input pixels, cells) and (image pixels, input pixels)."""
    result = []
    for side, count, padded, valid, image in zip(
        (rows, columns), cells, frame.padded, frame.valid, frame.image, strict=True
    ):
        to_input, to_image = scaling(count, padded)[:valid], scaling(valid, image)
        steps = []
        for span in side:
            used = np.flatnonzero(to_image[span.pixels].any(axis=0))
            inputs = slice(used[0], used[-1] + 1)
            steps.append(
                (
                    np.ascontiguousarray(to_input[inputs, span.cells]),
                    np.ascontiguousarray(to_image[span.pixels, inputs]),
                )
            )
        result.append(steps)
    return result
