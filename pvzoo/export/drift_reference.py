"""The reference for drift that goes with an export: how its validation images look."""

from __future__ import annotations

from itertools import islice
from typing import Any

from pvzoo.drift.figures import Seen, figures_of
from pvzoo.drift.reference import Reference
from pvzoo.errors import UsageError
from pvzoo.export.reference import Side
from pvzoo.inputs.sources import images_of
from pvzoo.pipeline import predict
from pvzoo.tasks.base import Task
from pvzoo.thresholds.values import Thresholds

IMAGES = 512
"""How many images it is made of, at most."""


def drift_reference(
    export: Side,
    task: Task,
    data: Any,
    labelled: Any,
    *,
    name: str,
    thresholds: Thresholds | None,
) -> dict[str, Any] | None:
    """What `Reference.to_json` gives, for the first 512 images of data.

    Args:
        export: The export, in its final precision.
        task: Its task.
        data: As for `pvzoo.export.write.export`.
        labelled: The same if it is labelled; its images are used then.
        name: The name of the model in messages.
        thresholds: Those of the export.

    Returns:
        None without data, with less than 30 images, or if the task needs prompts with each image.
    """
    if data is None:
        return None
    source = data if labelled is None else labelled["image"]
    try:
        results = predict.stream(
            export.adapter,
            export.runtime,
            task,
            (Seen.of(image) for image in islice(images_of(source), IMAGES)),
            {},
            name=name,
            batch_size=8,
            progress=False,
            thresholds=thresholds,
        )
        reference = Reference.of(map(_figures, results))
    except UsageError:  # there is no prompt for an image
        return None
    return None if reference is None else reference.to_json()


def _figures(result: Any) -> dict[str, float]:
    assert isinstance(result.image, Seen)
    return figures_of(result.image, result)
