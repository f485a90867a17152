"""Image classification: the classes of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.results.classification import Classification
from pvzoo.tasks.base import CommonOptions, Task, check_count, check_flag, check_fraction

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class ClassificationControls:
    """The options of `predict`.

    Attributes:
        top_k: The largest number of classes to return, best first; None for all.
        threshold: Classes with a lower score are not returned.
        probabilities: Whether the result also has the scores of all classes.
    """

    top_k: int | None = 5
    threshold: float = 0.0
    probabilities: bool = False

    def __post_init__(self) -> None:
        if self.top_k is not None:
            check_count("top_k", self.top_k)
        check_fraction("threshold", self.threshold)
        check_flag("probabilities", self.probabilities)


class ClassificationOptions(CommonOptions, total=False):
    """The options of image classification (`ClassificationControls`), for type checkers."""

    top_k: int | None
    threshold: float
    probabilities: bool


class ImageClassification(Task):
    """Image classification, single-label and multi-label."""

    id = "image-classification"
    result = Classification
    controls = ClassificationControls
    evaluation: ClassVar[Mapping[str, Any]] = {"probabilities": True}
    not_shown = ("probabilities",)
    main_metric = "top1"
    more_columns = ("labels",)
    training = "pvzoo.training.targets.classes:ClassificationTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.classification.ClassificationMetric`."""
        from pvzoo.metrics.classification import ClassificationMetric

        return ClassificationMetric(match)

    def columns(self, names: Sequence[str], *, multi_label: bool = False) -> dict[str, Any]:
        """``label``, or ``labels`` for data with several classes per image."""
        from datasets import ClassLabel, List

        label = ClassLabel(names=list(names))
        return {"labels": List(label)} if multi_label else {"label": label}

    def fits(self, columns: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Whether there is a ``label`` or ``labels`` column with these classes."""
        forms = (self.columns(names), self.columns(names, multi_label=True))
        return any(form.items() <= columns.items() for form in forms)

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo.data.quality.tasks.classes.ClassificationCheck`."""
        from pvzoo.data.quality.tasks.classes import ClassificationCheck

        return ClassificationCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """The image with its classes in a legend below."""
        from pvzoo.data.draw_labels import draw_classes

        return draw_classes(image, row, names)
