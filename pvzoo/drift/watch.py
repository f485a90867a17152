"""`Watch`: compare the images that a model sees with its reference, a window at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pvzoo.drift.reference import Reference, chance, distance

WINDOW = 256
"""The number of images that are compared with the reference at a time."""
_LEAST_DISTANCE = 0.15
_ALPHA = 1e-4


@dataclass(frozen=True)
class Shift:
    """How a figure of a window differs from the reference.

    Attributes:
        figure: "brightness", "contrast", "score" or "count".
        distance: The largest difference of the cumulative distributions, 0 to 1.
        allowed: The distance that is not reported.
        median: The median in the window.
        expected: The median of the reference.
    """

    figure: str
    distance: float
    allowed: float
    median: float
    expected: float

    @property
    def is_drift(self) -> bool:
        """Whether the difference is larger than chance and large enough to matter."""
        return self.distance > self.allowed

    def __str__(self) -> str:
        return (
            f"{self.figure} has a median of {self.median:.3g} instead of {self.expected:.3g} "
            f"(distance {self.distance:.2f}, allowed {self.allowed:.2f})"
        )


class Watch:
    """Collects figures and compares each full window with the reference.

    Less than one in 10,000 windows of the same distribution is reported for a figure.

    Args:
        reference: Of the model.
        report: Called with the shifts of all figures after each window.
        window: The number of images in a window.
    """

    def __init__(
        self,
        reference: Reference,
        report: Callable[[list[Shift]], None],
        *,
        window: int = WINDOW,
    ) -> None:
        self._reference = reference
        self._report = report
        self._window = window
        self._lock = threading.Lock()
        self._seen: dict[str, list[float]] = {name: [] for name in reference.values}

    def see(self, figures: Mapping[str, float]) -> None:
        """Add the figures of an image; see `pvzoo.drift.figures.figures_of`."""
        full: dict[str, list[float]] = {}
        with self._lock:
            for name, values in self._seen.items():
                if name in figures:
                    values.append(figures[name])
                if len(values) >= self._window:
                    full[name], self._seen[name] = values, []
        if full:
            self._report([shift_of(self._reference, *found) for found in full.items()])

    def finish(self) -> None:
        """Compare what is left, if it is enough: at the end of a run over a folder."""
        with self._lock:
            left = {name: v for name, v in self._seen.items() if len(v) >= self._window // 4}
            self._seen = {name: [] for name in self._seen}
        if left:
            self._report([shift_of(self._reference, *found) for found in left.items()])


def shift_of(reference: Reference, name: str, values: Sequence[float]) -> Shift:
    """How the values of a figure differ from the reference.

    Args:
        reference: Of the model.
        name: The figure, one that the reference has.
        values: Of the images that are compared, in any order.
    """
    found, expected = np.sort(np.array(values)), reference.values[name]
    by_chance = chance(reference.images, len(found), alpha=_ALPHA)
    return Shift(
        name,
        distance(expected, found),
        max(_LEAST_DISTANCE, by_chance),
        float(np.median(found)),
        float(np.median(expected)),
    )
