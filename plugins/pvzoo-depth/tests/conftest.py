"""Small random checkpoints of every family, as transformers itself writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as tf
from checkpoints import made_once, randomise

DINO = {
    "model_type": "dinov2",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
    "out_indices": [1, 2, 3, 4],
    "reshape_hidden_states": False,
    "apply_layernorm": True,
}
BEIT = {
    "model_type": "beit",
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 64,
    "patch_size": 16,
    "out_indices": [1, 2, 3, 4],
    "reshape_hidden_states": False,
}
NECK = {"neck_hidden_sizes": [16, 16, 32, 32], "fusion_hidden_size": 16}


def _depth_anything(kind: str) -> tuple[Any, Any]:
    config = tf.DepthAnythingConfig(
        backbone_config=DINO,
        reassemble_hidden_size=32,
        head_hidden_size=16,
        depth_estimation_type=kind,
        max_depth=20,
        **NECK,
    )
    processor = tf.DPTImageProcessor(
        size={"height": 56, "width": 56},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        resample=3,
    )
    return tf.DepthAnythingForDepthEstimation(config), processor


def _dpt() -> tuple[Any, Any]:
    config = tf.DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        **NECK,
    )
    return tf.DPTForDepthEstimation(config), tf.DPTImageProcessor(size={"height": 64, "width": 64})


def _zoedepth() -> tuple[Any, Any]:
    config = tf.ZoeDepthConfig(
        backbone_config=BEIT,
        backbone_hidden_size=32,
        bottleneck_features=16,
        num_relative_features=16,
        bin_embedding_dim=16,
        num_attractors=[4, 2, 2, 1],
        bin_configurations=[{"n_bins": 8, "min_depth": 0.001, "max_depth": 10.0}],
        **NECK,
    )
    return tf.ZoeDepthForDepthEstimation(config), tf.ZoeDepthImageProcessor(
        size={"height": 64, "width": 64}
    )


def _glpn() -> tuple[Any, Any]:
    config = tf.GLPNConfig(
        hidden_sizes=[8, 16, 16, 32],
        depths=[1, 1, 1, 1],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )
    return tf.GLPNForDepthEstimation(config), tf.GLPNImageProcessor()


def _depth_pro() -> tuple[Any, Any]:
    dino = {**DINO, "image_size": 16, "patch_size": 4, "reshape_hidden_states": True}
    dino.pop("out_indices")
    config = tf.DepthProConfig(
        patch_size=16,
        image_model_config=dino,
        patch_model_config=dino,
        fov_model_config=dino,
        use_fov_model=True,
        num_fov_head_layers=1,
        fusion_hidden_size=16,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[16, 16],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[16, 16],
    )
    processor = tf.DepthProImageProcessor(size={"height": 64, "width": 64})
    return tf.DepthProForDepthEstimation(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "depth_anything": lambda: _depth_anything("relative"),
    "depth_anything metric": lambda: _depth_anything("metric"),
    "dpt": _dpt,
    "zoedepth": _zoedepth,
    "glpn": _glpn,
    "depth_pro": _depth_pro,
}


def _write(family: str, folder: Path) -> None:
    torch.manual_seed(0)
    model, processor = FAMILIES[family]()
    randomise(model).save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small random checkpoint."""
    return made_once(tmp_path_factory, _write)
