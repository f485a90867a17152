"""Small random checkpoints of every family, as transformers itself writes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import detection_families
import pytest
import text_families
import torch
import transformers
from checkpoints import made_once, randomise
from hub_server import hub  # noqa: F401 (a fixture)

_SIDE = 64
_PROMPTS = {"hidden_size": 32, "image_size": _SIDE, "patch_size": 8, "mask_input_channels": 4}
_DECODER = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 16,
}


def _sam(kind: str) -> tuple[Any, Any]:
    vision = {
        "hidden_size": 16,
        "output_channels": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": _SIDE,
        "patch_size": 8,
        "window_size": 4,
        "global_attn_indexes": [1],
        "num_pos_feats": 16,
        "mlp_dim": 32,
    }
    decoder = {**_DECODER, "vit_dim": 16} if kind == "SamHQ" else _DECODER
    config = getattr(transformers, f"{kind}Config")(
        vision_config=vision, prompt_encoder_config=_PROMPTS, mask_decoder_config=decoder
    )
    square = {"height": _SIDE, "width": _SIDE}
    processor = transformers.SamImageProcessor(size={"longest_edge": _SIDE}, pad_size=square)
    return getattr(transformers, f"{kind}Model")(config), processor


def _sam2(kind: str) -> tuple[Any, Any]:
    vision = {
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "image_size": [128, 128],
            "blocks_per_stage": [1, 1, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 1, 2, 2],
            "global_attention_blocks": [3],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
        "fpn_hidden_size": 32,
    }
    more: dict[str, Any] = {}
    if kind == "Sam2Video":  # what it needs besides; not used for single images
        more = {
            "image_size": 128,
            "memory_attention_hidden_size": 32,
            "memory_attention_num_layers": 1,
            "memory_attention_feed_forward_hidden_size": 32,
            "memory_encoder_hidden_size": 32,
            "memory_encoder_output_channels": 8,
            "mask_downsampler_embed_dim": 32,
            "memory_fuser_embed_dim": 32,
            "memory_fuser_intermediate_dim": 32,
            "memory_attention_rope_feat_sizes": [8, 8],
        }
    config = getattr(transformers, f"{kind}Config")(
        vision_config=vision,
        prompt_encoder_config={**_PROMPTS, "image_size": 128, "patch_size": 16},
        mask_decoder_config=_DECODER,
        **more,
    )
    processor = transformers.Sam2ImageProcessor(size={"height": 128, "width": 128})
    return getattr(transformers, f"{kind}Model")(config), processor


_FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "sam": lambda: _sam("Sam"),
    "sam_hq": lambda: _sam("SamHQ"),
    "sam2": lambda: _sam2("Sam2"),
    "sam2_video": lambda: _sam2("Sam2Video"),
}


def _write(family: str, folder: Path) -> None:
    if family == "rt_detr_v2":  # a detector, for `masks_from`
        return detection_families.build(family, folder)
    if family == "owlv2":  # one that is asked in words
        return text_families.build(family, folder)
    torch.manual_seed(0)
    model, processor = _FAMILIES[family]()
    randomise(model).save_pretrained(folder)
    processor.save_pretrained(folder)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's small random checkpoint."""
    return made_once(tmp_path_factory, _write)
