"""Semantic segmentation: which class each pixel belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.semantic import SemanticMap
from pvzoo.tasks.base import Task, check_flag

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.checks.base import LabelCheck
    from pvzoo.data.parts import Part
    from pvzoo.data.report import Notes, Size
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
    main_metric = "miou"
    hub_tag = "image-segmentation"
    made_from: ClassVar[Mapping[str, str]] = {
        "panoptic-segmentation": "pvzoo.data.retask:to_semantic"
    }
    training = "pvzoo.training.targets.maps:SemanticTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.semantic.SemanticMetric`."""
        from pvzoo.metrics.semantic import SemanticMetric

        return SemanticMetric(match)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """``annotation`` and ``segments``."""
        from datasets import ClassLabel, Image, List, Value

        label = ClassLabel(names=list(names))
        segments = {"id": List(Value("int64")), "category": List(label)}
        return {"annotation": Image(), "segments": segments}

    def check(self, parts: Sequence[Part], notes: Notes) -> LabelCheck:
        """`pvzoo.data.checks.maps.SemanticCheck`."""
        from pvzoo.data.checks.maps import SemanticCheck

        return SemanticCheck(parts, notes)

    def draw_labels(
        self, picture: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """A colour for each class, with a legend."""
        from pvzoo.data.drawn import draw_semantic

        return draw_semantic(picture, row, names, size)
