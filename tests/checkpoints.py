"""Small random checkpoints, as timm and transformers themselves write them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch


def files(folder: Path) -> dict[str, bytes]:
    """The files of a folder, as `HubServer.add_repo` and `commit` take them."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*")}


def made_once(
    tmp_path_factory: pytest.TempPathFactory, write: Callable[[str, Path], None]
) -> Callable[[str], Path]:
    """The folder of a family's checkpoint, which `write` fills when it is first asked for."""

    @cache
    def folder(family: str) -> Path:
        made = tmp_path_factory.mktemp(family)
        write(family, made)
        return made

    return folder


def randomise(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Give every weight and statistic a value of its own, so that none can be lost unnoticed.

    Matrices keep the size of what passes through them, so that outputs depend on inputs.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.rand(tensor.shape, generator=generator) * 2 - 1
            if tensor.ndim > 1:
                tensor.copy_(noise * 2.4 / tensor[0].numel() ** 0.5)
            elif name.endswith(("weight", "running_var")) or "lambda" in name:
                tensor.copy_(1 + noise / 2)
            else:
                tensor.copy_(noise / 5)
    return module.eval()


def timm_folder(
    folder: Path,
    architecture: str = "test_resnet",
    *,
    safe: Any = True,
    config: dict[str, Any] | None = None,
    data_config: dict[str, Any] | None = None,
    **kwargs: Any,
) -> torch.nn.Module:
    """Write a checkpoint with timm's own `save_for_hf`; return its network."""
    import timm

    module = randomise(timm.create_model(architecture, pretrained=False, **kwargs))
    timm.models.save_for_hf(
        module, folder, model_config=config, safe_serialization=safe, data_config=data_config
    )
    return module


# One tiny configuration of each family; the head is three classes unless the test says otherwise.
FAMILIES: dict[str, dict[str, Any]] = {
    "vit": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 32,
        "patch_size": 8,
    },
    "deit": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 32,
        "patch_size": 8,
    },
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]},
    "convnext": {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    "swin": {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 4,
        "image_size": 32,
        "patch_size": 4,
    },
    "mobilevit": {
        "hidden_sizes": [16, 16, 16],
        "neck_hidden_sizes": [4, 8, 8, 8, 8, 8, 16],
        "num_attention_heads": 2,
        "image_size": 64,
    },
    "beit": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "image_size": 32,
        "patch_size": 8,
    },
    "dinov2": {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    },
}


def processor_of(family: str) -> Any:
    """The family's own image processor, at the size its tiny configuration takes."""
    import transformers

    name = {"deit": "DeiT", "mobilevit": "MobileViT", "beit": "Beit", "convnext": "ConvNext"}
    size = {"height": 32, "width": 32}
    if family == "mobilevit":  # swaps red and blue
        kind, options = "MobileViT", {"size": {"shortest_edge": 72}, "crop_size": 64}
    elif family in ("resnet", "convnext"):
        kind, options = "ConvNext", {"size": {"shortest_edge": 64}, "crop_pct": 0.875}
    elif family == "dinov2":
        kind, options = "Bit", {"size": {"shortest_edge": 32}, "crop_size": 28}
    elif family in name:
        kind, options = name[family], {"size": size, "crop_size": size}
    else:
        kind, options = "ViT", {"size": size}
    return getattr(transformers, f"{kind}ImageProcessor")(**options)


def transformers_folder(
    folder: Path,
    family: str = "vit",
    *,
    labels: tuple[str, ...] = ("ant", "bee", "cat"),
    head: str = "ForImageClassification",
    dtype: torch.dtype = torch.float32,
    processor: bool = True,
    max_shard_size: str = "5GB",
    **config: Any,
) -> torch.nn.Module:
    """Write a checkpoint with transformers' own `save_pretrained`; return its network."""
    import transformers

    settings = transformers.CONFIG_MAPPING[family](**FAMILIES[family], **config)
    settings.id2label = dict(enumerate(labels))
    settings.label2id = {name: i for i, name in enumerate(labels)}
    base = transformers.MODEL_MAPPING[type(settings)].__name__.removesuffix("Model")
    module = randomise(getattr(transformers, base + head)(settings)).to(dtype)
    module.save_pretrained(folder, max_shard_size=max_shard_size)
    if processor:
        processor_of(family).save_pretrained(folder)
    return module


def as_pickle(folder: Path) -> None:
    """Turn a folder's safetensors file into the ``pytorch_model.bin`` of old repos."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
