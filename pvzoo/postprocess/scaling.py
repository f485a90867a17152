"""Matrices that scale along one axis as torch does, with the same rounding of positions.

The columns of the matrix of a linear function are its results for the unit vectors.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Mode = Literal["linear", "cubic"]


def scaling(
    cells: int, pixels: int, mode: Mode = "linear", align_corners: bool = False
) -> np.ndarray:
    """The (pixels, cells) float32 matrix of ``torch.nn.functional.interpolate`` along an axis."""
    return scaled(np.eye(cells, dtype=np.float32), pixels, mode, align_corners)


def scaled(
    rows: np.ndarray, pixels: int, mode: Mode = "linear", align_corners: bool = False
) -> np.ndarray:
    """(cells, n) float32 -> (pixels, n), scaled along the first axis."""
    indices, weights = _taps(len(rows), pixels, mode, align_corners)
    result: np.ndarray = weights[0][:, None] * rows[indices[0]]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        result += weight[:, None] * rows[index]
    return result


def nearest(cells: int, pixels: int) -> np.ndarray:
    """(pixels,) int64: the cell that torch's nearest-neighbour scaling shows in each pixel."""
    step = np.float32(cells) / np.float32(pixels)
    indices = np.floor(np.arange(pixels, dtype=np.float32) * step).astype(np.int64)
    cell: np.ndarray = np.minimum(indices, cells - 1)
    return cell


def _taps(
    cells: int, pixels: int, mode: Mode, align_corners: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each pixel: the cells it is computed from, and the float32 share of each."""
    one, half = np.float32(1), np.float32(0.5)
    index = np.arange(pixels, dtype=np.float32)
    if align_corners:
        step = np.float32(cells - 1) / np.float32(pixels - 1) if pixels > 1 else np.float32(0)
        position = step * index
    else:
        # rounded once, because processors multiply and add in one step
        step = np.float32(cells) / np.float32(pixels)
        position = (np.float64(step) * (index + half) - half).astype(np.float32)
    if mode == "linear":
        position = np.maximum(position, 0)
        first = np.minimum(position.astype(np.int64), cells - 1)
        part = np.clip(position - first.astype(np.float32), 0, 1)
        return [first, np.minimum(first + 1, cells - 1)], [one - part, part]
    floor = np.floor(position)
    part, first = position - floor, floor.astype(np.int64)
    places = [np.clip(first + offset, 0, cells - 1) for offset in (-1, 0, 1, 2)]
    return places, [_far(part + one), _near(part), _near(one - part), _far(one - part + one)]


_SHARPNESS = np.float32(-0.75)
"""Parameter of the cubic kernel, as in torch and OpenCV."""


def _near(distance: np.ndarray) -> np.ndarray:
    """The cubic kernel up to a distance of 1."""
    a = _SHARPNESS
    share: np.ndarray = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    return share


def _far(distance: np.ndarray) -> np.ndarray:
    """The cubic kernel from a distance of 1 to 2."""
    a = _SHARPNESS
    share: np.ndarray = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
    return share
