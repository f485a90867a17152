"""Image classification: which of the model's classes an image shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pvzoo.errors import UsageError
from pvzoo.tasks.base import Result, Task


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
    columns: ClassVar[tuple[str, ...]] = ("label", "name", "score")

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
        """The picture with a panel below it: a line and a bar per class."""
        width = max(picture.width, 240)
        text = max(12, min(width, picture.height) // 24)
        line, margin = round(text * 1.9), text // 2
        rows = self.rows() or [{"name": "nothing above the threshold", "score": 0.0}]
        canvas = Image.new("RGB", (width, picture.height + line * len(rows) + margin), "white")
        canvas.paste(picture, ((width - picture.width) // 2, 0))
        pen = ImageDraw.Draw(canvas)
        font = ImageFont.load_default(size=text)
        for place, row in enumerate(rows):
            top = picture.height + margin // 2 + place * line
            bar = (width - 2 * margin) * row["score"]
            pen.rectangle((margin, top + 2, margin + bar, top + line - 2), fill=(173, 205, 255))
            score = f"{row['score']:.2f}" if len(self) else ""
            room = width - 3 * margin - pen.textlength(score, font) - margin
            middle = top + line / 2
            name = _shorten(row["name"], room, pen, font)
            pen.text((2 * margin, middle), name, "black", font, anchor="lm")
            pen.text((width - 2 * margin, middle), score, "black", font, anchor="rm")
        return canvas


def _shorten(text: str, room: float, pen: ImageDraw.ImageDraw, font: Any) -> str:
    """`text`, cut with an ellipsis so that it is at most `room` pixels wide."""
    if pen.textlength(text, font) <= room:
        return text
    while text and pen.textlength(text + "…", font) > room:
        text = text[:-1]
    return text + "…"


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
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise UsageError(f"top_k is {self.top_k!r}.", "It is a whole number from 1, or None.")
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:
            raise UsageError(f"threshold is {self.threshold!r}.", "It is a number from 0 to 1.")


class ImageClassification(Task):
    """Image classification, single-label and multi-label."""

    id = "image-classification"
    result = Classification
    controls = ClassificationControls
