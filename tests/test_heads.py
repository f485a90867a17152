"""The heads that the records of families name."""

from __future__ import annotations

import pytest
from transformers.models.auto import modeling_auto

from pvzoo.families import FAMILIES
from pvzoo.families.heads import MAPPINGS

OF_TIMM = "timm_wrapper"
"""What another adapter opens."""


@pytest.mark.parametrize("kind", MAPPINGS)
def test_the_records_name_the_heads_of_the_installed_transformers(kind):
    theirs = {
        model_type: (names,) if isinstance(names, str) else tuple(names)
        for model_type, names in getattr(modeling_auto, MAPPINGS[kind]).items()
        if model_type != OF_TIMM
    }
    ours = {name: record.heads[kind] for name, record in FAMILIES.items() if kind in record.heads}
    assert ours == theirs
