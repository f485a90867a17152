"""A model that serves the task: it counts the pixels nearest to each of some named colours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from my_zoo.task import Palette
from pvzoo.adapters.base import Adapter, Arrays, Checkpoint, Meta, Spec
from pvzoo.errors import WeightsError


class PaletteAdapter(Adapter):
    """Knows colours by name. It names no network, so it opens its file and computes itself."""

    tasks = ("my-zoo-palette",)

    def __init__(self, colours: Mapping[str, Any]) -> None:
        super().__init__(Spec("my-zoo:my-zoo", "my-zoo-palette", tuple(colours)))
        self._colours = np.array([colours[name] for name in self.labels], np.uint8).reshape(-1, 3)

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type on its card."""
        return config.get("model_type") == "my-zoo"

    @classmethod
    def open(cls, checkpoint: Checkpoint, *, task: str | None) -> PaletteAdapter:
        """The "weights" are a JSON file: name -> red, green, blue."""
        try:
            return cls(json.loads(checkpoint.weights.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise WeightsError(
                f"{checkpoint.weights} is no table of colours ({error}).", "Install it again."
            ) from error

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """The pixels, of at most 64 x 64, and the picture's (height, width)."""
        small = image.copy()
        small.thumbnail((64, 64), Image.Resampling.NEAREST)
        return {"pixels": np.asarray(small)[None]}, {"size": image.size[::-1]}

    def compute(self, inputs: Arrays) -> Arrays:
        """(n, colours): the share of the pixels that are nearest to each colour."""
        pixels = inputs["pixels"].reshape(len(inputs["pixels"]), -1, 1, 3).astype(np.float32)
        nearest = ((pixels - self._colours.astype(np.float32)) ** 2).sum(-1).argmin(-1)
        counts = [np.bincount(row, minlength=len(self._colours)) for row in nearest]
        return {"shares": np.stack(counts) / nearest.shape[1]}

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Palette:
        """The colours of at least the share asked for, the largest first."""
        shares = outputs["shares"][0]
        ids = np.argsort(-shares, kind="stable")
        ids = ids[(shares[ids] > 0) & (shares[ids] >= controls["least"])]
        return Palette(
            size=meta["size"],
            colours=self._colours[ids],
            shares=shares[ids],
            names=tuple(self.labels[i] for i in ids),
        )
