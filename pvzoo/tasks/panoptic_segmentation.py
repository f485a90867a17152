"""Panoptic segmentation: every pixel to one segment, things counted and stuff fused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvzoo.results.panoptic import Panoptic
from pvzoo.tasks.base import Task, check_fraction

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


@dataclass(frozen=True)
class PanopticControls:
    """What `predict` lets one choose; None leaves it to the family's authors.

    Attributes:
        threshold: Least class score of a query.
        overlap: Least share of its own mask that a query must win from the others.
    """

    threshold: float | None = None
    overlap: float | None = None

    def __post_init__(self) -> None:
        for name in ("threshold", "overlap"):
            if getattr(self, name) is not None:
                check_fraction(name, getattr(self, name))


class PanopticSegmentation(Task):
    """Every pixel to one segment."""

    id = "panoptic-segmentation"
    result = Panoptic
    controls = PanopticControls

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.panoptic.PanopticMetric`."""
        from pvzoo.metrics.panoptic import PanopticMetric

        return PanopticMetric(match)
