"""Targets of image classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image
from torchvision.transforms import v2

from pvzoo.errors import DataError
from pvzoo.families.recipes import CLASSIFIER
from pvzoo.networks.classification import class_loss, class_targets
from pvzoo.training.augment import CropAndScale
from pvzoo.training.targets.base import HeadLoss, Target, Training, Transform, composed


class ClassificationTraining(Training):
    """``label`` (int), or ``labels`` ((classes,) float32 of 0 and 1)."""

    recipe = CLASSIFIER
    head = HeadLoss(class_targets, class_loss)

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        if "label" in row:
            return {"label": row["label"]}
        labels = torch.zeros(classes)
        labels[row["labels"] or []] = 1
        return {"labels": labels}

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """``label`` or ``labels``."""
        if "label" in target:
            return {"label": target["label"]}
        return {"labels": target["labels"].nonzero().flatten().tolist()}

    def fault_of(self, names: Sequence[str], *, multi_label: bool) -> DataError | None:
        """One class is too few, unless an image may be of none."""
        if len(names) != 1 or multi_label:
            return None
        return DataError(
            f"The data has one class, {names[0]!r}, so there is nothing to tell it from.",
            "Add images of other things in a class of their own, such as 'other'.",
        )

    def augmentation(self) -> Transform:
        """A crop of at least 35 % of the image, a flip."""
        return composed(CropAndScale(0.35), v2.RandomHorizontalFlip())

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """Any class, of three that differ from image to image."""
        return {"label": sum(sum(box) for _, box in things) % 3}
