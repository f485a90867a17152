"""The class of every pixel of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.results.base import ResultWithRows
from pvzoo.results.detections import sv_detections
from pvzoo.results.drawing import add_legend, class_colour, enlarge, tint
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True, eq=False, kw_only=True)
class SemanticMap(ResultWithRows):
    """The class of every pixel of one image. Each row is a class that occurs in it.

    If you select some rows, only these classes are listed and drawn; ``map`` does not change.

    Attributes:
        map: (height, width) uint8, or uint16 for more than 256 classes: class ids.
        labels: (k,) int64, the class ids that occur, largest area first.
        areas: (k,) int64, the area of each class in pixels.
        names: k class names.
        scores: (height, width) float32, the score of each pixel's class; None unless the option
            ``scores`` was set. The scale depends on the family: sums of probabilities, or logits.
    """

    task: ClassVar[str] = "semantic-segmentation"
    columns: ClassVar[Mapping[str, str]] = {
        "label": "int64",
        "name": "str",
        "area": "int64",
        "share": "float64",
    }
    per_row: ClassVar[tuple[str, ...]] = ("labels", "areas", "names")

    map: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    names: tuple[str, ...]
    scores: np.ndarray | None = None

    @classmethod
    def of(
        cls, label_map: np.ndarray, class_names: tuple[str, ...], scores: np.ndarray | None = None
    ) -> SemanticMap:
        """The result of a (height, width) map of class ids."""
        kind = np.uint8 if len(class_names) <= 256 else np.uint16
        counts = np.bincount(label_map.reshape(-1), minlength=len(class_names))
        labels = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        return cls(
            size=label_map.shape,
            map=label_map.astype(kind),
            labels=labels,
            areas=counts[labels],
            names=tuple(class_names[i] for i in labels),
            scores=scores,
        )

    def mask(self, label: int) -> np.ndarray:
        """The mask of a class: (height, width) bool."""
        mask: np.ndarray = self.map == label
        return mask

    def masks(self) -> Masks:
        """The masks of the classes that occur, in the order of ``labels``."""
        return Masks.from_map(self.map, self.labels)

    def rows(self) -> list[dict[str, Any]]:
        """One dict per class: ``label``, ``name``, ``area`` in pixels, ``share`` of the image."""
        total = self.size[0] * self.size[1]
        return [
            {"label": int(i), "name": n, "area": int(a), "share": float(a / total)}
            for i, n, a in zip(self.labels, self.names, self.areas, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, with a COCO run-length ``mask`` for each class."""
        plain = super().to_dict()
        for row, mask in zip(plain["predictions"], self.masks().to_coco(), strict=True):
            row["mask"] = mask
        return plain

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """COCO-Stuff results: a run-length ``segmentation`` per class."""
        return [
            {"image_id": image_id, "category_id": int(label), "segmentation": mask}
            for label, mask in zip(self.labels, self.masks().to_coco(), strict=True)
        ]

    def to_supervision(self) -> sv.Detections:
        """As `supervision.Detections`, one per class, all masks decoded: (k, height, width)."""
        masks = self.masks()
        return sv_detections()(
            xyxy=masks.boxes.copy(),
            mask=masks.to_array(),
            class_id=self.labels.copy(),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with a colour for each class and a legend below; a small image is enlarged."""
        table = np.array([class_colour(i) for i in range(int(self.map.max()) + 1)], np.uint8)
        tinted = tint(image, Image.fromarray(table[self.map]))
        listed = np.isin(np.arange(len(table)), self.labels)
        if not listed.all():
            tinted = Image.composite(tinted, image, Image.fromarray(listed[self.map]))
        legend = [
            (f"{share:.0%} {name}" if share >= 0.01 else f"<1% {name}", class_colour(label))
            for label, name, share in zip(
                self.labels, self.names, self.areas / self.map.size, strict=True
            )
        ]
        return add_legend(enlarge(tinted)[0], legend)
