"""`Predictor`: the methods of a model that predict, typed by the model's task.

For type checkers, each method has an overload for each of pvzoo's tasks, with the options of that
task. For `help` and notebooks, `shows` does the same at run time, also for tasks of plugins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, cast, overload

from pvzoo.adapters.base import Adapter
from pvzoo.inputs.images import OneImage
from pvzoo.pipeline import predict as prediction
from pvzoo.pipeline.batches import Outputs
from pvzoo.pipeline.frames import Part
from pvzoo.pipeline.predict import OnError
from pvzoo.progress import Progress
from pvzoo.results.several import R, Results
from pvzoo.runtimes.base import Runtime
from pvzoo.tasks.base import Task
from pvzoo.tasks.fixed import task_of
from pvzoo.tasks.options import of_network, of_predict
from pvzoo.tasks.shown import shows
from pvzoo.thresholds.values import Thresholds
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


S = TypeVar("S", bound="Result")


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
    @shows(of_predict)
    def predict(
        self: Predictor[S],
        images: Any,
        *,
        tiles: Given | None = None,
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
            tiles: As for `stream`.
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
        several = partial(stream, tiles=tiles, batch_size=batch_size, progress=progress, **options)
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
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        **options: Unpack[ClassificationOptions],
    ) -> Iterator[Classification]: ...
    @overload
    def stream(
        self: Predictor[Detections],
        source: Any,
        *,
        on_error: OnError = "raise",
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        track: Any = False,
        **options: Unpack[DetectionOptions],
    ) -> Iterator[Detections]: ...
    @overload
    def stream(
        self: Predictor[Instances],
        source: Any,
        *,
        on_error: OnError = "raise",
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        track: Any = False,
        **options: Unpack[DetectionOptions],
    ) -> Iterator[Instances]: ...
    @overload
    def stream(
        self: Predictor[SemanticMap],
        source: Any,
        *,
        on_error: OnError = "raise",
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        **options: Unpack[SemanticOptions],
    ) -> Iterator[SemanticMap]: ...
    @overload
    def stream(
        self: Predictor[Panoptic],
        source: Any,
        *,
        on_error: OnError = "raise",
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        **options: Unpack[PanopticOptions],
    ) -> Iterator[Panoptic]: ...
    @shows(of_predict)
    def stream(
        self: Predictor[S],
        source: Any,
        *,
        tiles: Given | None = None,
        batch_size: int = 8,
        on_error: OnError = "raise",
        progress: bool | Progress | None = None,
        every: int | None = None,
        start: float | None = None,
        stop: float | None = None,
        track: Any = False,
        **options: Any,
    ) -> Iterator[S]:
        """Predict any number of images; yields results one by one, in order, in bounded memory.

        The next images are read and preprocessed during the forward pass.

        Args:
            source: A folder (its image files and those of subfolders, by name, without hidden
                ones), a glob pattern, any iterable of images, a `datasets.Dataset` or
                `IterableDataset` with one image column, or one of its columns. Or a video, which
                needs the extra ``video``: a file, an address (``rtsp://``, or ``http(s)://`` with
                the suffix of a video), or the number of a camera; see `pvzoo.inputs.video`.
            tiles: Cut images into tiles and merge what they show, so that small objects in large
                images are found: the side of a tile in pixels of the image, "auto" for tiles of
                the size of the network's input where an image is larger, or `pvzoo.Tiles`. Not for
                classification and panoptic segmentation.
            batch_size: Most network inputs in one forward pass.
            on_error: What to do if an input is not an image, or the network fails on it: "raise" an
                error; "skip" it with a `PvzooWarning`; or a function that is called with the
                `ImageError`, after which the image is skipped.
            progress: Whether to show a bar. None shows it on a terminal or in a notebook after
                three seconds. Or a function, called with the number of images done, and of all.
            every: Of a video, only each frame of this many.
            start: Of a video, only frames from this time on, in seconds.
            stop: Of a video, only frames before this time, in seconds.
            track: Follow objects from frame to frame: results get a ``track_id``. True for
                ByteTrack, the name of another tracker ("sort", "ocsort", "botsort", "cbiou"), or a
                tracker of the package `trackers`. Only for tasks with boxes; needs the extra
                ``video``. The images are taken as frames in order.
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
            tiles=tiles,
            part=Part(every, start, stop),
            track=track,
        )

    @shows(of_network)
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
