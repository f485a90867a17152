"""The classes of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

from pvzoo.results.base import ResultWithRows
from pvzoo.results.drawing import shorten, text_font, text_size


@dataclass(frozen=True, eq=False, kw_only=True)
class Classification(ResultWithRows):
    """The best classes of one image, best first. Each row is a class.

    Attributes:
        labels: (k,) int64 class ids.
        scores: (k,) float32 in 0..1. They sum to at most 1, unless ``multi_label``.
        names: k class names.
        multi_label: Whether each class was scored on its own (a sigmoid head).
        probabilities: (classes,) float32, for all classes in the model's order; None unless the
            option ``probabilities`` was set.
        sure: Whether the best score reaches the model's own threshold; None if the model has none
            (see `pvzoo.Model.tune_thresholds`).
    """

    task: ClassVar[str] = "image-classification"
    columns: ClassVar[Mapping[str, str]] = {"label": "int64", "name": "str", "score": "float64"}
    per_row: ClassVar[tuple[str, ...]] = ("labels", "scores", "names")

    labels: np.ndarray
    scores: np.ndarray
    names: tuple[str, ...]
    multi_label: bool = False
    probabilities: np.ndarray | None = None
    sure: bool | None = None

    def title(self) -> str:
        """Also whether the model is not sure."""
        return super().title() + (", not sure" if self.sure is False else "")

    def rows(self) -> list[dict[str, Any]]:
        """One dict per class, with ``label``, ``name`` and ``score``."""
        return [
            {"label": int(label), "name": name, "score": float(score)}
            for label, name, score in zip(self.labels, self.names, self.scores, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values; ``probabilities`` and ``sure`` only if the result has them."""
        plain = super().to_dict()
        if self.probabilities is not None:
            plain["probabilities"] = self.probabilities.tolist()
        if self.sure is not None:
            plain["sure"] = self.sure
        return plain

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with a panel below it: a line and a bar for each of the best ten classes.

        An image that is smaller than the panel is enlarged by a whole factor.
        """
        zoom = max(1, _PANEL // max(image.size))
        image = image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
        width = max(image.width, _PANEL)
        lines = self._lines()
        size = text_size(width, image.height)
        font = text_font(size, "".join(name for name, _ in lines))
        line, margin = round(size * 1.9), size // 2
        canvas = Image.new("RGB", (width, image.height + line * len(lines) + margin), "white")
        canvas.paste(image, ((width - image.width) // 2, 0))
        pen = ImageDraw.Draw(canvas)
        for index, (name, score) in enumerate(lines):
            top = image.height + margin // 2 + index * line
            middle = top + line / 2
            room: float = width - 4 * margin
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
        """The lines of the panel: (text, score or None)."""
        lines: list[tuple[str, float | None]] = [
            (" ".join(row["name"].split()), row["score"]) for row in self.rows()[:_MOST_LINES]
        ]
        if not lines:
            return [("nothing above the threshold", None)]
        if self.sure is False:
            lines.insert(0, ("not sure", None))
        if len(self) > _MOST_LINES:
            lines.append((f"and {len(self) - _MOST_LINES} more", None))
        return lines


_PANEL = 240  # pixels: the smallest width in which names are readable
_MOST_LINES = 10
