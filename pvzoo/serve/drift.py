"""Watch the images of each model for drift, and report it in the log and the metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from pvzoo.drift.figures import Seen, figures_of
from pvzoo.drift.reference import Reference
from pvzoo.drift.watch import Shift, Watch
from pvzoo.serve.batches import Job
from pvzoo.serve.models import Offer

_log = logging.getLogger("pvzoo.serve")


class Drift:
    """A watch for each model whose export has a reference.

    Args:
        offers: The models.
        report: Called with the name of a model and the shifts of a window of its images.

    Raises:
        WeightsError: A reference is damaged.
    """

    def __init__(
        self, offers: Iterable[Offer], report: Callable[[str, Sequence[Shift]], None]
    ) -> None:
        self._report = report
        self._watches = {
            offer.name: Watch(
                Reference.from_json(offer.reference, offer.name),
                partial(self._reported, offer.name),
            )
            for offer in offers
            if offer.reference is not None
        }

    def watches(self, name: str) -> bool:
        """Whether the images of a model are watched; then jobs must have a `Seen`."""
        return name in self._watches

    def see(self, jobs: Sequence[Job]) -> None:
        """Take the figures of images that were predicted."""
        for job in jobs:
            if isinstance(job.image, Seen) and job.result.exception() is None:
                own = bool(job.options)
                figures = figures_of(job.image, job.result.result(), own_options=own)
                self._watches[job.name].see(figures)

    def _reported(self, name: str, shifts: list[Shift]) -> None:
        self._report(name, shifts)
        if found := [str(shift) for shift in shifts if shift.is_drift]:
            _log.warning(
                "%s sees other images than it was validated on: %s", name, "; ".join(found)
            )
