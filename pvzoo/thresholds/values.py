"""The thresholds of a model: what was chosen, on what data, and how good it is."""

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
        task: The id of the task that they are for: a checkpoint may serve others too.
        common: The threshold of all classes that are not in `per_class`. Of a classifier with one
            class an image: its answer is not sure below it.
        per_class: By the name of the class in the model.
        fallback: Classes with too few examples for a threshold of their own.
        target: What was asked for: "f1", or such as ``{"precision": 0.95}``.
        figures: What was reached on the half of the images that the thresholds were not chosen on:
            by name ``value``, ``low`` and ``high``, its 95 % interval, and ``before``, the value
            with the default threshold.
        images: How many images they were chosen on, and how many they were checked on.
        data: The fingerprint of the data, as `datasets` has it.
        fitted_with: ``image_size`` (height and width that the network saw of a 640 x 480 image),
            ``precision`` of the weights, and ``tiles``; what `predict` should use too.
        temperature: What logits are divided by; None for all but classifiers with one class an
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
        """What `to_json` wrote, checked: it may come from anybody.

        Args:
            found: The parsed JSON.
            name: What messages call the model.

        Raises:
            WeightsError: It is damaged.
        """
        try:
            if not isinstance(found, Mapping):
                raise TypeError("they are not an object")
            known = {f.name for f in fields(cls)}
            made = cls(**{key: value for key, value in found.items() if key in known})
            made._check()
        except (TypeError, ValueError, AttributeError) as error:
            raise WeightsError(
                f"The thresholds of {name} cannot be read ({short(str(error))[1:-1]}).",
                "Tune them again, or take them out of the file: of config.json, the entry "
                "thresholds in pvzoo; of an export, that of pvzoo-export.json.",
            ) from error
        return cls(**{**vars(made), "fallback": tuple(made.fallback), "images": tuple(made.images)})

    def _check(self) -> None:
        """Raise a TypeError or ValueError for what no tuning gives."""
        if len(self.per_class) > MOST_CLASSES:
            raise ValueError("there are too many classes")
        if not isinstance(self.per_class, Mapping) or not isinstance(self.fitted_with, Mapping):
            raise TypeError("per_class and fitted_with are objects")
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
            raise ValueError("images are two whole numbers")
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
