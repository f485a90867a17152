"""Whole models at their real size, with random weights, from the Hub by their catalogue names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import reference_segmentation as reference
import torch
import transformers
from detection_families import coco91, liven
from hub_server import HubServer, redirect_client
from PIL import Image
from segmentation_families import liven_mask2former

import pvzoo

pytestmark = pytest.mark.slow

THINGS_AND_STUFF = Path(pvzoo.__file__).parent / "families" / "things_and_stuff.json"
COCO = json.loads(THINGS_AND_STUFF.read_text())["coco-panoptic-133"]


@pytest.fixture(scope="session")
def coffee() -> Image.Image:
    import skimage

    return Image.open(Path(skimage.__file__).parent / "data" / "coffee.png").convert("RGB")


def serve(hub: HubServer, repo: str, folder: Path) -> None:
    hub.add_repo(repo, {p.name: p.read_bytes() for p in folder.iterdir()})


@pytest.fixture
def cached_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    with HubServer() as server:
        redirect_client(monkeypatch, server, tmp_path / "hf-home")
        yield server


# --- DETR -----------------------------------------------------------------------------------------

# What facebook/detr-resnet-50 says, but for what is transformers' default.
DETR = {
    "architectures": ["DetrForObjectDetection"],
    "model_type": "detr",
    "activation_function": "relu",
    "auxiliary_loss": False,
    "backbone": "resnet50",
    "backbone_config": None,
    "backbone_kwargs": {"in_chans": 3, "out_indices": [1, 2, 3, 4]},
    "d_model": 256,
    "decoder_attention_heads": 8,
    "decoder_ffn_dim": 2048,
    "decoder_layers": 6,
    "dilation": False,
    "encoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "encoder_layers": 6,
    "id2label": {str(i): name for i, name in coco91().items()},
    "num_channels": 3,
    "num_queries": 100,
    "position_embedding_type": "sine",
    "scale_embedding": False,
    "use_pretrained_backbone": True,
    "use_timm_backbone": True,
}


@pytest.fixture(scope="session")
def detr(tmp_path_factory: pytest.TempPathFactory, coffee: Image.Image) -> Path:
    """DETR of the real size whose random weights find a few dozen boxes of many classes."""
    folder = tmp_path_factory.mktemp("detr")
    own = {k: v for k, v in DETR.items() if not k.startswith(("backbone", "use_"))}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = transformers.DetrForObjectDetection(transformers.DetrConfig.from_dict(own)).eval()
    processor = transformers.DetrImageProcessor()
    liven(module, processor, 0.7, 0, [coffee, coffee.transpose(Image.Transpose.ROTATE_180)])
    module.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(DETR))
    return folder


def test_detr_from_the_catalogue_equals_transformers(cached_hub, detr, coffee):
    serve(cached_hub, "facebook/detr-resnet-50", detr)
    model = pvzoo.load("detr-resnet50", device="cpu")
    assert {r.path for r in cached_hub.requests if "resnet50" in r.path} == set()  # the backbone
    found = model.predict(coffee, threshold=0.3)
    assert len(found) >= 20
    assert len(set(found.names)) >= 5

    config = {k: v for k, v in DETR.items() if not k.startswith(("backbone", "use_"))}
    config = transformers.DetrConfig.from_dict(config)
    module = transformers.AutoModelForObjectDetection.from_pretrained(detr, config=config).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(detr)
    with torch.inference_mode():
        outputs = module(**processor(images=coffee, return_tensors="pt"))
    theirs = processor.post_process_object_detection(
        outputs, threshold=0.3, target_sizes=[coffee.size[::-1]]
    )[0]
    named = np.array([bool(model.labels[i]) for i in theirs["labels"]])
    for name in ("scores", "labels", "boxes"):
        np.testing.assert_array_equal(getattr(found, name), theirs[name].numpy()[named])


# --- Mask2Former ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def mask2former(tmp_path_factory: pytest.TempPathFactory, coffee: Image.Image) -> Path:
    """Mask2Former with Swin-T of the real size whose random weights find several segments."""
    folder = tmp_path_factory.mktemp("mask2former")
    backbone = transformers.SwinConfig(
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )
    names = dict(enumerate(entry["name"] for entry in COCO))
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, num_queries=100, id2label=names
    )
    processor = transformers.Mask2FormerImageProcessor(
        size={"height": 384, "width": 384}, size_divisor=32, ignore_index=255
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = transformers.Mask2FormerForUniversalSegmentation(config).eval()
    images = [coffee, coffee.transpose(Image.Transpose.ROTATE_180)]
    liven_mask2former(module, processor, 100, images)
    module.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def test_mask2former_from_the_catalogue_equals_its_authors_inference(
    cached_hub, mask2former, coffee
):
    serve(cached_hub, "facebook/mask2former-swin-tiny-coco-panoptic", mask2former)
    model = pvzoo.load("mask2former-swin-tiny-coco-panoptic", device="cpu")
    assert model.task == "panoptic-segmentation"
    found = model.predict(coffee, threshold=0.5)
    assert len(found) >= 4
    assert {s.is_thing for s in found.segments} == {True, False}

    auto = transformers.AutoModelForUniversalSegmentation
    module = auto.from_pretrained(mask2former).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(mask2former)
    inputs = processor(images=coffee, return_tensors="pt")
    with torch.inference_mode():
        outputs = module(pixel_values=inputs["pixel_values"])
    padded = tuple(inputs["pixel_values"].shape[-2:])
    expected = reference.mask2former_panoptic(
        outputs.class_queries_logits[0],
        outputs.masks_queries_logits[0],
        padded_size=padded,
        valid_size=padded,
        image_size=coffee.size[::-1],
        stuff=reference.COCO_PANOPTIC_STUFF,
        score_threshold=0.5,
    )
    assert np.count_nonzero(found.map != expected.ids + 1) <= found.map.size * 1e-4
    assert [(s.label, s.is_thing) for s in found.segments] == [
        (s.label, s.isthing) for s in expected.segments
    ]
    for ours, theirs in zip(found.segments, expected.segments, strict=True):
        assert ours.name == COCO[ours.label]["name"]
        assert ours.score == pytest.approx(theirs.score, abs=1e-5)
