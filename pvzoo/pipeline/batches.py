"""Read images, run them in batches and return results, in order and in bounded memory.

Threads read and preprocess a bounded number of images ahead while the caller's thread runs the
network. Inputs are batched by their shapes and never padded to a common size, so the result for an
image does not depend on the other images in its batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import (
    DeviceError,
    ImageError,
    PluginError,
    PvzooError,
    UsageError,
    let_go,
    warn_of_image,
)
from pvzoo.inputs.images import ImageHandle

Inputs = dict[str, np.ndarray]
Shape = tuple[tuple[str, tuple[int, ...], str], ...]

_NOT_OF_IMAGES = (DeviceError, UsageError, PluginError)
"""Errors of the call or of a plugin's code, which no image has caused."""

WORKERS = 2
"""The number of threads that read and preprocess images."""


@dataclass
class _Item:
    """One image in the pipeline; ``result`` is None until it is a result or an error."""

    handle: ImageHandle
    inputs: Inputs
    meta: dict[str, Any]
    result: Any = None


def run(
    images: Iterable[Any],
    *,
    preprocess: Callable[[Image.Image], tuple[Inputs, dict[str, Any]]],
    forward: Callable[[Inputs], dict[str, Any]],
    postprocess: Callable[[dict[str, Any], dict[str, Any]], Any],
    check: Callable[[], None],
    batch_size: int,
    on_error: str | Callable[[ImageError], None],
) -> Generator[Any, None, None]:
    """The results of `images`, in order; see `Model.stream` for the arguments.

    `check` is called when an image has failed. It raises an error if every image would fail.
    """
    check = cache(check)
    waiting: deque[_Item] = deque()  # in order; results are returned from the left end
    batches: dict[Shape, list[_Item]] = {}  # items not run yet, by the shape of their inputs

    def flush(shape: Shape) -> None:
        items = batches.pop(shape)
        try:
            _run_batch(items, forward, postprocess, batch_size)
        except _NOT_OF_IMAGES:
            raise
        except PvzooError:
            for item in items:
                if item.result is None:
                    _run_alone(item, forward, postprocess, check)

    def finished() -> Iterator[Any]:
        while waiting and waiting[0].result is not None:
            result = waiting.popleft().result
            if not isinstance(result, ImageError):
                yield result
            elif on_error == "raise":
                try:
                    raise result
                finally:  # otherwise its traceback refers to this variable, in a reference cycle
                    del result
            else:
                report(result, on_error, stacklevel=5)

    for outcome in _prepared(images, preprocess, check, ahead=batch_size + 2 * WORKERS):
        if isinstance(outcome, ImageError):
            if on_error == "raise":
                for shape in list(batches):
                    flush(shape)
                yield from finished()
                try:
                    raise outcome
                finally:  # as above
                    del outcome
            report(outcome, on_error, stacklevel=4)
            continue
        waiting.append(outcome)
        shape = _shape(outcome.inputs)
        batch = batches.setdefault(shape, [])
        batch.append(outcome)
        if sum(_count(item.inputs) for item in batch) >= batch_size:
            flush(shape)
        elif len(waiting) >= 4 * batch_size:  # a rare shape must not block the others
            flush(_shape(waiting[0].inputs))
        yield from finished()
    for shape in list(batches):
        flush(shape)
    yield from finished()


@dataclass(frozen=True, eq=False)
class Outputs:
    """The network's outputs for one image, from which results can be made several times.

    `pvzoo.Model.outputs` makes one.
    """

    _outputs: dict[str, Any]
    _meta: dict[str, Any]
    _handle: ImageHandle
    _postprocess: Callable[..., Any]

    @property
    def nbytes(self) -> int:
        """The memory of the outputs, in bytes."""
        return sum(value.nbytes for value in self._outputs.values())

    def result(self, **controls: Any) -> Any:
        """The result, as `pvzoo.Model.predict` gives it with these options.

        Args:
            **controls: Options of the task that are not prompts, such as ``threshold``.

        Raises:
            UsageError: The task does not have an option.
        """
        return replace(self._postprocess(self._outputs, self._meta, controls), image=self._handle)


def run_one(
    image: Any,
    *,
    preprocess: Callable[[Image.Image], tuple[Inputs, dict[str, Any]]],
    forward: Callable[[Inputs], dict[str, Any]],
    postprocess: Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], Any],
    check: Callable[[], None],
) -> Outputs:
    """The network's outputs for one image; `postprocess` gets (outputs, meta, controls)."""
    (item,) = _prepared([image], preprocess, check, ahead=1)
    if isinstance(item, ImageError):
        try:
            raise item
        finally:  # as above
            del item
    try:
        outputs = forward(item.inputs)
    except _NOT_OF_IMAGES:
        raise
    except PvzooError as error:
        check()
        raise _named(item.handle, error) from error
    return Outputs(outputs, item.meta, item.handle, postprocess)


