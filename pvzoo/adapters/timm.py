"""timm image classifiers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.classification import ClassifierAdapter


class TimmAdapter(ClassifierAdapter):
    """Any timm checkpoint with a classifier: timm's own format, or transformers' timm_wrapper."""

    network = "pvzoo.networks.timm:TimmNetwork"
    pixels = "x"

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the config has an architecture, and no model type but perhaps timm_wrapper."""
        return (
            isinstance(config.get("architecture"), str)
            and config.get("model_type", "timm_wrapper") == "timm_wrapper"
        )
