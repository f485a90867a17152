"""`check`: what is wrong with labelled data, before anything is trained on it.

Two passes: one over the labels alone, which says how their boxes and classes are to be read, and
one over images and labels together. Memory grows by the digests of the images only.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from pvzoo.data import boxes as box
from pvzoo.data import rules
from pvzoo.data.check_row import RowCheck, few, size_in_words, size_of
from pvzoo.data.labels import box_array, label_rows, splits
from pvzoo.data.looks import looks
from pvzoo.data.parts import Part, note_repeats
from pvzoo.data.report import Notes, Plan, Report
from pvzoo.data.schema import (
    CLASSIFICATION,
    DETECTION,
    INSTANCE,
    PANOPTIC,
    SEMANTIC,
    VOID,
    class_names,
    task_of,
)

Progress = Callable[[int, int], None]

_ROWS_AT_ONCE = 1000

_LEAVE_OUT = {rules.UNREADABLE, rules.DUPLICATE, rules.LEAK}
"""Rules that are mended by leaving out images."""


def check(source: Any, task: str | None = None, *, progress: Progress | None = None) -> Report:
    """Look for mistakes in labelled data.

    Args:
        source: Anything that `pvzoo.data.load` takes.
        task: What to read the labels as; by default the one they are of.
        progress: Called after each image with how many are done, and how many there are.

    Raises:
        DataError: The source is no labelled data.
    """
    from pvzoo.data.load import load

    parts = [
        Part(name, dataset, class_names(dataset.features))
        for name, dataset in splits(load(source, task)).items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frames and broken EXIF, once per image
        return _Check(parts, progress).run()


class _Check:
    def __init__(self, parts: list[Part], progress: Progress | None) -> None:
        self.task = task_of(parts[0].dataset.features)
        self.parts = parts
        self.notes = Notes()
        self.progress = progress
        self.class_shift = 0
        self.value_shift = 0

    def run(self) -> Report:
        for part in self.parts:
            self._survey(part)
        self._conclude()
        done, total = 0, sum(len(part.dataset) for part in self.parts)
        for part in self.parts:
            for number, row, look in looks(part.dataset):
                RowCheck(self.task, self.class_shift, self.notes, part, number, row, look).check()
                done += 1
                if self.progress:
                    self.progress(done, total)
        self._orientations()
        note_repeats(self.parts, self.notes)
        if self.task == SEMANTIC:
            self._semantic_values()
        self._classes()
        findings = self.notes.findings()
        relabel = any(rule.mendable and rule not in _LEAVE_OUT for rule in self.notes.count)
        plans = {
            part.name: Plan(
                fingerprint=part.fingerprint,
                drop=tuple(sorted(part.drop)),
                turned=dict(part.turned),
                convention=part.convention,
                class_shift=self.class_shift,
                value_shift=self.value_shift,
                relabel=relabel,
            )
            for part in self.parts
        }
        return Report(findings, total, sum(part.objects for part in self.parts), plans)

    # --- the labels alone

    def _survey(self, part: Part) -> None:
        digest = hashlib.blake2b(digest_size=16)
        some: list[np.ndarray] = []
        frames: list[np.ndarray] = []

        def vote() -> None:
            if some:
                part.votes += box.votes(np.concatenate(some), np.concatenate(frames))
                some.clear(), frames.clear()

        for row in label_rows(part.dataset):
            digest.update(repr(row).encode())
            if self.task == CLASSIFICATION:
                part.classes.update(row["labels"] or [] if "labels" in row else [row["label"]])
            elif self.task in (DETECTION, INSTANCE):
                objects = row["objects"] or {}
                part.classes.update(objects.get("category") or [])
                part.objects += len(objects.get("bbox") or [])
                some.append(box_array(objects))
                frames.append(np.tile(size_of(row), (len(some[-1]), 1)))
                if len(some) == _ROWS_AT_ONCE:
                    vote()
            elif self.task == PANOPTIC:
                categories = (row["segments"] or {}).get("category") or []
                part.classes.update(categories)
                part.objects += len(categories)
        vote()
        part.fingerprint = digest.hexdigest()

    def _conclude(self) -> None:
        """How boxes and classes are to be read, from all that was surveyed."""
        together = sum((part.votes for part in self.parts), Counter())
        for part in self.parts:
            enough = part.votes["all"] >= box.FEW_BOXES
            part.convention = box.convention(part.votes if enough else together)
        seen = {i for part in self.parts for i in part.classes if i is not None}
        if self.task in (CLASSIFICATION, PANOPTIC):  # where -1 means something else
            seen -= {VOID}
        self.class_shift = _shift(seen, range(len(self.parts[0].names)))

    # --- what only the whole says

    def _orientations(self) -> None:
        """Images of which nothing says how they were labelled, by the others of the data."""
        raw = any(part.turned for part in self.parts)
        upright = any(part.upright for part in self.parts)
        if upright and not raw:
            return
        for part in self.parts:
            for row, how in part.unsure.items():
                sure = raw and not upright
                rule = rules.ROTATED if sure else rules.MAYBE_ROTATED
                self.notes.add(rule, partial(part.text_of, row), part.place(row))
                if not sure:
                    continue
                part.turned[row] = how
                width, height = how[1]
                if self.task == INSTANCE and how[0] >= 5 and width != height:
                    # read as those of the upright picture, they were cut off at its edges
                    text = f"{part.text_of(row)}: {height} x {width}, {size_in_words(how[1])}"
                    self.notes.add(rules.MASK_SIZE, text, part.place(row))

    @property
    def _listed(self) -> dict[int, int]:
        """The values of semantic maps and their classes, as the first row lists them."""
        return next((part.listed for part in self.parts if part.listed), {})

    def _semantic_values(self) -> None:
        """Which classes occur; and whether all values are one higher than those listed."""
        own = [i for i, label in self._listed.items() if label != VOID]
        values = set().union(*(part.values for part in self.parts))
        values -= {i for i, label in self._listed.items() if label == VOID}
        known = range(min(own, default=0), max(own, default=-1) + 1)
        if self._is_unnamed():
            names = self.parts[0].names
            self.notes.add(rules.UNNAMED, few(names), None, len(names))
        if len(own) == known.stop - known.start and _shift(values, known) == -1:
            self.value_shift = 1
            self.notes.rename(rules.VALUES, rules.OFF_BY_ONE)
        for part in self.parts:
            for value, label in self._listed.items():
                part.classes[label] += value + self.value_shift in part.values

    def _is_unnamed(self) -> bool:
        """Whether all values of semantic maps are classes and are called by their numbers."""
        names = self.parts[0].names
        called = {value: names[i] for value, i in self._listed.items() if 0 <= i < len(names)}
        numbers = all(name == str(value) for value, name in called.items())
        return bool(called) and numbers and VOID not in self._listed.values()

    def _classes(self) -> None:
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
        nothing = (rules.NOTHING, rules.NOTHING_HERE)
        if self.task == CLASSIFICATION:
            nothing = (rules.NO_LABEL, rules.NO_LABELS_HERE)
        labelled = [part.is_labelled(self.task) for part in self.parts]
        for part, is_labelled in zip(self.parts, labelled, strict=True):
            label = part.name or "the data"
            if not len(part.dataset):
                self.notes.add(rules.NO_IMAGES, label, None)
            elif not is_labelled:
                self.notes.add(nothing[any(labelled)], label, None, len(part.dataset))
            elif missing := [
                name
                for i, name in enumerate(part.names)
                if name and i in anywhere and i not in used[part.name]
            ]:
                self.notes.add(rules.ABSENT, f"{label}: {few(missing)}", None, len(missing))
        never = [n for i, n in enumerate(self.parts[0].names) if n and i not in anywhere]
        if never and anywhere:
            self.notes.add(rules.NEVER, few(never), None, len(never))


def _shift(seen: set[int], known: range) -> int:
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
