"""Small segmentation checkpoints of every family, with random weights that find something.

``build("mask2former_swin_panoptic", folder)`` writes a model and its processor which the Auto
classes open as they would a published checkpoint.  The weights are random but seeded, and a few
last layers are fitted to synthetic images so that the outputs look like a trained model's:
many queries are sure of their class, the classes differ, and the masks have shapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor, nn

LABELS = 8
"""How many classes every model has; the first five count as things, the last three as stuff."""

STUFF = frozenset({5, 6, 7})
QUERIES = 24
_EXAMPLES = 4
_NAMES = {index: f"class {index}" for index in range(LABELS)}
_TASKS = ("semantic", "instance", "panoptic")
_SWIN = {
    "image_size": 64,
    "patch_size": 4,
    "embed_dim": 16,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 2, 2, 2],
    "window_size": 4,
    "drop_path_rate": 0.0,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
_RESNET = {
    "embedding_size": 16,
    "hidden_sizes": [16, 24, 32, 48],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}
_CONVNEXT = {
    "hidden_sizes": [16, 24, 32, 48],
    "depths": [1, 1, 1, 1],
    "drop_path_rate": 0.0,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}


@dataclass(frozen=True)
class Family:
    """How to make one kind of checkpoint, and what it is for.

    ``auto`` names the Auto class which opens it, ``tasks`` what its authors use it for.
    """

    auto: str
    tasks: tuple[str, ...]
    make: Callable[[], tuple[nn.Module, Any]]
    fit: Callable[[nn.Module, dict[str, Any]], None]


# ---------------------------------------------------------------------------------------------
# Weights
# ---------------------------------------------------------------------------------------------


def example_image(width: int = 96, height: int = 80, seed: int = 0) -> Image.Image:
    """Make an image with soft blobs and some hard edges."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, 6, 6), generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)[0]
    for _ in range(6):
        top, left = (torch.rand(2, generator=generator) * 0.7).tolist()
        tall, wide = (0.1 + torch.rand(2, generator=generator) * 0.3).tolist()
        rows = slice(int(top * height), int((top + tall) * height))
        columns = slice(int(left * width), int((left + wide) * width))
        smooth[:, rows, columns] = torch.rand((3, 1, 1), generator=generator)
    array = (smooth * 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array)


_BRANCH_ENDS = tuple(
    f"{layer}.weight" for layer in ("out_proj", "o_proj", "output_proj", "fc2", "linear2")
)
"""Last layers of a transformer's branches: small, or all tokens would become the same."""


def _randomise(model: nn.Module, generator: torch.Generator) -> None:
    """Draw all matrices so that signals keep their size from layer to layer."""
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "layer_scale" in name or "lambda" in name:
                value.fill_(0.5)
            elif id(value) in embeddings or "position" in name or "token" in name:
                value.copy_(torch.randn(value.shape, generator=generator))
            elif value.ndim > 1:
                fan_in = max(1, math.prod(value.shape[1:]))
                noise = torch.randn(value.shape, generator=generator)
                gain = 0.3 if name.endswith(_BRANCH_ENDS) else 1.2
                value.copy_(noise * (gain / math.sqrt(fan_in)))


def _outputs_of(model: nn.Module, layer: nn.Module, inputs: dict[str, Any]) -> Tensor:
    """Run the model; give what the layer returned the last time it was called."""
    seen: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _module, _args, output: seen.append(output))
    with torch.no_grad():
        model(**inputs)
    handle.remove()
    return seen[-1].detach().float()