def _prepared(
    images: Iterable[Any],
    preprocess: Callable[[Image.Image], tuple[Inputs, dict[str, Any]]],
    check: Callable[[], None],
    ahead: int,
) -> Iterator[_Item | ImageError]:
    """Open and preprocess each image, or give its error; at most `ahead` images at a time."""

    def take(image: Any, index: int) -> Any:
        """Take an image before the caller's iterator goes on and perhaps reuses its memory.

        Text is left to the threads: it cannot change, and it may be a URL to download.
        """
        try:
            return image if isinstance(image, str) else ImageHandle.of(image, index)
        except ImageError as error:
            return error

    def prepare(image: str | ImageHandle | ImageError, index: int) -> _Item | ImageError:
        if isinstance(image, ImageError):
            return image
        try:
            handle = ImageHandle.of(image, index) if isinstance(image, str) else image
            opened = handle.open()
        except ImageError as error:
            return error
        try:
            return _Item(handle, *preprocess(opened))
        except ImageError as error:
            return _named(handle, error)
        except PvzooError:  # for example, a prompt is too long
            raise
        except Exception as error:  # processors fail in many ways, for example on a single pixel
            check()
            size = f"{opened.width} x {opened.height} pixels"
            refused = ImageError(
                f"{handle.name} ({size}) cannot be prepared for this network ({error}).",
                "Crop or scale the image to a more common size.",
                source=handle.name,
                index=handle.index,
            )
            refused.__cause__ = error
            return refused

    def settled(outcome: _Item | ImageError) -> _Item | ImageError:
        """The outcome, without references from an error to the inputs: callers may keep errors."""
        return let_go(outcome) if isinstance(outcome, ImageError) else outcome

    if isinstance(images, list) and len(images) == 1:  # no thread is needed for one image
        yield settled(prepare(take(images[0], 0), 0))
        return
    pending: deque[Future[_Item | ImageError]] = deque()
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="pvzoo-read")
    try:
        for index, image in enumerate(images):
            pending.append(pool.submit(prepare, take(image, index), index))
            if len(pending) >= ahead:
                yield settled(pending.popleft().result())
        while pending:
            yield settled(pending.popleft().result())
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def report(
    error: ImageError, on_error: str | Callable[[ImageError], None], stacklevel: int
) -> None:
    """Report a skipped image; a warning points at the loop over the results."""
    if callable(on_error):
        on_error(error)
    else:
        warn_of_image(f"Skipped: {error}", stacklevel)


def _named(handle: ImageHandle, error: PvzooError) -> ImageError:
    """An error that names the image; `error` is its cause."""
    what = f"{handle.name}: {error.what}"
    named = ImageError(what, error.hint, source=handle.name, index=handle.index)
    named.__cause__ = error
    return named


def _shape(inputs: Inputs) -> Shape:
    """The names, shapes (without the leading axis) and dtypes; equal within a batch."""
    return tuple((name, a.shape[1:], a.dtype.str) for name, a in sorted(inputs.items()))


def _count(inputs: Inputs) -> int:
    """The number of network inputs that were made from an image."""
    return len(next(iter(inputs.values())))


def _run_alone(
    item: _Item,
    forward: Callable[[Inputs], dict[str, Any]],
    postprocess: Callable[[dict[str, Any], dict[str, Any]], Any],
    check: Callable[[], None],
) -> None:
    """Set the result of one image of a failed batch: a result, or its error."""
    try:
        _run_batch([item], forward, postprocess, batch_size=1)
    except _NOT_OF_IMAGES:
        raise
    except PvzooError as error:
        check()
        item.inputs = {}
        item.result = let_go(_named(item.handle, error))


def _run_batch(
    items: list[_Item],
    forward: Callable[[Inputs], dict[str, Any]],
    postprocess: Callable[[dict[str, Any], dict[str, Any]], Any],
    batch_size: int,
) -> None:
    """Set the results of images with inputs of the same shape.

    An image with more inputs than `batch_size` is still run at once: its outputs belong together.
    """
    while items:
        count = 1
        while (
            count < len(items) and sum(_count(i.inputs) for i in items[: count + 1]) <= batch_size
        ):
            count += 1
        group, items = items[:count], items[count:]
        names = group[0].inputs
        if count == 1:
            outputs = forward(group[0].inputs)
        else:
            outputs = forward({n: np.concatenate([i.inputs[n] for i in group]) for n in names})
        start = 0
        for item in group:
            stop = start + _count(item.inputs)
            own = {name: value[start:stop] for name, value in outputs.items()}
            item.result = replace(postprocess(own, item.meta), image=item.handle)
            item.inputs = {}  # free the pixels
            start = stop
