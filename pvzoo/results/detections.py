"""The objects of an image, as boxes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.extras import needs
from pvzoo.results.base import ResultWithRows
from pvzoo.results.drawing import draw_objects

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections(ResultWithRows):
    """The objects of one image. Each row is an object.

    Attributes:
        boxes: (n, 4) float32, left, top, right, bottom in pixels of the upright image.
        scores: (n,) float32 in 0..1.
        labels: (n,) int64 class ids.
        names: n class names.
    """

    task: ClassVar[str] = "object-detection"
    columns: ClassVar[Mapping[str, str]] = {
        "label": "int64",
        "name": "str",
        "score": "float64",
        "xmin": "float64",
        "ymin": "float64",
        "xmax": "float64",
        "ymax": "float64",
    }
    per_row: ClassVar[tuple[str, ...]] = ("boxes", "scores", "labels", "names")

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dict per object: ``label``, ``name``, ``score`` and the four sides of the box."""
        sides = ("xmin", "ymin", "xmax", "ymax")
        return [
            {
                "label": int(label),
                "name": name,
                "score": float(score),
                **dict(zip(sides, map(float, box), strict=True)),
            }
            for label, name, score, box in zip(
                self.labels, self.names, self.scores, self.boxes, strict=True
            )
        ]

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """COCO results: ``bbox`` is left, top, width, height; ``category_id`` the model's id."""
        return [
            {
                "image_id": image_id,
                "category_id": int(label),
                "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
                "score": float(score),
            }
            for label, score, (x0, y0, x1, y1) in zip(
                self.labels, self.scores, self.boxes, strict=True
            )
        ]

    def to_supervision(self) -> sv.Detections:
        """As `supervision.Detections`, class names in ``data["class_name"]``."""
        return sv_detections()(
            xyxy=self.boxes.copy(),  # supervision may change it in place
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with boxes, class names and scores; a small image is enlarged."""
        return draw_objects(image, self.boxes, self.scores, self.labels, self.names)


@cache
def sv_detections() -> type[sv.Detections]:
    """`supervision.Detections`, without the package's warning that OpenCV would be faster."""
    needs("Converting to supervision", "supervision")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV")
        import supervision
    return supervision.Detections
