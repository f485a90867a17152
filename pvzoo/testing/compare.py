"""Compare two results."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from pvzoo.results.base import Result


def difference(one: Result, other: Result, *, tolerance: float = 1e-3) -> str:
    """Where two results differ by more than rounding, as a text; "" if they do not.

    Numbers may differ by `tolerance` times their size, or times 1 if they are smaller.
    """
    if type(one) is not type(other):
        return f"one is a {type(one).__name__}, the other a {type(other).__name__}"
    for field in fields(one):
        if field.name != "image":
            found = _differ(getattr(one, field.name), getattr(other, field.name), tolerance)
            if found:
                return f"{field.name}{found}"
    mine, theirs = (
        {key: value for key, value in result.to_dict().items() if key != "source"}
        for result in (one, other)
    )
    found = _differ(mine, theirs, tolerance)
    return f"to_dict(){found}" if found else ""


def values_difference(one: Any, other: Any, *, tolerance: float = 1e-3) -> str:
    """Where two values for JSON differ by more than rounding, as a text; "" if they do not."""
    return _differ(one, other, tolerance)


def _differ(one: Any, other: Any, tolerance: float) -> str:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        if one.shape != other.shape:
            return f" has the shapes {one.shape} and {other.shape}"
        if one.dtype.kind not in "fc":
            return "" if np.array_equal(one, other) else f" is {_short(one)} and {_short(other)}"
        near = np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
        return "" if near.all() else f" differs by up to {np.nanmax(np.abs(one - other)):.3g}"
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            return f" has the keys {list(one)} and {list(other)}"
        return _first({f"[{k!r}]": (one[k], other[k]) for k in one}, tolerance)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        if len(one) != len(other):
            return f" has {len(one)} and {len(other)} entries"
        pairs = zip(one, other, strict=True)
        return _first({f"[{i}]": pair for i, pair in enumerate(pairs)}, tolerance)
    if isinstance(one, float) and isinstance(other, float):
        same = np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
        return "" if same else f" is {one:.6g} and {other:.6g}"
    if is_dataclass(one) and type(one) is type(other):
        names = [f.name for f in fields(one)]
        return _first({f".{n}": (getattr(one, n), getattr(other, n)) for n in names}, tolerance)
    kind: Any = type(one)
    if kind.__eq__ is object.__eq__:  # the comparison of to_dict() covers it
        return ""
    return "" if one == other else f" is {_short(one)} and {_short(other)}"


def _first(pairs: dict[str, tuple[Any, Any]], tolerance: float) -> str:
    for index, (one, other) in pairs.items():
        if found := _differ(one, other, tolerance):
            return f"{index}{found}"
    return ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."
