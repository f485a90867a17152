"""The thresholds of a model, the data they were chosen on, and the metrics they reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from pvzoo.errors import WeightsError, short

MOST_CLASSES = 1_000_000
CLASSIFICATION = "image-classification"


@dataclass(frozen=True)
class Thresholds:
    """Thresholds that `Model.tune_thresholds` chose; `Model.predict` uses them.

    Attributes:
        task: The id of the task that they are for. A checkpoint may support other tasks too.
        common: The threshold of all classes that are not in `per_class`. For a classifier with one
            class per image, an answer with a lower score is not sure.
        per_class: The thresholds of classes that have their own, by the class name in the model.
        fallback: Classes with too few examples for a threshold of their own.
        target: The target: "f1", or a dict such as ``{"precision": 0.95}``.
        figures: The metrics on the half of the images that was not used for choosing, by name:
            ``value``; ``low`` and ``high``, the ends of its 95 % interval; and ``before``, the
            value with the default threshold.
        images: (number of images for choosing, number of images for checking).
        data: The fingerprint of the data, from `datasets`.
        fitted_with: ``image_size`` (the height and width of the network's input for an image of
            640 x 480 pixels), ``precision`` of the weights, and ``tiles``. `predict` should use
            the same.
        temperature: The number that divides logits; None except for classifiers with one class per
            image.
    """

    task: str
    common: float
    per_class: Mapping[str, float] = field(default_factory=dict)
    fallback: tuple[str, ...] = ()
    target: str | Mapping[str, float] = "f1"
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    images: tuple[int, int] = (0, 0)
    data: str = ""
    fitted_with: Mapping[str, Any] = field(default_factory=dict)
    temperature: float | None = None

    def of_classes(self, labels: Sequence[str]) -> list[float]:
        """The threshold of each class of a model."""
        return [self.per_class.get(name, self.common) for name in labels]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        plain = asdict(self)
        plain["fallback"], plain["images"] = list(self.fallback), list(self.images)
        return plain

    @classmethod
    def from_json(cls, found: Any, name: str) -> Self:
        """Read the values of `to_json` and check them; they may come from anybody.

        Args:
            found: The parsed JSON.
            name: The name of the model in messages.

        Raises:
            WeightsError: The values are damaged.
        """
        try:
            if not isinstance(found, Mapping):
                raise TypeError("they are not a JSON object")
            known = {f.name for f in fields(cls)}
            made = cls(**{key: value for key, value in found.items() if key in known})
            made._check()
        except (TypeError, ValueError, AttributeError) as error:
            raise WeightsError(
                f"The thresholds of {name} cannot be read ({short(str(error))[1:-1]}).",
                "Tune them again, or remove them from the file: in config.json, the entry "
                "thresholds under pvzoo; in an export, the entry thresholds of pvzoo-export.json.",
            ) from error
        return cls(**{**vars(made), "fallback": tuple(made.fallback), "images": tuple(made.images)})

    def _check(self) -> None:
        """Raise a TypeError or ValueError for values that tuning never gives."""
        if len(self.per_class) > MOST_CLASSES:
            raise ValueError("there are too many classes")
        if not isinstance(self.per_class, Mapping) or not isinstance(self.fitted_with, Mapping):
            raise TypeError("per_class or fitted_with is not an object")
        for value in (self.common, *self.per_class.values()):
            if not _is_number(value) or not 0 <= value <= 1:
                raise ValueError(f"{short(value)} is not a threshold")
        texts = (self.task, *self.per_class, *self.fallback, self.data)
        if not all(isinstance(text, str) for text in texts):
            raise TypeError("a name is not a text")
        if self.temperature is not None and not (
            _is_number(self.temperature) and 0 < self.temperature < math.inf
        ):
            raise ValueError(f"the temperature is {short(self.temperature)}")
        if self.temperature is not None and self.task != CLASSIFICATION:
            raise ValueError(f"{short(self.task)} has no temperature")
        if len(self.images) != 2 or not all(isinstance(n, int) for n in self.images):
            raise ValueError("images is not two whole numbers")
        for row in self.figures.values():
            if not all(v is None or _is_number(v) for v in row.values()):
                raise ValueError("a figure is not a number")
        if isinstance(self.target, Mapping):
            if not all(_is_number(value) for value in self.target.values()):
                raise ValueError("the target is not a number")
        elif not isinstance(self.target, str):
            raise TypeError("the target is neither a text nor an object")

    @property
    def lines(self) -> list[tuple[str, str]]:
        """(heading, text) for people."""
        target = self.target
        if isinstance(target, Mapping):
            target = ", ".join(f"{name} {value:g}" for name, value in target.items())
        chosen, checked = self.images
        rows = [("thresholds", f"chosen for {target} on {chosen:,} images: {self._summary()}")]
        if self.temperature is not None:
            rows.append(("temperature", f"{self.temperature:.3g}"))
        for name, figure in self.figures.items():
            rows.append((name, f"{_figure_text(figure)}, on {checked:,} other images"))
        if self.fallback:
            few = ", ".join(self.fallback[:5]) + (", ..." if len(self.fallback) > 5 else "")
            rows.append(("few examples", f"{few}: the common threshold"))
        return rows

    def _summary(self) -> str:
        if self.temperature is not None:
            return f"not sure below {self.common:.2f}" if self.common else "always sure"
        if not self.per_class:
            return f"{self.common:.2f} for all classes"
        values = self.per_class.values()
        return f"{self.common:.2f}, by class {min(values):.2f} to {max(values):.2f}"


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _figure_text(figure: Mapping[str, float | None]) -> str:
    def text(name: str) -> str:
        value = figure.get(name)
        return "-" if value is None else f"{value:.3f}"

    return f"{text('value')} ({text('low')} to {text('high')}; {text('before')} without them)"
