"""`Evaluator`: adds `evaluate` to `Predictor`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Unpack, overload

from pvzoo.errors import UsageError
from pvzoo.metrics.base import Evaluation
from pvzoo.pipeline import predict as prediction
from pvzoo.predictor import Predictor
from pvzoo.progress import Progress, showing
from pvzoo.results.several import R
from pvzoo.tasks.options import of_evaluate
from pvzoo.tasks.shown import shows
from pvzoo.tiles.geometry import Given

if TYPE_CHECKING:
    from pvzoo.results.base import Result
    from pvzoo.results.classification import Classification
    from pvzoo.results.detections import Detections
    from pvzoo.results.instances import Instances
    from pvzoo.results.panoptic import Panoptic
    from pvzoo.results.semantic import SemanticMap
    from pvzoo.tasks.image_classification import ClassificationOptions
    from pvzoo.tasks.object_detection import DetectionOptions
    from pvzoo.tasks.panoptic_segmentation import PanopticOptions
    from pvzoo.tasks.semantic_segmentation import SemanticOptions

    class _Unknown(Result):
        """No model has this result, so only ``Predictor[Any]`` matches ``Predictor[_Unknown]``."""


class Evaluator(Predictor[R]):
    """A predictor that measures its predictions on labelled data; a part of `pvzoo.Model`."""

    @overload
    def evaluate(
        self: Predictor[_Unknown], data: Any, *, split: str | None = None, **options: Any
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self: Predictor[Classification],
        data: Any,
        *,
        split: str | None = None,
        **options: Unpack[ClassificationOptions],
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self: Predictor[Detections],
        data: Any,
        *,
        split: str | None = None,
        **options: Unpack[DetectionOptions],
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self: Predictor[Instances],
        data: Any,
        *,
        split: str | None = None,
        **options: Unpack[DetectionOptions],
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self: Predictor[SemanticMap],
        data: Any,
        *,
        split: str | None = None,
        **options: Unpack[SemanticOptions],
    ) -> Evaluation: ...
    @overload
    def evaluate(
        self: Predictor[Panoptic],
        data: Any,
        *,
        split: str | None = None,
        **options: Unpack[PanopticOptions],
    ) -> Evaluation: ...
    @shows(of_evaluate)
    def evaluate(
        self: Predictor[Any],
        data: Any,
        *,
        split: str | None = None,
        tiles: Given | None = None,
        batch_size: int = 8,
        progress: bool | Progress | None = None,
        **options: Any,
    ) -> Evaluation:
        """Measure the predictions on labelled data with the metrics of the task.

        A model with a prompt for classes gets the classes of the data as its prompt. For other
        models, classes of the model and of the data are matched by name. Classes of the data that
        the model does not have are left out, and a `PvzooWarning` names them. Under
        ``accelerate launch`` or ``torchrun``, each process takes its part of the images, and all
        return the same metrics.

        Args:
            data: Anything that `pvzoo.data.load` takes: a dataset, a Hub id, a folder or a file.
            split: The split to evaluate on, for data with several.
            tiles: As for `stream`.
            batch_size: Most network inputs in one forward pass.
            progress: As for `stream`.
            **options: Options of the task that replace the ones its metrics are defined with, not
                the model's own thresholds. (By default a detector returns objects with any score.)

        Raises:
            DataError: The data cannot be read, or the model does not know any of its classes.
            ImageError: An image of the data cannot be read.
        """
        from pvzoo.metrics.evaluate import evaluate, has_figures

        if not has_figures(self._task):
            raise UsageError(
                f"{self.name} cannot be evaluated: {self.task} has no metrics.",
                "Use model.predict or pvzoo predict instead.",
            )
        if "on_error" in options:
            raise UsageError(
                "evaluate does not take on_error: skipped images would change the metrics.",
                "Remove unreadable images from the data; pvzoo.data.check names them.",
            )
        plain = prediction.plain_stream(self.adapter, self.runtime, self._task, self.name, tiles)
        with showing(progress) as show:
            model = (plain, self._task, self.labels)
            return evaluate(
                *model,
                data,
                options,
                split=split,
                batch_size=batch_size,
                progress=show,
                name=self.name,
                predict=partial(self.stream, tiles=tiles),
            )
