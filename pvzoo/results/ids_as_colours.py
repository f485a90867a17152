"""Convert ids to colours and back as in COCO's panoptic PNGs: id = R + 256 G + 65536 B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def ids_of(colours: np.ndarray | Sequence[int]) -> np.ndarray:
    """(..., 3 or more) channels in 0..255 as (...) int32 ids; channels after blue are ignored."""
    red, green, blue = np.moveaxis(np.asarray(colours, np.int32), -1, 0)[:3]
    ids: np.ndarray = red + 256 * green + 65536 * blue
    return ids


def colours_of(ids: np.ndarray) -> np.ndarray:
    """(height, width) ids from 0 to 2**24 - 1 as (height, width, 3) uint8."""
    octets = ids.astype("<u4", order="C").view(np.uint8).reshape(*ids.shape, 4)
    return np.ascontiguousarray(octets[..., :3])
