"""The task: points and boxes as prompts, and a mask for each object as the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pvzoo.errors import UsageError
from pvzoo.results.instances import Instances
from pvzoo.tasks.base import Task, check_fraction

_EXAMPLE = (
    "Pass boxes=[[left, top, right, bottom], ...] or points=[[x, y], ...], one for each object, "
    "in pixels of the upright image."
)


@dataclass(frozen=True)
class PointsAndBoxes:
    """Where the objects are: points, boxes or both, in pixels of the upright image.

    Attributes:
        points: (objects, 2), a point on each object: x, y. Or (objects, k, 2), k points for each.
        point_labels: For each point 1 (on its object) or 0 (not on it); None if all are on it.
        boxes: (objects, 4), a box around each object: left, top, right, bottom.
    """

    points: Any = None
    point_labels: Any = None
    boxes: Any = None

    def __post_init__(self) -> None:
        points, labels, boxes = self.points, self.point_labels, self.boxes
        if points is None and boxes is None:
            raise UsageError("This model got neither points nor boxes.", _EXAMPLE)
        if boxes is not None:
            boxes = _numbers("boxes", boxes)
            if boxes.ndim != 2 or boxes.shape[1] != 4 or not len(boxes):
                raise UsageError(f"boxes has the shape {boxes.shape}.", _EXAMPLE)
            if (boxes[:, 2:] <= boxes[:, :2]).any():
                raise UsageError("The right or bottom side of a box is before its left or top.")
        if points is not None:
            points = _numbers("points", points)
            if points.ndim == 2:
                points = points[:, None]
            if points.ndim != 3 or points.shape[2] != 2 or not points.size:
                raise UsageError(f"points has the shape {np.shape(self.points)}.", _EXAMPLE)
            if boxes is not None and len(boxes) != len(points):
                raise UsageError(
                    f"There are boxes of {len(boxes)} objects, but points of {len(points)}.",
                    "Pass a box and points for each object, or only one of the two.",
                )
            labels = np.ones(points.shape[:2]) if labels is None else _numbers("labels", labels)
            if labels.ndim == 1 and len(labels) == len(points):
                labels = labels[:, None]
            if labels.shape != points.shape[:2] or not np.isin(labels, (0, 1)).all():
                raise UsageError(
                    f"point_labels is {self.point_labels!r}.",
                    "Use a 1 (on the object) or a 0 (not on it) for each point.",
                )
            labels = labels.astype(np.int64)
        elif labels is not None:
            raise UsageError("There are point_labels without points.", "Pass points, too.")
        for name, value in (("points", points), ("point_labels", labels), ("boxes", boxes)):
            object.__setattr__(self, name, value)


def _numbers(name: str, value: Any) -> np.ndarray:
    """The value as a float64 array; it may be a torch tensor."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:  # for example, lists of different lengths
        raise UsageError(f"{name} is not an array of numbers ({error}).", _EXAMPLE) from error
    if not np.isfinite(array).all():
        raise UsageError(f"{name} holds a number that is not finite.", _EXAMPLE)
    return array


@dataclass(frozen=True)
class MaskControls:
    """The options of `predict`.

    Attributes:
        threshold: Masks with a lower score are not returned. The score is the overlap with the
            truth (IoU) that the network expects. At 0 each prompted object gets a mask, in the
            order of the prompts.
    """

    threshold: float = 0.0

    def __post_init__(self) -> None:
        check_fraction("threshold", self.threshold)


class MaskGeneration(Task):
    """Masks for points and boxes."""

    id = "mask-generation"
    result = Instances
    prompts = PointsAndBoxes
    controls = MaskControls
    examples = (
        {"points": [[60, 50], [120, 90], [30, 100]]},
        {"points": [[60, 50]]},
        {"boxes": [[10, 20, 120, 110], [50, 40, 90, 130]]},
        {"points": [[[60, 50], [20, 20]], [[120, 90], [60, 50]]], "point_labels": [[1, 0], [1, 1]]},
        {"points": [[[60, 50], [20, 20]]], "point_labels": [[1, 0]], "boxes": [[10, 20, 120, 110]]},
    )
