"""Do a job on Ray: a pool of actors, each with one model, each doing one shard after the other.

Ray only hands out shards. What a shard is, and when it is done, is decided by its part in the
output, so it does not matter which process dies, or when.
"""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from pvzoo.errors import PvzooError, UsageError, error_message
from pvzoo.jobs.parts import Part
from pvzoo.jobs.shard import TooManyErrors, Work, Worker

MOST_DEATHS = 5
"""How many workers may die on one shard before the job stops."""


@dataclass(frozen=True)
class Failed:
    """An error of a worker, in a form that every Ray can send."""

    kind: str
    what: str
    hint: str

    def error(self) -> PvzooError:
        """The error to raise in the driver."""
        kinds = {"TooManyErrors": TooManyErrors, "UsageError": UsageError}
        return kinds.get(self.kind, PvzooError)(self.what, self.hint)


class RayWorker:
    """What each actor is: a `Worker` that loads its model when it is first used."""

    def __init__(self, load: Mapping[str, Any]) -> None:
        self._load = load
        self._worker: Worker | None = None

    def about(self, options: Mapping[str, Any]) -> dict[str, Any] | Failed:
        """See `Worker.about`."""
        try:
            self._worker = self._worker or Worker(self._load)
            self._worker.check(options)
            return self._worker.about()
        except PvzooError as error:
            return _failed(error)

    def do(self, work: Work, shard: int, most_errors: int | None) -> Part | Failed:
        """See `Worker.do`; a worker with another model than the job's refuses."""
        try:
            if self._worker is None:
                self._worker = Worker(self._load)
                here, job = self._worker.about(), work.job["model"]
                if here != job:
                    raise PvzooError(
                        f"A worker has other weights of {job['model']} than the first worker.",
                        "Put the same files and the same versions on all nodes.",
                    )
            return self._worker.do(work, shard, most_errors)
        except PvzooError as error:
            return _failed(error)
        except OSError as error:  # a full disk
            hint = "Check the disk of the node. The same command goes on where it stopped."
            return Failed("", f"Shard {shard} cannot be done ({error_message(error)}).", hint)


