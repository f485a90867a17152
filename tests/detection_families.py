"""Small detectors with random weights, one for every object-detection family of transformers.

``build(family, folder)`` writes a model and its image processor with ``save_pretrained``, so
that ``AutoModelForObjectDetection`` and ``AutoImageProcessor`` open the folder as they open a
published checkpoint.  Nothing is downloaded.

A freshly initialised detector answers every image with one box of one class, which hides
mistakes in ordering, selection and label handling.  The weights are therefore redrawn from a
seeded generator, and the last linear layer of each head is drawn in terms of the features it
receives on a few synthetic probe images, so that the detector finds a few dozen boxes of many
classes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as tf
from torch import nn


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


COCO_NAMES = _names(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,"
    "stop sign,parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,"
    "backpack,umbrella,handbag,tie,suitcase,frisbee,skis,snowboard,sports ball,kite,"
    "baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,wine glass,cup,fork,"
    "knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,"
    "chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,"
    "hair drier,toothbrush"
)

# The ids between 0 and 90 which the COCO annotations never use.
COCO_UNUSED_IDS = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)

LAYOUT_NAMES = _names(
    "abstract,algorithm,aside_text,chart,content,display_formula,doc_title,figure_title,footer,"
    "footer_image,footnote,formula_number,header,header_image,image,inline_formula,number,"
    "paragraph_title,reference,reference_content,seal,table,text,vertical_text,vision_footnote"
)

TABLE_NAMES = _names(
    "table,table column,table row,table column header,table projected row header,"
    "table spanning cell"
)

QUERIES = 50
WIDTH = 64


def coco80() -> dict[int, str]:
    """Contiguous ids, as in RT-DETR and D-FINE."""
    return dict(enumerate(COCO_NAMES))


def coco91() -> dict[int, str]:
    """The ids of the COCO annotations, with "N/A" for the unused ones, as in DETR."""
    names = iter(COCO_NAMES)
    return {i: "N/A" if i in COCO_UNUSED_IDS else next(names) for i in range(91)}


def coco80_from_one() -> dict[int, str]:
    """Eighty names for a head of eighty classes, counted from 1."""
    return {i + 1: name for i, name in enumerate(COCO_NAMES)}


# --------------------------------------------------------------------------------------------
# Backbones


def _resnet(*stages: str) -> Any:
    return tf.ResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=list(stages),
    )


def _timm(*indices: int) -> Any:
    return tf.TimmBackboneConfig(
        backbone="test_resnet", out_indices=list(indices), num_channels=3, features_only=True
    )


def _rt_resnet() -> Any:
    return tf.RTDetrResNetConfig(
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


def _hgnet(*stages: str) -> Any:
    return tf.HGNetV2Config(
        stem_channels=[3, 8, 16],
        stage_in_channels=[16, 24, 32, 48],
        stage_mid_channels=[8, 8, 16, 16],
        stage_out_channels=[24, 32, 48, 64],
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[2, 2, 2, 2],
        hidden_sizes=[24, 32, 48, 64],
        depths=[1, 1, 1, 1],
        embedding_size=16,
        out_features=list(stages),
    )


# --------------------------------------------------------------------------------------------
# Options shared by several families

_DETR_SIZES: dict[str, Any] = {
    "d_model": WIDTH,
    "num_queries": QUERIES,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": WIDTH,
    "decoder_ffn_dim": WIDTH,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}

_RT_SIZES: dict[str, Any] = {
    "d_model": WIDTH,
    "num_queries": QUERIES,
    "encoder_hidden_dim": WIDTH,
    "encoder_ffn_dim": WIDTH,
    "decoder_ffn_dim": WIDTH,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "decoder_layers": 2,
    "decoder_in_channels": [WIDTH, WIDTH, WIDTH],
}

_SHORTEST_EDGE = {"shortest_edge": 96, "longest_edge": 160}
_SQUARE = {"height": 128, "width": 128}


@dataclass(frozen=True)
class Recipe:
    """How one family is built."""

    config: Callable[[], Any]
    model: str
    processor: str
    processor_options: dict[str, Any]
    confident: float = 0.7
    """Pairs of a query and a class that score over one half on a probe image, per query."""


def _detr_like(config: str, labels: Callable[[], dict[int, str]], **options: Any) -> Any:
    return getattr(tf, config)(**{**_DETR_SIZES, "id2label": labels(), **options})


def _dab() -> Any:
    sizes = {key: value for key, value in _DETR_SIZES.items() if key != "d_model"}
    return tf.DabDetrConfig(
        **sizes, hidden_size=WIDTH, backbone_config=_resnet("stage4"), id2label=coco91()
    )


def _deformable(labels: Callable[[], dict[int, str]], levels: int, **options: Any) -> Any:
    stages = ("stage2", "stage3", "stage4") if levels > 1 else ("stage4",)
    return _detr_like(
        "DeformableDetrConfig",
        labels,
        backbone_config=_resnet(*stages),
        num_feature_levels=levels,
        **options,
    )


def _rt_like(config: str, backbone: Any, channels: list[int], **options: Any) -> Any:
    return getattr(tf, config)(
        **_RT_SIZES,
        backbone_config=backbone,
        encoder_in_channels=channels,
        **{"id2label": coco80(), **options},
    )


def _yolos() -> Any:
    return tf.YolosConfig(
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=WIDTH,
        image_size=[96, 160],
        num_detection_tokens=QUERIES,
        id2label=coco91(),
    )


def _lw_backbone() -> Any:
    return tf.LwDetrViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=128,
        pretrain_image_size=128,
        num_windows=4,
        window_block_indices=[0],
        out_indices=[2, 3],
    )


def _lw_detr() -> Any:
    return tf.LwDetrConfig(
        backbone_config=_lw_backbone(),
        projector_scale_factors=[1.0],
        d_model=WIDTH,
        num_queries=QUERIES,
        decoder_layers=2,
        decoder_ffn_dim=WIDTH,
        decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4,
        decoder_n_points=2,
        group_detr=2,
        c2f_num_blocks=1,
        id2label=coco91(),
    )


def _rf_detr() -> Any:
    backbone = tf.RfDetrDinov2Config(
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=112,
        patch_size=14,
        num_windows=2,
        out_features=["stage2", "stage3"],
    )
    return tf.RfDetrConfig(
        backbone_config=backbone,
        d_model=WIDTH,
        num_queries=QUERIES,
        decoder_layers=2,
        decoder_ffn_dim=WIDTH,
        decoder_self_attention_heads=4,
        decoder_cross_attention_heads=4,
        decoder_n_points=2,
        group_detr=2,
        c2f_num_blocks=1,
        id2label=coco91(),
    )


def _deimv2(**options: Any) -> Any:
    backbone = options.pop("backbone_config", None) or _hgnet("stage2", "stage3", "stage4")
    channels = options.pop("encoder_in_channels", [32, 48, 64])
    return _rt_like("Deimv2Config", backbone, channels, **options)


def _deimv2_dinov3() -> Any:
    backbone = tf.DINOv3ViTConfig(
        hidden_size=WIDTH,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=WIDTH,
        image_size=128,
        patch_size=16,
        num_register_tokens=2,
        out_indices=[1, 2, 3],
        apply_layernorm=False,
        reshape_hidden_states=True,
    )
    return _deimv2(
        backbone_config=backbone,
        encoder_in_channels=[WIDTH, WIDTH, WIDTH],
        encoder_has_trailing_conv=False,
    )


def _layout(config: str, **options: Any) -> Any:
    stages = ["stage2", "stage3", "stage4"]
    if config == "PPDocLayoutV3Config":
        stages.insert(0, "stage1")
        # Boxes taken from random masks would all be as wide as the image.
        options = {"x4_feat_dim": 24, "mask_feature_channels": [16, 16], "mask_enhanced": False}
    sizes = dict(_RT_SIZES)
    if config == "PPDocLayoutV4Config":
        sizes["hidden_size"] = sizes.pop("d_model")
    return getattr(tf, config)(
        **sizes,
        backbone_config=_hgnet(*stages),
        encoder_in_channels=[32, 48, 64],
        id2label=dict(enumerate(LAYOUT_NAMES)),
        **options,
    )


def _layout_v2() -> Any:
    order = {
        "hidden_size": WIDTH,
        "num_attention_heads": 4,
        "intermediate_size": WIDTH,
        "num_hidden_layers": 1,
        "coordinate_size": 12,
        "shape_size": 8,
        "num_classes": 20,
    }
    count = len(LAYOUT_NAMES)
    return _layout(
        "PPDocLayoutV2Config",
        reading_order_config=order,
        class_thresholds=[0.5] * count,
        class_order=[min(i, 19) for i in range(count)],
    )


RECIPES: dict[str, Recipe] = {
    "detr_timm": Recipe(
        lambda: _detr_like("DetrConfig", coco91, backbone_config=_timm(1, 2, 3, 4)),
        "DetrForObjectDetection",
        "DetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "detr_resnet": Recipe(
        lambda: _detr_like("DetrConfig", coco91, backbone_config=_resnet("stage4")),
        "DetrForObjectDetection",
        "DetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "conditional_detr": Recipe(
        lambda: _detr_like("ConditionalDetrConfig", coco91, backbone_config=_resnet("stage4")),
        "ConditionalDetrForObjectDetection",
        "ConditionalDetrImageProcessor",
        {"size": _SHORTEST_EDGE},
        0.35,
    ),
    "dab_detr": Recipe(
        _dab,
        "DabDetrForObjectDetection",
        "ConditionalDetrImageProcessor",
        {"size": _SHORTEST_EDGE},
        0.1,
    ),
    "deformable_detr_single_scale": Recipe(
        lambda: _deformable(coco80_from_one, 1),
        "DeformableDetrForObjectDetection",
        "DeformableDetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "deformable_detr_box_refine": Recipe(
        lambda: _deformable(coco91, 4, with_box_refine=True),
        "DeformableDetrForObjectDetection",
        "DeformableDetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "deformable_detr_two_stage": Recipe(
        lambda: _deformable(
            coco91, 4, with_box_refine=True, two_stage=True, two_stage_num_proposals=QUERIES
        ),
        "DeformableDetrForObjectDetection",
        "DeformableDetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "table_transformer": Recipe(
        lambda: _detr_like(
            "TableTransformerConfig",
            lambda: dict(enumerate(TABLE_NAMES)),
            backbone_config=_resnet("stage4"),
        ),
        "TableTransformerForObjectDetection",
        "DetrImageProcessor",
        {"size": _SHORTEST_EDGE},
    ),
    "yolos": Recipe(
        _yolos, "YolosForObjectDetection", "YolosImageProcessor", {"size": _SHORTEST_EDGE}
    ),
    "rt_detr": Recipe(
        lambda: _rt_like("RTDetrConfig", _rt_resnet(), [24, 32, 48]),
        "RTDetrForObjectDetection",
        "RTDetrImageProcessor",
        {"size": _SQUARE},
        0.4,
    ),
    "rt_detr_v2": Recipe(
        lambda: _rt_like("RTDetrV2Config", _rt_resnet(), [24, 32, 48]),
        "RTDetrV2ForObjectDetection",
        "RTDetrImageProcessor",
        {"size": _SQUARE},
        0.4,
    ),
    "d_fine": Recipe(
        lambda: _rt_like("DFineConfig", _hgnet("stage2", "stage3", "stage4"), [32, 48, 64]),
        "DFineForObjectDetection",
        "RTDetrImageProcessor",
        {"size": _SQUARE},
    ),
    "deimv2": Recipe(
        _deimv2, "Deimv2ForObjectDetection", "RTDetrImageProcessor", {"size": _SQUARE}
    ),
    "deimv2_dinov3": Recipe(
        _deimv2_dinov3,
        "Deimv2ForObjectDetection",
        "RTDetrImageProcessor",
        {"size": _SQUARE, "do_normalize": True},
    ),
    "lw_detr": Recipe(
        _lw_detr,
        "LwDetrForObjectDetection",
        "DeformableDetrImageProcessor",
        {"size": _SQUARE},
    ),
    "rf_detr": Recipe(
        _rf_detr,
        "RfDetrForObjectDetection",
        "RfDetrImageProcessor",
        {"size": {"height": 112, "width": 112}},
    ),
    "pp_doclayout_v2": Recipe(
        _layout_v2,
        "PPDocLayoutV2ForObjectDetection",
        "PPDocLayoutV2ImageProcessor",
        {"size": _SQUARE},
        1.0,
    ),
    "pp_doclayout_v3": Recipe(
        lambda: _layout("PPDocLayoutV3Config"),
        "PPDocLayoutV3ForObjectDetection",
        "PPDocLayoutV3ImageProcessor",
        {"size": _SQUARE},
        1.0,
    ),
    "pp_doclayout_v4": Recipe(
        lambda: _layout("PPDocLayoutV4Config"),
        "PPDocLayoutV4ForObjectDetection",
        "PPDocLayoutV4ImageProcessor",
        {"size": _SQUARE},
        1.0,
    ),
}

FAMILIES: tuple[str, ...] = tuple(RECIPES)


# --------------------------------------------------------------------------------------------
# Weights

_CLASS_HEAD = re.compile(r"(class_labels_classifier|(?<!denoising_)class_embed|enc_score_head)")
_POSITIONAL = re.compile(r"decoder.*_(content|pos|sine)_proj$")
_BOX_HEAD = re.compile(r"(bbox_predictor|bbox_embed|enc_bbox_head)")


def _draw(shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(shape, generator=generator)


def _redraw(model: nn.Module, exponential: bool, generator: torch.Generator) -> None:
    """Draw every matrix anew at a scale that keeps images distinguishable through the net."""
    done: set[int] = set()
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in done:
                continue
            done.add(id(parameter))
            if isinstance(module, nn.BatchNorm2d):
                parameter.fill_(1.0 if name == "weight" else 0.0)
            elif parameter.ndim < 2:
                continue
            elif isinstance(module, nn.Embedding):
                # Reference boxes have four columns and pass through exp or a sigmoid.
                deviation = 3.0 if parameter.shape[1] > 4 else 0.5 if exponential else 2.0
                parameter.copy_(_draw(parameter.shape, generator) * deviation)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                gain = 2.0 if isinstance(module, nn.Conv2d) else 1.0
                if _POSITIONAL.search(path):
                    # Queries that attend everywhere alike would all see the same.
                    gain = 25.0
                deviation = (gain / parameter[0].numel()) ** 0.5
                parameter.copy_(_draw(parameter.shape, generator) * deviation)
            else:
                parameter.copy_(_draw(parameter.shape, generator) * 0.5)


def _probe_images(seed: int, count: int = 16) -> list[np.ndarray]:
    """Coloured waves behind a few plain rectangles, height 90 and width 120."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:90, 0:120] / 90.0
    images = []
    for _ in range(count):
        image = np.zeros((90, 120, 3))
        for channel in range(3):
            for fx, fy, phase in rng.uniform([-6, -6, 0], [6, 6, 2 * np.pi], (12, 3)):
                wave = np.sin(2 * np.pi * (fx * x + fy * y) + phase)
                image[..., channel] += wave / (1.0 + np.hypot(fx, fy))
        image = (image - image.min()) / (image.max() - image.min())
        image = image ** rng.uniform(0.5, 3.0) * rng.uniform(0.5, 1.0, 3)
        for _ in range(5):
            top, left = rng.integers(0, 70), rng.integers(0, 100)
            height, width = rng.integers(8, 50, 2)
            image[top : top + height, left : left + width] = rng.uniform(0.0, 1.0, 3)
        images.append((image * 255).astype(np.uint8))
    return images


