"""Image classification: which of the model's classes an image shows."""

from __future__ import annotations

import numbers
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
        """The picture with a panel below it: a line and a bar per class, of the best ten.

        A picture smaller than the panel is enlarged, in whole steps, so that it can be seen.
        """
        zoom = max(1, _PANEL // max(picture.size))
        picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.NEAREST)
        width = max(picture.width, _PANEL)
        lines = self._lines()
        size = max(12, min(width // 36, (width + picture.height) // 60))
        font = _font(size, "".join(name for name, _ in lines))
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
            name = _shorten(name, room, pen, font)
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


def _font(size: int, text: str) -> Any:
    """PIL's own font, or for letters it does not have one of the system's, if there is one."""
    if not text.isascii():
        for name in ("DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size=size)


def _shorten(text: str, room: float, pen: ImageDraw.ImageDraw, font: Any) -> str:
    """`text`, cut with an ellipsis so that it is at most `room` pixels wide."""
    text = text if len(text) <= 200 else text[:200] + "…"
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
        if self.top_k is not None and not (_is(self.top_k, numbers.Integral) and self.top_k >= 1):
            raise UsageError(f"top_k is {self.top_k!r}.", "It is a whole number from 1, or None.")
        if not (_is(self.threshold, numbers.Real) and 0 <= self.threshold <= 1):
            raise UsageError(f"threshold is {self.threshold!r}.", "It is a number from 0 to 1.")
        if not isinstance(self.probabilities, bool):
            raise UsageError(f"probabilities is {self.probabilities!r}.", "It is True or False.")


def _is(value: Any, kind: type) -> bool:
    """Whether it is such a number, also one of numpy's; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


class ImageClassification(Task):
    """Image classification, single-label and multi-label."""

    id = "image-classification"
    result = Classification
    controls = ClassificationControls
