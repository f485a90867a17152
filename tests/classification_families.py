"""Small random classifiers of the families that `checkpoints` does not have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers
from checkpoints import FAMILIES as USUAL
from checkpoints import randomise

_VIT = USUAL["vit"]
_STAGES = {"embedding_size": 16, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}
_TOWER = {"vision_config": {**_VIT, "projection_dim": 16}, "text_config": {"hidden_size": 16}}

FAMILIES: dict[str, dict[str, Any]] = {
    "bit": {**_STAGES, "num_groups": 4},
    "clip": _TOWER,
    "convnextv2": USUAL["convnext"],
    "cvt": {"embed_dim": [16, 16, 32], "num_heads": [1, 2, 2], "depth": [1, 2, 3]},
    "data2vec-vision": USUAL["beit"],
    "dinov2_with_registers": USUAL["dinov2"],
    "donut-swin": USUAL["swin"],
    "efficientnet": {
        "image_size": 64,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.2,
        "hidden_dim": 320,
    },
    "focalnet": {
        "image_size": 64,
        "embed_dim": 16,
        "hidden_sizes": [16, 16, 32, 32],
        "depths": [1, 1, 1, 1],
    },
    "hgnet_v2": {
        "stem_channels": [3, 8, 16],
        "stage_in_channels": [16, 24, 32, 48],
        "stage_mid_channels": [8, 8, 16, 16],
        "stage_out_channels": [24, 32, 48, 64],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_numb_of_layers": [2, 2, 2, 2],
        "hidden_sizes": [24, 32, 48, 64],
        "depths": [1, 1, 1, 1],
        "embedding_size": 16,
    },
    "hiera": {
        "image_size": [64, 64],
        "embed_dim": 16,
        "depths": [1, 1, 1, 1],
        "num_heads": [1, 1, 2, 2],
        "embed_dim_multiplier": 2.0,
    },
    "ijepa": _VIT,
    "levit": {
        "image_size": 64,
        "hidden_sizes": [16, 32, 48],
        "num_attention_heads": [2, 2, 3],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "metaclip_2": _TOWER,
    "mobilenet_v1": {"image_size": 64, "depth_multiplier": 0.25},
    "mobilenet_v2": {"image_size": 64, "depth_multiplier": 0.25},
    "mobilevitv2": {
        "image_size": 64,
        "width_multiplier": 0.25,
        "n_attn_blocks": [1, 1, 1],
        "base_attn_unit_dims": [64, 96, 128],
    },
    "perceiver": {
        "num_latents": 16,
        "d_latents": 32,
        "num_blocks": 1,
        "num_self_attends_per_block": 2,
        "num_self_attention_heads": 2,
        "d_model": 64,
        "num_cross_attention_heads": 1,
        "image_size": 32,
    },
    "poolformer": {"hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "pp_lcnet": {"scale": 0.25},
    "pvt": {
        "image_size": 64,
        "hidden_sizes": [16, 16, 32, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
    },
    "pvt_v2": {
        "image_size": 64,
        "hidden_sizes": [16, 16, 32, 32],
        "depths": [1, 1, 1, 1],
        "num_attention_heads": [1, 1, 2, 2],
    },
    "regnet": {**_STAGES, "groups_width": 8},
    "segformer": {
        "depths": [1, 1, 1, 1],
        "hidden_sizes": [16, 16, 32, 32],
        "num_attention_heads": [1, 1, 2, 2],
    },
    "siglip": _TOWER,
    "siglip2": {"vision_config": {**_VIT, "num_patches": 16}, "text_config": {"hidden_size": 16}},
    "swiftformer": {"embed_dims": [16, 16, 32, 32], "depths": [1, 1, 1, 1]},
    "swinv2": USUAL["swin"],
    "textnet": {"stem_out_channels": 16, "hidden_sizes": [16, 16, 16, 32, 32], "image_size": 64},
    "vit_msn": _VIT,
}


def build(family: str, folder: Path, labels: tuple[str, ...]) -> None:
    """Write a checkpoint with random weights and an image processor for its size."""
    settings = transformers.CONFIG_MAPPING[family](**FAMILIES[family])
    settings.num_labels = len(labels)  # a field of its own in the config of PVT
    settings.id2label = dict(enumerate(labels))
    settings.label2id = {name: index for index, name in enumerate(labels)}
    heads = transformers.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING[type(settings)]
    head = heads[-2] if isinstance(heads, tuple) else heads  # Perceiver's without weights of places
    vision = getattr(settings, "vision_config", settings)
    side = getattr(vision, "image_size", 64)
    side = side[0] if isinstance(side, list | tuple) else side
    module = randomise(head(settings))
    module.save_pretrained(folder)
    size = {"height": side, "width": side}
    if family == "siglip2":
        processor = transformers.Siglip2ImageProcessor(patch_size=8, max_num_patches=16)
    else:
        processor = transformers.ViTImageProcessor(size=size)
    processor.save_pretrained(folder)
