"""The plugin follows the rules for pvzoo's plugins, and its model is right."""

from __future__ import annotations

import pytest
from PIL import Image

import pvzoo
from pvzoo.testing import conformance

test_conformance = conformance("my-zoo")


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_the_example_names_the_colour_of_an_image(colour):
    result = pvzoo.load("my-zoo-example").predict(Image.new("RGB", (64, 48), colour))
    assert result.names[0] == colour
