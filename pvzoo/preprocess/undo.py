"""Turn a network's input back into an image that people can look at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from pvzoo.preprocess.steps import Channels, Normalize, Rescale, Step


def image_of(planes: np.ndarray, steps: Sequence[Step] | None) -> Image.Image:
    """The RGB image of a network's input, with its size and its padding.

    Args:
        planes: (3, height, width) float32.
        steps: The steps that made the input. If they are None (not known), the smallest value
            becomes black and the largest white.
    """
    pixels = planes.astype(np.float64)
    if steps is None:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) * (255 / max(high - low, 1e-12))
    for step in reversed(steps or ()):
        if isinstance(step, Normalize):
            mean, std = (np.array(v)[:, None, None] for v in (step.mean, step.std))
            pixels = pixels * std + mean
        elif isinstance(step, Rescale):
            pixels = pixels - step.offset
            pixels = pixels * step.factor if step.divide else pixels / step.factor
        elif isinstance(step, Channels):
            pixels = pixels[np.argsort(step.order)]
    whole = pixels.round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(whole.transpose(1, 2, 0)))
