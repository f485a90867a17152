"""The contract of a check: what can be wrong with the labels of one task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from pvzoo.data.maps import areas_of, read_map
from pvzoo.data.quality import rules
from pvzoo.data.quality.probe import Look
from pvzoo.data.quality.report import Notes, Size
from pvzoo.data.quality.rules import Rule
from pvzoo.data.quality.splits import CheckedSplit
from pvzoo.data.schema import VOID


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its labels.

    Attributes:
        notes: Where what is wrong is noted.
        part: The split that it is in, which learns what the image says of the whole.
        number: The row of the image in the split.
        row: Its labels.
        look: The image itself, which can be read.
    """

    notes: Notes
    part: CheckedSplit
    number: int
    row: Mapping[str, Any]
    look: Look

    def note(self, rule: Rule, text: str = "", count: int = 1) -> None:
        """Note that the image breaks a rule `count` times; `text` follows its name."""
        name = self.part.text(self.row["file_name"], self.number)
        self.notes.add(rule, f"{name}{text}", self.part.index(self.number), count)


class LabelCheck:
    """What is wrong with the labels of one task. One instance serves one call of `check`.

    The calls are `survey` for the labels of every image, `conclude`, `check` for every image that
    can be read, `orientations`, `finish`. By default nothing is wrong.

    Class attributes:
        map: The Image column that holds a map of labels, if there is one; an image whose map
            cannot be read is reported as such.

    Attributes:
        parts: The splits.
        notes: Where what is wrong with more than one image is noted.
        class_shift: What `pvzoo.data.fix` adds to class ids.
        value_shift: What it adds to the values that are listed for maps.
    """

    map: ClassVar[str | None] = None

    def __init__(self, parts: Sequence[CheckedSplit], notes: Notes) -> None:
        self.parts = parts
        self.notes = notes
        self.class_shift = 0
        self.value_shift = 0

    def read_map(self, cell: Any) -> np.ndarray:
        """The values of a map, (height, width); `cell` is that of an Image column, not decoded.

        Raises:
            DataError: It cannot be read.
        """
        return read_map(cell, "the map of its labels")

    def seen_in(self, values: np.ndarray) -> Any:
        """What `check` needs of the values of a map, as `Look.seen`: they are not kept."""
        return areas_of(values)

    def told(self, row: Mapping[str, Any]) -> Any:
        """What images of the same pixels must share, beside their maps, to be the same."""
        return {name: value for name, value in row.items() if name != "file_name"}

    def survey(self, part: CheckedSplit, row: Mapping[str, Any]) -> None:
        """Look at the labels of an image, without the image and its map."""

    def conclude(self) -> None:
        """Say how labels are to be read, after all were surveyed."""

    def check(self, sample: Sample) -> None:
        """Note all that is wrong with an image and its labels."""

    def orientations(self) -> None:
        """Judge images that EXIF turns, and of which nothing else says how they were labelled."""

    def finish(self) -> None:
        """Note what only the whole says."""

    def is_labelled(self, part: CheckedSplit) -> bool:
        """Whether any image of a split that has images has a label."""
        return True


class ClassedCheck(LabelCheck):
    """For labels with classes.

    Class attributes:
        nothing: The rules for a split without labels: where no split has any, and where some have.
        none: Class ids that say that there is no label.
    """

    nothing: ClassVar[tuple[Rule, Rule]] = (rules.NOTHING, rules.NOTHING_HERE)
    none: ClassVar[frozenset[int]] = frozenset({VOID})

    def told(self, row: Mapping[str, Any]) -> Any:
        """Ids of objects and stated sizes may differ."""
        told = {key: row[key] for key in ("label", "labels", "segments") if key in row}
        if row.get("objects"):
            told["objects"] = {key: row["objects"][key] for key in row["objects"] if key != "id"}
        return told

    def conclude(self) -> None:
        """Whether class ids are counted from another number."""
        seen = {i for part in self.parts for i in part.classes if i is not None} - self.none
        self.class_shift = shift(seen, range(len(self.parts[0].names)))

    def check_class(self, sample: Sample, label: int | None, of: str) -> None:
        """Note a class id that is no place in the names."""
        names = sample.part.names
        if label is not None and 0 <= label < len(names) and not self.class_shift:
            return
        if label is not None and 0 <= label + self.class_shift < len(names):
            sample.note(rules.OFF_BY_ONE, f"{of}: class id {label} of {len(names)}")
        else:
            sample.note(rules.OUT_OF_RANGE, f"{of}: class id {label} of {len(names)}")

    def is_labelled(self, part: CheckedSplit) -> bool:
        """Whether any class occurs."""
        return any(count for i, count in part.classes.items() if i not in (None, VOID))

    def orientations(self) -> None:
        """By the others of the data."""
        raw = any(part.turned for part in self.parts)
        upright = any(part.upright for part in self.parts)
        if upright and not raw:
            return
        for part in self.parts:
            for row, how in part.unsure.items():
                sure = raw and not upright
                rule = rules.ROTATED if sure else rules.MAYBE_ROTATED
                self.notes.add(rule, partial(part.text_of, row), part.index(row))
                if sure:
                    part.turned[row] = how
                    self.turn(part, row, how)

    def turn(self, part: CheckedSplit, row: int, how: tuple[int, Size]) -> None:
        """Note what follows from an image's labels being in its stored pixels."""

    def finish(self) -> None:
        """Splits without images or labels, and classes that do not occur."""
        used = {
            part.name: {
                i + self.class_shift
                for i, count in part.classes.items()
                if count and i is not None and 0 <= i + self.class_shift < len(part.names)
            }
            for part in self.parts
        }
        anywhere = set().union(*used.values())
        labelled = [self.is_labelled(part) for part in self.parts]
        for part, is_labelled in zip(self.parts, labelled, strict=True):
            label = part.name or "the data"
            if not len(part.dataset):
                continue
            if not is_labelled:
                self.notes.add(self.nothing[any(labelled)], label, None, len(part.dataset))
            elif missing := [
                name
                for i, name in enumerate(part.names)
                if name and i in anywhere and i not in used[part.name]
            ]:
                self.notes.add(rules.ABSENT, f"{label}: {few(missing)}", None, len(missing))
        never = [n for i, n in enumerate(self.parts[0].names) if n and i not in anywhere]
        if never and anywhere:
            self.notes.add(rules.NEVER, few(never), None, len(never))


def shift(seen: set[int], known: range) -> int:
    """1 or -1 if all ids would be known, and some are not, when that was added; else 0.

    Not from ids that are fewer than half of what is known, which may be single mistakes.
    """
    if not known or 2 * len(seen) <= len(known):
        return 0
    if max(seen) == known.stop and min(seen) > known.start:
        return -1
    if min(seen) == known.start - 1 and max(seen) < known.stop - 1:
        return 1
    return 0


# --- labels as words ------------------------------------------------------------------------------


def lengths(lists: Mapping[str, Any]) -> str:
    """How many entries each list of a row has, for a finding."""
    return ": " + ", ".join(f"{len(v or [])} {k}" for k, v in lists.items())


def size_in_words(size: Size) -> str:
    """The size of an image, for a finding."""
    return f"image {size[0]} x {size[1]}"


def few(values: Iterable[Any], most: int = 8) -> str:
    """The first of some values, for a finding."""
    values = list(values)
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown
