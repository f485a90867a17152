"""Zero-shot classification against the networks' own `logits_per_image`."""

from __future__ import annotations

from functools import cache

import datasets
import numpy as np
import pytest
import torch
import transformers
from checkpoints import files
from PIL import Image

import pvzoo
from pvzoo.data import schema
from pvzoo.errors import UsageError

FAMILIES = ["clip", "siglip", "siglip2"]
PROMPTS = ["a cat", "remote control", "Dog", "a long walk"]
RNG = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((48, 64), (80, 40), (48, 64), (31, 57), (64, 64))
]


@pytest.fixture(scope="module")
def model(checkpoint):
    """The model of a family, loaded once."""
    return cache(lambda family: pvzoo.load(checkpoint(family), device="cpu"))


@pytest.fixture(scope="module")
def reference(checkpoint):
    """Scores by the documented way of each family: (image, texts) -> (texts,)."""

    def scores(family: str, image: Image.Image, texts: list[str]) -> np.ndarray:
        folder = checkpoint(family)
        network = transformers.AutoModel.from_pretrained(folder).eval()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        images = transformers.AutoImageProcessor.from_pretrained(folder)
        padding = {"padding": True}
        if family != "clip":
            padding = {"padding": "max_length", "max_length": 64}
        inputs = {
            **tokenizer(texts, return_tensors="pt", **padding),
            **images(images=image, return_tensors="pt"),
        }
        with torch.inference_mode():
            logits = network(**inputs).logits_per_image[0]
        return (logits.softmax(-1) if family == "clip" else logits.sigmoid()).numpy()

    return scores


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_networks_own_logits(family, model, reference):
    for image in IMAGES:
        found = model(family).predict(image, prompts=PROMPTS, probabilities=True, top_k=2)
        expected = reference(family, image, PROMPTS)
        np.testing.assert_allclose(found.probabilities, expected, atol=1e-5)
        best = np.argsort(-expected)[:2]
        np.testing.assert_array_equal(found.labels, best)
        assert found.names == tuple(PROMPTS[i] for i in best)
        assert found.multi_label == (family != "clip")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_template_is_a_sentence_around_each_prompt(family, model, reference):
    found = model(family).predict(
        IMAGES[0], prompts=["cat", "dog"], template="a photo of a {}.", probabilities=True
    )
    texts = ["a photo of a cat.", "a photo of a dog."]
    np.testing.assert_allclose(found.probabilities, reference(family, IMAGES[0], texts), atol=1e-5)
    assert set(found.names) == {"cat", "dog"}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_result_for_an_image_does_not_depend_on_the_other_images(family, model):
    options = {"prompts": PROMPTS, "probabilities": True}
    together = model(family).predict(IMAGES, **options)
    for image, found in zip(IMAGES, together, strict=True):
        alone = model(family).predict(image, **options)
        np.testing.assert_allclose(found.probabilities, alone.probabilities, atol=1e-6)


def test_wrong_prompts_and_templates_are_refused(model):
    for options, said in (
        ({}, "Pass what to look for"),
        ({"prompts": ["cat"], "template": "a photo"}, "a text with {} in place of the prompt"),
        ({"prompts": ["cat"], "template": None}, "a text with {} in place of the prompt"),
        ({"prompts": ["a" * 100]}, "has 102 tokens; this network reads 77"),
        ({"prompt": ["cat"]}, "Did you mean 'prompts'"),
    ):
        with pytest.raises(UsageError) as caught:
            model("clip").predict(IMAGES[0], **options)
        assert said in str(caught.value)


def test_it_is_asked_for_the_classes_of_labelled_data(model):
    names = ["cat", "dog", "bird"]
    asked = {"prompts": names, "template": "a photo of a {}."}
    images = [Image.fromarray(RNG.integers(0, 256, (32, 32, 3), np.uint8)) for _ in range(8)]
    found = [int(r.labels[0]) for r in model("clip").predict(images, **asked)]
    wrong = [(label + (i < 2)) % 3 for i, label in enumerate(found)]  # two of eight
    rows = [
        {"image": image, "image_id": i, "file_name": f"{i}.png", "label": label}
        for i, (image, label) in enumerate(zip(images, wrong, strict=True))
    ]
    data = datasets.Dataset.from_list(rows, features=schema.features(schema.CLASSIFICATION, names))
    assert model("clip").evaluate(data)["top1"] == pytest.approx(0.75)


def test_catalogue_names_load_from_the_hub(checkpoint, hub):
    for name, repo, family in (
        ("clip-vit-base-patch32", "openai/clip-vit-base-patch32", "clip"),
        ("siglip-base", "google/siglip-base-patch16-224", "siglip"),
        ("siglip2-naflex", "google/siglip2-base-patch16-naflex", "siglip2"),
    ):
        hub.add_repo(repo, files(checkpoint(family)))
        for called in (name, repo):
            loaded = pvzoo.load(called, device="cpu")
            assert loaded.task == "zero-shot-image-classification"
            assert len(loaded.predict(IMAGES[0], prompts=PROMPTS)) == 4
