"""Confidence intervals of metrics, and comparisons of two models, by the bootstrap.

A metric keeps what it knows of each image (`PerImage`). A resample draws as many images as the
dataset has, with replacement. It is a weight for each image: how often the image was drawn.
Predictions are matched with labels once, and the metrics are computed for many resamples. Two
models are compared on the same resamples, so that an image that is hard for both is not counted as
a difference between them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pvzoo.errors import UsageError

RESAMPLES = 200
"""The default number of resamples. The ends of an interval are then exact to about a tenth of its
width."""

FEWEST = 6
"""The fewest images for a comparison. On five images, a model may be better on all by chance."""

_SIDE = 1.959964
"""95 % of a normal distribution is within this many standard errors of its mean."""

_POWER = 0.841621
"""80 % of a normal distribution is above its mean minus this many standard errors."""


class PerImage(ABC):
    """What a metric keeps of each image: it computes the metrics for any weights of the images.

    Attributes:
        images: (n,) int64: the index of each image in the dataset, ascending.
        lower_is_better: The names of metrics that are errors.
    """

    lower_is_better: ClassVar[tuple[str, ...]] = ()
    images: np.ndarray

    @abstractmethod
    def figures(self, weights: np.ndarray) -> dict[str, float]:
        """The metrics if each image were `weights` times in the data; nan if they are undefined.

        Args:
            weights: (n,) int64, not negative. Ones give the metrics of the evaluation.
        """


@dataclass(frozen=True, eq=False)
class Means(PerImage):
    """For metrics that are the mean over the images.

    Attributes:
        images: See `PerImage`.
        names: The names of the metrics.
        values: (n, metrics) float; nan if an image does not count for a metric.
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
    """For metrics that follow from counts of each class, added up over the images.

    Only the classes of an image are kept, so that many classes do not need more memory.

    Attributes:
        images: See `PerImage`.
        image: (m,) int: the index in `images` of each row.
        label: (m,) int: the class of each row, ascending.
        counts: (m, kinds) int64: the counts of this class in this image.
        classes: The number of classes.
        summary: Computes the metrics from the (kinds, classes) int64 sums. It is a function of a
            module, or a `functools.partial` of one, so that it can be pickled.
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
    """A metric with its 95 % interval: its range on other images of the same kind.

    Attributes:
        value: The metric on these images.
        low: The lower end of the interval.
        high: The upper end of the interval.
        error: The standard error.
    """

    value: float
    low: float
    high: float
    error: float

    @property
    def smallest_difference(self) -> float:
        """The smallest difference to another model that these images can show.

        This assumes that the two models make mistakes on different images. `compare` knows the
        images on which both fail, and can often show smaller differences.
        """
        return _SIDE * math.sqrt(2) * self.error

    def to_dict(self) -> dict[str, float]:
        """All attributes but the value, and `smallest_difference`."""
        return {
            "low": self.low,
            "high": self.high,
            "error": self.error,
            "smallest_difference": self.smallest_difference,
        }


@dataclass(frozen=True)
class Difference:
    """A metric of two models, `a` and `b`, on the same images.

    Attributes:
        a: The metric of the first model.
        b: The metric of the second model.
        low: The lower end of the 95 % interval of `b` - `a`; nan on fewer than `FEWEST` images.
        high: The upper end of the interval.
        error: The standard error of `b` - `a`.
        images: The number of images on which both models were measured.
        lower_is_better: Whether the metric is an error.
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
        """The better model, "a" or "b"; None if 0 is in the interval of the difference."""
        if self.low > 0:
            return "a" if self.lower_is_better else "b"
        if self.high < 0:
            return "b" if self.lower_is_better else "a"
        return None

    @property
    def images_needed(self) -> int | None:
        """About how many images are needed to show this difference, if it is the true one.

        Of five datasets of this size, four show the difference. None if there is no difference.
        """
        return images_needed(self.value, self.error, self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; nan as None."""
        found = {"a": self.a, "b": self.b, "difference": self.value}
        found |= {"low": self.low, "high": self.high, "error": self.error}
        plain = {name: None if math.isnan(value) else value for name, value in found.items()}
        needed = {"better": self.better, "images": self.images, "images_needed": self.images_needed}
        return {**plain, **needed}


def images_needed(difference: float, error: float, images: int) -> int | None:
    """About how many images show a difference whose standard error on `images` images is known."""
    if not difference or not math.isfinite(difference) or not math.isfinite(error):
        return None
    return max(2, math.ceil(images * ((_SIDE + _POWER) * error / difference) ** 2))


def resamples(images: int, count: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """The weights of `count` resamples, each (images,) int64. A seed always gives the same ones."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield np.bincount(rng.integers(images, size=images), minlength=images)


def intervals(kept: PerImage, count: int = RESAMPLES, seed: int = 0) -> dict[str, Interval]:
    """The 95 % interval of each metric.

    Args:
        kept: What the metric kept of each image.
        count: The number of resamples.
        seed: The seed of the resamples.
    """
    n = len(kept.images)
    values = kept.figures(np.ones(n, np.int64))
    if not n:
        return {name: Interval(value, *(math.nan,) * 3) for name, value in values.items()}
    drawn = [kept.figures(weights) for weights in resamples(n, count, seed)]
    found = {}
    for name, value in values.items():
        resampled = [figures[name] for figures in drawn]
        alike = value in (0, 1) and all(other == value for other in resampled)
        low, high, error = (
            _of_a_share(value, n) if alike else _bounds(value, resampled if n > 1 else ())
        )
        if all(other >= 0 for other in resampled):  # the correction of the bias may leave the range
            low = max(low, 0.0)
        if all(other <= 1 for other in resampled):
            high = min(high, 1.0)
        found[name] = Interval(value, low, high, error)
    return found


def compare(
    a: PerImage, b: PerImage, count: int = RESAMPLES, seed: int = 0
) -> dict[str, Difference]:
    """The difference between two models on the same images, for each metric: a paired bootstrap.

    Args:
        a: What the metric kept of each image for the first model.
        b: The same for the second model, on the same dataset.
        count: The number of resamples.
        seed: The seed of the resamples.

    Raises:
        UsageError: They have no image in common.
    """
    both, in_a, in_b = np.intersect1d(a.images, b.images, return_indices=True)
    if not len(both):
        raise UsageError(
            "The two models have no image in common.", "Measure both on the same data."
        )

    def figures(weights: np.ndarray) -> tuple[dict[str, float], dict[str, float]]:
        sides = []
        for kept, indices in ((a, in_a), (b, in_b)):
            spread = np.zeros(len(kept.images), np.int64)
            spread[indices] = weights
            sides.append(kept.figures(spread))
        return sides[0], sides[1]

    first, second = figures(np.ones(len(both), np.int64))
    enough = count if len(both) >= FEWEST else 0
    drawn = [figures(weights) for weights in resamples(len(both), enough, seed)]
    return {
        name: Difference(
            first[name],
            second[name],
            *_bounds(
                second[name] - first[name],
                [right[name] - left[name] for left, right in drawn],
            ),
            len(both),
            name in a.lower_is_better,
        )
        for name in first
        if name in second
    }


def _bounds(value: float, drawn: Sequence[float]) -> tuple[float, float, float]:
    """(low, high, standard error) of a metric, from its values on the resamples.

    The mean of the resamples may differ from the value. The average precision, for example, is
    higher if images occur several times. The interval is corrected by this bias.
    """
    known = np.array(drawn)[~np.isnan(drawn)]
    if math.isnan(value) or len(known) < 2:  # nothing can be computed from one value
        return math.nan, math.nan, math.nan
    low, high = np.quantile(known, (0.025, 0.975)) - (known.mean() - value)
    return float(low), float(high), float(known.std(ddof=1))


def _of_a_share(value: float, images: int) -> tuple[float, float, float]:
    """(low, high, standard error) of a metric that is 0, or 1, on every image.

    All resamples are then equal. The interval is the exact one of a share (Clopper and Pearson).
    """
    most = 1 - 0.025 ** (1 / images)
    low, high = (0.0, most) if value == 0 else (1 - most, 1.0)
    return low, high, most / (2 * _SIDE)