def _rescale(layer: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Replace the layer's output ``y`` by ``y * scale + shift``, channel by channel."""
    with torch.no_grad():
        weight = layer.weight
        bias = layer.bias if layer.bias is not None else torch.zeros(weight.shape[0])
        weight.mul_(scale.reshape(-1, *[1] * (weight.ndim - 1)))
        updated = bias * scale + shift
        if layer.bias is None:
            layer.bias = nn.Parameter(updated)
        else:
            layer.bias.copy_(updated)


def _standardise(
    model: nn.Module,
    layer: nn.Module,
    inputs: dict[str, Any],
    *,
    channel: int,
    std: float,
    mean: float = 0.0,
) -> None:
    """Give each of the layer's channels this mean and deviation over the examples."""
    output = _outputs_of(model, layer, inputs).movedim(channel, 0).flatten(1)
    scale = std / output.std(dim=1).clamp(min=1e-6)
    _rescale(layer, scale, mean - output.mean(dim=1) * scale)


def _assign_classes(
    model: nn.Module, layer: nn.Linear, inputs: dict[str, Any], queries: int = QUERIES
) -> None:
    """Teach the class layer one class for each query, with a margin of its own.

    Every fifth query learns "no object".  Ridge regression on the queries' vectors; where these
    change much from image to image it remains unsure, hence the logits are stretched then.
    """
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    with torch.no_grad():
        model(**inputs)
    handle.remove()
    labels = layer.out_features - 1
    vectors = seen[-1].detach().double()
    if vectors.shape[-2] != queries:
        vectors = vectors.transpose(-3, -2)
    vectors = vectors.reshape(-1, queries, vectors.shape[-1])
    targets = torch.zeros((queries, labels + 1), dtype=torch.float64)
    for query in range(queries):
        label = labels if query % 5 == 4 else (3 * query) % labels
        targets[query, label] = 4.0 + 6.0 * ((7 * query) % queries) / queries
    known = nn.functional.pad(vectors, (0, 1), value=1.0).flatten(0, 1)
    wanted = targets.repeat(vectors.shape[0], 1)
    ridge = 0.01 * len(known) * torch.eye(known.shape[1], dtype=torch.float64)
    solved = torch.linalg.solve(known.T @ known + ridge, known.T @ wanted)
    best = (known @ solved).topk(2, dim=-1).values
    solved *= max(1.0, 4.0 / float((best[:, 0] - best[:, 1]).median()))
    with torch.no_grad():
        layer.weight.copy_(solved[:-1].T)
        layer.bias.copy_(solved[-1])


def _fix_channel(layer: nn.Module, value: float) -> None:
    """Make the layer's channel 0 constant."""
    with torch.no_grad():
        layer.weight[0] = 0
        layer.bias[0] = value


def _fit_queries(
    classes: str,
    pixels: str,
    queries: str,
    *,
    no_object: bool = True,
    count: int = QUERIES,
) -> Callable[[nn.Module, dict[str, Any]], None]:
    """Fit a model whose mask logits are products of query vectors and pixel vectors.

    The pixel vectors get mean 0 and deviation 1 in each channel and so do the query vectors;
    one channel is constant and lowers all the logits, which leaves each query a small part of
    the image.
    """

    def fit(model: nn.Module, inputs: dict[str, Any]) -> None:
        pixel_layer = model.get_submodule(pixels)
        query_layer = model.get_submodule(queries)
        class_layer = model.get_submodule(classes)
        _standardise(model, pixel_layer, inputs, channel=1, std=1.0)
        _fix_channel(pixel_layer, 1.0)
        size = query_layer.weight.shape[0]
        _standardise(model, query_layer, inputs, channel=-1, std=5.0 / math.sqrt(size))
        _fix_channel(query_layer, -8.0)
        if no_object:
            _assign_classes(model, class_layer, inputs, count)
        else:
            _standardise(model, class_layer, inputs, channel=-1, std=2.0, mean=-2.0)

    return fit


def _spread_queries(decoder: nn.Module) -> None:
    """Make a DETR decoder's queries differ, which all start at zero: each looks somewhere else."""
    with torch.no_grad():
        for layer in decoder.layers:
            layer.encoder_attn.q_proj.weight.mul_(4.0)
            layer.encoder_attn.o_proj.weight.mul_(8.0)
            layer.self_attn.o_proj.weight.mul_(0.2)


def _fit_maskformer(model: nn.Module, inputs: dict[str, Any]) -> None:
    transformer = model.model.transformer_module
    _standardise(model, transformer.input_projection, inputs, channel=1, std=1.0)
    _spread_queries(transformer.decoder)
    fit = _fit_queries(
        "class_predictor",
        "model.pixel_level_module.decoder.mask_projection",
        "mask_embedder.2.0",
    )
    fit(model, inputs)


def _fit_detr(model: nn.Module, inputs: dict[str, Any]) -> None:
    """Fit DETR, whose masks differ between queries only by their attention to the image."""
    _standardise(model, model.detr.model.input_projection, inputs, channel=1, std=1.0)
    _spread_queries(model.detr.model.decoder)
    heads = model.config.encoder_attention_heads
    with torch.no_grad():
        model.bbox_attention.k_proj.weight.mul_(2.0)
        model.mask_head.conv1.conv.weight[:, -heads:].mul_(60.0)
        for stage in model.mask_head.fpn_stages:
            stage.fpn_adapter.weight.mul_(0.1)
    _assign_classes(model, model.detr.class_labels_classifier, inputs)
    _standardise(model, model.mask_head.output_conv, inputs, channel=1, std=4.0, mean=-3.0)


def _fit_pixels(layer: str, *, channel: int = 1) -> Callable[[nn.Module, dict[str, Any]], None]:
    """Fit a model which scores the classes of each pixel."""

    def fit(model: nn.Module, inputs: dict[str, Any]) -> None:
        _standardise(model, model.get_submodule(layer), inputs, channel=channel, std=2.0)

    return fit


# ---------------------------------------------------------------------------------------------
# Models with queries
# ---------------------------------------------------------------------------------------------


def _named(config: Any) -> Any:
    config.id2label = dict(_NAMES)
    config.label2id = {name: index for index, name in _NAMES.items()}
    return config


def _mask2former(backbone: str) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        kinds = {"swin": transformers.SwinConfig(**_SWIN), "resnet": _resnet_config()}
        config = transformers.Mask2FormerConfig(
            backbone_config=kinds[backbone],
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_feedforward_dim=32,
            encoder_layers=1,
            decoder_layers=3,
            num_attention_heads=4,
            dim_feedforward=32,
            num_queries=QUERIES,
        )
        processor = transformers.Mask2FormerImageProcessor(
            size={"shortest_edge": 64, "longest_edge": 96}, size_divisor=32
        )
        return transformers.Mask2FormerForUniversalSegmentation(_named(config)), processor

    return make


def _resnet_config() -> Any:
    return transformers.ResNetConfig(**_RESNET)


def _maskformer() -> tuple[nn.Module, Any]:
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.SwinConfig(**_SWIN),
        decoder_config=transformers.DetrConfig(
            d_model=32,
            encoder_layers=1,
            decoder_layers=2,
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            num_queries=QUERIES,
        ),
        fpn_feature_size=32,
        mask_feature_size=32,
    )
    processor = transformers.MaskFormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 96}, size_divisor=32
    )
    return transformers.MaskFormerForInstanceSegmentation(_named(config)), processor


