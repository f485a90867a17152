"""Image classification: which of the model's classes an image shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from pvzoo.drawing import shorten, text_font, text_size
from pvzoo.tasks.base import Result, Task, check_count, check_flag, check_fraction

if TYPE_CHECKING:
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.labels import LabelMatch


@dataclass(frozen=True, eq=False, kw_only=True)
class Classification(Result):
    """The best classes of one image, best first.

    Attributes:
        labels: (k,) int64 class ids.
        scores: (k,) float32 in 0..1. They sum to at most 1, unless ``multi_label``.
        names: k class names.
        multi_label: Whether each class was scored on its own (a sigmoid head).
        probabilities: (classes,) float32, of all classes in the model's order, if asked for.
    """

    task: ClassVar[str] = "image-classification"
    columns: ClassVar[Mapping[str, str]] = {"label": "int64", "name": "str", "score": "float64"}

    labels: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    multi_label: bool = False
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self) -> list[dict[str, Any]]:
        """One dict a class, with ``label``, ``name`` and ``score``."""
        return [
            {"label": int(label), "name": name, "score": float(score)}
            for label, name, score in zip(self.labels, self.names, self.scores, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; ``probabilities`` only if they were asked for."""
        plain = super().to_dict()
        if self.probabilities is not None:
            plain["probabilities"] = self.probabilities.tolist()
        return plain

    def draw(self, picture: Image.Image) -> Image.Image:
        """The picture with a panel below it: a line and a bar per class, of the best ten.

        A picture smaller than the panel is enlarged, in whole steps, so that it can be seen.
        """
        zoom = max(1, _PANEL // max(picture.size))
        picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.NEAREST)
        width = max(picture.width, _PANEL)
        lines = self._lines()
        size = text_size(width, picture.height)
        font = text_font(size, "".join(name for name, _ in lines))
        line, margin = round(size * 1.9), size // 2
        canvas = Image.new("RGB", (width, picture.height + line * len(lines) + margin), "white")
        canvas.paste(picture, ((width - picture.width) // 2, 0))
        pen = ImageDraw.Draw(canvas)
        for place, (name, score) in enumerate(lines):
            top = picture.height + margin // 2 + place * line
            middle = top + line / 2
            room = width - 4 * margin
            if score is not None:
                bar = (width - 2 * margin) * score
                pen.rectangle((margin, top + 2, margin + bar, top + line - 2), fill=(173, 205, 255))
                number = f"{score:.2f}"
                pen.text((width - 2 * margin, middle), number, "black", font, anchor="rm")
                room -= pen.textlength(number, font) + margin
            name = shorten(name, room, font)
            pen.text((2 * margin, middle), name, "black", font, anchor="lm")
        return canvas

    def _lines(self) -> list[tuple[str, float | None]]:
        """What the panel says: (text, score or None)."""
        lines: list[tuple[str, float | None]] = [
            (" ".join(row["name"].split()), row["score"]) for row in self.rows()[:_MOST_LINES]
        ]
        if not lines:
            return [("nothing above the threshold", None)]
        if len(self) > _MOST_LINES:
            lines.append((f"and {len(self) - _MOST_LINES} more", None))
        return lines


_PANEL = 240  # pixels: the least width in which names can be read
_MOST_LINES = 10


@dataclass(frozen=True)
class ClassificationControls:
    """What `predict` lets one choose.

    Attributes:
        top_k: How many classes at most, best first; None for all.
        threshold: Least score of a class that is returned.
        probabilities: Whether the result carries the scores of all classes.
    """

    top_k: int | None = 5
    threshold: float = 0.0
    probabilities: bool = False

    def __post_init__(self) -> None:
        if self.top_k is not None:
            check_count("top_k", self.top_k)
        check_fraction("threshold", self.threshold)
        check_flag("probabilities", self.probabilities)


class ImageClassification(Task):
    """Image classification, single-label and multi-label."""

    id = "image-classification"
    result = Classification
    controls = ClassificationControls
    evaluation: ClassVar[Mapping[str, Any]] = {"probabilities": True}
    not_shown = ("probabilities",)

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo.metrics.classification.ClassificationMetric`."""
        from pvzoo.metrics.classification import ClassificationMetric

        return ClassificationMetric(match)
