"""Image classifiers of transformers (`AutoModelForImageClassification`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.adapters.classification import ClassifierAdapter
from pvzoo.errors import UnsupportedModelError
from pvzoo.families import FAMILIES
from pvzoo.families.base import CLASSIFICATION
from pvzoo.families.heads import has_head


class TransformersClassificationAdapter(ClassifierAdapter):
    """Any transformers model whose config names an image-classification head."""

    network = "pvzoo.networks.transformers_classification:TransformersClassificationNetwork"
    families = FAMILIES

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the config names an image-classification head of its model type.

        For remote code, ``auto_map`` decides.
        """
        if "AutoModelForImageClassification" in (config.get("auto_map") or {}):
            return True
        return has_head(CLASSIFICATION, config)

    @classmethod
    def check(cls, name: str, config: Mapping[str, Any], task: str | None) -> None:
        """Refuse a regression head."""
        if config.get("problem_type") == "regression":
            raise UnsupportedModelError(
                f"{name} predicts numbers (problem_type 'regression'), not classes.",
                "Use it with transformers directly.",
            )
