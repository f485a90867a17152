"""Make ``metadata.csv`` and ``metadata.jsonl`` beside images safe and correct to read.

`datasets` reads these files, but with two faults that are corrected here. In CSV, pandas reads the
texts NA and None as null, True as a truth value, 007 as 7 and 1.0 as a fraction, so that they are
lost as names of classes; here they stay texts. Columns of whole numbers, and of measures such as
0.5, do not change. In JSON, Arrow reads nested lists without a limit, until its stack overflows and
the process dies; here deep nesting is refused.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.files import read_text
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

DEEPEST = 100
"""How deep a ``metadata.jsonl`` may nest lists and objects; Arrow fails at about 10,000."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")


def check_depth(file: Path) -> None:
    """Refuse JSON Lines that are nested deeper than `DEEPEST`.

    Raises:
        DataError: A line is nested deeper; the message names it.
    """
    with file.open("rb") as lines:
        depth = 0
        for number, line in enumerate(lines, 1):
            brackets = np.frombuffer(_STRING.sub(b"", line), np.uint8)
            depths = depth + np.cumsum(_STEP[brackets], dtype=np.int64)
            if depths.max(initial=0) > DEEPEST:
                raise DataError(
                    f"{file}, line {number}, has lists or objects nested more than {DEEPEST} deep.",
                    "Fix the line, or export the file again.",
                )
            depth = max(0, int(depths[-1])) if len(depths) else depth


def with_texts(data: DatasetDict, files: Iterable[Path]) -> DatasetDict:
    """Restore the texts of columns that `datasets` read from CSV as something else.

    Args:
        data: An image folder read by `datasets`, with a column ``image`` of paths.
        files: The ``metadata.csv`` files that it was read from.

    Raises:
        DataError: A file is not UTF-8 text.
    """
    from datasets import Value

    written: dict[str, deque[Mapping[str, Any]]] = defaultdict(deque)
    for file in files:
        for row in csv.DictReader(read_text(file).splitlines(keepends=True)):
            if name := row.get("file_name"):
                path = os.path.join(file.parent, os.path.normpath(name))
                written[os.path.abspath(path)].append(row)
    rows: dict[Any, list[Mapping[str, Any]]] = {}
    for split, part in data.items():
        found = _rows_of(part, written)
        if found is None:  # the data comes from other files
            return data
        rows[split] = found
    for name, kind in next(iter(data.values())).features.items():
        texts = {split: [row.get(name) or "" for row in lines] for split, lines in rows.items()}
        everything = [text for of_split in texts.values() for text in of_split]
        if not isinstance(kind, Value) or not any(everything):
            continue
        columns = {split: _column(part, name) for split, part in data.items()}
        change: type[int] | type[str]
        if all(_WHOLE.fullmatch(text) for text in everything if text):
            change, new = int, Value("int64")
        elif _is_intact(everything, [v for column in columns.values() for v in column], kind):
            continue
        else:
            change, new = str, Value("string")
        for split, part in data.items():
            values = [change(text) if text else None for text in texts[split]]
            if values != columns[split] or new != kind:
                data[split] = part.remove_columns(name).add_column(name, values, feature=new)
    return data


def _column(part: Dataset, name: str) -> list[Any]:
    values: list[Any] = part.with_format("arrow").select_columns([name])[:][name].to_pylist()
    return values


def _rows_of(
    part: Dataset, written: Mapping[str, deque[Mapping[str, Any]]]
) -> list[Mapping[str, Any]] | None:
    """The CSV row of each image; None if an image has no row."""
    from datasets import Image

    if not isinstance(part.features.get("image"), Image):
        return None
    found = []
    for cell in _column(part, "image"):
        lines = written.get(os.path.abspath(cell["path"])) if cell and cell["path"] else None
        if not lines:
            return None
        found.append(lines.popleft() if len(lines) > 1 else lines[0])
    return found


def _is_intact(texts: list[str], column: list[Any], kind: Any) -> bool:
    """Whether a column that is not of whole numbers still has what the file contains."""
    if any(text and value is None for text, value in zip(texts, column, strict=True)):
        return False
    if kind.dtype == "float64":
        return any(v is not None and math.isfinite(v) and not v.is_integer() for v in column)
    return kind.dtype in ("string", "large_string")
