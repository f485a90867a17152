"""Which rows are meant: their places, or a mask of True and False."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pvzoo.errors import UsageError, short

Rows = Sequence[int] | Sequence[bool] | np.ndarray | slice
"""Places, or True or False for each row."""


def places(rows: Rows, count: int) -> np.ndarray:
    """The places that `rows` selects of `count` rows: (k,) int64, each in 0..count - 1.

    Args:
        rows: Places (whole numbers; those below 0 count from the end), or a mask: True or False
            for each row. A list, a range, a slice, or an array or tensor of one axis.
        count: How many rows there are.

    Raises:
        UsageError: It is neither, a place is not there, or the mask has another length.
    """
    if isinstance(rows, slice):
        return np.arange(count)[rows]
    wrong = UsageError(
        f"Rows cannot be chosen by {short(rows)}.",
        "Use a list of places, such as [0, 2], or a mask with True or False for each row.",
    )
    try:
        listed = rows if hasattr(rows, "__array__") else list(rows)
        chosen = np.asarray(listed)
    except (TypeError, ValueError) as error:
        raise wrong from error
    if chosen.shape == (0,) and chosen.dtype != bool:  # [] has no type of its own
        return np.zeros(0, np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
        raise wrong
    if chosen.dtype == bool:
        if len(chosen) != count:
            raise UsageError(
                f"The mask has {len(chosen)} entries, and there are {count} rows.",
                "It has True or False for each row.",
            )
        return np.flatnonzero(chosen)
    if isinstance(listed, list) and any(isinstance(entry, bool | np.bool_) for entry in listed):
        raise wrong  # numpy takes True among numbers for 1
    outside = chosen[(chosen < -count) | (chosen >= count)]
    if len(outside):
        there = f"The rows are numbered from 0 to {count - 1}." if count else "There are no rows."
        raise UsageError(f"There is no row {outside[0]}.", there)
    chosen = chosen.astype(np.int64)
    return np.where(chosen < 0, chosen + count, chosen)
