"""What can be wrong with the classes of whole images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.data.quality import rules
from pvzoo.data.quality.splits import CheckedSplit
from pvzoo.data.quality.tasks.base import ClassedCheck, Sample
from pvzoo.data.schema import VOID


class ClassificationCheck(ClassedCheck):
    """Checks data with one class or several classes per image."""

    nothing = (rules.NO_LABEL, rules.NO_LABELS_HERE)

    def survey(self, part: CheckedSplit, row: Mapping[str, Any]) -> None:
        """Count the classes of an image."""
        part.classes.update(row["labels"] or [] if "labels" in row else [row["label"]])

    def check(self, sample: Sample) -> None:
        """Check that the image has a class, and that all its classes are known."""
        row = sample.row
        labels = row["labels"] if "labels" in row else [row["label"]]
        if labels is None or ("label" in row and labels[0] in (None, VOID)):
            if self.is_labelled(sample.part):
                sample.note(rules.NO_LABEL)
            return
        for label in labels:
            self.check_class(sample, label, "")
