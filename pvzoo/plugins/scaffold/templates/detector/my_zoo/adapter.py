"""The adapter: which checkpoints are of this family, and what a network's outputs mean.

It imports no network library, so that models are found and exported ones run without any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from pvzoo.adapters.base import Adapter, Meta
from pvzoo.adapters.detection import detections
from pvzoo.families import Family, Recipe
from pvzoo.results.detections import Detections

MODEL_TYPE = "my-zoo"


class ExampleAdapter(Adapter):
    """Drives networks that give, for each class, one box.

    Outputs are ``scores`` (n, classes) in 0..1 and ``boxes`` (n, classes, 4): left, top, right and
    bottom as shares of the image's width and height.
    """

    tasks = ("object-detection",)
    network = "my_zoo.network:ExampleNetwork"
    families: ClassVar[Mapping[str, Family]] = {
        MODEL_TYPE: Family(recipe=Recipe("tried on drawn rectangles", 0.3, clip=1.0))
    }

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type in config.json."""
        return config.get("model_type") == MODEL_TYPE

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """The objects of one image, in pixels, as far as the options ask for them."""
        height, width = meta["size"]
        boxes = outputs["boxes"][0] * np.array([width, height, width, height], np.float32)
        classes = np.arange(len(self.labels))
        return detections(
            boxes, outputs["scores"][0], classes, self.labels, meta["size"], **controls
        )
