"""What can be wrong with maps of classes and maps of segments."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, ClassVar

from pvzoo.data.labels import is_uneven
from pvzoo.data.quality import rules
from pvzoo.data.quality.splits import CheckedSplit
from pvzoo.data.quality.tasks.base import ClassedCheck, Sample, few, lengths, shift, size_in_words
from pvzoo.data.schema import SEMANTIC_VOID, VOID


class _MapCheck(ClassedCheck):
    """A check of a map, and of the list of what its values mean.

    Class attributes:
        void: The value that means void unless the list has it.
    """

    map = "annotation"
    void: ClassVar[int]

    def check(self, sample: Sample) -> None:
        """Check the map's size and orientation, and that each value is listed once with a class."""
        part, row, look = sample.part, sample.row, sample.look
        turned = look.raw != look.upright
        if turned and look.map_size == look.raw:
            part.turned[sample.number] = (look.orientation, look.raw)
            sample.note(rules.ROTATED, f": orientation {look.orientation}")
        elif look.map_size != look.upright:
            size = f"{look.map_size[0]} x {look.map_size[1]}"
            sample.note(rules.MASK_SIZE, f": the map is {size}, {size_in_words(look.upright)}")
        elif turned:
            part.upright += 1
        elif look.orientation != 1:
            part.unsure[sample.number] = (look.orientation, look.raw)
        segments = row["segments"] or {}
        if is_uneven(segments):
            sample.note(rules.UNEVEN, lengths(segments))
            return
        ids, categories = segments.get("id") or [], segments.get("category") or []
        for i, label in zip(ids, categories, strict=True):
            if label != VOID:
                self.check_class(sample, label, f", segment {i}")
        for i, times in Counter(ids).items():
            if times > 1:
                sample.note(rules.OVERLAP, f": {times} segments have the id {i}")
        if strange := sorted(look.seen.keys() - {self.void} - set(ids)):
            sample.note(rules.VALUES, f": {few(strange)}")
        self.check_listed(sample, ids, categories)

    def check_listed(self, sample: Sample, ids: list[int], categories: list[int]) -> None:
        """Check the listed values further."""


class SemanticCheck(_MapCheck):
    """Checks maps of classes, whose values mean the same in every image."""

    void = SEMANTIC_VOID

    def check_listed(self, sample: Sample, ids: list[int], categories: list[int]) -> None:
        """Collect the values that occur, and the list, for the whole split."""
        part = sample.part
        part.values |= sample.look.seen.keys() - ({self.void} - set(ids))
        part.listed = part.listed or dict(zip(ids, categories, strict=True))

    def finish(self) -> None:
        """Find out which classes occur, and whether all values are one higher than listed."""
        listed = next((part.listed for part in self.parts if part.listed), {})
        own = [i for i, label in listed.items() if label != VOID]
        values = set().union(*(part.values for part in self.parts))
        values -= {i for i, label in listed.items() if label == VOID}
        known = range(min(own, default=0), max(own, default=-1) + 1)
        names = self.parts[0].names
        if _is_unnamed(listed, names):
            self.notes.add(rules.UNNAMED, few(names), None, len(names))
        if len(own) == known.stop - known.start and shift(values, known) == -1:
            self.value_shift = 1
            self.notes.rename(rules.VALUES, rules.OFF_BY_ONE)
        for part in self.parts:
            for value, label in listed.items():
                part.classes[label] += value + self.value_shift in part.values
        super().finish()


def _is_unnamed(listed: Mapping[int, int], names: tuple[str, ...]) -> bool:
    """Whether all values are classes, and their names are just their numbers."""
    called = {value: names[i] for value, i in listed.items() if 0 <= i < len(names)}
    numbers = all(name == str(value) for value, name in called.items())
    return bool(called) and numbers and VOID not in listed.values()


class PanopticCheck(_MapCheck):
    """Checks maps of segments."""

    void = 0

    def survey(self, part: CheckedSplit, row: Mapping[str, Any]) -> None:
        """Count the segments of an image."""
        categories = (row["segments"] or {}).get("category") or []
        part.classes.update(categories)
        part.objects += len(categories)

    def check_listed(self, sample: Sample, ids: list[int], categories: list[int]) -> None:
        """Note segments that are not in the map, or have other areas there."""
        look = sample.look
        for i in sorted(set(ids) - look.seen.keys()):
            sample.note(rules.SEGMENT_EMPTY, f", segment {i}")
        if 0 in ids:
            sample.note(rules.SEGMENT_ZERO)
        for i, stated in zip(ids, sample.row.get("areas") or (), strict=False):
            pixels = look.seen.get(i, 0)
            if pixels and stated is not None and abs(stated - pixels) > 1:
                sample.note(
                    rules.PAINTED_OVER, f", segment {i}: {stated} pixels, {pixels} in the map"
                )
