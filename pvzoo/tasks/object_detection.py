"""Object detection: which things are where, as boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.errors import UsageError
from pvzoo.results.detections import Detections
from pvzoo.tasks.base import Task, check_count, check_flag, check_fraction

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


@dataclass(frozen=True)
class DetectionControls:
    """What `predict` lets one choose.

    Attributes:
        threshold: Least score of an object.
        max_detections: Most objects an image gives, the best ones; None for all.
        classes: Only these classes, by name or id; None for all.
        nms: Suppress boxes that overlap a better one by more than this IoU; None for not at all.
            One-to-one models such as DETR do not need it.
        class_agnostic: Whether a box also suppresses those of other classes.
    """

    threshold: float = 0.5
    max_detections: int | None = None
    classes: Sequence[str | int] | None = None
    nms: float | None = None
    class_agnostic: bool = False

    def __post_init__(self) -> None:
        check_fraction("threshold", self.threshold)
        if self.nms is not None:
            check_fraction("nms", self.nms)
        if self.max_detections is not None:
            check_count("max_detections", self.max_detections)
        if isinstance(self.classes, str | int):
            raise UsageError(f"classes is {self.classes!r}.", f"Pass a list: [{self.classes!r}].")
        check_flag("class_agnostic", self.class_agnostic)


class ObjectDetection(Task):
    """Object detection with boxes."""

    id = "object-detection"
    result = Detections
    controls = DetectionControls
    evaluation: ClassVar[Mapping[str, Any]] = {"threshold": 0.0}

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.detection.DetectionMetric`."""
        from pvzoo.metrics.detection import DetectionMetric

        return DetectionMetric(match)
