"""The table of heads that pvzoo carries."""

from __future__ import annotations

import pytest
from transformers.models.auto import modeling_auto

from pvzoo.families.heads import MAPPINGS, _table, heads_of


@pytest.mark.parametrize("kind", MAPPINGS)
def test_the_table_of_heads_says_what_the_installed_transformers_says(kind):
    assert _table()[kind] == heads_of(getattr(modeling_auto, MAPPINGS[kind]))
