"""Object detection: the objects of an image, as boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.errors import UsageError
from pvzoo.results.base import Result
from pvzoo.results.detections import Detections
from pvzoo.tasks.base import CommonOptions, Task, check_count, check_flag, check_fraction

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class DetectionControls:
    """The options of `predict`.

    Attributes:
        threshold: Objects with a lower score are not returned.
        max_detections: The largest number of objects to return per image, best first; None for
            all.
        classes: Return only these classes, by name or id; None for all.
        nms: Suppress boxes that overlap a better box by more than this IoU; None for no
            suppression. One-to-one models such as DETR do not need it.
        class_agnostic: Whether a box also suppresses boxes of other classes.
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


class DetectionOptions(CommonOptions, total=False):
    """The options of tasks with boxes (`DetectionControls`), for type checkers."""

    threshold: float
    max_detections: int | None
    classes: Sequence[str | int] | None
    nms: float | None
    class_agnostic: bool


class ObjectDetection(Task):
    """Object detection with boxes."""

    id = "object-detection"
    result: ClassVar[type[Result]] = Detections
    controls = DetectionControls
    evaluation: ClassVar[Mapping[str, Any]] = {"threshold": 0.0}
    main_metric = "map"
    made_from: ClassVar[Mapping[str, str]] = {
        "instance-segmentation": "pvzoo.data.convert_task:without_masks",
        "panoptic-segmentation": "pvzoo.data.convert_task:to_objects",
    }
    training = "pvzoo.training.targets.objects:DetectionTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.detection.DetectionMetric`."""
        from pvzoo.metrics.detection import DetectionMetric

        return DetectionMetric(match)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """``width``, ``height`` and ``objects``."""
        from datasets import ClassLabel, List, Value

        objects = {
            "id": List(Value("int64")),
            "bbox": List(List(Value("float64"), length=4)),
            "category": List(ClassLabel(names=list(names))),
            "area": List(Value("float64")),
            "iscrowd": List(Value("bool")),
            "ignore": List(Value("bool")),
        }
        return {"width": Value("int32"), "height": Value("int32"), "objects": objects}

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo.data.quality.tasks.objects.ObjectsCheck`."""
        from pvzoo.data.quality.tasks.objects import ObjectsCheck

        return ObjectsCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """The image with boxes and their class names; crowds and ignored objects are marked."""
        from pvzoo.data.draw_labels import draw_objects

        return draw_objects(image, row["objects"] or {}, names, size)
