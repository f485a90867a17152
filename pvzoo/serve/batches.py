"""Collect the images of many requests into batches, and run the models on them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pvzoo.errors import ImageError, UsageError, let_go
from pvzoo.inputs.images import ImageHandle
from pvzoo.serve.errors import busy
from pvzoo.serve.limits import Limits

if TYPE_CHECKING:
    from pvzoo.model import Model
    from pvzoo.results.base import Result

_log = logging.getLogger("pvzoo.serve")


@dataclass(eq=False)
class Job:
    """An image that waits for its result.

    Attributes:
        name: The name under which the server offers the model.
        model: The model.
        options: Options of `predict`.
        image: The image.
        size: (width, height) of the image. Images of one size share a forward pass.
        result: Gets the result, or the error.
        since: When the image came, in seconds of `time.monotonic`.
    """

    name: str
    model: Model[Any]
    options: Mapping[str, Any]
    image: ImageHandle
    size: tuple[int, int]
    result: Future[Result] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)

    def goes_with(self, other: Job) -> bool:
        """Whether both can be predicted by one call."""
        return self.model is other.model and self.options == other.options


class Batches:
    """A queue of images, and the threads that predict them.

    Images of one model with the same options are predicted together, by `Model.stream`, so they
    have the results of `Model.predict`. It makes batches of inputs with the same shape.

    Args:
        limits: The size of the queue and of batches.
        done: Called with the jobs of each call of a model after it, and its seconds.
    """

    def __init__(
        self, limits: Limits, done: Callable[[Sequence[Job], float], None] = lambda jobs, s: None
    ) -> None:
        self._limits = limits
        self._done = done
        self._waiting: list[Job] = []
        self._changed = threading.Condition()
        self._closed = False
        self._pace = 0.1
        self._threads = [
            threading.Thread(target=self._work, name=f"pvzoo-serve-{n}", daemon=True)
            for n in range(limits.at_once)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """The number of images that wait, without those that were cancelled."""
        return sum(not job.result.cancelled() for job in self._waiting)

    def put(self, jobs: Sequence[Job]) -> None:
        """Put the images of a request into the queue: all or none.

        Raises:
            RefusedError: The queue is full (503).
        """
        with self._changed:
            self._waiting = [job for job in self._waiting if not job.result.cancelled()]
            waiting = len(self._waiting)
            if waiting + len(jobs) > self._limits.queue:
                seconds = min(60, max(1, math.ceil(waiting * self._pace / self._limits.at_once)))
                raise busy(f"The server is busy: {waiting} images are waiting.", seconds)
            self._waiting += jobs
            self._changed.notify_all()

    def close(self) -> None:
        """Finish what waits, and stop the threads; one whose network hangs is left behind."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(self._limits.seconds)

    def _work(self) -> None:
        while jobs := self._next():
            start = time.monotonic()
            self._run(jobs)
            seconds = time.monotonic() - start
            self._pace += 0.1 * (seconds / len(jobs) - self._pace)
            try:
                self._done(jobs, seconds)
            except Exception:  # a thread that ends would leave clients without an answer
                _log.exception("the figures of a batch could not be kept")
            del jobs  # while this thread waits, the images and results are not kept

    def _next(self) -> list[Job]:
        """Wait for the next jobs to run together; none after `close`."""
        with self._changed:
            while True:
                self._waiting = [job for job in self._waiting if not job.result.cancelled()]
                if not self._waiting:
                    if self._closed:
                        return []
                    self._changed.wait()
                    continue
                first = self._waiting[0]
                fitting = [job for job in self._waiting if job.goes_with(first)]
                left = first.since + self._limits.batch_wait - time.monotonic()
                if len(fitting) >= self._limits.batch_size or left <= 0 or self._closed:
                    fitting.sort(key=lambda job: job.size != first.size)
                    chosen = fitting[: self._limits.batch_size]
                    self._waiting = [job for job in self._waiting if job not in chosen]
                    # a client may have gone since; then its job is left out
                    running = [job for job in chosen if job.result.set_running_or_notify_cancel()]
                    if running:
                        return running
                    continue
                self._changed.wait(left)

    def _run(self, jobs: Sequence[Job]) -> None:
        def failed(error: ImageError) -> None:
            jobs[error.index].result.set_exception(let_go(error))

        first = jobs[0]
        try:
            for result in first.model.stream(
                [job.image for job in jobs],
                batch_size=self._limits.batch_size,
                on_error=failed,
                progress=False,
                **first.options,
            ):
                assert result.image is not None  # the pipeline sets it
                jobs[result.image.index].result.set_result(result)
        except Exception as error:
            left = [job for job in jobs if not job.result.done()]
            if len(jobs) > 1 and not isinstance(error, UsageError):
                for job in left:  # one image must not cost the others their results
                    self._run([job])
            else:
                for job in left:
                    job.result.set_exception(let_go(error))
