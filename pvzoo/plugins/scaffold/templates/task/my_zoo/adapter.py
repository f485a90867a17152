"""The adapter of a model for the task: it interprets the outputs of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from my_zoo.task import Cover
from pvzoo.adapters.base import Adapter, Meta


class CoverAdapter(Adapter):
    """For networks with the output ``shares`` (n, classes) in 0..1."""

    tasks = ("my-zoo-cover",)
    network = "my_zoo.network:CoverNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the model type in config.json is the one of this family."""
        return config.get("model_type") == "my-zoo"

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Cover:
        """The classes with at least the share `least`, the largest share first."""
        shares = outputs["shares"][0]
        ids = np.argsort(-shares, kind="stable")
        ids = ids[shares[ids] >= controls["least"]]
        names = tuple(self.labels[i] for i in ids)
        return Cover(size=meta["size"], labels=ids, shares=shares[ids], names=names)
