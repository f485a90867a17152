"""The segments of an image: every pixel belongs to one; things are separate, stuff is fused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.errors import UsageError
from pvzoo.results.base import ResultWithRows, read_only
from pvzoo.results.detections import sv_detections
from pvzoo.results.drawing import draw_segments
from pvzoo.results.ids_as_colours import colours_of
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True)
class PanopticSegment:
    """One segment of a panoptic map.

    Attributes:
        id: Its value in the map, from 1.
        label: Class id.
        name: Class name.
        is_thing: Whether its class is countable.
        score: Class score of the query that started the segment.
        area: In pixels.
    """

    id: int
    label: int
    name: str
    is_thing: bool
    score: float
    area: int


@dataclass(frozen=True, eq=False, kw_only=True)
class Panoptic(ResultWithRows):
    """The segments of one image. Each row is a segment.

    If you select some rows, the pixels of the other segments become void.

    Attributes:
        map: (height, width) int32 segment ids; 0 is void.
        segments: The segments that the ids stand for.
    """

    task: ClassVar[str] = "panoptic-segmentation"
    columns: ClassVar[Mapping[str, str]] = {
        "id": "int64",
        "label": "int64",
        "name": "str",
        "is_thing": "bool",
        "score": "float64",
        "area": "int64",
    }
    per_row: ClassVar[tuple[str, ...]] = ("segments",)

    map: np.ndarray
    segments: tuple[PanopticSegment, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The class name of each segment."""
        return tuple(s.name for s in self.segments)

    @property
    def labels(self) -> np.ndarray:
        """(n,) int64 class ids of the segments."""
        return read_only(np.array([s.label for s in self.segments], dtype=np.int64))

    @property
    def scores(self) -> np.ndarray:
        """(n,) float32 scores of the segments."""
        return read_only(np.array([s.score for s in self.segments], dtype=np.float32))

    @property
    def areas(self) -> np.ndarray:
        """(n,) int64 areas of the segments, in pixels."""
        return read_only(np.array([s.area for s in self.segments], dtype=np.int64))

    def mask(self, id: int) -> np.ndarray:
        """The mask of a segment: (height, width) bool."""
        mask: np.ndarray = self.map == id
        return mask

    def masks(self) -> Masks:
        """The masks of the segments, in their order."""
        return Masks.from_map(self.map, [s.id for s in self.segments])

    def rows(self) -> list[dict[str, Any]]:
        """One dict per segment: ``id``, ``label``, ``name``, ``is_thing``, ``score``, ``area``."""
        return [
            {
                "id": s.id,
                "label": s.label,
                "name": s.name,
                "is_thing": s.is_thing,
                "score": s.score,
                "area": s.area,
            }
            for s in self.segments
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, with a COCO run-length ``mask`` for each segment."""
        plain = super().to_dict()
        for row, mask in zip(plain["predictions"], self.masks().to_coco(), strict=True):
            row["mask"] = mask
        return plain

    def _of_rows(self, kept: np.ndarray) -> dict[str, Any]:
        fields = super()._of_rows(kept)
        shown = np.isin(self.map, [s.id for s in fields["segments"]])
        return fields | {"map": np.where(shown, self.map, self.map.dtype.type(0))}

    def to_coco(self, image_id: int = 0, file_name: str = "") -> dict[str, Any]:
        """An entry of a COCO panoptic file's ``annotations``; its PNG is `to_coco_png`."""
        boxes = self.masks().boxes.astype(int).tolist()
        return {
            "image_id": image_id,
            "file_name": file_name,
            "segments_info": [
                {
                    "id": s.id,
                    "category_id": s.label,
                    "isthing": int(s.is_thing),
                    "iscrowd": 0,
                    "area": s.area,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                }
                for s, (x0, y0, x1, y1) in zip(self.segments, boxes, strict=True)
            ],
        }

    def to_coco_png(self) -> Image.Image:
        """The map as a COCO panoptic image: id = R + 256 G + 65536 B."""
        return Image.fromarray(colours_of(self.map))

    def save_coco(self, png: str | Path, image_id: int = 0) -> Path:
        """Write the COCO panoptic PNG and, next to it, its annotation with the suffix .json.

        Raises:
            UsageError: `png` does not end in .png, or the files cannot be written.
        """
        png = Path(png)
        if png.suffix.lower() != ".png":
            raise UsageError(
                f"{png} does not end in .png.", "Use .png; the .json is written next to it."
            )
        entry = json.dumps(self.to_coco(image_id, png.name))
        try:
            png.parent.mkdir(parents=True, exist_ok=True)
            self.to_coco_png().save(png)
            png.with_suffix(".json").write_text(entry, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{png} cannot be written ({error}).", "Choose another path."
            ) from error
        return png

    def to_supervision(self) -> sv.Detections:
        """As `supervision.Detections`, one per segment, all masks decoded: (n, height, width)."""
        masks = self.masks()
        return sv_detections()(
            xyxy=masks.boxes.copy(),
            mask=masks.to_array(),
            confidence=self.scores.copy(),
            class_id=self.labels.copy(),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with the segments' colours (by class), outlines and names.

        A small image is enlarged.
        """
        shown = [(s.id, s.label, s.name) for s in self.segments]
        return draw_segments(image, self.map, shown, self.masks())
