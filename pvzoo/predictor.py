"""`Predictor`: the methods of a model that predict, typed by the model's task.

For type checkers, each method has an overload for each of pvzoo's tasks, with the options of that
task. For `help` and notebooks, `_shows` does the same at run time, also for tasks of plugins.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast, overload

from pvzoo.adapters.base import Adapter
from pvzoo.errors import UsageError
from pvzoo.inputs.images import OneImage
from pvzoo.metrics.base import Evaluation
from pvzoo.pipeline import predict as prediction
from pvzoo.pipeline.batches import Outputs
from pvzoo.pipeline.predict import OnError
from pvzoo.progress import Progress, showing
from pvzoo.results.several import R, Results
from pvzoo.runtimes.base import Runtime
from pvzoo.tasks.base import Task
from pvzoo.tasks.fixed import task_of
from pvzoo.tasks.options import Listed, for_task, of_evaluate, of_network, of_predict
from pvzoo.thresholds.values import Thresholds

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


F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound="Result")


def _shows(listed: Listed) -> Callable[[F], F]:
    """Decorate a method to show the options of its model's task instead of ``**options``."""

    def shown(function: F) -> F:
        return cast(F, _Shown(cast(types.FunctionType, function), listed))

    return shown


class _Shown:
    """A descriptor: the class has the plain function, a model has a method with its options."""

    def __init__(self, function: types.FunctionType, listed: Listed) -> None:
        self.function = function
        self.listed = listed

    def __get__(self, model: Predictor[Any] | None, owner: type) -> Callable[..., Any]:
        if model is None:
            return self.function
        return types.MethodType(for_task(self.function, self.listed, type(model._task)), model)


