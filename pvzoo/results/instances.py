"""The objects of an image, as masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from PIL import Image

from pvzoo.errors import UsageError
from pvzoo.results.detections import Detections
from pvzoo.results.drawing import draw_objects
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    import supervision as sv


@dataclass(frozen=True, eq=False, kw_only=True)
class Instances(Detections):
    """The objects of one image, with masks.

    Attributes:
        masks: n run-length encoded masks: ``masks[i]`` is one mask, (height, width) bool;
            ``masks.to_array()`` is all masks.
    """

    task: ClassVar[str] = "instance-segmentation"
    per_row: ClassVar[tuple[str, ...]] = (*Detections.per_row, "masks")

    masks: Masks

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, with a COCO run-length ``mask`` for each object."""
        plain = super().to_dict()
        for row, mask in zip(plain["predictions"], self.masks.to_coco(), strict=True):
            row["mask"] = mask
        return plain

    def to_coco(
        self, image_id: int = 0, segmentation: Literal["rle", "polygons"] = "rle"
    ) -> list[dict[str, Any]]:
        """COCO results with a ``segmentation``: run-length codes, or polygons (which lose holes).

        If results have boxes and masks, pycocotools takes an object's size from its box. To
        evaluate masks by size, remove ``bbox``.

        Raises:
            UsageError: `segmentation` is neither "rle" nor "polygons".
        """
        if segmentation not in ("rle", "polygons"):
            raise UsageError(f"segmentation is {segmentation!r}.", 'Use "rle" or "polygons".')
        results = super().to_coco(image_id)
        codes = self.masks.to_coco()
        for i, result in enumerate(results):
            result["segmentation"] = codes[i] if segmentation == "rle" else self.masks.polygons(i)
        return results

    def to_supervision(self) -> sv.Detections:
        """As `supervision.Detections`, with all masks decoded: (n, height, width) bool."""
        found = super().to_supervision()
        found.mask = self.masks.to_array()
        return found

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with masks, boxes, class names and scores; a small image is enlarged."""
        return draw_objects(image, *self.drawn, self.masks, trails=self.trails)
