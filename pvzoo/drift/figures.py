"""The figures of an image and of what was found in it, whose distributions are compared."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.inputs.images import ImageHandle

if TYPE_CHECKING:
    from pvzoo.results.base import Result

OF_IMAGES = ("brightness", "contrast")
OF_RESULTS = ("score", "count")
NAMES = (*OF_IMAGES, *OF_RESULTS)

_SIDE = 64


@dataclass(frozen=True, eq=False)
class Seen(ImageHandle):
    """A handle that measures its image when it is opened, so that it is decoded only once.

    Attributes:
        light: The brightness and contrast of the image; empty before it was opened.
    """

    light: list[float] = field(default_factory=list, repr=False)

    @classmethod
    def of(cls, source: Any, index: int = 0) -> Seen:
        """As `ImageHandle.of`."""
        handle = ImageHandle.of(source, index)
        return cls(handle.data, handle.name, index)

    def open(self) -> Image.Image:
        """As `ImageHandle.open`."""
        return self._measured(super().open())

    def open_to_read(self) -> Image.Image:
        """As `ImageHandle.open_to_read`."""
        return self._measured(super().open_to_read())

    def _measured(self, image: Image.Image) -> Image.Image:
        if not self.light:
            self.light[:] = _light(image)
        return image


def figures_of(image: Seen, result: Result, *, own_options: bool = False) -> dict[str, float]:
    """The figures of one image.

    Args:
        image: The image; its result was made after it was opened.
        result: Its result.
        own_options: Whether the result was made with other options than the defaults. Then its
            scores and counts cannot be compared, and are left out.

    Returns:
        "brightness" and "contrast", mean and standard deviation of the grey level (0 to 255);
        "score", the highest score, and "count", the number of rows, where the result has them.
    """
    found = dict(zip(OF_IMAGES, image.light, strict=False))
    if own_options:
        return found
    scores = getattr(result, "scores", None)
    if isinstance(scores, np.ndarray) and scores.ndim == 1:
        found["score"] = float(scores.max(initial=0.0))
    if hasattr(result, "__len__"):
        found["count"] = float(len(result))
    return found


def _light(image: Image.Image) -> tuple[float, float]:
    # the nearest of 64 x 64 points: a tenth of a millisecond for an image of any size
    grey = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.NEAREST).convert("L"))
    return float(grey.mean()), float(grey.std())
