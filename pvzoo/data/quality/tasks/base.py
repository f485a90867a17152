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
        notes: Collects the mistakes.
        part: The split of the image; it collects what images tell about the whole split.
        number: The row of the image in the split.
        row: The labels of the image.
        look: What the image and its map contain; both could be read.
    """

    notes: Notes
    part: CheckedSplit
    number: int
    row: Mapping[str, Any]
    look: Look

    def note(self, rule: Rule, text: str = "", count: int = 1) -> None:
        """Note that the image breaks a rule `count` times; `text` follows the image's name."""
        name = self.part.text(self.row["file_name"], self.number)
        self.notes.add(rule, f"{name}{text}", self.part.index(self.number), count)


class LabelCheck:
    """Checks the labels of one task. Each call of `pvzoo.data.check` makes one instance.

    The methods are called in this order: `survey` for the labels of every image, `conclude`,
    `check` for every image that can be read, `orientations`, `finish`. By default they find
    nothing wrong.

    Class attributes:
        map: The Image column that holds a map of labels, if there is one. An image whose map
            cannot be read is reported as unreadable.

    Attributes:
        parts: The splits.
        notes: Collects the mistakes that concern more than one image.
        class_shift: What `pvzoo.data.fix` adds to class ids.
        value_shift: What `pvzoo.data.fix` adds to the values that are listed for maps.
    """

    map: ClassVar[str | None] = None

    def __init__(self, parts: Sequence[CheckedSplit], notes: Notes) -> None:
        self.parts = parts
        self.notes = notes
        self.class_shift = 0
        self.value_shift = 0

    def read_map(self, cell: Any) -> np.ndarray:
        """The values of a map, (height, width); `cell` is a cell of an Image column, not decoded.

        Raises:
            DataError: The map cannot be read.
        """
        return read_map(cell, "the map of its labels")

    def seen_in(self, values: np.ndarray) -> Any:
        """What `check` needs from the values of a map. It becomes `Look.seen`; the map is dropped.

        By default the values that occur, and how many pixels each has.
        """
        return areas_of(values)

    def told(self, row: Mapping[str, Any]) -> Any:
        """The labels, apart from maps, that must be equal for images to count as duplicates."""
        return {name: value for name, value in row.items() if name != "file_name"}

    def survey(self, part: CheckedSplit, row: Mapping[str, Any]) -> None:
        """Look at the labels of an image, without the image and its map."""

    def conclude(self) -> None:
        """Decide how to read the labels, after `survey` has seen all of them."""

    def check(self, sample: Sample) -> None:
        """Note everything that is wrong with an image and its labels."""

    def orientations(self) -> None:
        """Judge images that EXIF turns if nothing else tells how they were labelled."""

    def finish(self) -> None:
        """Note mistakes that show only in the data as a whole."""

    def is_labelled(self, part: CheckedSplit) -> bool:
        """Whether any image of a split has a label; the split has images."""
        return True


class ClassedCheck(LabelCheck):
    """A check of labels with classes.

    Class attributes:
        nothing: The rules for a split without labels: if no split has labels, and if another has.
        none: Class ids that mean that there is no label.
    """

    nothing: ClassVar[tuple[Rule, Rule]] = (rules.NOTHING, rules.NOTHING_HERE)
    none: ClassVar[frozenset[int]] = frozenset({VOID})

    def told(self, row: Mapping[str, Any]) -> Any:
        """All labels but the ids of objects and the size, which duplicates may differ in."""
        labels = {key: row[key] for key in ("label", "labels", "segments") if key in row}
        if row.get("objects"):
            labels["objects"] = {key: row["objects"][key] for key in row["objects"] if key != "id"}
        return labels

    def conclude(self) -> None:
        """Find out whether class ids are one too high or too low."""
        seen = {i for part in self.parts for i in part.classes if i is not None} - self.none
        self.class_shift = shift(seen, range(len(self.parts[0].names)))

    def check_class(self, sample: Sample, label: int | None, of: str) -> None:
        """Note a class id that is not an index of the class names."""
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
        """Judge them by the other images of the data."""
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
        """Note further mistakes of an image whose labels are in its stored pixels."""

    def finish(self) -> None:
        """Note splits without labels, and classes that do not occur."""
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
    """1 or -1 if some ids are unknown and adding this number makes all of them known; else 0.

    It is 0 too if the ids are at most half as many as the known ones: they may be single mistakes.
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
