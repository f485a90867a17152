"""Instance segmentation: the objects of an image, as masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.instances import Instances
from pvzoo.tasks.object_detection import ObjectDetection

if TYPE_CHECKING:
    from pvzoo.data.quality.report import Notes
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


class InstanceSegmentation(ObjectDetection):
    """Objects with masks."""

    id = "instance-segmentation"
    result = Instances
    hub_tag = "image-segmentation"
    made_from: ClassVar[Mapping[str, str]] = {
        "panoptic-segmentation": "pvzoo.data.convert_task:to_objects"
    }
    training = "pvzoo.training.targets.objects:InstanceTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.detection.InstanceMetric`."""
        from pvzoo.metrics.detection import InstanceMetric

        return InstanceMetric(match)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """The columns of object detection, with ``objects.segmentation``."""
        from datasets import List, Value

        columns = super().columns(names)
        code = {"size": List(Value("int32"), length=2), "counts": Value("string")}
        return columns | {"objects": columns["objects"] | {"segmentation": List(code)}}

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo.data.quality.tasks.objects.InstancesCheck`."""
        from pvzoo.data.quality.tasks.objects import InstancesCheck

        return InstancesCheck(parts, notes)
