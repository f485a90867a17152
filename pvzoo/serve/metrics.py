"""The figures of a server, in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pvzoo.drift.watch import Shift
from pvzoo.serve.batches import Job

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What is counted and measured; each server has its own.

    Args:
        waiting: Returns the number of images that wait.
    """

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "pvzoo_requests", "Requests for predictions.", ["model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "pvzoo_request_seconds",
            "Seconds from the first byte of a request to its answer.",
            ["model"],
            buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=registry,
        )
        self._images = Counter(
            "pvzoo_images", "Images that were predicted.", ["model"], registry=registry
        )
        self._batches = Histogram(
            "pvzoo_batch_images",
            "Images that were predicted together.",
            ["model"],
            buckets=(1, 2, 4, 8, 16, 32, 64),
            registry=registry,
        )
        self._batch_seconds = Histogram(
            "pvzoo_batch_seconds", "Seconds to predict a batch.", ["model"], registry=registry
        )
        self._distance = Gauge(
            "pvzoo_drift_distance",
            "Largest difference of the cumulative distributions of a figure, in the last window "
            "of images and in validation.",
            ["model", "figure"],
            registry=registry,
        )
        self._drift = Gauge(
            "pvzoo_drift",
            "Whether the last window of images differs from those of validation: 0 or 1.",
            ["model", "figure"],
            registry=registry,
        )
        Gauge("pvzoo_waiting_images", "Images that wait.", registry=registry).set_function(
            lambda: float(waiting())
        )

    def request(self, model: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(model, str(status)).inc()
        self._seconds.labels(model).observe(seconds)

    def batch(self, jobs: Sequence[Job], seconds: float) -> None:
        """Count images that were predicted together."""
        name = jobs[0].name
        self._images.labels(name).inc(len(jobs))
        self._batches.labels(name).observe(len(jobs))
        self._batch_seconds.labels(name).observe(seconds)

    def shifts(self, model: str, shifts: Sequence[Shift]) -> None:
        """Keep what a window of images showed."""
        for shift in shifts:
            self._distance.labels(model, shift.figure).set(shift.distance)
            self._drift.labels(model, shift.figure).set(shift.is_drift)

    def text(self) -> bytes:
        """All figures."""
        return generate_latest(self._registry)
