"""Zero-shot detection against transformers' own processors and post-processing."""

from __future__ import annotations

import json
from functools import cache

import datasets
import numpy as np
import pytest
import torch
import transformers
from checkpoints import files
from PIL import Image
from typer.testing import CliRunner

import pvzoo
from pvzoo import cli
from pvzoo.data import schema
from pvzoo.errors import UnsupportedModelError, UsageError

FAMILIES = ["owlvit", "owlv2", "grounding-dino", "mm-grounding-dino"]
PROCESSORS = {
    "owlvit": "OwlViTProcessor",
    "owlv2": "Owlv2Processor",
    "grounding-dino": "GroundingDinoProcessor",
    "mm-grounding-dino": "GroundingDinoProcessor",
}
PROMPTS = ["bed", "Fox", "my jug"]  # no letter is in two of them
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
def theirs(checkpoint):
    """(network, processor) of a family, as transformers opens them."""

    def of(family: str):
        folder = checkpoint(family)
        network = transformers.AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
        processor = getattr(transformers, PROCESSORS[family])(
            transformers.AutoImageProcessor.from_pretrained(folder),
            transformers.AutoTokenizer.from_pretrained(folder),
        )
        return network, processor

    return of


@pytest.mark.parametrize("family", FAMILIES)
def test_boxes_and_scores_are_those_of_transformers(family, model, theirs):
    network, processor = theirs(family)
    names = set()
    for image in IMAGES:
        inputs = processor(images=image, text=[PROMPTS], return_tensors="pt")
        with torch.inference_mode():
            outputs = network(**inputs)
        for threshold in (None, 0.5, 0.8):
            found = model(family).predict(image, prompts=PROMPTS, threshold=threshold)
            options = {} if threshold is None else {"threshold": threshold}
            expected = processor.post_process_grounded_object_detection(
                outputs, target_sizes=[image.size[::-1]], **options
            )[0]
            np.testing.assert_allclose(found.scores, expected["scores"].numpy(), atol=1e-5)
            np.testing.assert_allclose(found.boxes, expected["boxes"].numpy(), atol=1e-3)
            if family.startswith("owl"):
                np.testing.assert_array_equal(found.labels, expected["labels"].numpy())
            assert found.names == tuple(PROMPTS[i] for i in found.labels)
            names |= set(found.names)
    assert len(names) > 1


@pytest.mark.parametrize("family", ["grounding-dino", "mm-grounding-dino"])
def test_a_box_is_named_after_the_prompt_that_has_its_best_letter(family, model, theirs):
    network, processor = theirs(family)
    for image in IMAGES:
        inputs = processor(images=image, text=[PROMPTS], return_tensors="pt")
        letters = processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
        letters = [token.removeprefix("##") for token in letters]
        index = [i for i, letter in enumerate(letters) if letter.isalpha() and len(letter) == 1]
        with torch.inference_mode():
            best = network(**inputs).logits[0][:, index].argmax(-1)
        expected = [next(p for p in PROMPTS if letters[index[i]] in p.lower()) for i in best]
        assert list(model(family).predict(image, prompts=PROMPTS, threshold=0).names) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_found_does_not_depend_on_the_other_images(family, model):
    together = model(family).predict(IMAGES, prompts=PROMPTS, threshold=0)
    for image, found in zip(IMAGES, together, strict=True):
        alone = model(family).predict(image, prompts=PROMPTS, threshold=0)
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=1e-3)
        assert found.names == alone.names


@pytest.mark.parametrize("family", ["owlv2", "mm-grounding-dino"])
def test_the_options_of_detection_hold(family, model):
    def predict(**options):
        return model(family).predict(IMAGES[0], prompts=PROMPTS, threshold=0, **options)

    every = predict()
    assert len(predict(max_detections=3)) == 3
    assert predict(max_detections=3).scores.min() >= np.sort(every.scores)[-3]
    assert len(predict(nms=0.1, class_agnostic=True)) <= len(predict(nms=0.1)) < len(every)
    with pytest.raises(UsageError, match="has no option 'classes'"):
        predict(classes=["bed"])
    with pytest.raises(UsageError, match="threshold is 2"):
        model(family).predict(IMAGES[0], prompts=PROMPTS, threshold=2)


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        (None, 'not a list of texts. Pass what to look for: prompts=["a cat"'),
        ((), 'got no prompts. Pass what to look for: prompts=["a cat"'),
        ([], "got no prompts"),
        (7, "not a list of texts"),
        (["bed", 7], "not a list of texts"),
        (["bed", " "], "is empty"),
        (["bed", "bed"], "'bed' is in the list twice"),
    ],
)
def test_wrong_prompts_are_refused_with_an_example(prompts, said, model):
    with pytest.raises(UsageError) as caught:
        model("owlv2").predict(IMAGES[0], prompts=prompts)
    assert said in str(caught.value)


def test_prompts_that_were_forgotten_are_asked_for(model):
    with pytest.raises(UsageError, match=r"got no prompts. Pass what to look for: prompts="):
        model("owlv2").predict(IMAGES[0])


