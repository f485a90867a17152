"""The two tasks: text prompts, with results of pvzoo's own types."""

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
        prompts: A text, or a list of texts such as ``["a cat", "remote control"]``. They are the
            classes: ``labels`` of a result are their indices, ``names`` the texts themselves.
    """

    prompts: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        texts = (self.prompts,) if isinstance(self.prompts, str) else self.prompts
        example = 'Pass what to look for: prompts=["a cat", "remote control"].'
        if not isinstance(texts, Sequence) or not all(isinstance(t, str) for t in texts):
            raise UsageError(f"prompts is {self.prompts!r}, not a list of texts.", example)
        if not texts:
            raise UsageError("This model has no classes of its own and got no prompts.", example)
        if not all(t.strip() for t in texts):
            raise UsageError("One of the prompts is empty.", "Leave it out.")
        if twice := [t for i, t in enumerate(texts) if t in texts[:i]]:
            raise UsageError(f"The prompt {twice[0]!r} is in the list twice.", "Leave one out.")
        object.__setattr__(self, "prompts", tuple(texts))


@dataclass(frozen=True)
class TemplatedPrompts(TextPrompts):
    """The classes that an image may show.

    Attributes:
        template: A sentence in which each prompt replaces ``{}``, such as "a photo of a {}.". The
            networks were trained on captions, so a sentence works better than a name alone.
    """

    template: str = "{}"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.template, str) or self.template.count("{}") != 1:
            raise UsageError(
                f"template is {self.template!r}.",
                'Use a text with {} in place of the prompt, such as "a photo of a {}.".',
            )


@dataclass(frozen=True)
class ZeroShotDetectionControls:
    """The options of `predict`.

    Attributes:
        threshold: Objects with a lower score are not returned. None is the family's default: 0.1
            for OWL-ViT and OWLv2, 0.25 for Grounding DINO.
        max_detections: The largest number of objects to return per image, best first; None for
            all.
        nms: Suppress boxes that overlap a better box by more than this IoU; None for no
            suppression.
        class_agnostic: Whether a box also suppresses boxes of other prompts.
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
