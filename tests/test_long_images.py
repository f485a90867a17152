"""Long and thin images: what becomes of them, and that they take no more memory than others."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import detection_families
import numpy as np
import pytest
import segmentation_families
import timm
import transformers
from PIL import Image

import pvzoo
from pvzoo.errors import ImageError
from pvzoo.inputs.limits import MAX_SIDE
from pvzoo.networks.from_transformers import prepared
from pvzoo.networks.timm import TimmNetwork
from pvzoo.preprocess.long_images import RATIO, middle

TESTS = Path(__file__).parent

PROCESSORS: dict[str, Callable[[], Any]] = {
    "BiT": transformers.BitImageProcessor,
    "CLIP": transformers.CLIPImageProcessor,
    "ConvNeXT": lambda: transformers.ConvNextImageProcessor(size={"shortest_edge": 224}),
    "ConvNeXT at 384": transformers.ConvNextImageProcessor,
    "DeiT": transformers.DeiTImageProcessor,
    "EfficientNet": lambda: transformers.EfficientNetImageProcessor(do_center_crop=True),
    "LeViT": transformers.LevitImageProcessor,
    "MobileNetV1": transformers.MobileNetV1ImageProcessor,
    "MobileNetV2": transformers.MobileNetV2ImageProcessor,
    "MobileViT": transformers.MobileViTImageProcessor,
    "PoolFormer": transformers.PoolFormerImageProcessor,
    "PVT": transformers.PvtImageProcessor,
    "ViT": transformers.ViTImageProcessor,
    "ViT with a crop": lambda: transformers.ViTImageProcessor(
        size={"shortest_edge": 100}, do_center_crop=True, crop_size={"height": 80, "width": 90}
    ),
    "not scaled": lambda: transformers.CLIPImageProcessor(do_resize=False),
}
WARPED = {"ConvNeXT at 384", "DeiT", "EfficientNet", "PVT", "ViT", "not scaled"}
"""Those that do not scale the shorter side and cut the middle out."""

CONFIGS = [
    {"crop_pct": pct, "interpolation": kind, "crop_mode": mode, "input_size": (3, *size)}
    for pct, kind, mode, size in [
        (0.875, "bicubic", "center", (64, 64)),
        (0.95, "bilinear", "center", (64, 64)),
        (1.0, "bicubic", "center", (48, 80)),
        (0.9, "bilinear", "center", (80, 48)),
        (0.9, "bicubic", "squash", (64, 64)),
        (0.8, "bicubic", "border", (64, 64)),
    ]
]


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def ordinary(count: int) -> list[Image.Image]:
    """Odd and even, upright and lying, up to 60 times as long as wide."""
    draw = random.Random(0)
    sizes = [(draw.randint(9, 400), draw.randint(9, 400)) for _ in range(count - 4)]
    sizes += [(7, 420), (420, 7), (1, 64), (128, 2)]
    return [noise(width, height, i) for i, (width, height) in enumerate(sizes)]


def timm_adapter(config: dict[str, Any]) -> TimmNetwork:
    network = timm.create_model("test_vit", num_classes=3)
    network.pretrained_cfg = {**network.pretrained_cfg, **config}
    return TimmNetwork(network.eval(), ("a", "b", "c"), False)


def by_timm(adapter: TimmNetwork, image: Image.Image) -> np.ndarray:
    """What timm's own transform makes of an image."""
    cfg = timm.data.resolve_data_config(pretrained_cfg=adapter.module.pretrained_cfg)
    return timm.data.create_transform(**cfg, is_training=False)(image)[None].numpy()


@pytest.mark.parametrize("name", PROCESSORS)
def test_ordinary_images_are_prepared_as_transformers_does_to_the_bit(name):
    processor = PROCESSORS[name]()
    for image in ordinary(10):
        ours = prepared(processor, image)["pixel_values"]
        assert np.array_equal(ours, processor(images=image, return_tensors="np")["pixel_values"])


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_ordinary_images_are_prepared_as_timm_does_to_the_bit(config):
    adapter = timm_adapter(config)
    for image in ordinary(20):
        inputs, meta = adapter.prepare(image)
        assert np.array_equal(inputs["x"], by_timm(adapter, image))
        assert meta["size"] == image.size[::-1]


