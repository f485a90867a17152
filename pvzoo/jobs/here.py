"""Do a job in this process: no cluster, one model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pvzoo.jobs.parts import Part
from pvzoo.jobs.shard import Work, Worker


class Here:
    """One worker, in this process."""

    workers = 1

    def __init__(self, load: Mapping[str, Any]) -> None:
        self._worker = Worker(load)

    def about(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """See `Worker.about`; the options are checked too."""
        self._worker.check(options)
        return self._worker.about()

    def parts(self, work: Work, shards: Iterable[int], most_errors: int | None) -> Iterator[Part]:
        """Do shards; gives each part when it is written."""
        left = most_errors
        for shard in shards:
            part = self._worker.do(work, shard, left)
            if left is not None:
                left -= part.errors
            yield part

    def close(self) -> None:
        """Nothing is left behind."""
