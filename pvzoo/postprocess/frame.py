"""Scale maps from the network's resolution to the image's, one tile at a time.

Authors scale mask logits to the padded network input, crop the padding off and scale the rest to
the image, both times bilinearly. Both steps are linear and separable into rows and columns. So each
axis is one sparse matrix, and any tile of the image depends on a small window of cells. All weights
are positive and sum to one, so the values in a tile lie between the smallest and the largest cell
of its window. This bound decides most tiles without computing a pixel.
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
"""(height, width) int16 classes, and (height, width) float32 scores or None."""
Item = TypeVar("Item")
Found = TypeVar("Found")

ROUNDING = 4e-6
"""Bounds are widened for rounding: by this share of their value, and at least by this amount."""

PRODUCT = 2**18
"""The most multiplications for which OpenBLAS computes a matrix product in the calling thread.

For larger products, OpenBLAS starts its own threads. This is many times slower if several Python
threads do it at the same time.
"""

MOST_THREADS = 8
"""More threads would only wait for Python's lock (the GIL)."""


class Contest(NamedTuple):
    """Which query won each pixel.

    Attributes:
        codes: (height, width) int16: twice the index of the query that won, plus 1 if its own mask
            probability is at least one half.
        counts: (queries, 2) int64: the pixels that each query won, with a mask probability below
            one half and at least one half.
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
    """Pixels ``start:end`` of an axis of the image, computed from the cells ``low:high``."""

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
    """A span with the weights that compute its pixels from its cells.

    Attributes:
        weights: (end - start, high - low) float32, each row summing to 1.
    """

    weights: np.ndarray


def axis(cells: int, padded: int, valid: int, image: int, align_corners: bool) -> np.ndarray:
    """The (image, cells) matrix of both scalings of an axis and the crop between them.

    ``align_corners`` is for the first scaling; the second never aligns corners.
    """
    # scaling the rows of the first matrix is the same as a product with the second matrix
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


@lru_cache(maxsize=8)  # images of a stream often have the same size
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
    """The side of a tile for which no matrix product is larger than `PRODUCT`.

    Args:
        *scales: Pairs of sizes (from, to) of the scalings.
        most: Largest side.
    """
    step = max(cells / pixels for pair in scales for cells, pixels in zip(*pair, strict=True))
    for side in range(most, 8, -8):
        cells = step * side + 4  # a band may begin and end inside a cell
        if side * cells * max(side, cells) <= PRODUCT:
            return side
    return 8


def bounds(window: np.ndarray, columns: Sequence[Band]) -> tuple[np.ndarray, np.ndarray]:
    """(n, cells, w) maps -> the smallest and largest value of each map in each column band.

    Both have the shape (columns, n) and are widened by `ROUNDING`.
    """
    least, largest = window.min(axis=1), window.max(axis=1)
    low = np.stack([least[:, c.cells].min(axis=1) for c in columns])
    high = np.stack([largest[:, c.cells].max(axis=1) for c in columns])
    return low - ROUNDING * (1 + np.abs(low)), high + ROUNDING * (1 + np.abs(high))


def values(maps: np.ndarray, some: np.ndarray | slice, row: Band, column: Band) -> np.ndarray:
    """(k, rows, columns) float32: `some` of (n, h, w) maps in a tile of the image."""
    cells = maps[:, row.cells, column.cells][some]  # in the other order, whole maps are copied
    tile: np.ndarray = row.weights @ cells @ column.weights.T
    return tile


def best_of(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, rows, columns) -> the largest value of each pixel, and its first index, int16."""
    best, first = scores[0].copy(), np.zeros(scores.shape[1:], dtype=np.int16)
    for index in range(1, len(scores)):  # argmax over the first axis is much slower
        better = scores[index] > best
        np.copyto(best, scores[index], where=better)
        np.copyto(first, np.int16(index), where=better)
    return best, first


def in_threads(work: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """`work` of each item, in their order, in threads: numpy releases the GIL while it computes.

    There is a thread for each processor that this process may use, or OMP_NUM_THREADS threads.
    """
    threads = min(len(items), _processors(), MOST_THREADS)
    if threads < 2:
        return [work(item) for item in items]
    # a new pool for each call: the threads of a pool that is kept do not survive a fork
    with ThreadPoolExecutor(threads, thread_name_prefix="pvzoo-masks") as pool:
        return list(pool.map(work, items))


def _processors() -> int:
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        return int(threads)
    if hasattr(os, "sched_getaffinity"):  # not on Macs and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def two_steps(
    cells: Size, frame: Frame, rows: Sequence[Span], columns: Sequence[Span]
) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """For each span: the matrices (input pixels, cells) and (image pixels, input pixels)."""
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
