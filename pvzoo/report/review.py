"""Write the predictions for images with suspicious labels as drafts for label tools."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.data.predicted import Predicted
from pvzoo.data.write import write, writer_of
from pvzoo.errors import DataError, UsageError

if TYPE_CHECKING:
    from pvzoo.metrics.analysis import Suspect
    from pvzoo.metrics.base import Evaluation

FORMATS = ("label-studio", "cvat")
MOST = 100
"""The largest number of images with drafts; those with the most suspicious labels are chosen."""


def write_review(evaluation: Evaluation, suspects: Sequence[Suspect], folder: Path) -> None:
    """Write a folder of drafts for each of `FORMATS` that can hold such predictions.

    The drafts name the images but do not contain them: a label tool already has the images, and
    the report stays small.
    """
    source = evaluation.source
    assert source is not None
    try:
        kept = Predicted(source.task.result, evaluation.labels.model)
    except DataError:  # results of this task cannot be labels
        return
    formats = []
    for name in FORMATS:
        try:
            writer_of(name, kept.task)
            formats.append(name)
        except (DataError, UsageError):  # the format has no labels for this task
            continue
    indices = list(dict.fromkeys(suspect.index for suspect in suspects))[:MOST]
    if not formats or not indices:
        return
    dataset = source.dataset.select(indices)
    for result in source.predict(dataset["image"]):
        kept.add(result)
    drafts = kept.dataset()
    for name in formats:
        write(drafts, folder / name, name)
        shutil.rmtree(folder / name / "images", ignore_errors=True)
