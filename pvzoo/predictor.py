"""`Predictor`: what a model does with images, typed by the task it serves.

For type checkers each method has an overload for each of pvzoo's tasks, with the options of that
task. For `help` and notebooks `_shows` does the same at run time, for plugins' tasks too.
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
        """Of no model, so that only a ``Predictor[Any]`` is taken for a ``Predictor[_Unknown]``."""


F = TypeVar("F", bound=Callable[..., Any])
S = TypeVar("S", bound="Result")


def _shows(listed: Listed) -> Callable[[F], F]:
    """Make a method show the options of its model's task instead of its ``**options``."""

    def shown(function: F) -> F:
        return cast(F, _Shown(cast(types.FunctionType, function), listed))

    return shown


class _Shown:
    """The function itself where its class is asked for it; a model's own method is bound."""

    def __init__(self, function: types.FunctionType, listed: Listed) -> None:
        self.function = function
        self.listed = listed

    def __get__(self, model: Predictor[Any] | None, owner: type) -> Callable[..., Any]:
        if model is None:
            return self.function
        return types.MethodType(for_task(self.function, self.listed, type(model._task)), model)


class Predictor(Generic[R]):
    """An adapter and its runtime, asked about images; the part of `pvzoo.Model` that predicts.

    Attributes:
        name: What messages call it.
        adapter: Knows what the network's inputs and outputs mean.
        runtime: Runs the network on its device.
    """

    def __init__(self, name: str, adapter: Adapter, runtime: Runtime) -> None:
        self.name = name
        self.adapter = adapter
        self.runtime = runtime
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
        """One image in, one result out; a list in, a list out, in the same order.

        What is predicted for an image does not depend on the others.

        Args:
            images: An image (see `pvzoo.inputs.images`), or a list or other sequence of images.
            batch_size: Most network inputs in one forward pass.
            on_error: As for `stream`, but for lists only; the list of results is shorter by what
                is skipped.
            progress: As for `stream`.
            **options: The task's own, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: With ``on_error="raise"``: an input is no image.
            UsageError: An option the task does not have.
        """
        stream = cast(Predictor[Any], self).stream  # which may have any options
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
        """Results one by one, in order, in memory that does not grow with their number.

        Reading and preprocessing of what comes next overlap with the forward pass.

        Args:
            source: A folder (its image files by name, those of subfolders included, hidden ones
                not), a glob pattern, any iterable of images, a `datasets.Dataset` or
                `IterableDataset` with one image column, or one of its columns.
            batch_size: Most network inputs in one forward pass.
            on_error: What happens to an input that is no image, or on which the network fails:
                "raise"; "skip" it with a `PvzooWarning`; or a function that is called with the
                `ImageError`, after which the image is skipped.
            progress: Whether there is a bar on standard error or in the notebook; a count where
                nobody knows how many images there are. None for one on a terminal or in a notebook
                once it has taken three seconds. Or a function that is called with the number of
                images done and of all, or None.
            **options: The task's own, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: With ``on_error="raise"``, instead of the bad image.
            DeviceError: There is too little memory.
            UnsupportedModelError: The model fails on every image.
            UsageError: An option the task does not have, or a source that is none.
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
        )

    @_shows(of_network)
    def outputs(self, image: Any, **prompts: Any) -> Outputs:
        """What the network says of one image, before it becomes a result.

            seen = model.outputs("street.jpg")
            for threshold in (0.3, 0.5, 0.7):
                print(len(seen.result(threshold=threshold)))

        The network runs once, however many results are made.

        Args:
            image: An image (see `pvzoo.inputs.images`).
            **prompts: Those options of the task that the network sees.

        Raises:
            ImageError: The input is no image.
            UsageError: A prompt the task does not have.
        """
        return prediction.outputs(
            self.adapter, self.runtime, self._task, image, prompts, name=self.name
        )

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
        """How good the predictions are on labelled data: the task's figures.

        A model that is told by a prompt what to look for is told the classes of the data. Else
        classes of the model and of the data are matched by name; a `PvzooWarning` names classes of
        the data that the model does not have, and which are left out. Under ``accelerate launch``
        or ``torchrun`` each process takes its part of the images, and all return the same figures.

        Args:
            data: Whatever `pvzoo.data.load` takes: a dataset, a Hub dataset id, a folder or file.
            split: Which split, for data that has several.
            batch_size: Most network inputs in one forward pass.
            progress: As for `stream`.
            **options: The task's own, instead of those that its figures are defined with (a
                detector, for example, is asked for every object, however low its score).

        Raises:
            DataError: The data cannot be read, or no class of it is known to the model.
            ImageError: An image of it cannot be read.
        """
        from pvzoo.metrics.evaluate import evaluate, has_figures

        if not has_figures(self._task):
            raise UsageError(
                f"{self.name} cannot be evaluated: {self.task} has no figures.",
                "It can predict: use model.predict, or pvzoo predict.",
            )
        if "on_error" in options:
            raise UsageError(
                "evaluate takes no on_error: without an image the figures would be others.",
                "Take images that cannot be read out of the data; pvzoo.data.check names them.",
            )
        with showing(progress) as show:
            return evaluate(
                self.stream,
                self._task,
                self.labels,
                data,
                options,
                split=split,
                batch_size=batch_size,
                progress=show,
            )
