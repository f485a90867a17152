"""Find the pixels near boundaries of a map, for boundary IoU (Cheng et al., arXiv:2103.16562)."""

from __future__ import annotations

import numpy as np

WIDTH = 0.02
"""How far a boundary reaches into its class, as a share of the image's diagonal."""


def near_boundary(values: np.ndarray) -> np.ndarray:
    """Find the pixels near a pixel with another value, or near the edge of the map.

    These are the pixels that the paper's erosion removes from each class. It erodes with 3 x 3
    pixels; `WIDTH` decides how often.

    Args:
        values: (height, width) integers.

    Returns:
        (height, width) bool.
    """
    height, width = values.shape
    reach = max(1, round(WIDTH * float(np.hypot(height, width))))
    near = np.ones(values.shape, bool)
    if min(height, width) <= 2 * reach:
        return near
    # find horizontal changes within reach; then, vertically, these changes or others within reach
    across = _any_within(values[:, 1:] != values[:, :-1], 2 * reach, axis=1)
    inner = values[:, reach : width - reach]
    down = _any_within(inner[1:] != inner[:-1], 2 * reach, axis=0)
    down |= _any_within(across, 2 * reach + 1, axis=0)
    near[reach : height - reach, reach : width - reach] = down
    return near


def _any_within(marks: np.ndarray, length: int, axis: int) -> np.ndarray:
    """Whether there is a mark in each window of a length, along an axis.

    Two windows make a window of up to twice the length, so few steps are needed.
    """
    found, reached = marks, 1
    while reached < length:
        step = min(reached, length - reached)
        count = found.shape[axis] - step
        first, later = _part(found, 0, count, axis), _part(found, step, count, axis)
        found, reached = first | later, reached + step
    return found


def _part(values: np.ndarray, start: int, count: int, axis: int) -> np.ndarray:
    return values[start : start + count] if axis == 0 else values[:, start : start + count]
