"""Panoptic segmentation: every pixel belongs to one segment; things separate, stuff fused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pvzoo.results.panoptic import Panoptic
from pvzoo.tasks.base import CommonOptions, Task, check_fraction

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class PanopticControls:
    """The options of `predict`; None is the value of the family's authors.

    Attributes:
        threshold: Queries with a lower class score are dropped.
        overlap: The smallest share of its own mask that a query must win against the others.
    """

    threshold: float | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "overlap"):
            if getattr(self, name) is not None:
                check_fraction(name, getattr(self, name))


class PanopticOptions(CommonOptions, total=False):
    """The options of panoptic segmentation (`PanopticControls`), for type checkers."""

    threshold: float | None
    overlap: float | None


class PanopticSegmentation(Task):
    """Panoptic segmentation: every pixel belongs to one segment."""

    id = "panoptic-segmentation"
    result = Panoptic
    controls = PanopticControls
    main_metric = "pq"
    hub_tag = "image-segmentation"
    more_columns = ("areas",)
    training = "pvzoo.training.targets.maps:PanopticTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.panoptic_quality.PanopticMetric`."""
        from pvzoo.metrics.panoptic_quality import PanopticMetric

        return PanopticMetric(match)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """``annotation`` and ``segments``."""
        from datasets import ClassLabel, Image, List, Value

        label = ClassLabel(names=list(names))
        segments = {
            "id": List(Value("int64")),
            "category": List(label),
            "isthing": List(Value("bool")),
            "iscrowd": List(Value("bool")),
        }
        return {"annotation": Image(), "segments": segments}

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo.data.quality.tasks.maps.PanopticCheck`."""
        from pvzoo.data.quality.tasks.maps import PanopticCheck

        return PanopticCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """The image with segments in the colours of their classes, with their names."""
        from pvzoo.data.draw_labels import draw_panoptic

        return draw_panoptic(image, row, names, size)
