"""Semantic segmentation: which class each pixel belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pvzoo.results.semantic import SemanticMap
from pvzoo.tasks.base import Task, check_flag

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


@dataclass(frozen=True)
class SemanticControls:
    """What `predict` lets one choose.

    Attributes:
        scores: Whether the result carries the score of each pixel's class.
    """

    scores: bool = False

    def __post_init__(self) -> None:
        check_flag("scores", self.scores)


class SemanticSegmentation(Task):
    """A class for every pixel."""

    id = "semantic-segmentation"
    result = SemanticMap
    controls = SemanticControls
    not_shown = ("scores",)

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.semantic.SemanticMetric`."""
        from pvzoo.metrics.semantic import SemanticMetric

        return SemanticMetric(match)
