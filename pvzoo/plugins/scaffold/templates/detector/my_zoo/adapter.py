"""The adapter: recognises checkpoints of this family and interprets a network's outputs.

It does not import a network library, so pvzoo can find models and run exported ones without any.
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
    """For networks that give one box for each class.

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
        """Whether the model type in config.json is the one of this family."""
        return config.get("model_type") == MODEL_TYPE

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """The objects of one image, in pixels, filtered by the options."""
        height, width = meta["size"]
        boxes = outputs["boxes"][0] * np.array([width, height, width, height], np.float32)
        classes = np.arange(len(self.labels))
        return detections(
            boxes, outputs["scores"][0], classes, self.labels, meta["size"], **controls
        )
