"""Semantic segmentation: the class of each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.semantic import SemanticMap
from pvzoo.tasks.base import CommonOptions, Task, check_flag

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class SemanticControls:
    """The options of `predict`.

    Attributes:
        scores: Whether the result also has the score of each pixel's class.
    """

    scores: bool = False

    def __post_init__(self) -> None:
        check_flag("scores", self.scores)


class SemanticOptions(CommonOptions, total=False):
    """The options of semantic segmentation (`SemanticControls`), for type checkers."""

    scores: bool


class SemanticSegmentation(Task):
    """Semantic segmentation: a class for every pixel."""

    id = "semantic-segmentation"
    result = SemanticMap
    controls = SemanticControls
    not_shown = ("scores",)
    main_metric = "miou"
    hub_tag = "image-segmentation"
    made_from: ClassVar[Mapping[str, str]] = {
        "panoptic-segmentation": "pvzoo.data.convert_task:to_semantic"
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

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo.data.quality.tasks.maps.SemanticCheck`."""
        from pvzoo.data.quality.tasks.maps import SemanticCheck

        return SemanticCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """The image with a colour for each class and a legend."""
        from pvzoo.data.draw_labels import draw_semantic

        return draw_semantic(image, row, names, size)
