"""The two tasks: what one says with words, and what one gets, which are pvzoo's own results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pvzoo.errors import UsageError
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.tasks.base import Task, check_count, check_flag, check_fraction
from pvzoo.tasks.image_classification import ClassificationControls

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class TextPrompts:
    """What to look for.

    Attributes:
        prompts: A text, or several, such as ``["a cat", "remote control"]``. They are the classes:
            ``labels`` of a result are their places here, ``names`` the texts themselves.
    """

    prompts: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        texts = (self.prompts,) if isinstance(self.prompts, str) else self.prompts
        example = 'Pass what to look for: prompts=["a cat", "remote control"].'
        if not isinstance(texts, Sequence) or not all(isinstance(t, str) for t in texts):
            raise UsageError(f"prompts is {self.prompts!r}, which is no list of texts.", example)
        if not texts:
            raise UsageError("This model has no classes of its own and got no prompts.", example)
        if not all(t.strip() for t in texts):
            raise UsageError("One of the prompts is empty.", "Leave it out.")
        if twice := [t for i, t in enumerate(texts) if t in texts[:i]]:
            raise UsageError(f"The prompt {twice[0]!r} is there twice.", "Leave one out.")
        object.__setattr__(self, "prompts", tuple(texts))


@dataclass(frozen=True)
class TemplatedPrompts(TextPrompts):
    """What an image may show.

    Attributes:
        template: A sentence that each prompt is put into, instead of ``{}``. Names alone do
            worse than the captions these networks were trained on, such as "a photo of a {}.".
    """

    template: str = "{}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.template, str) or self.template.count("{}") != 1:
            raise UsageError(
                f"template is {self.template!r}.",
                'It has {} where a prompt goes, such as "a photo of a {}.".',
            )


@dataclass(frozen=True)
class ZeroShotDetectionControls:
    """What `predict` lets one choose.

    Attributes:
        threshold: Least score of an object; None for the family's own, 0.1 for OWL-ViT and OWLv2,
            0.25 for Grounding DINO.
        max_detections: Most objects an image gives, the best ones; None for all.
        nms: Suppress boxes that overlap a better one by more than this IoU; None for not at all.
        class_agnostic: Whether a box also suppresses those of other prompts.
    """

    threshold: float | None = None
    max_detections: int | None = None
    nms: float | None = None
    class_agnostic: bool = False

    def __post_init__(self) -> None:
        if self.threshold is not None:
            check_fraction("threshold", self.threshold)
        if self.max_detections is not None:
            check_count("max_detections", self.max_detections)
        if self.nms is not None:
            check_fraction("nms", self.nms)
        check_flag("class_agnostic", self.class_agnostic)


class ZeroShotDetection(Task):
    """Object detection by text."""

    id = "zero-shot-object-detection"
    result = Detections
    prompts = TextPrompts
    class_prompt = "prompts"
    controls = ZeroShotDetectionControls
    evaluation: ClassVar[Mapping[str, Any]] = {"threshold": 0.0}

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.detection.DetectionMetric`."""
        from pvzoo.metrics.detection import DetectionMetric

        return DetectionMetric(match)


class ZeroShotClassification(Task):
    """Image classification by text."""

    id = "zero-shot-image-classification"
    result = Classification
    prompts = TemplatedPrompts
    class_prompt = "prompts"
    controls = ClassificationControls
    not_shown = ("probabilities",)
    evaluation: ClassVar[Mapping[str, Any]] = {
        "probabilities": True,
        "template": "a photo of a {}.",
    }

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.classification.ClassificationMetric`."""
        from pvzoo.metrics.classification import ClassificationMetric

        return ClassificationMetric(match)