def long(width: int, ratio: float, *, lying: bool, seed: int) -> Image.Image:
    length = round(width * ratio) + seed % 4
    return noise(length, width, seed) if lying else noise(width, length, seed)


def levels(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference in 1/255."""
    return float(np.abs(a - b).max()) * 255


LONG = [
    long(width, ratio, lying=bool(i % 2), seed=i)
    for i, (width, ratio) in enumerate([(3, 150), (7, 101.3), (21, 77.7), (50, 90.1), (2, 333.3)])
]


@pytest.mark.parametrize("name", sorted(set(PROCESSORS) - WARPED))
def test_of_long_images_transformers_networks_see_what_they_would_have_seen(name):
    processor, plain = PROCESSORS[name](), {"do_normalize": False}
    for image in LONG:
        assert middle(image).size != image.size
        ours = prepared(processor, image, **plain)["pixel_values"]
        theirs = processor(images=image, return_tensors="np", **plain)["pixel_values"]
        assert levels(ours, theirs) < 2.01


@pytest.mark.parametrize("config", CONFIGS[:4], ids=str)
def test_of_long_images_timm_networks_see_what_they_would_have_seen(config):
    adapter = timm_adapter({**config, "mean": (0, 0, 0), "std": (1, 1, 1)})
    for image in LONG:
        assert levels(adapter.prepare(image)[0]["x"], by_timm(adapter, image)) < 2.01


@pytest.mark.parametrize("lying", [False, True])
def test_where_nothing_is_rounded_long_images_are_prepared_to_the_bit(lying):
    """The scaled length is a whole number for a width that divides the network's."""
    adapter, processor = timm_adapter(CONFIGS[1] | {"crop_pct": 1.0}), PROCESSORS["CLIP"]()
    for seed, width in enumerate([1, 2, 4, 8, 16, 32]):
        image = long(width, RATIO + 9, lying=lying, seed=seed)
        assert middle(image).size != image.size
        assert np.array_equal(adapter.prepare(image)[0]["x"], by_timm(adapter, image))
        ours = prepared(processor, image)["pixel_values"]
        assert np.array_equal(ours, processor(images=image, return_tensors="np")["pixel_values"])


@pytest.mark.parametrize("name", sorted(WARPED))
def test_nothing_is_cut_off_where_the_whole_image_is_scaled(name):
    processor = PROCESSORS[name]()
    for image in LONG[:2]:
        ours = prepared(processor, image)["pixel_values"]
        assert np.array_equal(ours, processor(images=image, return_tensors="np")["pixel_values"])


def test_nothing_is_cut_off_where_timm_scales_the_whole_image():
    for config in CONFIGS[4:]:
        adapter, image = timm_adapter(config), noise(5, 400)
        assert np.array_equal(adapter.prepare(image)[0]["x"], by_timm(adapter, image))


def test_a_thin_image_takes_no_more_than_others():
    """Within a second and 200 MB, whether it is predicted or trained on."""
    command = [sys.executable, TESTS / "long_memory.py", "1x65535", "40000x3"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    lines = [line.split() for line in run.stdout.splitlines()]
    ways = ("predict", "transformers", "stream", "outputs", "training")
    assert [way for way, *_ in lines[::2]] == list(ways)
    for way, seconds, megabytes in lines:
        assert float(seconds) < 1, way
        assert float(megabytes) < 200, way


def test_results_are_drawn_on_thin_images_in_bounded_memory(lite0):
    """A line of text is not many times the image."""
    for size in ((20_000, 1), (1, 20_000), (3000, 40)):
        drawn = lite0.predict(Image.new("RGB", size)).plot()
        assert drawn.width * drawn.height < 6_000_000
    with pytest.raises(ImageError, match="too long to be drawn on"):
        lite0.predict(Image.new("RGB", (1, MAX_SIDE + 1))).plot()


# --- what is refused ------------------------------------------------------------------------------

THIN = Image.new("RGB", (1, 65535))


@pytest.mark.parametrize(
    ("processor", "words"),
    [
        (
            transformers.TextNetImageProcessor(),
            "An image of 1 x 65,535 pixels would become one of 640 x 41,942,400 for this network, "
            "more than the 16,777,216 pixels allowed. Crop it, or cut it into pieces.",
        ),
        (transformers.ViTImageProcessor(size={"shortest_edge": 224}), "224 x 14,679,840"),
        (transformers.ConditionalDetrImageProcessor(), "less than a pixel wide"),
        (
            transformers.EomtImageProcessor(size={"shortest_edge": 512}, do_split_image=True),
            "512 x 33,553,920",
        ),
        (transformers.Owlv2ImageProcessor(), "65,535 x 65,535"),
        (transformers.ViTImageProcessor(size={"height": 9999, "width": 9999}), "9,999 x 9,999"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_crop_makes_smaller_is_refused_in_words(processor, words):
    with pytest.raises(ImageError, match=re.escape(words)):
        prepared(processor, THIN)


def test_an_image_that_is_not_scaled_may_be_as_large_as_one_that_is():
    processor = transformers.ViTImageProcessor(do_resize=False, do_rescale=False)
    with pytest.raises(ImageError, match="5,000 x 4,000"):
        prepared(processor, Image.new("RGB", (5000, 4000)))


def test_refused_images_are_named_and_cost_no_other(tmp_path):
    segmentation_families.build("eomt_semantic", tmp_path)
    model = pvzoo.load(tmp_path, task="semantic", device="cpu")
    images = [noise(64, 48), THIN, noise(48, 64)]
    refused: list[ImageError] = []
    found = list(model.stream(images, on_error=refused.append))
    assert [result.size for result in found] == [(48, 64), (64, 48)]
    assert [(error.index, error.source) for error in refused] == [
        (1, "image 1 (PIL image, 1x65535)")
    ]
    assert "image 1 (PIL image, 1x65535): An image of 1 x 65,535 pixels would" in str(refused[0])
    with pytest.raises(ImageError, match="would become one of"):
        model.outputs(THIN)


def test_an_image_too_long_for_a_map_is_refused(tmp_path):
    segmentation_families.build("segformer", tmp_path)
    model = pvzoo.load(tmp_path, device="cpu")
    assert model.predict(Image.new("RGB", (2, MAX_SIDE))).size == (MAX_SIDE, 2)
    with pytest.raises(ImageError, match="too long to be segmented"):
        model.predict(Image.new("RGB", (2, MAX_SIDE + 1)))


@pytest.mark.usefixtures("own_cache")
def test_training_names_an_image_that_it_cannot_use(tmp_path):
    detection_families.build("yolos", tmp_path / "model")
    images = tmp_path / "data" / "train"
    images.mkdir(parents=True)
    lines = []
    for i, image in enumerate([noise(64, 48), noise(3, 15000)]):
        image.save(images / f"{i}.png")
        box = [0, 0, image.width, image.height]
        row = {"id": i, "file_name": f"{i}.png", "width": box[2], "height": box[3]}
        lines.append((row, {"id": i, "image_id": i, "category_id": 1, "bbox": box}))
    rows, objects = map(list, zip(*lines, strict=True))
    labels = {"images": rows, "annotations": objects, "categories": [{"id": 1, "name": "car"}]}
    (images / "_annotations.coco.json").write_text(json.dumps(labels))
    model = pvzoo.load(tmp_path / "model", device="cpu")
    with pytest.raises(ImageError, match=r"less than a pixel wide.*It is one of .*1\.png"):
        model.fine_tune(
            tmp_path / "data", epochs=1, batch_size=1, augment=False, output_dir=tmp_path / "run"
        )