class Predictor(Generic[R]):
    """An adapter and its runtime; the part of `pvzoo.Model` that predicts.

    Attributes:
        name: The name of the model in messages.
        adapter: Prepares the network's inputs and interprets its outputs.
        runtime: Runs the network on its device.
        thresholds: Those that predictions use unless a ``threshold`` is given, or None.
    """

    def __init__(
        self, name: str, adapter: Adapter, runtime: Runtime, thresholds: Thresholds | None = None
    ) -> None:
        self.name = name
        self.adapter = adapter
        self.runtime = runtime
        self.thresholds = thresholds
        self._task: Task = task_of(adapter.spec)

    @property
    def task(self) -> str:
        """The task it serves, such as "object-detection"."""
        return self._task.id

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return self.adapter.labels

    @overload
    def predict(self: Predictor[_Unknown], images: Any, **options: Any) -> Any: ...
    @overload
    def predict(
        self: Predictor[Classification], images: OneImage, **options: Unpack[ClassificationOptions]
    ) -> Classification: ...
    @overload
    def predict(
        self: Predictor[Classification],
        images: Sequence[Any],
        *,
        on_error: OnError = "raise",
        **options: Unpack[ClassificationOptions],
    ) -> Results[Classification]: ...
    @overload
    def predict(
        self: Predictor[Detections], images: OneImage, **options: Unpack[DetectionOptions]
    ) -> Detections: ...
    @overload
    def predict(
        self: Predictor[Instances], images: OneImage, **options: Unpack[DetectionOptions]
    ) -> Instances: ...
    @overload
    def predict(
        self: Predictor[Detections],
        images: Sequence[Any],
        *,
        on_error: OnError = "raise",
        **options: Unpack[DetectionOptions],
    ) -> Results[Detections]: ...
    @overload
    def predict(
        self: Predictor[Instances],
        images: Sequence[Any],
        *,
        on_error: OnError = "raise",
        **options: Unpack[DetectionOptions],
    ) -> Results[Instances]: ...
    @overload
    def predict(
        self: Predictor[SemanticMap], images: OneImage, **options: Unpack[SemanticOptions]
    ) -> SemanticMap: ...
    @overload
    def predict(
        self: Predictor[SemanticMap],
        images: Sequence[Any],
        *,
        on_error: OnError = "raise",
        **options: Unpack[SemanticOptions],
    ) -> Results[SemanticMap]: ...
    @overload
    def predict(
        self: Predictor[Panoptic], images: OneImage, **options: Unpack[PanopticOptions]
    ) -> Panoptic: ...
    @overload
    def predict(
        self: Predictor[Panoptic],
        images: Sequence[Any],
        *,
        on_error: OnError = "raise",
        **options: Unpack[PanopticOptions],
    ) -> Results[Panoptic]: ...
    @_shows(of_predict)
    def predict(
        self: Predictor[S],
        images: Any,
        *,
        batch_size: int = 8,
        on_error: OnError = "raise",
        progress: bool | Progress | None = None,
        **options: Any,
    ) -> S | Results[S]:
        """Predict one image or a list: one result for one image, a list of results for a list.

        Results have the order of the images. The prediction for an image does not depend on the
        other images.

        Args:
            images: An image (see `pvzoo.inputs.images`), or a list or other sequence of images.
            batch_size: Most network inputs in one forward pass.
            on_error: As for `stream`, but only for lists. Skipped images have no result in the
                list.
            progress: As for `stream`.
            **options: Options of the task, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: With ``on_error="raise"``: an input is not an image.
            UsageError: The task does not have an option.
        """
        stream = cast(Predictor[Any], self).stream  # typed to accept any options
        several = partial(stream, batch_size=batch_size, progress=progress, **options)
        answer: S | Results[S] = prediction.predict(several, images, on_error)
        return answer

    @overload
    def stream(self: Predictor[_Unknown], source: Any, **options: Any) -> Iterator[Any]: ...
    @overload
    def stream(
        self: Predictor[Classification],
        source: Any,
        *,
        on_error: OnError = "raise",
        **options: Unpack[ClassificationOptions],
    ) -> Iterator[Classification]: ...
    @overload
    def stream(
        self: Predictor[Detections],
        source: Any,
        *,
        on_error: OnError = "raise",
        **options: Unpack[DetectionOptions],
    ) -> Iterator[Detections]: ...
    @overload
    def stream(
        self: Predictor[Instances],
        source: Any,
        *,
        on_error: OnError = "raise",
        **options: Unpack[DetectionOptions],
    ) -> Iterator[Instances]: ...
    @overload
    def stream(
        self: Predictor[SemanticMap],
        source: Any,
        *,
        on_error: OnError = "raise",
        **options: Unpack[SemanticOptions],
    ) -> Iterator[SemanticMap]: ...
    @overload
    def stream(
        self: Predictor[Panoptic],
        source: Any,
        *,
        on_error: OnError = "raise",
        **options: Unpack[PanopticOptions],
    ) -> Iterator[Panoptic]: ...
    @_shows(of_predict)
    def stream(
        self: Predictor[S],
        source: Any,
        *,
        batch_size: int = 8,
        on_error: OnError = "raise",
        progress: bool | Progress | None = None,
        **options: Any,
    ) -> Iterator[S]:
        """Predict any number of images; yields results one by one, in order, in bounded memory.

        The next images are read and preprocessed during the forward pass.

        Args:
            source: A folder (its image files and those of subfolders, by name, without hidden
                ones), a glob pattern, any iterable of images, a `datasets.Dataset` or
                `IterableDataset` with one image column, or one of its columns.
            batch_size: Most network inputs in one forward pass.
            on_error: What to do if an input is not an image, or the network fails on it: "raise" an
                error; "skip" it with a `PvzooWarning`; or a function that is called with the
                `ImageError`, after which the image is skipped.
            progress: Whether to show a bar. None shows it on a terminal or in a notebook after
                three seconds. Or a function, called with the number of images done, and of all.
            **options: Options of the task, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: With ``on_error="raise"``: an input is not an image, or the network fails.
            DeviceError: There is too little memory.
            UnsupportedModelError: The model fails on every image.
            UsageError: The task does not have an option, or the source cannot be streamed.
        """
        return prediction.stream(
            self.adapter,
            self.runtime,
            self._task,
            source,
            options,
            name=self.name,
            batch_size=batch_size,
            on_error=on_error,
            progress=progress,
            thresholds=self.thresholds,
        )

    @_shows(of_network)
    def outputs(self, image: Any, **prompts: Any) -> Outputs:
        """The network's outputs for one image, before they become a result.

            seen = model.outputs("street.jpg")
            for threshold in (0.3, 0.5, 0.7):
                print(len(seen.result(threshold=threshold)))

        The network runs only once for any number of results.

        Args:
            image: An image (see `pvzoo.inputs.images`).
            **prompts: Options of the task that are inputs of the network.

        Raises:
            ImageError: The input is not an image.
            UsageError: The task does not have a prompt.
        """
        model = (self.adapter, self.runtime, self._task)
        return prediction.outputs(*model, image, prompts, self.name, self.thresholds)

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
    @_shows(of_evaluate)
    def evaluate(
        self: Predictor[Any],
        data: Any,
        *,
        split: str | None = None,
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
        plain = prediction.plain_stream(self.adapter, self.runtime, self._task, self.name)
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
                predict=self.stream,
            )
