"""The adapter: recognises checkpoints of this family and interprets a network's outputs.

It does not import a network library, so pvzoo can find models and run exported ones without any.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.classification import ClassifierAdapter


class ExampleAdapter(ClassifierAdapter):
    """For networks with the output ``logits`` (n, classes)."""

    network = "my_zoo.network:ExampleNetwork"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the model type in config.json is the one of this family."""
        return config.get("model_type") == "my-zoo"
