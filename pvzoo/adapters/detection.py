"""Code that adapters of detectors share: from scored boxes to a result.

It is part of the contract with plugins (`docs/plugins.md`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pvzoo.postprocess.detection import select
from pvzoo.results.detections import Detections


def detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: tuple[str, ...],
    size: tuple[int, int],
    **controls: Any,
) -> Detections:
    """The objects of an image that pass the controls and whose class has a name.

    Args:
        boxes: (n, 4) float32, left, top, right, bottom in pixels of the image.
        scores: (n,) float32 in 0..1.
        labels: (n,) int64 class ids.
        names: Names of all classes; "" for an id that is not a class.
        size: (height, width) of the image.
        **controls: The controls of the task; see `pvzoo.postprocess.detection.select`.
    """
    if controls.get("classes") is None and not all(names):
        controls["classes"] = [i for i, name in enumerate(names) if name]
    kept = select(boxes, scores, labels, **controls)
    return Detections(
        size=size,
        boxes=boxes[kept],
        scores=scores[kept],
        labels=labels[kept],
        names=tuple(names[i] for i in labels[kept]),
    )
