"""How far figures may be from the truth because the images are few: the bootstrap.

A metric keeps what it knows of each image (`PerImage`). A resample draws as many images as there
are, with replacement; it is given as a weight for each image, how often it was drawn. Predictions
are matched with labels only once, and the figures are computed for many resamples. Two models that
were measured on the same images are compared on the same resamples, so that images that are hard
for both do not count as a difference between them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pvzoo.errors import UsageError

RESAMPLES = 200
"""Resamples by default; a bound that is drawn from so many is off by about a tenth of its width."""

_SIDE = 1.959964
"""Standard errors on each side of a figure that hold 95 % of a normal distribution."""

_POWER = 0.841621
"""Standard errors above that for a real difference to show in four of five sets of images."""


class PerImage(ABC):
    """What a metric keeps of each image, so that its figures can be computed for any weights.

    Attributes:
        images: (n,) int64: the index of each image in the dataset, ascending.
        lower_is_better: The figures that are errors.
    """

    lower_is_better: ClassVar[tuple[str, ...]] = ()
    images: np.ndarray

    @abstractmethod
    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """The figures if each image were there `weights` times; nan where they are not defined.

        Args:
            weights: (n,) int64, not negative. Ones give the figures of the evaluation.
        """


@dataclass(frozen=True, eq=False)
class Means(PerImage):
    """Of figures that are the mean over the images.

    Attributes:
        images: See `PerImage`.
        names: Of the figures.
        values: (n, figures) float; nan where an image does not count for a figure.
    """

    images: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """See `PerImage`."""
        counted = ~np.isnan(self.values)
        total = weights @ counted
        sums = weights @ np.where(counted, self.values, 0)
        means = np.full(len(self.names), np.nan)
        np.divide(sums, total, out=means, where=total > 0)
        return dict(zip(self.names, means.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class ClassCounts(PerImage):
    """Of figures that follow from sums over the images, one for each class and kind of count.

    Only the classes that an image has are kept, so that many classes need no more memory.

    Attributes:
        images: See `PerImage`.
        image: (m,) int: which of `images` a row is of.
        label: (m,) int: the class that it is of, ascending.
        counts: (m, kinds) int64: what is counted.
        classes: How many classes there are.
        summary: The figures of the (kinds, classes) int64 sums; a function of a module, or a
            `functools.partial` of one, so that it can be sent to another process.
    """

    images: np.ndarray
    image: np.ndarray
    label: np.ndarray
    counts: np.ndarray
    classes: int
    summary: Callable[[np.ndarray], dict[str, float]]

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """The (kinds, classes) int64 sums for these weights."""
        sums = np.zeros((self.classes, self.counts.shape[1]), np.int64)
        labels, starts = np.unique(self.label, return_index=True)
        if len(labels):
            sums[labels] = np.add.reduceat(self.counts * weights[self.image, None], starts)
        return sums.T

    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """See `PerImage`."""
        return self.summary(self.sums(weights))


@dataclass(frozen=True)
class Interval:
    """Where a figure lies if the images were others of the same kind.

    Attributes:
        value: The figure on these images.
        low: Where its 95 % interval begins.
        high: Where it ends.
        error: Its standard error.
    """

    value: float
    low: float
    high: float
    error: float

    @property
    def smallest_difference(self) -> float:
        """How much better another model must be for these images to show it.

        That is if the two models make their errors on different images. `compare` looks at the
        images that both fail on, and can often show less.
        """
        return _SIDE * math.sqrt(2) * self.error


@dataclass(frozen=True)
class Difference:
    """A figure of two models, `a` and `b`, on the same images.

    Attributes:
        a: The figure of the first model.
        b: The figure of the second.
        low: Where the 95 % interval of `b` - `a` begins.
        high: Where it ends.
        error: The standard error of `b` - `a`.
        images: How many images both were measured on.
        lower_is_better: Whether the figure is an error.
    """

    a: float
    b: float
    low: float
    high: float
    error: float
    images: int
    lower_is_better: bool = False

    @property
    def value(self) -> float:
        """`b` - `a`."""
        return self.b - self.a

    @property
    def better(self) -> str | None:
        """ "a" or "b" if the interval of the difference is on one side of 0, else None."""
        if self.low > 0:
            return "a" if self.lower_is_better else "b"
        if self.high < 0:
            return "b" if self.lower_is_better else "a"
        return None

    @property
    def images_needed(self) -> int | None:
        """About how many images would show this difference, if it is the true one.

        With so many, four of five sets of images show it. None if there is no difference.
        """
        return images_needed(self.value, self.error, self.images)


def images_needed(difference: float, error: float, images: int) -> int | None:
    """About how many images show a difference, given its standard error on `images` of them."""
    if not difference or not math.isfinite(difference) or not math.isfinite(error):
        return None
    return max(2, math.ceil(images * ((_SIDE + _POWER) * error / difference) ** 2))


def resamples(images: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """The weights of `count` resamples of so many images, (images,) int64; always the same ones."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield np.bincount(rng.integers(images, size=images), minlength=images)


def intervals(kept: PerImage, count: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
    """The 95 % interval of each figure.

    Args:
        kept: Of a metric.
        count: How many resamples are drawn.
        seed: Of the draws.
    """
    n = len(kept.images)
    values = kept.figures(np.ones(n, np.int64))
    if not n:
        return {name: Interval(value, *(math.nan,) * 3) for name, value in values.items()}
    drawn = [kept.figures(weights) for weights in resamples(n, count, seed)]
    return {
        name: Interval(value, *_bounds(value, [figures[name] for figures in drawn], n))
        for name, value in values.items()
    }


def compare(
    a: PerImage, b: PerImage, count: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """How two models differ on the images that both were measured on, by a paired bootstrap.

    Args:
        a: What the metric of the first model kept.
        b: Of the second, on the same dataset.
        count: How many resamples are drawn.
        seed: Of the draws.

    Raises:
        UsageError: They have no image in common.
    """
    both, in_a, in_b = np.intersect1d(a.images, b.images, return_indices=True)
    if not len(both):
        raise UsageError(
            "The two models were measured on no image in common.", "Measure them on the same data."
        )

    def figures(weights: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        sides = []
        for kept, indices in ((a, in_a), (b, in_b)):
            spread = np.zeros(len(kept.images), np.int64)
            spread[indices] = weights
            sides.append(kept.figures(spread))
        return sides[0], sides[1]

    first, second = figures(np.ones(len(both), np.int64))
    drawn = [figures(weights) for weights in resamples(len(both), count, seed)]
    return {
        name: Difference(
            first[name],
            second[name],
            *_bounds(
                second[name] - first[name],
                [right[name] - left[name] for left, right in drawn],
                len(both),
                zero_is_exact=True,
            ),
            len(both),
            name in a.lower_is_better,
        )
        for name in first
        if name in second
    }


def _bounds(
    value: float, drawn: Sequence[float], images: int, *, zero_is_exact: bool = False
) -> tuple[float, float, float]:
    """(low, high, standard error) of a figure, from its values in the resamples."""
    known = np.array(drawn)[~np.isnan(drawn)]
    if math.isnan(value) or len(known) < 2:
        return math.nan, math.nan, math.nan
    low, high = np.quantile(known, (0.025, 0.975)).tolist()
    return low, high, float(known.std(ddof=1))
