"""Select rows by an index, several indices, or a mask of True and False."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pvzoo.errors import RowError, short

Rows = Sequence[int] | Sequence[bool] | np.ndarray | slice
"""Indices, or True or False for each row."""


def indices(rows: int | Rows, count: int) -> np.ndarray:
    """The indices that `rows` selects from `count` rows: (k,) int64, each in 0..count - 1.

    `rows` has the same meaning as for a numpy array of `count` entries.

    Args:
        rows: An index (an integer; negative ones count from the end), several indices, or a mask:
            True or False for each row. Several are a list, a range, a slice, or an array or tensor
            with one axis.
        count: The number of rows.

    Raises:
        RowError: `rows` is of another type, an index is out of range, or the mask has another
            length.
    """
    if not (isinstance(rows, int | list | range | slice) or hasattr(rows, "__array__")):
        raise _wrong(rows)
    try:
        if isinstance(rows, slice):
            return np.arange(count)[rows]
        chosen = np.asarray(rows)
    except (TypeError, ValueError) as error:
        raise _wrong(rows) from error
    if chosen.shape == (0,) and chosen.dtype != bool:  # [] has no type of its own
        return np.zeros(0, np.int64)
    if chosen.ndim == 0 and chosen.dtype != bool:
        chosen = chosen.reshape(1)
    if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
        raise _wrong(rows)
    if chosen.dtype == bool:
        if len(chosen) != count:
            raise RowError(
                f"The mask has {len(chosen)} entries, but there are {count} rows.",
                "Use one True or False for each row.",
            )
        return np.flatnonzero(chosen)
    if isinstance(rows, list) and any(isinstance(entry, bool | np.bool_) for entry in rows):
        raise _wrong(rows)  # numpy would treat a True among numbers as 1
    outside = chosen[(chosen < -count) | (chosen >= count)]
    if len(outside):
        there = f"The rows have the indices 0 to {count - 1}." if count else "There are no rows."
        raise RowError(f"There is no row {outside[0]}.", there)
    chosen = chosen.astype(np.int64)
    return np.where(chosen < 0, chosen + count, chosen)


def _wrong(rows: object) -> RowError:
    return RowError(
        f"Rows cannot be chosen by {short(rows)}.",
        "Use an index, a list of indices such as [0, 2], or a mask: True or False for each row.",
    )
