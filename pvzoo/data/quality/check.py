"""`check`: what is wrong with labelled data, before anything is trained on it.

Two passes: one over the labels alone, which says how their boxes and classes are to be read, and
one over images and labels together. Memory grows by the digests of the images only.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pvzoo.data.labels import label_rows, splits
from pvzoo.data.quality import rules
from pvzoo.data.quality.probe import digest_of, looks
from pvzoo.data.quality.report import Notes, Plan, Report
from pvzoo.data.quality.splits import CheckedSplit, note_repeats
from pvzoo.data.quality.tasks.base import LabelCheck, Sample
from pvzoo.data.schema import class_names, task_for

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Progress = Callable[[int, int], None]

_LEAVE_OUT = {rules.UNREADABLE, rules.DUPLICATE, rules.LEAK}
"""Rules that are fixed by leaving out images."""


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

    return check_loaded(load(source, task), progress)


def check_loaded(data: Dataset | DatasetDict, progress: Progress | None = None) -> Report:
    """`check` on what `pvzoo.data.load` gave."""
    parts = [
        CheckedSplit(name, dataset, class_names(dataset.features))
        for name, dataset in splits(data).items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frames and broken EXIF, once per image
        notes = Notes()
        task = task_for(parts[0].dataset.features)
        return _report(task.check(parts, notes), parts, notes, progress)


def _report(
    check: LabelCheck, parts: list[CheckedSplit], notes: Notes, progress: Progress | None
) -> Report:
    for part in parts:
        digest = hashlib.blake2b(digest_size=16)
        for row in label_rows(part.dataset):
            digest.update(repr(row).encode())
            check.survey(part, row)
        part.fingerprint = digest.hexdigest()
    check.conclude()
    done, total = 0, sum(len(part.dataset) for part in parts)
    for part in parts:
        for number, row, look in looks(part.dataset, check):
            sample = Sample(notes, part, number, row, look)
            if look.problem:
                sample.note(rules.UNREADABLE, f": {look.problem}")
                part.drop.add(number)
                part.digests.append(None)
            else:
                part.digests.append(look.digest + digest_of(check.told(row), look.map_digest))
                check.check(sample)
            done += 1
            if progress:
                progress(done, total)
    check.orientations()
    note_repeats(parts, notes)
    for part in parts:
        if not len(part.dataset):
            notes.add(rules.NO_IMAGES, part.name or "the data", None)
    check.finish()
    findings = notes.findings()
    relabel = any(rule.fixable and rule not in _LEAVE_OUT for rule in notes.count)
    plans = {
        part.name: Plan(
            fingerprint=part.fingerprint,
            drop=tuple(sorted(part.drop)),
            turned=dict(part.turned),
            convention=part.convention,
            class_shift=check.class_shift,
            value_shift=check.value_shift,
            relabel=relabel,
        )
        for part in parts
    }
    return Report(findings, total, sum(part.objects for part in parts), plans)
