"""Blend the class scores of tiles where they overlap, in strips.

The score of a class at a pixel is the weighted mean of the scores that the tiles give it. The
weight of a tile rises linearly from its inner edges over the part that it has in common with the
next tile, along both axes. As soon as no further tile shows a part of the image, its classes are
decided. So in memory are the scores of one tile, and those of the part that a row of tiles has in
common with the next row.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.limits import most_pixels
from pvzoo.postprocess.frame import best_of
from pvzoo.results.semantic import SemanticMap
from pvzoo.tiles.geometry import Area, Grid

MOST_BYTES = 2**28
"""Scores that wait for the next row of tiles go to a file if they have more bytes."""


@dataclass(frozen=True, eq=False)
class RawOutputs:
    """The outputs of the network for a tile."""

    outputs: dict[str, Any]
    meta: dict[str, Any]
    image: ImageHandle | None = None


class MapJoiner:
    """Makes the map of one image from the scores of its tiles, which come row by row.

    Args:
        grid: The tiles.
        names: The names of all classes.
        scores: From the outputs of a tile to its (classes, height, width) float32 scores.
        with_scores: Whether the result has the score of each pixel's class.
    """

    def __init__(
        self,
        grid: Grid,
        names: Sequence[str],
        scores: Callable[[RawOutputs], np.ndarray],
        *,
        with_scores: bool,
    ) -> None:
        self._grid, self._names, self._scores = grid, names, scores
        self._rows = [_weights(grid.tops, i, grid.tile[0]) for i in range(len(grid.tops))]
        self._columns = [_weights(grid.lefts, i, grid.tile[1]) for i in range(len(grid.lefts))]
        kind = np.uint8 if len(names) <= 256 else np.uint16
        self._map = allocate(grid.image, kind)
        self._best = allocate(grid.image, np.float32) if with_scores else None
        self._counts = np.zeros(len(names), dtype=np.int64)
        none: np.ndarray = np.zeros((0, 0, 0), dtype=np.float32)
        self._left = none  # of the tiles before in this row
        self._above = none  # of the rows before
        self._below = none  # for the next row

    def add(self, area: Area, seen: RawOutputs) -> None:
        """Blend the scores of the next tile into the map."""
        grid = self._grid
        i, j = grid.tops.index(area.top), grid.lefts.index(area.left)
        scores = self._scores(seen)
        scores = scores * (self._rows[i][:, None] * self._columns[j])
        done = [*grid.tops, grid.image[0]][i + 1] - area.top
        stop = [*grid.lefts, grid.image[1]][j + 1]
        if j == 0:
            self._above, self._below = self._below, self._empty(len(scores), done)
        else:
            scores[:, :, : self._left.shape[2]] += self._left
        self._left = scores[:, :, stop - area.left :].copy()
        scores = scores[:, :, : stop - area.left]
        columns = slice(area.left, stop)
        if i:
            scores[:, : self._above.shape[1]] += self._above[:, :, columns]
        if self._below.size:
            self._below[:, :, columns] = scores[:, done:]
        self._decide(scores[:, :done], slice(area.top, area.top + done), columns)

    def _empty(self, classes: int, done: int) -> np.ndarray:
        """Room for the scores that a row of tiles has in common with the next."""
        height, width = self._grid.tile[0] - done, self._grid.image[1]
        return allocate((classes, height, width), np.float32, MOST_BYTES)

    def _decide(self, scores: np.ndarray, rows: slice, columns: slice) -> None:
        best, labels = best_of(scores)
        self._map[rows, columns] = labels
        self._counts += np.bincount(labels.reshape(-1), minlength=len(self._counts))
        if self._best is not None:
            total = [
                _total(starts, weights, span)
                for starts, weights, span in (
                    (self._grid.tops, self._rows, rows),
                    (self._grid.lefts, self._columns, columns),
                )
            ]
            self._best[rows, columns] = best / (total[0][:, None] * total[1])

    def result(self) -> SemanticMap:
        """The map of the image."""
        labels = np.argsort(-self._counts, kind="stable")[: np.count_nonzero(self._counts)]
        return SemanticMap(
            size=self._grid.image,
            map=self._map,
            labels=labels,
            areas=self._counts[labels],
            names=tuple(self._names[i] for i in labels),
            scores=self._best,
        )


def allocate(shape: tuple[int, ...], kind: type[np.generic], most: int | None = None) -> np.ndarray:
    """An array of zeros; if it is large, it is in a temporary file that is gone with the array.

    Args:
        shape: Its shape.
        kind: Its dtype.
        most: The most bytes in memory; None for the limit of an image's pixels, one byte each.
    """
    if most is None:
        most = most_pixels() * np.dtype(kind).itemsize
    if int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize <= most:
        return np.zeros(shape, kind)
    with tempfile.TemporaryFile(prefix="pvzoo-") as file:
        return np.memmap(file, dtype=kind, mode="w+", shape=shape)


def _weights(starts: Sequence[int], index: int, size: int) -> np.ndarray:
    """(size,) float32 weights of a tile along an axis."""
    weights = np.ones(size, dtype=np.float32)
    if index > 0:
        common = starts[index - 1] + size - starts[index]
        weights[:common] *= _ramp(common)
    if index + 1 < len(starts):
        common = starts[index] + size - starts[index + 1]
        weights[size - common :] *= _ramp(common)[::-1]
    return weights


def _ramp(length: int) -> np.ndarray:
    ramp: np.ndarray = (np.arange(length, dtype=np.float32) + 0.5) / max(1, length)
    return ramp


def _total(starts: Sequence[int], weights: Sequence[np.ndarray], span: slice) -> np.ndarray:
    """The sum of the weights of all tiles in a part of an axis."""
    total = np.zeros(span.stop - span.start, dtype=np.float32)
    for start, own in zip(starts, weights, strict=True):
        low, high = max(start, span.start), min(start + len(own), span.stop)
        if low < high:
            total[low - span.start : high - span.start] += own[low - start : high - start]
    return total
