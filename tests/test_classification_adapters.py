"""The classification adapters against timm's and transformers' own inference, on photographs."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from checkpoints import FAMILIES, timm_folder, transformers_folder
from PIL import Image

import pvzoo
from pvzoo.errors import UsageError


@pytest.fixture(scope="module")
def small(photographs) -> list[Image.Image]:
    """The photographs, small enough that preparing them takes no time; three shapes."""
    images = [Image.open(path).convert("RGB") for path in photographs.values()]
    for image in images:
        image.thumbnail((200, 200))
    return images


def timm_reference(module: torch.nn.Module, images: list[Image.Image]) -> list[np.ndarray]:
    """Class probabilities of each image alone, as timm's own documentation computes them."""
    data = timm.data.resolve_model_data_config(module)
    transform = timm.data.create_transform(**data, is_training=False)
    module.eval()
    with torch.inference_mode():
        return [module(transform(i)[None]).softmax(-1)[0].numpy() for i in images]


# -- timm ------------------------------------------------------------------------------------------


def test_efficientnet_lite0_gives_what_timm_gives_with_the_same_weights(lite0, photographs):
    module = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    module.load_state_dict(lite0.network.module.state_dict())
    data = timm.data.resolve_model_data_config(module)
    transform = timm.data.create_transform(**data, is_training=False)
    results = lite0.predict(list(photographs.values()), batch_size=1, probabilities=True)
    for path, result in zip(photographs.values(), results, strict=True):
        image = Image.open(path).convert("RGB")
        pixels = transform(image)[None]
        np.testing.assert_array_equal(lite0.adapter.preprocess(image)[0]["x"], pixels.numpy())
        with torch.inference_mode():
            expected = module(pixels).softmax(-1)[0].numpy()
        np.testing.assert_allclose(result.probabilities, expected, rtol=0, atol=1e-6)
        assert result.labels[0] == expected.argmax()
        np.testing.assert_allclose(result.scores, np.sort(expected)[::-1][:5], rtol=0, atol=1e-6)
    tops = dict(zip(photographs, (r.names[0] for r in results), strict=True))
    assert "espresso" in tops["coffee"]
    assert "cat" in tops["cat"] or "tabby" in tops["cat"]


@pytest.mark.parametrize(
    ("architecture", "crop_mode", "interpolation", "crop_pct", "size"),
    [
        ("test_resnet", "center", "bicubic", 1.0, (160, 160)),
        ("test_resnet", "squash", "bilinear", 1.0, (128, 160)),
        ("test_resnet", "border", "bicubic", 0.875, (96, 96)),
        ("test_vit", "squash", "bicubic", 0.9, (160, 160)),
        ("test_vit", "center", "bilinear", 0.95, (128, 128)),
        ("test_vit", "center", "nearest", 0.6, (160, 160)),
    ],
)
def test_every_style_of_preprocessing_is_timms_own(
    tmp_path, small, architecture, crop_mode, interpolation, crop_pct, size
):
    rng = np.random.default_rng(0)
    data = {
        "crop_mode": crop_mode,
        "interpolation": interpolation,
        "crop_pct": crop_pct,
        "input_size": (3, *size),
        "mean": rng.uniform(0.3, 0.6, 3).tolist(),
        "std": rng.uniform(0.2, 0.4, 3).tolist(),
    }
    timm_folder(tmp_path / "m", architecture, data_config=data)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'm'}", pretrained=True)
    resolved = timm.data.resolve_model_data_config(theirs)
    assert {key: resolved[key] for key in data} == data
    results = pvzoo.load(tmp_path / "m", device="cpu").predict(
        small, batch_size=1, probabilities=True
    )
    for result, scores in zip(results, timm_reference(theirs, small), strict=True):
        np.testing.assert_allclose(result.probabilities, scores, rtol=0, atol=1e-6)
    assert np.ptp([r.probabilities for r in results], axis=0).max() > 1e-3  # photographs differ


def test_a_multi_label_timm_model_scores_each_class_on_its_own(tmp_path, small):
    module = timm_folder(
        tmp_path / "m",
        "test_resnet",
        num_classes=6,
        config={"problem_type": "multi_label_classification"},
    )
    transform = timm.data.create_transform(
        **timm.data.resolve_model_data_config(module), is_training=False
    )
    image = small[0]
    result = pvzoo.load(tmp_path / "m", device="cpu").predict(image, probabilities=True)
    with torch.inference_mode():
        expected = module(transform(image)[None]).sigmoid()[0].numpy()
    np.testing.assert_allclose(result.probabilities, expected, atol=1e-6)
    assert result.multi_label


def test_one_output_of_a_timm_model_is_a_yes_or_no_score(tmp_path, small):
    timm_folder(tmp_path / "m", "test_resnet", num_classes=1)
    result = pvzoo.load(tmp_path / "m", device="cpu").predict(small[0])
    assert result.multi_label
    assert 0 < result.scores[0] < 1


# -- transformers ----------------------------------------------------------------------------------


