"""Which class names in a config mean which kind of head, known without transformers.

``heads.json`` is transformers' own table (``modeling_auto.py``); a model type that is newer than it
is looked up in the transformers that is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any, Literal

Kind = Literal["classification", "detection", "universal", "instance", "semantic"]

CLASSIFICATION: Kind = "classification"
DETECTION: Kind = "detection"
UNIVERSAL: Kind = "universal"
INSTANCE: Kind = "instance"
SEMANTIC: Kind = "semantic"

MAPPINGS: dict[Kind, str] = {
    CLASSIFICATION: "MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES",
    DETECTION: "MODEL_FOR_OBJECT_DETECTION_MAPPING_NAMES",
    UNIVERSAL: "MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES",
    INSTANCE: "MODEL_FOR_INSTANCE_SEGMENTATION_MAPPING_NAMES",
    SEMANTIC: "MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES",
}
"""What the tables are called in transformers."""

_WORDS = ("ForImageClassification", "ForObjectDetection", "Segmentation")


def has_head(kind: Kind, config: Mapping[str, Any]) -> bool:
    """Whether the architecture that a config names is a head of that kind of its model type."""
    model_type = config.get("model_type", "")
    named = [name for name in config.get("architectures") or () if isinstance(name, str)]
    heads = _table()[kind].get(model_type)
    if heads is None and _is_new(model_type) and any(w in name for name in named for w in _WORDS):
        heads = _installed(kind, model_type)
    return not set(heads or ()).isdisjoint(named)


def heads_of(mapping: Mapping[str, Any]) -> dict[str, list[str]]:
    """A table of transformers: model type -> the names of its heads."""
    return {
        model_type: [names] if isinstance(names, str) else list(names)
        for model_type, names in mapping.items()
    }


@cache
def _table() -> dict[Kind, dict[str, list[str]]]:
    text = resources.files("pvzoo.families").joinpath("heads.json").read_text(encoding="utf-8")
    return json.loads(text)


def _is_new(model_type: str) -> bool:
    return not any(model_type in heads for heads in _table().values())


def _installed(kind: Kind, model_type: str) -> list[str]:
    try:
        from transformers.models.auto import modeling_auto
    except ImportError:
        return []
    return heads_of(getattr(modeling_auto, MAPPINGS[kind])).get(model_type, [])
