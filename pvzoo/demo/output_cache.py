"""Get results for images and options, with one run of the network for each image."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pvzoo.demo.cards import titles
from pvzoo.demo.limits import Limits
from pvzoo.errors import PvzooError
from pvzoo.web.client_images import ClientImage

if TYPE_CHECKING:
    from pvzoo.model import Model
    from pvzoo.pipeline.batches import Outputs
    from pvzoo.results.base import Result
    from pvzoo.tasks.base import Task

T = TypeVar("T")


class Answers:
    """Runs networks, one at a time, and remembers their latest outputs within `limits.outputs`.

    Args:
        limits: How much memory the outputs may take, and how long a run may take.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: OrderedDict[tuple[str, ...], tuple[Outputs, float]] = OrderedDict()
        self._lock = threading.Lock()
        # one thread, as a thread cannot be stopped: no second run may start beside a late one
        self._network = ThreadPoolExecutor(1, thread_name_prefix="pvzoo-demo")

    def result(
        self, model: Model, task: type[Task], image: ClientImage, options: Mapping[str, Any]
    ) -> tuple[Result, float]:
        """The result of ``model.predict(image, **options)``, and the seconds the network ran.

        If the outputs were remembered, these are the seconds of the run that gave them. Those of
        tiles are not remembered.

        Raises:
            PvzooError: As `predict`; or the network did not finish in time.
        """
        if options.get("tiles") is not None:
            answer = self.run(
                model, partial(_timed, partial(model.predict, image.handle, **options))
            )
            found: tuple[Result, float] = answer
            return found
        prompts = {f.name for f in fields(task.prompts)}
        asked = {name: value for name, value in options.items() if name in prompts}
        rest = {name: value for name, value in options.items() if name not in prompts}
        outputs, seconds = self._outputs(model, image, asked)
        result: Result = outputs.result(**rest)
        return result, seconds

    def run(self, model: Model, run: Callable[[], T]) -> T:
        """What `run` returns, which runs the network of a model, alone and in time.

        Raises:
            PvzooError: The network did not finish in time; also all that `run` raises.
        """
        running = self._network.submit(run)
        try:
            return running.result(timeout=self._limits.seconds)
        except FutureTimeout:
            running.cancel()
            name = titles([model.name])[model.name]  # not the whole path of a folder
            raise PvzooError(
                f"{name} did not answer within {self._limits.seconds:g} seconds.",
                "Try again later, with a smaller image or a smaller model.",
            ) from None

    def forget(self, name: str) -> None:
        """Drop the outputs of a model, and with them the references to the model."""
        with self._lock:
            for key in [key for key in self._known if key[0] == name]:
                del self._known[key]

    def _outputs(
        self, model: Model, image: ClientImage, prompts: dict[str, Any]
    ) -> tuple[Outputs, float]:
        # The result contains the file name; nobody may see the file name of another user.
        key = (model.name, image.digest, image.handle.name, repr(sorted(prompts.items())))
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
        run = partial(model.outputs, image.handle, **prompts)
        answer = self.run(model, partial(_timed, run))
        with self._lock:
            self._known[key] = answer
            while sum(kept.nbytes for kept, _ in self._known.values()) > self._limits.outputs:
                self._known.popitem(last=False)
        return answer


def _timed(run: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    found = run()
    return found, time.perf_counter() - start
