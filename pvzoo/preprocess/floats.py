"""Resize float images without antialiasing as torch does; only the last bit may differ.

(The last bit of torch's own result depends on its number of threads.)
"""

from __future__ import annotations

import numpy as np


def resize_float(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """(..., h, w) float32 -> (..., height, width) float32, bilinear, corners not aligned."""
    (top, bottom), rows = _neighbours(planes.shape[-2], height)
    (left, right), columns = _neighbours(planes.shape[-1], width)
    upper, lower = (
        part[..., left] * columns[0] + part[..., right] * columns[1]
        for part in (planes[..., top, :], planes[..., bottom, :])
    )
    resized: np.ndarray = upper * rows[0][:, None] + lower * rows[1][:, None]
    return resized


def _neighbours(
    old: int, new: int
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """For each new pixel: the two old pixels around it, and their float32 weights."""
    scale = np.float32(old) / np.float32(new)
    middle = np.arange(new, dtype=np.float32) + np.float32(0.5)
    # rounded once, as in a fused multiply-add
    index = np.maximum((middle.astype(np.float64) * scale - 0.5).astype(np.float32), 0)
    first = np.minimum(index.astype(np.int64), old - 1)
    share = np.clip(index - first.astype(np.float32), 0, 1)
    return (first, np.minimum(first + 1, old - 1)), (np.float32(1) - share, share)