def test_prompts_that_a_network_cannot_read_are_refused(model):
    for family, prompt, said in (
        ("owlv2", "a very long sentence", "has 19 tokens; this network reads 16"),
        ("grounding-dino", "a bed. a fox", "has a full stop, which separates prompts"),
        ("grounding-dino", "bed " * 30, "tokens; this network reads 64"),
        ("grounding-dino", "\u200b", "finds no tokens in the prompt"),
    ):
        for images in (IMAGES[0], IMAGES):
            with pytest.raises(UsageError, match=said):
                model(family).predict(images, prompts=[prompt])


def test_one_prompt_needs_no_list(model):
    found = model("owlv2").predict(IMAGES[0], prompts="bed", threshold=0)
    assert set(found.names) == {"bed"}


def test_a_result_is_drawn_and_written_like_any_other(model, tmp_path):
    found = model("owlv2").predict(IMAGES[0], prompts=PROMPTS)
    assert found.save(tmp_path / "found.png").is_file()
    assert json.loads(found.to_json())["predictions"][0]["name"] in PROMPTS
    assert len(found.to_pandas()) == len(found.to_coco()) == len(found) > 0


def test_it_is_asked_for_the_classes_of_labelled_data(model):
    names = ["fox", "bed"]
    rows = []
    for i, image in enumerate(IMAGES):
        found = model("owlv2").predict(image, prompts=names, threshold=0.0)
        best = [int(found.scores.argmax())]
        sides = found.boxes[best, 2:] - found.boxes[best, :2]
        objects = {
            "id": [i],
            "bbox": np.concatenate([found.boxes[best, :2], sides], axis=1).tolist(),
            "category": found.labels[best].tolist(),
            "area": sides.prod(axis=1).tolist(),
            "iscrowd": [False],
            "ignore": [False],
        }
        width, height = image.size
        row = {"image": image, "image_id": i, "file_name": f"{i}.png", "objects": objects}
        rows.append({**row, "width": width, "height": height})
    data = datasets.Dataset.from_list(rows, features=schema.features("object-detection", names))
    figures = model("owlv2").evaluate(data)
    assert figures["map_50"] > 0.3  # what has the best score of its image is right
    # asked in another order it finds the same; asked for something else it finds nothing
    again = model("owlv2").evaluate(data, prompts=["bed", "fox"])
    assert again["map"] == pytest.approx(figures["map"])
    with pytest.raises(pvzoo.PvzooError, match="any of the data's classes"):
        model("owlv2").evaluate(data, prompts=["jug"])


def test_catalogue_names_load_from_the_hub(checkpoint, hub):
    for name, repo, family in (
        ("owlv2-base", "google/owlv2-base-patch16-ensemble", "owlv2"),
        ("grounding-dino-tiny", "IDEA-Research/grounding-dino-tiny", "grounding-dino"),
    ):
        hub.add_repo(repo, files(checkpoint(family)))
        for called in (name, repo):
            loaded = pvzoo.load(called, device="cpu")
            assert loaded.task == "zero-shot-object-detection"
            assert set(loaded.predict(IMAGES[0], prompts=PROMPTS, threshold=0).names)
    assert pvzoo.info("owlv2-base").license == "apache-2.0"


def test_a_checkpoint_without_a_tokenizer_is_refused(checkpoint, tmp_path):
    for file in checkpoint("owlv2").iterdir():
        if "token" not in file.name:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(pvzoo.PvzooError, match="tokenizer"):
        pvzoo.load(tmp_path).predict(IMAGES[0], prompts=PROMPTS)


def test_what_cannot_be_done_is_refused(model, tmp_path):
    with pytest.raises(UnsupportedModelError, match="cannot save"):
        model("owlv2").save(tmp_path / "saved")
    with pytest.raises(UnsupportedModelError, match="cannot be fine-tuned") as caught:
        model("owlv2").fine_tune("no-such-data/", epochs=1, output_dir=tmp_path / "run")
    assert model("owlv2").name in caught.value.what
    assert "can predict and be evaluated" in caught.value.hint
    assert "pvzoo list --task object-detection" in caught.value.hint


def test_the_command_line_takes_prompts(checkpoint, tmp_path):
    IMAGES[0].save(tmp_path / "image.png")
    command = ["predict", str(tmp_path / "image.png"), "--json"]
    command += ["--model", str(checkpoint("owlv2"))]
    done = CliRunner().invoke(cli.app, [*command, "--option", "prompts=a bed, fox"])
    assert {p["name"] for p in json.loads(done.stdout)["predictions"]} <= {"a bed", "fox"}
    done = CliRunner().invoke(cli.app, [*command, "-o", 'prompts=["bed, with a fox"]'])
    assert {p["name"] for p in json.loads(done.stdout)["predictions"]} == {"bed, with a fox"}
    done = CliRunner().invoke(cli.app, command)
    assert "Pass what to look for" in str(done.exception)
