"""Image classification: which of the model's classes an image shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.classification import Classification
from pvzoo.tasks.base import Task, check_count, check_flag, check_fraction

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


@dataclass(frozen=True)
class ClassificationControls:
    """What `predict` lets one choose.

    Attributes:
        top_k: How many classes at most, best first; None for all.
        threshold: Least score of a class that is returned.
        probabilities: Whether the result carries the scores of all classes.
    """

    top_k: int | None = 5
    threshold: float = 0.0
    probabilities: bool = False

    def __post_init__(self) -> None:
        if self.top_k is not None:
            check_count("top_k", self.top_k)
        check_fraction("threshold", self.threshold)
        check_flag("probabilities", self.probabilities)


class ImageClassification(Task):
    """Image classification, single-label and multi-label."""

    id = "image-classification"
    result = Classification
    controls = ClassificationControls
    evaluation: ClassVar[Mapping[str, Any]] = {"probabilities": True}
    not_shown = ("probabilities",)

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.classification.ClassificationMetric`."""
        from pvzoo.metrics.classification import ClassificationMetric

        return ClassificationMetric(match)
