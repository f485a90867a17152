"""Predict images in tiles: the tiles of all images go through the pipeline as images do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from PIL import Image

from pvzoo.errors import ImageError, let_go
from pvzoo.inputs.images import ImageHandle
from pvzoo.pipeline.batches import report
from pvzoo.results.base import Result
from pvzoo.tiles.geometry import Area, Grid, Size, Tiles
from pvzoo.tiles.windows import Source, open_source


class Joiner(Protocol):
    """Takes what the tiles of an image show, row by row, and returns the result."""

    def add(self, area: Area, seen: Any) -> None:
        """Take what one tile shows; the whole image comes last."""

    def result(self) -> Result:
        """The result for the image."""


@dataclass(frozen=True)
class Joining:
    """How the tiles of a task become a result.

    Attributes:
        whole: Whether it can use a pass over the whole image.
        postprocess: (outputs, meta) of a tile -> what `Joiner.add` takes; it has a field ``image``.
        alone: What a tile that covers its whole image shows -> the result.
        joiner: The joiner of an image with these tiles.
    """

    whole: bool
    postprocess: Callable[[dict[str, Any], dict[str, Any]], Any]
    alone: Callable[[Any], Result]
    joiner: Callable[[Grid], Joiner]


@dataclass(eq=False)
class _Job:
    """An image whose tiles are in the pipeline.

    Attributes:
        handle: The image.
        source: Its pixels, until the last tile is done.
        parts: The tiles, row by row, and perhaps the whole.
        joiner: None if the only part is the whole image.
        done: How many parts are done.
    """

    handle: ImageHandle
    source: Source | None
    parts: Sequence[Area]
    joiner: Joiner | None
    done: int = 0
    _read: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def was_read(self) -> None:
        """Forget the pixels after the last part was read."""
        with self._lock:
            self._read += 1
            if self._read == len(self.parts) and self.source is not None:
                self.source.close()
                self.source = None

    @classmethod
    def of(
        cls, handle: ImageHandle, plan: Callable[[Size], Tiles | None], joining: Joining
    ) -> _Job:
        source = open_source(handle)
        whole, tiles = Area(0, 0, *source.size), plan(source.size)
        grid = None if tiles is None else Grid.of(source.size, tiles)
        if grid is None or tiles is None or len(grid) == 1:
            source.check_whole()
            return cls(handle, source, [whole], None)
        parts = [*grid, whole] if tiles.whole and joining.whole else [*grid]
        return cls(handle, source, parts, joining.joiner(grid))


@dataclass(frozen=True, eq=False)
class _Part(ImageHandle):
    """A part of an image. Its index is that of the image, for messages."""

    job: _Job | None = field(default=None, repr=False)
    area: Area | None = None

    def __post_init__(self) -> None:
        assert self.job is not None
        object.__setattr__(self, "index", self.job.handle.index)

    def open(self) -> Image.Image:
        """The pixels of the part."""
        assert self.job is not None
        assert self.area is not None
        source = self.job.source
        assert source is not None  # it is kept until all parts are read
        try:
            return source.whole() if self.area.size == source.size else source.read(self.area)
        finally:
            self.job.was_read()


@dataclass(frozen=True, eq=False)
class _Unread(ImageHandle):
    """An image that cannot be read; the error comes when it is its turn."""

    error: ImageError | None = None

    def open(self) -> Image.Image:
        """Raise the error."""
        assert self.error is not None
        raise self.error


def run_in_tiles(
    images: Iterable[Any],
    plan: Callable[[Size], Tiles | None],
    joining: Joining,
    run: Callable[..., Generator[Any, None, None]],
    on_error: str | Callable[[ImageError], None],
) -> Generator[Result, None, None]:
    """The results of `images`, in order, each made of its tiles.

    In memory are at most two images (of files that are read by windows, a few windows), a few
    batches of tiles, and what the joiner holds.

    Args:
        images: See `Model.stream`.
        plan: The tiles for an image of (height, width); None for none.
        joining: How tiles become a result.
        run: `pvzoo.pipeline.batches.run` with all arguments but the images, `postprocess` and
            `on_error`.
        on_error: See `Model.stream`.
    """
    errors: list[ImageError] = []
    failed: set[int] = set()

    def skip(error: ImageError) -> None:
        if error.index not in failed:
            failed.add(error.index)
            errors.append(error)

    def parts() -> Iterator[ImageHandle]:
        for index, image in enumerate(images):
            try:
                job = _Job.of(ImageHandle.of(image, index), plan, joining)
            except ImageError as error:
                yield _Unread(None, error.source, error=let_go(error))
                continue
            handle = job.handle
            for area in job.parts:
                if index not in failed:
                    yield _Part(handle.data, handle.name, job=job, area=area)

    results = run(
        parts(), postprocess=joining.postprocess, on_error="raise" if on_error == "raise" else skip
    )
    with closing(results):
        for seen in results:
            while errors:
                report(errors.pop(0), on_error, stacklevel=4)
            job, area = seen.image.job, seen.image.area
            if job.handle.index in failed:
                continue
            job.done += 1
            if job.joiner is None:
                result = joining.alone(seen)
            else:
                job.joiner.add(area, seen)
                if job.done < len(job.parts):
                    continue
                result = job.joiner.result()
            job.joiner = None
            yield replace(result, image=job.handle)
    while errors:
        report(errors.pop(0), on_error, stacklevel=4)
