"""The plugin keeps the rules of pvzoo's plugins, and its model is right."""

from __future__ import annotations

from PIL import Image

import pvzoo
from pvzoo.testing import conformance

test_conformance = conformance("my-zoo")


def test_the_colours_of_a_picture_are_found_with_their_shares():
    picture = Image.new("RGB", (40, 10), "white")
    picture.paste("black", (0, 0, 10, 10))
    model = pvzoo.load("my-zoo-example")
    result = model.predict(picture)
    assert result.names == ("white", "black")
    assert result.shares.tolist() == [0.75, 0.25]
    assert model.predict(picture, least=0.5).names == ("white",)
