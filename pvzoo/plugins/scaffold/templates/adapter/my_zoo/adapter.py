"""The adapter: which checkpoints are of this family, and what a network's outputs mean.

It imports no network library, so that models are found and exported ones run without any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.classification import ClassifierAdapter


class ExampleAdapter(ClassifierAdapter):
    """Drives networks that give ``logits`` (n, classes)."""

    network = "my_zoo.network:ExampleNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """By the model type in config.json."""
        return config.get("model_type") == "my-zoo"