def _clip_tokenizer() -> Any:
    """Make a CLIP tokenizer which knows the words of the three task prompts."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    vocabulary: dict[str, int] = {}
    merges: list[tuple[str, str]] = []
    for letter in letters:
        vocabulary[letter] = len(vocabulary)
    for letter in letters:
        vocabulary[f"{letter}</w>"] = len(vocabulary)
    for word in ("the", "task", "is", *_TASKS):
        whole = word[0]
        for index, letter in enumerate(word[1:], start=1):
            last = f"{letter}</w>" if index == len(word) - 1 else letter
            if (whole, last) not in merges:
                merges.append((whole, last))
            whole += last
            vocabulary.setdefault(whole, len(vocabulary))
    vocabulary["<|startoftext|>"] = len(vocabulary)
    vocabulary["<|endoftext|>"] = len(vocabulary)
    return transformers.CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=77)


def _oneformer() -> tuple[nn.Module, Any]:
    config = transformers.OneFormerConfig(
        backbone_config=transformers.SwinConfig(**_SWIN),
        num_queries=QUERIES,
        conv_dim=32,
        mask_dim=32,
        hidden_dim=32,
        encoder_feedforward_dim=32,
        encoder_layers=1,
        decoder_layers=3,
        num_attention_heads=4,
        dim_feedforward=32,
        query_dec_layers=1,
        text_encoder_width=32,
        text_encoder_num_layers=1,
    )
    images = transformers.OneFormerImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 96},
        num_labels=LABELS,
        num_text=QUERIES,
        metadata={
            **{str(index): name for index, name in _NAMES.items()},
            "class_names": list(_NAMES.values()),
            "thing_ids": [index for index in _NAMES if index not in STUFF],
        },
    )
    processor = transformers.OneFormerProcessor(images, _clip_tokenizer())
    return transformers.OneFormerForUniversalSegmentation(_named(config)), processor


def eomt_processor(split: bool) -> Any:
    """Semantic checkpoints cut the image into windows, the others pad it to a square."""
    if split:
        return transformers.EomtImageProcessor(
            size={"shortest_edge": 64, "longest_edge": None}, do_split_image=True, do_pad=False
        )
    return transformers.EomtImageProcessor(
        size={"shortest_edge": 64, "longest_edge": 64}, do_split_image=False, do_pad=True
    )


def _eomt(*, split: bool) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        config = transformers.EomtConfig(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=64,
            patch_size=8,
            num_blocks=2,
            num_upscale_blocks=1,
            num_queries=QUERIES,
        )
        return transformers.EomtForUniversalSegmentation(_named(config)), eomt_processor(split)

    return make


def _eomt_dinov3(*, split: bool) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        config = transformers.EomtDinov3Config(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=64,
            image_size=64,
            patch_size=8,
            num_blocks=2,
            num_upscale_blocks=1,
            num_queries=QUERIES,
        )
        model = transformers.EomtDinov3ForUniversalSegmentation(_named(config))
        return model, eomt_processor(split)

    return make


def _fit_eomt(model: nn.Module, inputs: dict[str, Any]) -> None:
    """Published checkpoints end their training with masked attention switched off."""
    model.attn_mask_probs.zero_()
    last = model.config.num_upscale_blocks - 1
    fit = _fit_queries(
        "class_predictor", f"upscale_block.block.{last}.layernorm2d", "mask_head.fc3"
    )
    fit(model, {"pixel_values": inputs["pixel_values"]})


def _detr() -> tuple[nn.Module, Any]:
    config = transformers.DetrConfig(
        backbone_config=_resnet_config(),
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        num_queries=QUERIES,
    )
    _named(config)
    model = transformers.DetrForSegmentation(config)
    processor = transformers.DetrImageProcessor(
        size={"shortest_edge": 128, "longest_edge": 192}, format="coco_panoptic"
    )
    return model, processor


def _rf_detr() -> tuple[nn.Module, Any]:
    config = transformers.RfDetrConfig(
        backbone_config=transformers.RfDetrDinov2Config(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=64,
            patch_size=8,
            num_windows=2,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        d_model=32,
        decoder_ffn_dim=32,
        decoder_n_points=2,
        decoder_layers=2,
        decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4,
        c2f_num_blocks=1,
        num_queries=QUERIES,
        group_detr=1,
        intermediate_size=32,
    )
    model = transformers.RfDetrForInstanceSegmentation(_named(config))
    processor = transformers.RfDetrImageProcessor(size={"height": 64, "width": 64}, do_pad=False)
    return model, processor


# ---------------------------------------------------------------------------------------------
# Models without queries
# ---------------------------------------------------------------------------------------------


def _segformer() -> tuple[nn.Module, Any]:
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 16, 32, 32],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=32,
        mlp_ratios=[2, 2, 2, 2],
        drop_path_rate=0.0,
    )
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
    return transformers.SegformerForSemanticSegmentation(_named(config)), processor


def _upernet(backbone: str) -> Callable[[], tuple[nn.Module, Any]]:
    def make() -> tuple[nn.Module, Any]:
        if backbone == "swin":
            inner: Any = transformers.SwinConfig(**_SWIN)
        else:
            inner = transformers.ConvNextConfig(**_CONVNEXT)
        config = transformers.UperNetConfig(
            backbone_config=inner,
            hidden_size=32,
            auxiliary_in_channels=32 if backbone == "convnext" else 64,
            auxiliary_channels=16,
        )
        processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
        return transformers.UperNetForSemanticSegmentation(_named(config)), processor

    return make


def _beit() -> tuple[nn.Module, Any]:
    config = transformers.BeitConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        use_relative_position_bias=True,
        drop_path_rate=0.0,
        out_indices=[1, 2, 3, 4],
        auxiliary_channels=16,
    )
    processor = transformers.BeitImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, do_reduce_labels=True
    )
    return transformers.BeitForSemanticSegmentation(_named(config)), processor


def _data2vec() -> tuple[nn.Module, Any]:
    config = transformers.Data2VecVisionConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        use_relative_position_bias=True,
        drop_path_rate=0.0,
        out_indices=[0, 1, 2, 3],
        auxiliary_channels=16,
    )
    processor = transformers.BeitImageProcessor(
        size={"height": 64, "width": 64}, do_center_crop=False, do_reduce_labels=True
    )
    return transformers.Data2VecVisionForSemanticSegmentation(_named(config)), processor


def _dpt() -> tuple[nn.Module, Any]:
    config = transformers.DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[16, 16, 32, 32],
        fusion_hidden_size=32,
    )
    processor = transformers.DPTImageProcessor(
        size={"height": 64, "width": 64}, keep_aspect_ratio=False, ensure_multiple_of=16
    )
    return transformers.DPTForSemanticSegmentation(_named(config)), processor


def _mobilevit() -> tuple[nn.Module, Any]:
    config = transformers.MobileViTConfig(
        image_size=128,
        hidden_sizes=[16, 24, 32],
        neck_hidden_sizes=[8, 8, 16, 16, 24, 32, 48],
        aspp_out_channels=32,
        output_stride=16,
    )
    processor = transformers.MobileViTImageProcessor(
        size={"shortest_edge": 128}, crop_size={"height": 128, "width": 128}
    )
    return transformers.MobileViTForSemanticSegmentation(_named(config)), processor


def _mobilevitv2() -> tuple[nn.Module, Any]:
    config = transformers.MobileViTV2Config(
        image_size=128,
        width_multiplier=0.25,
        n_attn_blocks=[1, 1, 1],
        base_attn_unit_dims=[64, 96, 128],
        aspp_out_channels=32,
        output_stride=16,
    )
    processor = transformers.MobileViTImageProcessor(
        size={"shortest_edge": 128}, crop_size={"height": 128, "width": 128}
    )
    return transformers.MobileViTV2ForSemanticSegmentation(_named(config)), processor


def _mobilenet_v2() -> tuple[nn.Module, Any]:
    config = transformers.MobileNetV2Config(
        image_size=129, depth_multiplier=0.35, output_stride=16, tf_padding=True
    )
    processor = transformers.MobileNetV2ImageProcessor(
        size={"shortest_edge": 129}, crop_size={"height": 129, "width": 129}
    )
    return transformers.MobileNetV2ForSemanticSegmentation(_named(config)), processor


def _sapiens2() -> tuple[nn.Module, Any]:
    config = transformers.Sapiens2Config(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_attention_heads=2,
        num_first_full_attention_layers=1,
        num_last_full_attention_layers=1,
        num_register_tokens=2,
        image_size=[64, 48],
        patch_size=16,
        head_config={"upsample_out_channels": [16, 16], "conv_out_channels": [16]},
    )
    processor = transformers.Sapiens2ImageProcessor(size={"height": 64, "width": 48})
    return transformers.Sapiens2ForSemanticSegmentation(_named(config)), processor


def _tipsv2() -> tuple[nn.Module, Any]:
    config = transformers.Tipsv2DptConfig(
        backbone_config=transformers.Tipsv2VisionConfig(
            hidden_size=32,
            num_hidden_layers=4,
            num_attention_heads=4,
            mlp_ratio=2,
            image_size=56,
            patch_size=14,
            out_indices=[1, 2, 3, 4],
            apply_layernorm=True,
            reshape_hidden_states=False,
        ),
        neck_hidden_sizes=[16, 16, 32, 32],
        fusion_hidden_size=32,
    )
    processor = transformers.Tipsv2DptImageProcessor(size={"height": 56, "width": 56})
    return transformers.Tipsv2DptForSemanticSegmentation(_named(config)), processor


# ---------------------------------------------------------------------------------------------
# All of them
# ---------------------------------------------------------------------------------------------

_SEMANTIC = "AutoModelForSemanticSegmentation"
_UNIVERSAL = "AutoModelForUniversalSegmentation"
_INSTANCE = "AutoModelForInstanceSegmentation"
_MASK2FORMER_LAYERS = (
    "class_predictor",
    "model.pixel_level_module.decoder.mask_projection",
    "model.transformer_module.decoder.mask_predictor.mask_embedder.2.0",
)
_FIT_MASK2FORMER = _fit_queries(*_MASK2FORMER_LAYERS)
_FIT_ONEFORMER = _fit_queries(
    "model.transformer_module.decoder.class_embed",
    "model.pixel_level_module.decoder.mask_projection",
    "model.transformer_module.decoder.mask_embed.layers.2.0",
)
_FIT_RF_DETR = _fit_queries(
    "model.class_embed", "spatial_features_proj", "query_features_proj", no_object=False
)

FAMILIES: dict[str, Family] = {
    "mask2former_swin": Family(_UNIVERSAL, _TASKS, _mask2former("swin"), _FIT_MASK2FORMER),
    "mask2former_resnet": Family(_UNIVERSAL, _TASKS, _mask2former("resnet"), _FIT_MASK2FORMER),
    "maskformer": Family(_UNIVERSAL, ("semantic", "panoptic"), _maskformer, _fit_maskformer),
    "oneformer": Family(_UNIVERSAL, _TASKS, _oneformer, _FIT_ONEFORMER),
    "eomt_semantic": Family(_UNIVERSAL, ("semantic",), _eomt(split=True), _fit_eomt),
    "eomt_panoptic": Family(_UNIVERSAL, ("instance", "panoptic"), _eomt(split=False), _fit_eomt),
    "eomt_dinov3_semantic": Family(_UNIVERSAL, ("semantic",), _eomt_dinov3(split=True), _fit_eomt),
    "eomt_dinov3_panoptic": Family(
        _UNIVERSAL, ("instance", "panoptic"), _eomt_dinov3(split=False), _fit_eomt
    ),
    "detr": Family(_UNIVERSAL, ("instance", "panoptic"), _detr, _fit_detr),
    "rf_detr": Family(_INSTANCE, ("instance",), _rf_detr, _FIT_RF_DETR),
    "segformer": Family(
        _SEMANTIC, ("semantic",), _segformer, _fit_pixels("decode_head.classifier")
    ),
    "upernet_swin": Family(
        _SEMANTIC, ("semantic",), _upernet("swin"), _fit_pixels("decode_head.classifier")
    ),
    "upernet_convnext": Family(
        _SEMANTIC, ("semantic",), _upernet("convnext"), _fit_pixels("decode_head.classifier")
    ),
    "beit": Family(_SEMANTIC, ("semantic",), _beit, _fit_pixels("decode_head.classifier")),
    "data2vec_vision": Family(
        _SEMANTIC, ("semantic",), _data2vec, _fit_pixels("decode_head.classifier")
    ),
    "dpt": Family(_SEMANTIC, ("semantic",), _dpt, _fit_pixels("head.head.4")),
    "mobilevit": Family(
        _SEMANTIC,
        ("semantic",),
        _mobilevit,
        _fit_pixels("segmentation_head.classifier.convolution"),
    ),
    "mobilevitv2": Family(
        _SEMANTIC,
        ("semantic",),
        _mobilevitv2,
        _fit_pixels("segmentation_head.classifier.convolution"),
    ),
    "mobilenet_v2": Family(
        _SEMANTIC,
        ("semantic",),
        _mobilenet_v2,
        _fit_pixels("segmentation_head.classifier.convolution"),
    ),
    "sapiens2": Family(_SEMANTIC, ("semantic",), _sapiens2, _fit_pixels("decode_head.predictor")),
    "tipsv2_dpt": Family(
        _SEMANTIC, ("semantic",), _tipsv2, _fit_pixels("decoder.head", channel=-1)
    ),
}


def build(family: str, folder: Path, seed: int = 0) -> Path:
    """Write a small checkpoint of this family to the folder."""
    kind = FAMILIES[family]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, processor = kind.make()
    model.eval()
    _randomise(model, torch.Generator().manual_seed(seed))
    images = [example_image(seed=seed + index) for index in range(_EXAMPLES)]
    arguments: dict[str, Any] = {"images": images, "return_tensors": "pt"}
    if family == "oneformer":
        arguments["task_inputs"] = ["panoptic"] * _EXAMPLES
    inputs = {
        name: value for name, value in processor(**arguments).items() if name != "patch_offsets"
    }
    kind.fit(model, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def liven_mask2former(
    model: nn.Module, processor: Any, queries: int, images: list[Image.Image], seed: int = 0
) -> None:
    """Give a Mask2Former of any size weights that find segments in these images."""
    _randomise(model, torch.Generator().manual_seed(seed))
    inputs = dict(processor(images=images, return_tensors="pt"))
    _fit_queries(*_MASK2FORMER_LAYERS, count=queries)(model, inputs)


def write_class_info(folder: Path) -> Path:
    """Write the class list that OneFormer's processor otherwise fetches from a data set."""
    path = folder / "classes.json"
    info = {
        str(index): {"name": name, "isthing": int(index not in STUFF)}
        for index, name in _NAMES.items()
    }
    path.write_text(json.dumps(info), encoding="utf-8")
    return path
