"""The training targets of a network of the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from PIL import Image

from pvzoo.families import Recipe
from pvzoo.training.targets.base import Target, Training


class CoverTraining(Training):
    """``shares``, (classes,) float32.

    The augmentation changes colours and flips images. This does not change shares; crops would.
    """

    recipe = Recipe("tried on drawn rectangles", 0.3, decay=0.0, clip=1.0)

    def target(self, row: Mapping[str, Any], image: Image.Image, classes: int) -> Target:
        """See the class."""
        shares = torch.zeros(classes)
        shares[row["cover"]["category"]] = torch.tensor(row["cover"]["share"]).float()
        return {"shares": shares}

    def row(self, target: Target, size: tuple[int, int], classes: int) -> dict[str, Any]:
        """The target as the column ``cover``."""
        labels = target["shares"].nonzero().flatten()
        shares = target["shares"][labels]
        return {"cover": {"category": labels.tolist(), "share": shares.tolist()}}

    def example(
        self, image: Image.Image, things: Sequence[tuple[int, tuple[int, int, int, int]]]
    ) -> Target:
        """The shares of the background and two rectangles, for the suite of pvzoo.testing."""
        shares = torch.zeros(3)
        for label, (left, top, right, bottom) in things:
            shares[label] = (right - left) * (bottom - top) / (image.width * image.height)
        shares[0] = 1 - shares.sum()
        return {"shares": shares}