class OnRay:
    """A pool of workers on a cluster, or on this machine.

    Args:
        load: The arguments of `pvzoo.load`.
        address: Of a cluster, such as "ray://head:10001" or "auto"; None for this machine alone,
            where Ray listens on the loopback address only.
        workers: How many; None for as many as the cluster has room for.
        cpus: Of each worker.
        gpus: Of each worker; a part of one lets several workers share it.

    Raises:
        PvzooError: Ray cannot be started or reached, or has too little room for a worker.
    """

    def __init__(
        self,
        load: Mapping[str, Any],
        *,
        address: str | None,
        workers: int | None,
        cpus: float,
        gpus: float,
    ) -> None:
        self._load = load
        self._actors: list[Any] = []
        self._mine = _start(address, (workers or 0) * cpus, (workers or 0) * gpus)
        import ray

        try:
            self.workers = workers or _room(ray.cluster_resources(), cpus, gpus)
        except PvzooError:
            self.close()
            raise
        worker: Any = ray.remote(RayWorker)
        self._kind: Any = worker.options(num_cpus=cpus, num_gpus=gpus)
        self._first = self._new()

    def _new(self) -> Any:
        actor = self._kind.remote(dict(self._load))
        self._actors.append(actor)
        return actor

    def about(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `Worker.about`; asked of the first worker, for the driver may have no accelerator."""
        import ray

        try:
            told: dict[str, Any] = _result(ray.get(self._first.about.remote(dict(options))))
        except ray.exceptions.RayError as error:
            raise PvzooError(
                f"The first worker died while it loaded {self._load['name']} "
                f"({error_message(error)}).",
                "Often a node has too little memory: use fewer workers on each node.",
            ) from error
        return told

    def parts(self, work: Work, shards: Iterable[int], most_errors: int | None) -> Iterator[Part]:
        """Do shards, once; gives each part when it is written.

        If a worker dies, another one does its shard. A worker that has nothing left to do ends.
        """
        import ray

        todo = deque(shards)
        given = ray.put(work)
        deaths: Counter[int] = Counter()
        busy: dict[Any, tuple[Any, int]] = {}
        left = most_errors

        def hand_out(actor: Any) -> None:
            if todo:
                shard = todo.popleft()
                busy[actor.do.remote(given, shard, left)] = (actor, shard)
            else:  # its CPUs are for a worker that has a shard and waits for room
                ray.kill(actor)

        actors = [self._first, *(self._new() for _ in range(min(self.workers, len(todo)) - 1))]
        for actor in actors:
            hand_out(actor)
        while busy:
            (answer,), _ = ray.wait(list(busy), num_returns=1)
            actor, shard = busy.pop(answer)
            try:
                part: Part = _result(ray.get(answer))
            except ray.exceptions.RayTaskError as error:
                raise PvzooError(
                    f"A worker failed on shard {shard} ({error_message(error.cause or error)}).",
                    "This is an error in pvzoo or a plugin; the same command goes on.",
                ) from error
            except ray.exceptions.RayError as error:
                deaths[shard] += 1
                if deaths[shard] == MOST_DEATHS:
                    raise PvzooError(
                        f"{MOST_DEATHS} workers died on shard {shard} ({error_message(error)}).",
                        "Often a node has too little memory: use fewer workers on each node.",
                    ) from error
                todo.appendleft(shard)
                hand_out(self._new())
                continue
            if left is not None:
                left -= part.errors
            hand_out(actor)
            yield part

    def close(self) -> None:
        """Stop the workers, and Ray if it was started for this job."""
        import ray

        if self._mine:
            ray.shutdown()
            return
        for actor in self._actors:
            ray.kill(actor)


def _result(answer: Any) -> Any:
    if isinstance(answer, Failed):
        raise answer.error()
    return answer


def _failed(error: PvzooError) -> Failed:
    return Failed(type(error).__name__, error.what, error.hint)


def _start(address: str | None, cpus: float, gpus: float) -> bool:
    """Connect to a cluster, or start Ray on this machine; returns whether it is to be stopped."""
    with _environment() if address is None else nullcontext():
        import ray

        if ray.is_initialized():  # by the caller, whose cluster is then used
            return False
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        try:
            if address is not None:
                ray.init(address=address, **quiet)
                return True
            ray.init(
                address="local",
                include_dashboard=False,
                num_cpus=max(math.ceil(cpus), os.cpu_count() or 1),
                num_gpus=math.ceil(gpus) or None,
                object_store_memory=_STORE,
                **quiet,
            )
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = address or "on this machine"
            raise PvzooError(
                f"Ray cannot be used {where} ({error_message(error)}).",
                "Check the address; without an address and with one worker, Ray is not needed.",
            ) from error
        if (listens := ray.util.get_node_ip_address()) not in ("127.0.0.1", "::1"):
            ray.shutdown()
            raise PvzooError(
                f"Ray would listen on {listens}, because it was imported before pvzoo.bulk began.",
                "Set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before Python starts.",
            )
    return True


@contextmanager
def _environment() -> Iterator[None]:
    """What Ray reads from the environment when it starts on this machine, and only then.

    Without clusters, as on Windows and macOS, Ray listens on the loopback address; on Linux it
    would listen on all. It would also report its usage, start a process for each CPU in advance,
    and hide GPUs from processes that asked for none.
    """
    settings = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


_STORE = 100 * 2**20
"""Bytes of Ray's object store on this machine: only shards' numbers and counts pass through it."""


def _room(resources: Mapping[str, float], cpus: float, gpus: float) -> int:
    """How many workers a cluster has room for."""
    rooms = [resources.get(name, 0) / one for name, one in (("CPU", cpus), ("GPU", gpus)) if one]
    if (room := int(min(rooms))) < 1:
        has = f"{resources.get('CPU', 0):g} CPUs and {resources.get('GPU', 0):g} GPUs"
        raise UsageError(
            f"The cluster has {has}, and a worker needs {cpus:g} and {gpus:g}.",
            "Lower --cpus-per-worker or --num-gpus, or add nodes.",
        )
    return room
