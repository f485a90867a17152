"""The objects of an image, as boxes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.errors import UsageError
from pvzoo.extras import needs
from pvzoo.results.base import ResultWithRows
from pvzoo.results.drawing import draw_objects

if TYPE_CHECKING:
    import pandas as pd
    import supervision as sv


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections(ResultWithRows):
    """The objects of one image. Each row is an object.

    Attributes:
        boxes: (n, 4) float32, left, top, right, bottom in pixels of the upright image.
        scores: (n,) float32 in 0..1.
        labels: (n,) int64 class ids.
        names: n class names.
        track_id: With ``track``: for each object the id of its track, the same in all frames; None
            until the tracker has confirmed the track. None without ``track``.
        trails: With ``track``: for each object the latest centres of its boxes, (k, 2) float32 x
            and y, the oldest first; without any if it has no track id.
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
    per_row: ClassVar[tuple[str, ...]] = (
        *("boxes", "scores", "labels", "names", "track_id", "trails"),
    )

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    track_id: tuple[int | None, ...] | None = None
    trails: tuple[np.ndarray, ...] | None = None

    def rows(self) -> list[dict[str, Any]]:
        """One dict per object: ``label``, ``name``, ``score`` and the four sides of the box.

        With ``track`` also ``track_id``.
        """
        sides = ("xmin", "ymin", "xmax", "ymax")
        rows: list[dict[str, Any]] = [
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
        for row, track in zip(rows, self.track_id or (), strict=False):
            row["track_id"] = track
        return rows

    def to_pandas(self) -> pd.DataFrame:
        """One row per object; with ``track`` also a column ``track_id``, of integers or NA."""
        table = super().to_pandas()
        if self.track_id is not None:
            import pandas as pd

            table["track_id"] = pd.array(self.track_id, dtype="Int64")
        return table

    def to_mot(self) -> str:
        """The objects with a track id as lines of a MOTChallenge file.

        A line is: frame, track id, left, top, width, height, score, -1, -1, -1. Frames count from
        1. Write the lines of all results to one file:

            with open("tracks.txt", "w") as file:
                for result in model.stream("street.mp4", track=True):
                    file.write(result.to_mot())

        Raises:
            UsageError: The result was not tracked.
        """
        if self.track_id is None:
            raise UsageError(
                "This result has no track ids.", "Use model.stream(video, track=True)."
            )
        index = 0 if self.image is None else self.image.index
        number = (index if self.frame is None else self.frame) + 1
        return "".join(
            f"{number},{track},{x0:.2f},{y0:.2f},{x1 - x0:.2f},{y1 - y0:.2f},{score:.4f},-1,-1,-1\n"
            for track, score, (x0, y0, x1, y1) in zip(
                self.track_id, self.scores, self.boxes, strict=True
            )
            if track is not None
        )

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
        """As `supervision.Detections`, class names in ``data["class_name"]``.

        With ``track``, ``tracker_id`` is the track id, or -1 without one.
        """
        return sv_detections()(
            xyxy=self.boxes.copy(),  # supervision may change it in place
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            tracker_id=self._tracker_id(),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def _tracker_id(self) -> np.ndarray | None:
        if self.track_id is None:
            return None
        return np.array([-1 if track is None else track for track in self.track_id], dtype=int)

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with boxes, class names and scores; a small image is enlarged.

        With ``track``, names end with the track id, and the trails are drawn.
        """
        return draw_objects(image, *self.drawn, trails=self.trails)

    @property
    def drawn(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, Sequence[str]]:
        """What is drawn: boxes, scores, labels, and names with track ids."""
        names = [
            name if track is None else f"{name} #{track}"
            for name, track in zip(
                self.names, self.track_id or (None,) * len(self.names), strict=True
            )
        ]
        return self.boxes, self.scores, self.labels, names


@cache
def sv_detections() -> type[sv.Detections]:
    """`supervision.Detections`, without the package's warning that OpenCV would be faster."""
    needs("Converting to supervision", "supervision")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OpenCV")
        import supervision
    return supervision.Detections
