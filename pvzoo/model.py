"""`Model`: an adapter with weights on a device, and the verbs a user calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from pvzoo.adapters.base import Adapter
from pvzoo.backends.base import Backend
from pvzoo.cards import Card
from pvzoo.errors import ImageError, UsageError
from pvzoo.pipeline import run
from pvzoo.sources import images_of
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from pvzoo.metrics.base import Evaluation

OnError = Literal["raise", "skip"] | Callable[[ImageError], None]


class Model:
    """A loaded model; `pvzoo.load` makes one.

    Attributes:
        name: Its catalogue name, Hub repo id or folder.
        card: Its catalogue entry, if it was loaded by catalogue name.
    """

    def __init__(
        self, *, name: str, adapter: Adapter, backend: Backend, task: Task, card: Card | None
    ) -> None:
        self.name = name
        self.card = card
        self._adapter = adapter
        self._backend = backend
        self._task = task

    @property
    def task(self) -> str:
        """The task it serves, such as "object-detection"."""
        return self._task.id

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return self._adapter.labels

    @property
    def device(self) -> Any:
        """Where the network's inputs go."""
        return self._backend.device

    @property
    def dtype(self) -> Any:
        """The type the network computes in."""
        return self._backend.dtype

    def __repr__(self) -> str:
        return (
            f"<pvzoo.Model {self.name!r}: {self.task}, {len(self.labels)} classes, {self.device}>"
        )

    @overload
    def predict(
        self, images: Sequence[Any], *, batch_size: int = 8, **options: Any
    ) -> list[Any]: ...

    @overload
    def predict(self, images: Any, *, batch_size: int = 8, **options: Any) -> Any: ...

    def predict(self, images: Any, *, batch_size: int = 8, **options: Any) -> Any:
        """One image in, one result out; a list in, a list out, in the same order.

        What is predicted for an image does not depend on the others.

        Args:
            images: An image (see `pvzoo.images`), or a list or other sequence of images.
            batch_size: Most network inputs in one forward pass.
            **options: The task's own, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: An input is no image; nothing is predicted then.
            UsageError: An option the task does not have.
        """
        if isinstance(images, Iterator) and not hasattr(images, "read"):
            raise UsageError(
                "predict does not take an iterator, whose length is unknown.",
                "Use model.stream(iterator), or predict(list(iterator)).",
            )
        many = isinstance(images, Sequence) and not isinstance(
            images, str | bytes | bytearray | memoryview
        )
        results = list(self.stream(images if many else [images], batch_size=batch_size, **options))
        return results if many else results[0]

    def stream(
        self,
        source: Any,
        *,
        batch_size: int = 8,
        on_error: OnError = "raise",
        **options: Any,
    ) -> Iterator[Any]:
        """Results one by one, in order, in memory that does not grow with their number.

        Reading and preprocessing of what comes next overlap with the forward pass.

        Args:
            source: A folder (its image files by name, those of subfolders included, hidden ones
                not), a glob pattern, any iterable of images, a `datasets.Dataset` or
                `IterableDataset` with one image column, or one of its columns.
            batch_size: Most network inputs in one forward pass.
            on_error: What happens to an input that is no image: "raise"; "skip" it with a
                `PvzooWarning`; or a function that is called with the `ImageError`, after which
                the image is skipped.
            **options: The task's own, such as ``top_k`` or ``threshold``.

        Raises:
            ImageError: With ``on_error="raise"``, in the place of the bad image.
            UsageError: An option the task does not have, or a source that is none.
        """
        prompts, controls = self._task.options(options, self.labels)
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UsageError(f"batch_size is {batch_size!r}.", "It is a whole number from 1.")
        if not callable(on_error) and on_error not in ("raise", "skip"):
            raise UsageError(f"on_error is {on_error!r}.", "It is 'raise', 'skip' or a function.")
        return run(
            images_of(source),
            preprocess=lambda picture: self._adapter.preprocess(picture, **prompts),
            forward=self._backend.forward,
            postprocess=lambda outputs, meta: self._adapter.postprocess(outputs, meta, **controls),
            batch_size=batch_size,
            on_error=on_error,
        )

    def evaluate(
        self,
        data: Any,
        *,
        split: str | None = None,
        batch_size: int = 8,
        progress: Callable[[int, int], None] | None = None,
        **options: Any,
    ) -> Evaluation:
        """How good the predictions are on labelled data: the task's figures.

        Classes of the model and of the data are matched by name; a `PvzooWarning` names classes of
        the data that the model does not have, and which are left out. Under ``accelerate launch``
        or ``torchrun`` each process takes its part of the images, and all return the same figures.

        Args:
            data: Whatever `pvzoo.data.load` takes: a dataset, a Hub dataset id, a folder or file.
            split: Which split, for data that has several.
            batch_size: Most network inputs in one forward pass.
            progress: Called with the number of images done and of all images.
            **options: The task's own, in the place of those that its figures are defined with (a
                detector, for example, is asked for every object, however low its score).

        Raises:
            DataError: The data cannot be read, or no class of it is known to the model.
            ImageError: An image of it cannot be read.
        """
        from pvzoo.evaluation import evaluate

        return evaluate(
            self,
            self._task.metric,
            data,
            split=split,
            progress=progress,
            batch_size=batch_size,
            **{**self._task.evaluation, **options},
        )
