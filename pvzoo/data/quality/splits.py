"""The splits that are checked, and images that occur in them more than once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from pvzoo.data.quality import rules
from pvzoo.data.quality.report import Notes, Size

if TYPE_CHECKING:
    from datasets import Dataset

# An image in two splits belongs to the one of the higher rank.
_RANKS = {"validation": 1, "test": 2}


@dataclass
class CheckedSplit:
    """One split and what the check learns about it."""

    name: str
    dataset: Dataset
    names: tuple[str, ...]
    votes: Counter[str] = field(default_factory=Counter)
    classes: Counter[int | None] = field(default_factory=Counter)
    objects: int = 0
    convention: str = "xywh"
    fingerprint: str = ""
    values: set[int] = field(default_factory=set)
    digests: list[bytes | None] = field(default_factory=list)
    drop: set[int] = field(default_factory=set)
    turned: dict[int, tuple[int, Size]] = field(default_factory=dict)
    unsure: dict[int, tuple[int, Size]] = field(default_factory=dict)
    upright: int = 0
    listed: dict[int, int] = field(default_factory=dict)  # value -> class, of semantic maps

    def index(self, row: int) -> tuple[str, int]:
        """The (split, row) of an image, for a finding."""
        return (self.name, row)

    def text(self, file_name: str | None, row: int) -> str:
        """The name of an image in messages, if its file name is at hand."""
        name = file_name or f"row {row}"
        return f"{self.name}: {name}" if self.name else name

    def text_of(self, row: int) -> str:
        """The name of an image in messages."""
        names = self.dataset.with_format(None).select_columns(["file_name"])
        return self.text(names[row]["file_name"], row)


def note_repeats(parts: Sequence[CheckedSplit], notes: Notes) -> None:
    """Note images that occur more than once, and which of them to leave out."""
    for part in parts:
        first: dict[bytes, int] = {}
        for row, digest in enumerate(part.digests):
            if digest is None:
                continue
            earlier = first.setdefault(digest[:16], row)
            if earlier == row:
                continue
            same = part.digests[earlier] == digest
            rule = rules.DUPLICATE if same else rules.CONTRADICTION
            text = partial(_equation, part, row, part, earlier)
            notes.add(rule, text, part.index(row))
            if same:
                part.drop.add(row)
    parts = sorted(parts, key=lambda part: _RANKS.get(part.name, 0))
    for i, part in enumerate(parts):
        for other in parts[i + 1 :]:
            _note_shared(part, other, notes)


def _note_shared(part: CheckedSplit, other: CheckedSplit, notes: Notes) -> None:
    """Note images of `part` that are also in `other`, whose rank is at least as high."""
    theirs = {digest[:16]: row for row, digest in enumerate(other.digests) if digest}
    sure = _RANKS.get(part.name, 0) < _RANKS.get(other.name, 0)
    for row, digest in enumerate(part.digests):
        if not digest or digest[:16] not in theirs or (sure and row in part.drop):
            continue
        text = partial(_equation, part, row, other, theirs[digest[:16]])
        notes.add(rules.LEAK if sure else rules.SHARED, text, part.index(row))
        if sure:
            part.drop.add(row)


def _equation(part: CheckedSplit, row: int, other: CheckedSplit, other_row: int) -> str:
    return f"{part.text_of(row)} is {other.text_of(other_row)}"
