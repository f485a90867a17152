"""Facts about each family of networks, in one record for each family; see `records`."""

from __future__ import annotations

from pvzoo.families.base import DetectionRecord, Family, MaskRecord
from pvzoo.families.recipes import Recipe
from pvzoo.families.records import FAMILIES

__all__ = ["FAMILIES", "DetectionRecord", "Family", "MaskRecord", "Recipe", "family_of"]


def family_of(model_type: str | None) -> Family:
    """The record of a family of transformers; a record of defaults if there is none."""
    return FAMILIES.get(model_type or "", Family())
