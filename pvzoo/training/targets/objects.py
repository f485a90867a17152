"""Targets of object detection and instance segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco
from torchvision.ops import box_convert
from torchvision.transforms import v2
from torchvision.tv_tensors import BoundingBoxes, Mask

from pvzoo.results.masks import Masks
from pvzoo.training.augment import crop_and_scale
from pvzoo.training.targets.base import Target, Training, Transform, composed

LEAST_SIDE = 1.0
"""In pixels. An object is dropped if a crop leaves less of it than this."""


class DetectionTraining(Training):
    """``boxes`` and ``categories``.

    ``boxes`` are (n, 4) float32 `BoundingBoxes`, left, top, right, bottom in pixels; ``categories``
    are (n,) int64. Crowds and ignored objects are left out, as DETR's authors do.
    """

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        objects, kept = row["objects"], kept_of(row)
        boxes = torch.tensor([objects["bbox"][i] for i in kept], dtype=torch.float32).reshape(-1, 4)
        boxes = box_convert(boxes, "xywh", "xyxy")
        return {
            "boxes": BoundingBoxes(boxes, format="XYXY", canvas_size=image.size[::-1]),
            "categories": torch.tensor([objects["category"][i] for i in kept], dtype=torch.int64),
        }

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """``width``, ``height`` and ``objects``."""
        boxes = box_convert(target["boxes"].as_subclass(torch.Tensor).double(), "xyxy", "xywh")
        count = len(boxes)
        objects = {
            "id": list(range(1, count + 1)),
            "bbox": boxes.tolist(),
            "category": target["categories"].tolist(),
            "area": boxes[:, 2:].prod(dim=1).tolist(),
            "iscrowd": [False] * count,
            "ignore": [False] * count,
        }
        return {"width": size[0], "height": size[1], "objects": objects}

    def augmentation(self) -> Transform:
        """Random colours, in half of the cases a crop that keeps objects, and a random flip.

        The crop is the one of SSD, as RT-DETR's authors use it.
        """
        crop = v2.RandomApply([v2.RandomIoUCrop()], p=0.5)
        return composed(v2.RandomPhotometricDistort(p=0.5), crop, v2.RandomHorizontalFlip())

    def tidy(self, image: Image.Image, target: Target) -> Target:
        """The target as plain tensors: no objects outside the image, boxes cut to the image."""
        width, height = image.size
        boxes = v2.functional.clamp_bounding_boxes(
            BoundingBoxes(target["boxes"], format="XYXY", canvas_size=(height, width))
        )
        kept = ((boxes[:, 2:] - boxes[:, :2]) >= LEAST_SIDE).all(dim=1)
        if "masks" in target:
            kept &= target["masks"].flatten(1).any(dim=1)
        cut = {k: v[kept] for k, v in target.items() if k in ("categories", "masks")}
        return {**target, "boxes": boxes[kept], **cut}

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """The rectangles."""
        return {
            "boxes": torch.tensor([box for _, box in things], dtype=torch.float32),
            "categories": torch.tensor([label for label, _ in things]),
        }


class InstanceTraining(DetectionTraining):
    """Also ``masks``, (n, height, width) bool `Mask`."""

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        kept, size = kept_of(row), image.size[::-1]
        masks = np.zeros((len(kept), *size), dtype=bool)
        for mask, i in zip(masks, kept, strict=True):
            mask[:] = coco.decode(row["objects"]["segmentation"][i])
        return super().target(row, image, classes) | {"masks": Mask(torch.from_numpy(masks))}

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """With ``objects.segmentation``."""
        row = super().row(target, size, classes)
        codes = Masks.from_array(target["masks"].numpy()).to_coco()
        return row | {"objects": row["objects"] | {"segmentation": codes}}

    def augmentation(self) -> Transform:
        """`pvzoo.training.augment.crop_and_scale`."""
        return crop_and_scale()

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """The rectangles."""
        return super().example(image, things) | {"masks": masks_of(image, things)}


def kept_of(row: Mapping[str, Any]) -> list[int]:
    """The indices of a row's objects that are neither crowds nor ignored."""
    objects = row["objects"]
    return [
        i
        for i, apart in enumerate(zip(objects["iscrowd"], objects["ignore"], strict=True))
        if not any(apart)
    ]


def masks_of(
    image: Image.Image, things: Sequence[tuple[int, tuple[int, int, int, int]]]
) -> torch.Tensor:
    """(n, height, width) bool: where the rectangles of `Training.example` are."""
    masks = torch.zeros(len(things), image.height, image.width, dtype=torch.bool)
    for mask, (_, (left, top, right, bottom)) in zip(masks, things, strict=True):
        mask[top:bottom, left:right] = True
    return masks
