"""Preprocessing as data gives what torchvision, timm and transformers give, to the bit."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import timm.data
import torch
import transformers
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from pvzoo.errors import UnsupportedModelError, UsageError
from pvzoo.preprocess.compare import ROUNDING, THOROUGH, difference, probes
from pvzoo.preprocess.derive import _PROCESSORS, steps_of, timm_steps
from pvzoo.preprocess.floats import resize_float
from pvzoo.preprocess.resize import resize_uint8
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import CenterCrop, Constant, Pad, Resize, from_json, to_json

RNG = np.random.default_rng()
WORDS = {"bilinear": 2, "bicubic": 3, "lanczos": 1}

native = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="torch scales uint8 images in another way on this processor",
)


def _image(height: int, width: int) -> np.ndarray:
    pixels = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return np.where(pixels > 127, 255, 0).astype(np.uint8) if RNG.integers(3) == 0 else pixels


def _torchvision(pixels: np.ndarray, size: list[int], filter: str, antialias: bool) -> np.ndarray:
    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    mode = InterpolationMode(filter)
    found = functional.resize(planes, size, interpolation=mode, antialias=antialias)
    return found.permute(1, 2, 0).numpy()


@native
@pytest.mark.parametrize(
    ("filter", "antialias"),
    [
        ("bilinear", True),
        ("bicubic", True),
        ("lanczos", True),
        ("bilinear", False),
        ("bicubic", False),
    ],
)
def test_bytes_are_scaled_as_torchvision_scales_them(filter: str, antialias: bool) -> None:
    for place in range(40):
        high = 2500 if place % 10 == 0 else 300
        height, width = RNG.integers(1, high, 2).tolist()
        size = RNG.integers(1, 300, 2).tolist()
        if place % 5 == 0:
            size[place // 5 % 2] = (height, width)[place // 5 % 2]
        pixels = _image(height, width)
        found = resize_uint8(pixels, *size, filter, antialias=antialias)
        wanted = _torchvision(pixels, size, filter, antialias)
        assert np.array_equal(found, wanted), (filter, antialias, height, width, size)


@native
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
def test_images_that_are_nearly_black_or_white_are_scaled_so_too_when_they_shrink_much(
    filter: str,
) -> None:
    """Where sums of 16-bit weights and pixels are at the end of what a float can hold."""
    for _ in range(30):
        height, width = RNG.integers(1, 40), RNG.integers(300, 3000)
        size = [int(RNG.integers(1, 40)), int(width // RNG.integers(4, 9))]
        pixels = np.where(RNG.random((height, width, 3)) < 0.02, RNG.integers(256), 0)
        pixels = (pixels if RNG.integers(2) else 255 - pixels).astype(np.uint8)
        found = resize_uint8(pixels, *size, filter)
        assert np.array_equal(found, _torchvision(pixels, size, filter, True)), (width, size)


def test_floats_are_scaled_as_torch_scales_them_but_for_rounding() -> None:
    for _ in range(20):
        height, width = RNG.integers(1, 400, 2).tolist()
        size = RNG.integers(1, 300, 2).tolist()
        planes = RNG.random((1, 3, height, width), dtype=np.float32)
        wanted = torch.nn.functional.interpolate(torch.from_numpy(planes), size, mode="bilinear")
        gap = np.abs(resize_float(planes, *size) - wanted.numpy()).max()
        assert gap < 2e-7, (height, width, size)


def _prepared(processor: Any, image: Image.Image) -> dict[str, np.ndarray]:
    more = {"task_inputs": ["semantic"]} if "OneFormer" in type(processor).__name__ else {}
    found = processor(images=image, return_tensors="np", **more)
    names = ["pixel_values"] if more else ["pixel_values", "pixel_mask"]
    return {name: np.asarray(found[name]) for name in names if name in found}


def _assert_equal(processor: Any) -> None:
    steps = from_json(json.loads(json.dumps(to_json(steps_of(processor)))))
    sizes = THOROUGH[:-2]
    if "size_divisor" not in vars(processor) and "Yolos" in type(processor).__name__:
        sizes = [s for s in sizes if max(s) < 6 * min(s)]  # its own sides become zero there
    floats = any(getattr(step, "arithmetic", "") == "float" for step in steps)
    found = difference(
        lambda image: run(steps, image)[0],
        lambda image: _prepared(processor, image),
        sizes,
        tolerance=ROUNDING if floats else 0.0,
    )
    assert found is None, (type(processor).__name__, processor.to_dict(), found)


@native
@pytest.mark.parametrize("name", _PROCESSORS)
def test_steps_give_what_a_processor_gives(name: str) -> None:
    _assert_equal(getattr(transformers, name)())


@native
def test_steps_give_what_processors_with_other_settings_give() -> None:
    tall = {"height": 96, "width": 160}
    bounded = {"shortest_edge": 96, "longest_edge": 160}
    for name, settings in [
        ("ViTImageProcessor", {"do_rescale": False}),
        ("ViTImageProcessor", {"do_normalize": False}),
        ("ViTImageProcessor", {"size": {"max_height": 90, "max_width": 70}}),
        ("BitImageProcessor", {"resample": 0}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 384}}),
        ("ConvNextImageProcessor", {"size": {"shortest_edge": 100}, "crop_pct": 0.9}),
        ("EfficientNetImageProcessor", {"rescale_offset": True}),
        ("EfficientNetImageProcessor", {"include_top": False}),
        ("MobileViTImageProcessor", {"do_flip_channel_order": False}),
        ("DPTImageProcessor", {"do_pad": True, "size_divisor": 32, "size": tall}),
        ("DPTImageProcessor", {"ensure_multiple_of": 14, "size": tall}),
        (
            "DPTImageProcessor",
            {"ensure_multiple_of": 14, "keep_aspect_ratio": True, "size": tall, "resample": 3},
        ),
        ("DPTImageProcessor", {"keep_aspect_ratio": True, "size": tall}),
        ("PoolFormerImageProcessor", {"crop_pct": None}),
        ("DetrImageProcessor", {"size": bounded, "do_pad": False}),
        ("DetrImageProcessor", {"size": tall, "pad_size": {"height": 100, "width": 200}}),
        ("YolosImageProcessor", {"size": bounded}),
        ("RfDetrImageProcessor", {"size": bounded}),
        ("MaskFormerImageProcessor", {"size": bounded, "size_divisor": 0}),
        ("Mask2FormerImageProcessor", {"size": bounded, "size_divisor": 32}),
        ("EomtImageProcessor", {"size": bounded, "do_split_image": False, "do_pad": True}),
        (
            "EomtImageProcessor",
            {"size": {"shortest_edge": 96, "longest_edge": None}, "do_split_image": True},
        ),
    ]:
        _assert_equal(getattr(transformers, name)(**settings))


@native
def test_steps_give_what_processors_of_random_sizes_give() -> None:
    for _ in range(12):
        side, crop, height, width = RNG.integers(20, 260, 4).tolist()
        settings = {
            "size": [{"shortest_edge": side}, {"height": height, "width": width}][RNG.integers(2)],
            "do_center_crop": bool(RNG.integers(2)),
            "crop_size": {"height": crop, "width": int(RNG.integers(20, 260))},
            "resample": [1, 2, 3][RNG.integers(3)],
            "image_mean": RNG.random(3).tolist(),
            "image_std": (RNG.random(3) + 0.1).tolist(),
        }
        _assert_equal(transformers.ViTImageProcessor(**settings))


def test_steps_give_what_timms_evaluation_transform_gives() -> None:
    for index in range(16):
        side, other = RNG.integers(20, 300, 2).tolist()
        squash = index % 3 == 0
        config = {
            "input_size": (3, side, other if squash else side),
            "crop_pct": float(RNG.choice([0.8, 0.875, 0.9, 0.95, 1.0])),
            "crop_mode": "squash" if squash else "center",
            "interpolation": str(RNG.choice(["bilinear", "bicubic", "lanczos", "nearest"])),
            "mean": tuple(RNG.random(3).tolist()),
            "std": tuple((RNG.random(3) + 0.1).tolist()),
        }
        steps = timm_steps(config)
        transform = timm.data.create_transform(**config, is_training=False)
        found = difference(
            lambda image, steps=steps: run(steps, image, "x")[0],
            lambda image, transform=transform: {"x": transform(image)[None].numpy()},
            THOROUGH[:-2],
        )
        assert found is None, (config, found)


@pytest.mark.parametrize(
    ("processor", "word"),
    [
        (lambda: transformers.ImageGPTImageProcessor(clusters=[[0, 0, 0]]), "ImageGPT"),
        (lambda: transformers.Siglip2ImageProcessor(), "Siglip2"),
        (lambda: transformers.ViTImageProcessor(resample=4), "ViTImageProcessor"),
        (lambda: transformers.ViTImageProcessor(size={"longest_edge": 9}), "ViTImageProcessor"),
    ],
)
def test_what_no_step_describes_is_refused_by_name(processor: Any, word: str) -> None:
    with pytest.raises(UnsupportedModelError, match=word):
        steps_of(processor())


def test_timm_transforms_without_a_description_are_refused() -> None:
    config = {"input_size": (3, 64, 64), "crop_mode": "border", "mean": (0,) * 3, "std": (1,) * 3}
    with pytest.raises(UnsupportedModelError, match="border"):
        timm_steps(config)


def test_steps_survive_json_and_unknown_ones_are_refused() -> None:
    steps = (
        Resize("bounded", (800, 1333), "bicubic", 32, "up", "pillow"),
        CenterCrop((224, 224), rounding="even"),
        Pad((9, 9), mask="pixel_mask"),
        Constant("task_inputs", [1, 2, 3]),
    )
    assert from_json(json.loads(json.dumps(to_json(steps)))) == steps
    for bad in ({"step": "Rotate"}, {"step": "Resize", "speed": 1}, {"step": "Resize"}, {}):
        with pytest.raises(UsageError, match="step"):
            from_json([bad])


def test_meta_says_where_the_image_lies_in_the_input() -> None:
    image = Image.new("RGB", (200, 100))
    steps = (
        Resize("shorter", (50,)),
        Pad(multiple=32, mask="pixel_mask"),
        Constant("task", [7, 8]),
    )
    inputs, meta = run(steps, image)
    assert meta == {"size": (100, 200), "valid": (50, 100), "padded": (64, 128)}
    assert inputs["pixel_mask"].sum() == 50 * 100
    assert inputs["task"].tolist() == [[7, 8]]


def test_an_image_that_is_not_changed_stays_untouched() -> None:
    image = next(probes([(20, 10)]))
    before = np.asarray(image).copy()
    run((Resize("exact", (10, 20)),), image)
    assert np.array_equal(np.asarray(image), before)


def test_images_are_prepared_without_a_network_library() -> None:
    code = """
import sys
for name in ("torch", "torchvision", "transformers", "timm", "accelerate", "datasets"):
    sys.modules[name] = None
import pvzoo.preprocess.compare, pvzoo.preprocess.derive
from pvzoo.preprocess.run import run
from pvzoo.preprocess.steps import Normalize, Resize
from PIL import Image
steps = (Resize("exact", (8, 9)), Normalize((1, 2, 3), (4, 5, 6)))
print(run(steps, Image.new("RGB", (20, 30)))[0]["pixel_values"].shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "(1, 3, 8, 9)\n", done.stderr
