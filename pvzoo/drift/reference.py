"""`Reference`: the distribution of each figure over the images that a model was validated on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pvzoo.drift.figures import NAMES
from pvzoo.errors import WeightsError, short

LEAST = 30
"""Fewer images say too little of a distribution."""
_KEPT = 256
_MOST_IMAGES = 10**9


@dataclass(frozen=True, eq=False)
class Reference:
    """Distributions of figures.

    Attributes:
        images: The number of images they are of.
        values: By the name of a figure, its sorted values, or 256 quantiles if there are more.
    """

    images: int
    values: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, figures: Iterable[Mapping[str, float]]) -> Reference | None:
        """The reference of images; None for less than 30.

        Args:
            figures: From `figures_of`, for each image.
        """
        rows = list(figures)
        if len(rows) < LEAST:
            return None
        values = {}
        for name in NAMES:
            column = np.array([row[name] for row in rows if name in row], np.float64)
            if len(column) == len(rows) and np.isfinite(column).all():
                values[name] = _thinned(np.sort(column))
        return cls(len(rows), values)

    def to_json(self) -> dict[str, Any]:
        """As plain values, rounded to six digits."""
        rounded = {
            name: [float(f"{value:.6g}") for value in values]
            for name, values in self.values.items()
        }
        return {"images": self.images, "values": rounded}

    @classmethod
    def from_json(cls, found: Any, name: str) -> Reference:
        """What `to_json` gave; `name` is the model's, for messages.

        Raises:
            WeightsError: It is damaged. A manifest may come from anybody.
        """
        try:
            images = found["images"]
            if isinstance(images, bool) or not isinstance(images, int):
                raise ValueError("the number of images is not an integer")
            if not LEAST <= images <= _MOST_IMAGES:
                raise ValueError(f"the number of images is {images}")
            values = {}
            for key, column in found["values"].items():
                if key not in NAMES:
                    continue  # a later version may have more
                if not 1 <= len(column) <= _KEPT or not all(map(_is_number, column)):
                    raise ValueError(f"the values of {key} are not numbers")
                values[key] = np.sort(np.array(column, np.float64))
            return cls(images, values)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise WeightsError(
                f"{name}: the reference for drift cannot be read ({short(str(error))[1:-1]}).",
                "Export the model again, or do not watch for drift.",
            ) from error


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """The largest difference between two cumulative distributions (Kolmogorov-Smirnov).

    Args:
        first: (n,) sorted values.
        second: (m,) sorted values.

    Returns:
        0 for equal distributions, 1 for distributions that do not overlap.
    """
    every = np.concatenate([first, second])
    apart = np.searchsorted(first, every, "right") / len(first) - (
        np.searchsorted(second, every, "right") / len(second)
    )
    return float(np.abs(apart).max())


def chance(images: int, others: int, *, alpha: float) -> float:
    """The distance that samples of one distribution exceed with a probability of `alpha`."""
    return math.sqrt(-math.log(alpha / 2) / 2 * (images + others) / (images * others))


def _thinned(values: np.ndarray) -> np.ndarray:
    if len(values) <= _KEPT:
        return values
    places = (np.arange(_KEPT) + 0.5) / _KEPT * len(values)
    thinned: np.ndarray = values[places.astype(int)]
    return thinned


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
