"""Results as rows of a Parquet file: one row for each input, also for one that failed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from pvzoo.errors import ImageError
from pvzoo.inputs.names import readable
from pvzoo.results.base import Result

_TYPES = {"str": pa.string(), "bool": pa.bool_(), "boolean": pa.bool_()}
_MASK = pa.struct([("size", pa.list_(pa.int32())), ("counts", pa.string())])
_OPTIONAL = {"probabilities": pa.list_(pa.float32()), "sure": pa.bool_()}
_FIRST = [("id", pa.string()), ("path", pa.string()), ("width", pa.int32()), ("height", pa.int32())]
_OF_DICT = {"task", "source", "width", "height", "predictions", *_OPTIONAL}
_OWN = "pvzoo.results."


def schema(kind: type[Result]) -> pa.Schema:
    """The columns for results of a type; they do not depend on what was predicted.

    ``predictions`` has the names of `Result.to_dict`. Masks are COCO run-length codes. If a
    plugin's results have more in `to_dict`, that is in ``more``, as JSON.
    """
    columns = [*_FIRST, ("predictions", pa.list_(pa.struct(_columns(kind))))]
    names = {field.name for field in fields(kind)}
    columns += [(name, type) for name, type in _OPTIONAL.items() if name in names]
    if not kind.__module__.startswith(_OWN):
        columns.append(("more", pa.string()))
    return pa.schema([*columns, ("error", pa.string())])


def of_result(result: Result, id: str, path: str) -> dict[str, Any]:
    """The row of an input that has a result."""
    plain = result.to_dict()
    row = {
        name: plain[name]
        for name in ("width", "height", "predictions", *_OPTIONAL)
        if name in plain
    }
    row |= {"id": id, "path": readable(path), "error": None}
    if not type(result).__module__.startswith(_OWN):
        row["more"] = _more(type(result), plain)
    return row


def of_error(error: ImageError, id: str, path: str) -> dict[str, Any]:
    """The row of an input without a result."""
    return {"id": id, "path": readable(path), "error": readable(str(error))}


def _columns(kind: type[Result]) -> list[tuple[str, pa.DataType]]:
    columns = [(name, _type(text)) for name, text in kind.columns.items()]
    has_masks = hasattr(kind, "masks") or "masks" in {field.name for field in fields(kind)}
    if has_masks and kind.__module__.startswith(_OWN):
        columns.append(("mask", _MASK))
    return columns


def _type(name: str) -> pa.DataType:
    try:
        return _TYPES.get(name) or pa.from_numpy_dtype(np.dtype(name))
    except (TypeError, pa.ArrowNotImplementedError):
        return pa.string()


def _more(kind: type[Result], plain: Mapping[str, Any]) -> str | None:
    """What a plugin's `to_dict` has beyond the columns, as JSON."""
    more = {name: value for name, value in plain.items() if name not in _OF_DICT}
    if any(set(row) - set(kind.columns) for row in plain["predictions"]):
        more["predictions"] = plain["predictions"]
    return json.dumps(more, ensure_ascii=False) if more else None
