"""Models that are told by texts what to find, exported with the texts in them."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from PIL import Image

import pvzoo
from pvzoo.errors import PvzooError

PROMPTS = ["a bed", "fox", "jug"]
IMAGES = [
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8))
    for seed, size in enumerate([(60, 90, 3), (40, 40, 3), (120, 50, 3)])
]


FAMILIES = ("clip", *(pytest.param(name, marks=pytest.mark.slow) for name in ("owlvit", "siglip")))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_finds_what_the_original_finds_for_its_texts(checkpoint, family, tmp_path):
    original = pvzoo.load(checkpoint(family), device="cpu")
    options = {"threshold": 0} if family == "owlvit" else {"top_k": 3}
    prompts = {"prompts": PROMPTS}
    if family == "clip":
        prompts["template"] = "a photo of {}"
    certificate = original.export(tmp_path / "export", **prompts)
    assert certificate.verdict == "certified"
    exported = pvzoo.load(tmp_path / "export")
    assert exported.labels == tuple(PROMPTS)
    assert exported.task == original.task
    for found, wanted in zip(
        exported.predict(IMAGES, **options),
        original.predict(IMAGES, **prompts, **options),
        strict=True,
    ):
        assert found.names == wanted.names
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        if family == "owlvit":
            np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-2)
    with pytest.raises(PvzooError, match="was fixed when the model was exported"):
        exported.predict(IMAGES[0], prompts=["a cat"])
    assert "prompts" not in str(inspect.signature(exported.predict))
    assert not [file for file in (tmp_path / "export").iterdir() if "token" in file.name]


def test_texts_are_asked_for_and_what_cannot_be_exported_says_why(checkpoint, tmp_path):
    def refused(family: str, said: str, **prompts) -> None:
        with pytest.raises(PvzooError, match=said):
            pvzoo.load(checkpoint(family), device="cpu").export(tmp_path / "export", **prompts)
        assert list(tmp_path.iterdir()) == []

    refused("owlvit", "got no prompts")
    refused("owlv2", "blurs images before it shrinks them", prompts=PROMPTS)
    refused("siglip2", "cuts images into patches", prompts=PROMPTS)
    refused("grounding-dino", "cannot trace its backbone", prompts=PROMPTS)
