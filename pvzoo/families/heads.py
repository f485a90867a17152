"""Find the kind of head that a config names, without transformers.

A model type without a record is looked up in the installed transformers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pvzoo.families.base import CLASSIFICATION, DETECTION, INSTANCE, SEMANTIC, UNIVERSAL, Kind
from pvzoo.families.records import FAMILIES

MAPPINGS: dict[Kind, str] = {
    CLASSIFICATION: "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    DETECTION: "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES",
    UNIVERSAL: "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES",
    INSTANCE: "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES",
    SEMANTIC: "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES",
}
"""Kind of head -> the name of transformers' own table (``modeling_auto.py``)."""

_WORDS = ("ForImageClassification", "ForObjectDetection", "Segmentation")


def has_head(kind: Kind, config: Mapping[str, Any]) -> bool:
    """Whether a config names an architecture that is this kind of head for its model type."""
    model_type = config.get("model_type", "")
    named = [name for name in config.get("architectures") or () if isinstance(name, str)]
    if model_type in FAMILIES:
        heads = FAMILIES[model_type].heads.get(kind, ())
    elif any(word in name for name in named for word in _WORDS):
        heads = _installed(kind, model_type)
    else:
        heads = ()
    return not set(heads).isdisjoint(named)


def _installed(kind: Kind, model_type: str) -> tuple[str, ...]:
    try:
        from transformers.models.auto import modeling_auto
    except ImportError:
        return ()
    names = getattr(modeling_auto, MAPPINGS[kind]).get(model_type, ())
    return (names,) if isinstance(names, str) else tuple(names)
