"""Instance segmentation: which things are where, as masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.instances import Instances
from pvzoo.tasks.base import Task
from pvzoo.tasks.object_detection import DetectionControls

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


class InstanceSegmentation(Task):
    """Objects with masks."""

    id = "instance-segmentation"
    result = Instances
    controls = DetectionControls
    evaluation: ClassVar[Mapping[str, Any]] = {"threshold": 0.0}

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.detection.InstanceMetric`."""
        from pvzoo.metrics.detection import InstanceMetric

        return InstanceMetric(match)
