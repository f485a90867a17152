"""Masks for points and boxes against transformers' own processors and `post_process_masks`."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest
import torch
import transformers
from checkpoints import files
from PIL import Image
from typer.testing import CliRunner

import pvzoo
from pvzoo import cli
from pvzoo.errors import UnsupportedModelError, UsageError

CLASSES = {
    "sam": ("SamModel", "SamProcessor"),
    "sam_hq": ("SamHQModel", "SamHQProcessor"),
    "sam2": ("Sam2Model", "Sam2Processor"),
    "sam2_video": ("Sam2Model", "Sam2Processor"),
}
RNG = np.random.default_rng(0)
IMAGES = [
    Image.fromarray(RNG.integers(0, 256, (*size, 3), dtype=np.uint8))
    for size in ((48, 64), (100, 40), (48, 64), (31, 57))
]
POINTS = [[5, 6], [30, 20], [12.5, 28]]
BOXES = [[1, 2, 30, 28], [4.5, 5, 12, 30], [0, 0, 40, 31]]
ASKED = {
    "a point for each object": {"points": POINTS},
    "boxes": {"boxes": BOXES},
    "several points": {
        "points": [[[5, 6], [9, 9]], [[30, 20], [1, 1]]],
        "point_labels": [[1, 1], [1, 0]],
    },
    "points and boxes": {"points": POINTS, "point_labels": [1, 0, 1], "boxes": BOXES},
}


@pytest.fixture(scope="module")
def model(checkpoint):
    """The model of a family, loaded once."""
    return cache(lambda family: pvzoo.load(checkpoint(family), device="cpu"))


@pytest.fixture(scope="module")
def opened(checkpoint):
    """(network, processor) of a family, as transformers opens them, once."""

    @cache
    def of(family: str) -> tuple:
        folder = checkpoint(family)
        network, processor = (getattr(transformers, name) for name in CLASSES[family])
        images = transformers.AutoImageProcessor.from_pretrained(folder)
        return network.from_pretrained(folder).eval(), processor(images)

    return of


def theirs(network, processor, image: Image.Image, asked: dict):
    """(masks, scores) of the best mask of each object, as transformers has them."""
    nested = {}
    if "points" in asked:
        points = np.array(asked["points"], dtype=float)
        points = points[:, None] if points.ndim == 2 else points
        labels = np.array(asked.get("point_labels", np.ones(points.shape[:2])), dtype=int)
        nested["input_points"] = [points.tolist()]
        nested["input_labels"] = [labels.reshape(points.shape[:2]).tolist()]
    if "boxes" in asked:
        nested["input_boxes"] = [[[float(x) for x in box] for box in asked["boxes"]]]
    inputs = processor(images=image, return_tensors="pt", **nested)
    sizes = [inputs.pop(n) for n in ("original_sizes", "reshaped_input_sizes") if n in inputs]
    inputs = {n: t.float() if t.dtype == torch.float64 else t for n, t in inputs.items()}
    one_point = "boxes" not in asked and len(nested["input_points"][0][0]) == 1
    with torch.inference_mode():
        outputs = network(**inputs, multimask_output=one_point)
    masks = processor.post_process_masks(outputs.pred_masks, *sizes)[0]
    best = outputs.iou_scores[0].argmax(-1)
    every = torch.arange(len(best))
    return masks[every, best].numpy(), outputs.iou_scores[0][every, best].numpy()


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
@pytest.mark.parametrize("family", CLASSES)
def test_masks_and_scores_are_those_of_transformers(family, asked, model, opened):
    for image in IMAGES:
        found = model(family).predict(image, **asked)
        masks, scores = theirs(*opened(family), image, asked)
        assert (found.masks.to_array() != masks).mean() < 1e-4  # logits within rounding of 0
        assert 0 < masks.mean() < 1
        np.testing.assert_allclose(found.scores, scores.clip(0, 1), atol=1e-5)
        assert found.size == image.size[::-1]
        assert found.names == ("object",) * len(masks)


@pytest.mark.parametrize("family", CLASSES)
def test_masks_do_not_depend_on_the_other_images(family, model):
    asked = ASKED["points and boxes"]
    together = model(family).predict(IMAGES, **asked)
    for image, found in zip(IMAGES, together, strict=True):
        alone = model(family).predict(image, **asked)
        assert (found.masks.to_array() != alone.masks.to_array()).mean() < 1e-4
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)


def test_boxes_of_a_result_are_tight_around_its_masks(model):
    found = model("sam2").predict(IMAGES[0], boxes=BOXES)
    for mask, box in zip(found.masks, found.boxes, strict=True):
        ys, xs = mask.nonzero()
        assert box.tolist() == [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]


def test_arrays_and_tensors_will_do_as_prompts(model):
    expected = model("sam").predict(IMAGES[0], boxes=BOXES).masks.counts
    for boxes in (np.array(BOXES, np.float32), torch.tensor(BOXES)):
        assert model("sam").predict(IMAGES[0], boxes=boxes).masks.counts == expected


def test_a_threshold_leaves_out_masks_that_the_network_does_not_trust(model):
    every = model("sam2").predict(IMAGES[0], points=POINTS)
    assert len(every) == 3
    middle = float(np.sort(every.scores)[1])
    kept = model("sam2").predict(IMAGES[0], points=POINTS, threshold=middle)
    assert sorted(kept.scores) == sorted(s for s in every.scores if s >= middle)
    assert len(model("sam2").predict(IMAGES[0], points=POINTS, threshold=1)) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "neither points nor boxes. Pass boxes="),
        ({"boxes": []}, "boxes has the shape (0,). Pass boxes="),
        ({"boxes": [1, 2, 3, 4]}, "boxes has the shape (4,)"),
        ({"boxes": [[1, 2, 3]]}, "boxes has the shape (1, 3)"),
        ({"boxes": [[1, 2, 3, 4], [1]]}, "boxes is not an array of numbers"),
        ({"boxes": "left"}, "boxes is not an array of numbers"),
        ({"boxes": [[9, 2, 3, 4]]}, "right or bottom side of a box is before"),
        ({"boxes": [[1, 2, 3, float("nan")]]}, "not finite"),
        ({"points": [5, 6]}, "points has the shape (2,)"),
        ({"points": [[5, 6, 7]]}, "points has the shape (1, 3)"),
        ({"points": POINTS, "point_labels": [1]}, "1 (on the object) or a 0"),
        ({"points": POINTS, "point_labels": [1, 2, 0]}, "1 (on the object) or a 0"),
        ({"point_labels": [1], "boxes": BOXES[:1]}, "point_labels without points"),
        ({"points": POINTS, "boxes": BOXES[:2]}, "boxes of 2 objects, but points of 3"),
        ({"point": POINTS}, "Did you mean 'points'"),
        ({"points": POINTS, "threshold": 3}, "threshold is 3"),
    ],
)
def test_wrong_prompts_are_refused_with_a_hint(options, said, model):
    with pytest.raises(UsageError) as caught:
        model("sam").predict(IMAGES[0], **options)
    assert said in str(caught.value)


def test_what_it_cannot_do_is_refused_before_data_is_read(model, tmp_path):
    with pytest.raises(UsageError, match="cannot be evaluated: mask-generation has no metrics"):
        model("sam").evaluate("no-such-data/")
    with pytest.raises(UnsupportedModelError, match=r"cannot be fine-tuned\. It can predict\. "):
        model("sam").fine_tune("no-such-data/", epochs=1, output_dir=tmp_path / "run")


def test_catalogue_names_load_from_the_hub(checkpoint, hub):
    for name, repo, family in (
        ("sam-vit-base", "facebook/sam-vit-base", "sam"),
        ("sam2.1-hiera-tiny", "facebook/sam2.1-hiera-tiny", "sam2_video"),
        ("sam-hq-vit-base", "syscv-community/sam-hq-vit-base", "sam_hq"),
    ):
        hub.add_repo(repo, files(checkpoint(family)))
        for called in (name, repo):
            loaded = pvzoo.load(called, device="cpu")
            assert loaded.task == "mask-generation"
            assert len(loaded.predict(IMAGES[0], boxes=BOXES)) == 3


def test_the_command_line_takes_boxes_and_points(checkpoint, tmp_path):
    IMAGES[0].save(tmp_path / "image.png")
    command = ["predict", str(tmp_path / "image.png"), "--json"]
    command += ["--model", str(checkpoint("sam2"))]
    drawn = ["--save", str(tmp_path / "drawn")]
    done = CliRunner().invoke(cli.app, [*command, "-o", "boxes=[[1, 2, 30, 28]]", *drawn])
    (found,) = json.loads(done.stdout.splitlines()[0])["predictions"]
    assert found["mask"]["size"] == [48, 64]
    assert (tmp_path / "drawn" / "image.png").is_file()
    done = CliRunner().invoke(cli.app, [*command, "-o", "points=[[5, 6], [30, 20]]"])
    assert len(json.loads(done.stdout)["predictions"]) == 2
    assert "Pass boxes=" in str(CliRunner().invoke(cli.app, command).exception)
