"""What the detectors share: from scored boxes to a result."""

from __future__ import annotations

from typing import Any

import numpy as np

from pvzoo.postprocess import select
from pvzoo.postprocess.detection import corners
from pvzoo.results.detections import Detections


def detections(
    scores: np.ndarray,
    labels: np.ndarray,
    boxes: np.ndarray,
    *,
    frame: tuple[int, int],
    size: tuple[int, int],
    prompts: tuple[str, ...],
    **controls: Any,
) -> Detections:
    """The objects of one image.

    Args:
        scores: (n,) float32.
        labels: (n,) places in `prompts`.
        boxes: (n, 4) centre x, centre y, width, height, relative to `frame`.
        frame: (height, width) in pixels of the image, of what the boxes are relative to.
        size: (height, width) of the image.
        prompts: What was looked for.
        **controls: Those of the task.
    """
    pixels = corners(boxes, frame)
    kept = select(pixels, scores, labels, **controls)
    return Detections(
        size=size,
        boxes=pixels[kept],
        scores=scores[kept],
        labels=labels[kept],
        names=tuple(prompts[i] for i in labels[kept]),
    )