def _heads(model: nn.Module, pattern: re.Pattern[str], outputs: int) -> list[nn.Linear]:
    """The last layers of the heads whose names match, each shared layer once."""
    found: dict[int, nn.Linear] = {}
    for name, module in model.named_modules():
        linear = isinstance(module, nn.Linear) and module.out_features == outputs
        if linear and pattern.search(name):
            found.setdefault(id(module.weight), module)
    return list(found.values())


def _features(
    model: nn.Module, heads: list[nn.Linear] | list[nn.Conv2d], inputs: Any
) -> dict[int, torch.Tensor]:
    """What each head receives in its last call of one forward pass: images x rows x width."""
    seen: dict[int, torch.Tensor] = {}

    def keep(module: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        images = len(inputs["pixel_values"])
        values = args[0].detach()
        if isinstance(module, nn.Conv2d):
            values = values.movedim(1, -1)
        elif values.ndim == 4:  # all decoder layers at once
            values = values[-1]
        seen[id(module.weight)] = values.reshape(images, -1, values.shape[-1])

    handles = [
        module.register_forward_pre_hook(keep)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        and any(module.weight is head.weight for head in heads)
    ]
    try:
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _spread(
    head: nn.Linear | nn.Conv2d,
    features: torch.Tensor,
    gain: float,
    generator: torch.Generator,
) -> None:
    """Draw a head whose outputs over these features have mean 0 and deviation ``gain``.

    What all queries of an image have in common is kept out of the weights, because the queries
    of one image would otherwise answer alike.
    """
    common = features.mean(1)
    mean = common.mean(0)
    within = (features - common[:, None]).flatten(0, 1)
    deviation = within.std(0)
    deviation = deviation.clamp_min(0.1 * float(deviation.mean()))
    weight = _draw(head.weight.flatten(1).shape, generator) / deviation
    basis = torch.linalg.svd(common - mean, full_matrices=False).Vh[:-1]
    weight -= weight @ basis.T @ basis
    weight *= gain / (within @ weight.T).std(0)[:, None]
    head.weight.copy_(weight.view_as(head.weight))
    if head.bias is not None:
        head.bias.copy_(-weight @ mean)


def liven(
    model: Any, processor: Any, confident: float, seed: int, images: list[Any] | None = None
) -> None:
    """Redraw a detector's weights so that it finds boxes of many classes, in these images."""
    generator = torch.Generator().manual_seed(seed)
    # These two scale a reference box by the exponential of what the head says.
    exponential = model.config.model_type in ("lw_detr", "rf_detr")
    inputs = processor(images=images or _probe_images(seed), return_tensors="pt")
    with torch.no_grad():
        _redraw(model, exponential, generator)
        # The features of a random backbone differ little from place to place.
        bridges = [
            module
            for name, module in model.named_modules()
            if isinstance(module, nn.Conv2d) and name.endswith("input_projection")
        ]
        for key, values in _features(model, bridges, inputs).items():
            for bridge in bridges:
                if id(bridge.weight) == key:
                    _spread(bridge, values, 1.0, generator)
        outputs = model(**inputs)
        classes = outputs.logits.shape[-1]
        softmax = classes == model.config.num_labels + 1
        coordinates = outputs.pred_boxes.shape[-1]
        bins = getattr(model.config, "max_num_bins", None)
        # Proposal heads first, since the decoder sees what they choose.
        for pattern, count, gain in (
            (_CLASS_HEAD, classes, 3.0),
            (_BOX_HEAD, coordinates, 0.4 if exponential else 1.0),
            (_BOX_HEAD, coordinates * (bins + 1) if bins else 0, 2.0),
            (_CLASS_HEAD, classes, 5.0 if softmax else 3.0),
        ):
            heads = _heads(model, pattern, count)
            features = _features(model, heads, inputs)
            for head in heads:
                if id(head.weight) in features:
                    _spread(head, features[id(head.weight)], gain, generator)
        # Move the bias so that the wanted number of pairs of a query and a class are over one half.
        logits = model(**inputs).logits
        if softmax:
            margin = logits[..., :-1].logsumexp(-1) - logits[..., -1]
            shift = torch.zeros(classes)
            shift[-1] = torch.quantile(margin, 0.1)
        else:
            wanted = round(confident * logits.shape[0] * logits.shape[1])
            edge = logits.flatten().topk(wanted).values[-1]
            shift = -edge.expand(classes)
        for head in _heads(model, _CLASS_HEAD, classes):
            head.bias.add_(shift)


def build(family: str, folder: Path, seed: int = 0) -> None:
    """Write a small random detector of ``family`` and its image processor to ``folder``."""
    recipe = RECIPES[family]
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        config = recipe.config()
        model = getattr(tf, recipe.model)(config).eval()
    finally:
        torch.set_rng_state(state)
    processor = getattr(tf, recipe.processor)(**recipe.processor_options)
    liven(model, processor, recipe.confident, seed)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
