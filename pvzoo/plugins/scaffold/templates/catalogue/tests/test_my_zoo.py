"""The plugin follows the rules for pvzoo's plugins, and its models predict."""

from __future__ import annotations

from PIL import Image

import pvzoo
from pvzoo.testing import conformance

test_conformance = conformance("my-zoo")


def test_the_models_are_in_the_catalogue():
    assert "my-zoo-example" in {card.name for card in pvzoo.list_models()}


def test_the_example_names_what_it_sees():
    result = pvzoo.load("my-zoo-example").predict(Image.new("RGB", (64, 64), "red"))
    assert len(result.names) == 5
