"""`check`: find mistakes in labelled data before training on it.

There are two passes. The first reads the labels only and decides how to read their boxes and
classes. The second reads images and labels together. Of each image, only a digest stays in memory.
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
from pvzoo.plugins.calls import calling, fault_of

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

Progress = Callable[[int, int], None]

_LEAVE_OUT = {rules.UNREADABLE, rules.DUPLICATE, rules.LEAK}
"""Rules that are fixed by leaving out images."""


def check(source: Any, task: str | None = None, *, progress: Progress | None = None) -> Report:
    """Look for mistakes in labelled data.

    Args:
        source: Anything that `pvzoo.data.load` takes.
        task: The task to read the labels for; by default the task that they belong to.
        progress: Called after each image with the number of images done, and of all images.

    Raises:
        DataError: The source is not labelled data.
    """
    from pvzoo.data.load import load

    return check_loaded(load(source, task), progress)


def check_loaded(data: Dataset | DatasetDict, progress: Progress | None = None) -> Report:
    """Check a dataset that `pvzoo.data.load` returned."""
    parts = [
        CheckedSplit(name, dataset, class_names(dataset.features))
        for name, dataset in splits(data).items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # several frames, broken EXIF: one per image
        notes = Notes()
        task = task_for(parts[0].dataset.features)
        with calling(task, "check"):
            found = task.check(parts, notes)
        if not isinstance(found, LabelCheck):
            raise fault_of(task, "check", f"returned a {type(found).__name__}, not a LabelCheck")
        with calling(found, "check", lets=(OSError,)):
            return _report(found, parts, notes, progress)


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
