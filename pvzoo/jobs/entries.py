"""What a source consists of: entries, each a file, a part of a table, or an archive."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pvzoo.jobs.storage import Place

Kind = Literal["files", "listed", "tars", "table"]
"""What the entries are: image files, paths as somebody wrote them, tar files, tables of images."""


@dataclass(frozen=True)
class Entry:
    """Where inputs are.

    Attributes:
        path: On the file system of `Source.base`; of kind "listed" as somebody wrote it.
        start: The first row group of a table, else None.
        stop: The row group after the last one, else None.
        count: How many inputs it has, if that is known.
    """

    path: str
    start: int | None = None
    stop: int | None = None
    count: int | None = 1


@dataclass(frozen=True)
class Source:
    """The inputs of a job.

    Attributes:
        text: What the user wrote, with an absolute path and without secrets.
        kind: What the entries are.
        base: The folder that paths are relative to; it also gives the file system.
        column: The column of a table.
        foreign: Whether paths come from a table, which a stranger may have made.
        entries: In a fixed order; they can be gone through once.
    """

    text: str
    kind: Kind
    base: Place
    entries: Iterable[Entry]
    column: str | None = None
    foreign: bool = False


def suffix(name: str) -> str:
    """The suffix of a name in small letters, such as ".jpg"."""
    return os.path.splitext(name)[1].lower()
