"""The plugin follows the rules for pvzoo's plugins; its model is right and can be fine-tuned."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import pvzoo
from pvzoo.testing import conformance, scenes

test_conformance = conformance("my-zoo")


@pytest.mark.parametrize("colour", ["red", "green", "blue"])
def test_the_example_finds_a_thing_and_names_its_colour(colour):
    image = Image.new("RGB", (128, 64), "gray")
    image.paste({"green": (40, 170, 60)}.get(colour, colour), (20, 10, 60, 50))
    result = pvzoo.load("my-zoo-example", device="cpu").predict(image)
    assert result.names == (colour,)
    np.testing.assert_allclose(result.boxes, [[20, 10, 60, 50]], atol=1)


def test_fine_tuning_teaches_it_other_colours(tmp_path):
    colours = {"yellow": (240, 220, 40), "purple": (120, 40, 160)}
    model, run = pvzoo.load("my-zoo-example", device="cpu"), tmp_path / "run"
    options = {"epochs": 15, "batch_size": 4, "augment": False, "output_dir": run}
    tuned = model.fine_tune(scenes(16, 0, colours), **options)
    assert tuned.labels == ("yellow", "purple")
    others = scenes(16, 1, colours)
    assert tuned.evaluate(others)["map_50"] > 0.9
    again, image = pvzoo.load(run, device="cpu"), others[0]["image"]
    np.testing.assert_array_equal(again.predict(image).boxes, tuned.predict(image).boxes)
