"""The adapter of a model that serves the task: what the outputs of its network mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from my_zoo.task import Cover
from pvzoo.adapters.base import Adapter, Meta


class CoverAdapter(Adapter):
    """Drives networks that give ``shares`` (n, classes) in 0..1."""

    tasks = ("my-zoo-cover",)
    network = "my_zoo.network:CoverNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type in config.json."""
        return config.get("model_type") == "my-zoo"

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Cover:
        """The classes of at least the share asked for, the largest first."""
        shares = outputs["shares"][0]
        ids = np.argsort(-shares, kind="stable")
        ids = ids[shares[ids] >= controls["least"]]
        names = tuple(self.labels[i] for i in ids)
        return Cover(size=meta["size"], labels=ids, shares=shares[ids], names=names)
