"""Combine the boxes of a detector and the masks of a SAM in one model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from pvzoo import Model
from pvzoo.errors import UsageError
from pvzoo.pipeline import predict as prediction
from pvzoo.pipeline.predict import OnError
from pvzoo.plugins import registry
from pvzoo.progress import Progress, showing
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.tasks.instance_segmentation import InstanceSegmentation

if TYPE_CHECKING:
    from pvzoo.metrics.base import Evaluation


def masks_from(detector: Model, segmenter: Model) -> MasksFrom:
    """A model with the boxes, scores and classes of a detector and the masks of a segmenter.

        both = masks_from(pvzoo.load("rtdetr-r18"), pvzoo.load("sam-vit-base"))
        both.predict("street.jpg", threshold=0.6).save("masks.png")

    Raises:
        UsageError: The first model does not give boxes, or the second does not take boxes.
    """
    return MasksFrom(detector, segmenter)


class MasksFrom:
    """The result of `masks_from`, with ``predict``, ``stream`` and ``evaluate`` as in a model.

    Attributes:
        detector: The model that finds the objects.
        segmenter: The model that makes a mask for each box.
        task: "instance-segmentation".
    """

    task = InstanceSegmentation.id

    def __init__(self, detector: Model, segmenter: Model) -> None:
        self._finds = registry.get("tasks", detector.task)
        if not issubclass(self._finds.result, Detections) or detector.task == "mask-generation":
            raise UsageError(
                f"{detector.name} ({detector.task}) does not find boxes.",
                "Pass a detector first, then the model that makes masks.",
            )
        if segmenter.task != "mask-generation":
            raise UsageError(
                f"{segmenter.name} ({segmenter.task}) does not make masks for boxes.",
                "Pass a detector first, then a model such as sam-vit-base.",
            )
        self.detector, self.segmenter = detector, segmenter

    @property
    def labels(self) -> tuple[str, ...]:
        """The detector's class names."""
        return self.detector.labels

    def __repr__(self) -> str:
        return f"<boxes of {self.detector!r}, masks of {self.segmenter!r}>"

    def predict(self, images: Any, *, on_error: OnError = "raise", **options: Any) -> Any:
        """As `pvzoo.Model.predict`, with the options of the detector."""
        return prediction.predict(partial(self.stream, **options), images, on_error)

    def stream(
        self,
        source: Any,
        *,
        batch_size: int = 8,
        on_error: OnError = "raise",
        progress: bool | Progress | None = None,
        **options: Any,
    ) -> Iterator[Instances]:
        """As `pvzoo.Model.stream`, with the options of the detector."""
        found = self.detector.stream(
            source, batch_size=batch_size, on_error=on_error, progress=progress, **options
        )
        return map(self._with_masks, found)

    def _with_masks(self, found: Detections) -> Instances:
        masks = Masks(found.size)
        if len(found):
            assert found.image is not None  # results of `Model.stream` have their image
            image = found.image.open()
            masks = self.segmenter.predict(image, boxes=found.boxes).masks
        kept = {f.name: getattr(found, f.name) for f in fields(Detections)}
        return Instances(**kept, masks=masks)

    def evaluate(
        self,
        data: Any,
        *,
        split: str | None = None,
        batch_size: int = 8,
        progress: bool | Progress | None = None,
        **options: Any,
    ) -> Evaluation:
        """As `pvzoo.Model.evaluate`, for masks; the best 100 boxes of each image get a mask."""
        from pvzoo.metrics.evaluate import evaluate

        measured = {"result": Instances, "metric": InstanceSegmentation.metric}
        with showing(progress) as show:
            return evaluate(
                self.stream,
                type("MasksFrom", (self._finds,), measured)(),
                self.labels,
                data,
                {"max_detections": 100, **options},
                split=split,
                batch_size=batch_size,
                progress=show,
            )
