"""Times of forward passes on this machine, measured once and kept in pvzoo's cache."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pvzoo.benchmark import machine as here
from pvzoo.benchmark.timing import forward, latency
from pvzoo.catalog.cache import home


class Latencies(Mapping[str, float]):
    """The milliseconds of a forward pass, by the qualified name of the card.

    They are valid for this machine, these versions of libraries and this number of threads.

    Args:
        device: As for `pvzoo.load`.
    """

    def __init__(self, device: Any) -> None:
        import torch

        about = [here.machine(), str(device), torch.get_num_threads()]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
        self._file = home(os.environ.get("PVZOO_CACHE", "")) / "latency" / f"{digest[:32]}.json"
        self._device = device
        self._times: dict[str, float] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):
            read = json.loads(self._file.read_bytes())
            self._times = {str(name): float(ms) for name, ms in read.items()}

    def __getitem__(self, name: str) -> float:
        return self._times[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._times)

    def __len__(self) -> int:
        return len(self._times)

    def measure(self, name: str, max_ms: float | None) -> float:
        """Measure a forward pass; the time is kept if several calls were measured.

        Args:
            name: The name of the card.
            max_ms: A network that takes more than three times as long is measured with one call.

        Raises:
            PvzooError: The network cannot be built from its configuration.
        """
        from pvzoo.loading import load_untrained

        times = latency(forward(load_untrained(name, device=self._device), 1), max_ms)
        if times.calls > 1:
            self._times[name] = times.p50
            self._keep()
        return times.p50

    def _keep(self) -> None:
        part = None
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(dir=self._file.parent)
            with open(handle, "w", encoding="ascii") as stream:
                json.dump(self._times, stream)
            os.replace(part, self._file)
            part = None
        if part is not None:
            with suppress(OSError):
                Path(part).unlink()
