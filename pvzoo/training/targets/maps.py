"""Targets of semantic and panoptic segmentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.tv_tensors import Mask

from pvzoo.data.maps import encode_colour, encode_grey, read_map, replaced
from pvzoo.data.schema import VOID
from pvzoo.errors import DataError
from pvzoo.families.recipes import UPERNET
from pvzoo.training.augment import crop_and_scale
from pvzoo.training.targets.base import Target, Training, Transform
from pvzoo.training.targets.objects import masks_of


class SemanticTraining(Training):
    """``map``, (height, width) int32 `Mask` of class ids, -1 for void."""

    recipe = UPERNET

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        segments = row["segments"]
        table = dict(zip(segments["id"], segments["category"], strict=True))
        return {"map": Mask(torch.from_numpy(replaced(_values(row), table, VOID)))}

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """Class ids; void pixels have the value after the last class id."""
        values, ids = target["map"].numpy(), list(range(classes))
        void = np.where(values < 0, classes, values)
        segments = {"id": [*ids, classes], "category": [*ids, VOID]}
        return {"annotation": _cell(encode_grey(void)), "segments": segments}

    def fault_of(self, names: Sequence[str], *, multi_label: bool) -> DataError | None:
        """An error for a single class."""
        if len(names) != 1:
            return None
        return DataError(
            f"The data has only one class, {names[0]!r}, and all other pixels are void, which "
            f"training ignores: a network would learn to answer {names[0]!r} everywhere.",
            "Make the background a class of its own in the maps, or train on the objects as "
            "instances.",
        )

    def augmentation(self) -> Transform:
        """`pvzoo.training.augment.crop_and_scale`."""
        return crop_and_scale()

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """The classes of the rectangles."""
        return {"map": _drawn(image, things, [label for label, _ in things])}


class PanopticTraining(Training):
    """``map``, (height, width) int32 `Mask` of indices in ``categories``, (n,) int64.

    The map is -1 for void and crowds.
    """

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        segments = row["segments"]
        ids, categories, crowds = (segments[k] for k in ("id", "category", "iscrowd"))
        kept = [
            i
            for i, (category, crowd) in enumerate(zip(categories, crowds, strict=True))
            if category != VOID and not crowd
        ]
        table = {ids[i]: index for index, i in enumerate(kept)}
        return {
            "map": Mask(torch.from_numpy(replaced(_values(row), table, VOID))),
            "categories": torch.tensor([categories[i] for i in kept], dtype=torch.int64),
        }

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """Segments from 1, all of them things."""
        count = len(target["categories"])
        segments = {
            "id": list(range(1, count + 1)),
            "category": target["categories"].tolist(),
            "isthing": [True] * count,
            "iscrowd": [False] * count,
        }
        indices = target["map"].numpy()
        return {"annotation": _cell(encode_colour(indices + 1)), "segments": segments}

    def augmentation(self) -> Transform:
        """`pvzoo.training.augment.crop_and_scale`."""
        return crop_and_scale()

    def example(self, image: Image.Image, things: Sequence[Any]) -> Target:
        """The background and the rectangles."""
        return {
            "map": _drawn(image, things, range(1, len(things) + 1)),
            "categories": torch.tensor([0, *(label for label, _ in things)]),
        }


def _values(row: Mapping[str, Any]) -> np.ndarray:
    return read_map(row["annotation"], row["file_name"])


def _drawn(image: Image.Image, things: Sequence[Any], values: Sequence[int]) -> torch.Tensor:
    ids = torch.zeros(image.height, image.width, dtype=torch.int32)
    for mask, value in zip(masks_of(image, things), values, strict=True):
        ids[mask] = value
    return ids


def _cell(png: bytes) -> dict[str, Any]:
    return {"bytes": png, "path": None}
