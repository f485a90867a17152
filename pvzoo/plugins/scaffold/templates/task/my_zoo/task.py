"""The task: what a prediction means, how it is drawn, and what one can choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.results.base import ResultWithRows
from pvzoo.tasks.base import Task, check_fraction


@dataclass(frozen=True, eq=False, kw_only=True)
class Palette(ResultWithRows):
    """The colours of one image, those of the largest share first.

    Attributes:
        colours: (n, 3) uint8, red, green and blue.
        shares: (n,) float64 in 0..1, of the pixels.
        names: n names.
    """

    task: ClassVar[str] = "my-zoo-palette"
    columns: ClassVar[Mapping[str, str]] = {"name": "str", "share": "float64", "colour": "str"}
    per_row: ClassVar[tuple[str, ...]] = ("colours", "shares", "names")

    colours: np.ndarray
    shares: np.ndarray
    names: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dict a colour: ``name``, ``share`` and ``colour``, such as "#ff0000"."""
        return [
            {"name": name, "share": float(share), "colour": "#" + bytes(colour).hex()}
            for name, share, colour in zip(self.names, self.shares, self.colours, strict=True)
        ]

    def draw(self, picture: Image.Image) -> Image.Image:
        """The picture with a strip of its colours below, each as wide as its share."""
        height = max(8, picture.height // 8)
        canvas = Image.new("RGB", (picture.width, picture.height + height), "white")
        canvas.paste(picture)
        edges = np.cumsum([0, *self.shares]) * picture.width
        for row, left, right in zip(self.rows(), edges, edges[1:], strict=False):
            box = (round(left), picture.height, round(right), canvas.height)
            canvas.paste(row["colour"], box)
        return canvas


@dataclass(frozen=True)
class PaletteControls:
    """What `predict` lets one choose.

    Attributes:
        least: Least share of a colour that is returned.
    """

    least: float = 0.05

    def __post_init__(self) -> None:
        check_fraction("least", self.least)


class PaletteTask(Task):
    """Which colours a picture has."""

    id = "my-zoo-palette"
    result = Palette
    controls = PaletteControls
