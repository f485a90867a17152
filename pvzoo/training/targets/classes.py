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
        """An error for a single class, unless an image may have no class."""
        if len(names) != 1 or multi_label:
            return None
        return DataError(
            f"The data has only one class, {names[0]!r}, and a classifier needs at least two.",
            "Add images of other things in a second class, such as 'other'.",
        )

    def augmentation(self) -> Transform:
        """A random crop of at least 35 % of the image, and a random flip."""
        return composed(CropAndScale(0.35), v2.RandomHorizontalFlip())

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """One of three classes, which differs from image to image."""
        return {"label": sum(sum(box) for _, box in things) % 3}