def pipeline_scores(folder, images: list[Image.Image]) -> list[np.ndarray]:
    """What transformers' own pipeline says of each image alone, in the order of the classes."""
    from transformers import pipeline

    pipe = pipeline("image-classification", model=str(folder), device="cpu")
    ids = {name: i for i, name in pipe.model.config.id2label.items()}
    rows = []
    for image in images:
        row = np.zeros(len(ids), np.float32)
        for answer in pipe(image, top_k=len(ids)):
            row[ids[answer["label"]]] = answer["score"]
        rows.append(row)
    return rows


@pytest.mark.parametrize("problem", ["single_label_classification", "multi_label_classification"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_transformers_model_gives_what_its_pipeline_gives(tmp_path, small, family, problem):
    transformers_folder(tmp_path, family, problem_type=problem)
    model = pvzoo.load(tmp_path, device="cpu")
    results = model.predict(small, batch_size=1, probabilities=True)
    rows = np.array([r.probabilities for r in results])
    np.testing.assert_allclose(rows, pipeline_scores(tmp_path, small), atol=1e-6)
    assert all(r.multi_label == problem.startswith("multi") for r in results)
    assert np.ptp(rows, axis=0).max() > 1e-3  # the photographs differ


def test_transformers_inputs_are_its_processors_own(tmp_path, small):
    from transformers import AutoImageProcessor

    for family in FAMILIES:
        folder = tmp_path / family
        transformers_folder(folder, family)
        adapter = pvzoo.load(folder, device="cpu").adapter
        processor = AutoImageProcessor.from_pretrained(folder)
        for image in small[:2]:
            expected = processor(image, return_tensors="pt")["pixel_values"].numpy()
            np.testing.assert_array_equal(adapter.preprocess(image)[0]["pixel_values"], expected)


def test_one_output_of_a_transformers_model_is_a_yes_or_no_score(tmp_path, small):
    transformers_folder(tmp_path, "vit", labels=("broken",))
    results = pvzoo.load(tmp_path, device="cpu").predict(small)
    expected = pipeline_scores(tmp_path, small)
    np.testing.assert_allclose([r.scores for r in results], expected, atol=1e-6)
    assert all(r.multi_label and r.names == ("broken",) for r in results)


# -- both ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["lite0", "timm", *FAMILIES])
def test_a_prediction_does_not_depend_on_the_other_images_of_its_call(
    request, tmp_path, small, kind
):
    if kind == "lite0":
        model = request.getfixturevalue("lite0")
    else:
        timm_folder(tmp_path, "test_vit") if kind == "timm" else transformers_folder(tmp_path, kind)
        model = pvzoo.load(tmp_path, device="cpu")
    alone = [model.predict(i, probabilities=True).probabilities for i in small]
    for batch_size, order in ((8, [7, 6, 5, 4, 3, 2, 1, 0]), (3, [5, 5, 0, 5, 1])):
        together = model.predict(
            [small[i] for i in order], batch_size=batch_size, probabilities=True
        )
        for index, result in zip(order, together, strict=True):
            np.testing.assert_allclose(result.probabilities, alone[index], rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["timm", "transformers"])
def test_half_precision_is_asked_for_or_the_checkpoints_own(tmp_path, small, kind):
    if kind == "timm":
        module = timm_folder(tmp_path, "test_resnet", num_classes=5)
        from safetensors.torch import save_file

        half = {k: v.bfloat16() if v.is_floating_point() else v for k, v in
                module.state_dict().items()}  # fmt: skip
        save_file(half, tmp_path / "model.safetensors")
    else:
        transformers_folder(tmp_path, "vit", dtype=torch.bfloat16)
    image = small[0]
    full = pvzoo.load(tmp_path, device="cpu")
    assert full.dtype == torch.float32
    expected = full.predict(image, probabilities=True).probabilities
    for dtype, stored in (
        ("auto", torch.bfloat16),
        ("bfloat16", torch.bfloat16),
        (torch.float16, torch.float16),
    ):
        model = pvzoo.load(tmp_path, device="cpu", dtype=dtype)
        assert model.dtype == stored
        assert {p.dtype for p in model.network.module.parameters()} == {stored}
        result = model.predict(image, probabilities=True)
        assert result.probabilities.dtype == np.float32
        assert result.probabilities.sum() == pytest.approx(1, abs=1e-5)
        np.testing.assert_allclose(result.probabilities, expected, atol=0.02)
        assert abs(result.probabilities - expected).max() > 0


def test_the_best_classes_are_those_of_all_probabilities(lite0, photographs):
    image = photographs["coffee"]
    everything = lite0.predict(image, top_k=None, probabilities=True)
    assert len(everything) == 1000
    np.testing.assert_array_equal(everything.scores, np.sort(everything.probabilities)[::-1])
    np.testing.assert_array_equal(everything.probabilities[everything.labels], everything.scores)
    assert everything.names == tuple(lite0.labels[i] for i in everything.labels)
    few = lite0.predict(image, top_k=3)
    np.testing.assert_array_equal(few.labels, everything.labels[:3])
    limit = float(everything.scores[2])
    assert len(lite0.predict(image, top_k=None, threshold=limit)) == 3
    assert len(lite0.predict(image, threshold=1.0)) == 0
    for wrong in ({"top_k": 0}, {"threshold": 2}, {"treshold": 0.5}):
        with pytest.raises(UsageError):
            lite0.predict(image, **wrong)
