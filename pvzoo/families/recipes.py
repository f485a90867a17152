"""How each family's authors train it, as far as fine-tuning takes it over.

Rates are for the authors' batch sizes; they are used as they are, since AdamW minds the batch size
little and clipping bounds a step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings of AdamW and what goes with it.

    Attributes:
        source: Where the numbers are from.
        rate: Learning rate of all but the backbone.
        backbone: That of the backbone, as a share of `rate`.
        decay: Weight decay; vectors, that is biases and the scales of normalisation, have none.
        clip: Greatest norm of the gradient; 0 for no bound.
        schedule: Trainer's name of how the rate falls after the warm-up.
        warm_up: Share of the steps over which the rate rises from 0.
        average: Decay of the moving average of the weights; None for none.
    """

    source: str
    rate: float
    backbone: float = 0.1
    decay: float = 1e-4
    clip: float = 0.1
    schedule: str = "cosine"
    warm_up: float = 0.05
    average: float | None = None


_DETR = Recipe("facebookresearch/detr, main.py", 1e-4)
_RT_DETR = Recipe(
    "lyuwenyu/RT-DETR, rtdetrv2_pytorch/configs/rtdetrv2/include/optimizer.yml",
    1e-4,
    schedule="constant_with_warmup",
    average=0.9999,
)
_D_FINE = Recipe(
    "Peterande/D-FINE, configs/dfine/include/optimizer.yml",
    2.5e-4,
    0.05,
    1.25e-4,
    schedule="constant_with_warmup",
    average=0.9999,
)
_MASK2FORMER = Recipe(
    "facebookresearch/Mask2Former, configs/coco/panoptic-segmentation/Base-*.yaml",
    1e-4,
    decay=0.05,
    clip=0.01,
    schedule="polynomial",
)
_EOMT = Recipe(
    "tue-mps/eomt, training/mask_classification_semantic.py, with one rate for half of the "
    "layer-wise ones",
    1e-4,
    0.5,
    0.05,
    0.01,
    schedule="polynomial",
)
_SEMANTIC = Recipe(
    "Swin-Transformer-Semantic-Segmentation, configs/swin (UPerNet)",
    6e-5,
    1.0,
    0.01,
    0.0,
    schedule="polynomial",
)
_CLASSIFIER = Recipe(
    "huggingface/transformers, examples/pytorch/image-classification, with a ten times higher "
    "rate for the new head",
    5e-4,
    decay=0.01,
    clip=1.0,
)

RECIPES: dict[str, Recipe] = {
    "detr": _DETR,
    "table-transformer": _DETR,
    "conditional_detr": _DETR,
    "dab-detr": _DETR,
    "deformable_detr": Recipe("fundamentalvision/Deformable-DETR, main.py", 2e-4),
    "yolos": Recipe("hustvl/YOLOS, main.py", 1e-4, 1.0),
    "rt_detr": _RT_DETR,
    "rt_detr_v2": _RT_DETR,
    "d_fine": _D_FINE,
    "deimv2": _D_FINE,
    "lw_detr": Recipe(
        "Atten4Vis/LW-DETR, scripts/lwdetr_small_coco_train.sh", 1e-4, 1.5, average=0.9997
    ),
    "rf_detr": Recipe("roboflow/rf-detr, rfdetr/config.py TrainConfig", 1e-4, 1.5, average=0.993),
    "mask2former": _MASK2FORMER,
    "maskformer": _MASK2FORMER,
    "eomt": _EOMT,
    "eomt_dinov3": _EOMT,
    "segformer": Recipe(
        "NVlabs/SegFormer, local_configs/segformer/B0/segformer.b0.512x512.ade.160k.py",
        6e-4,
        decay=0.01,
        clip=0.0,
        schedule="polynomial",
    ),
}
"""By transformers' model type."""

DEFAULTS = {
    "image-classification": _CLASSIFIER,
    "object-detection": _DETR,
    "instance-segmentation": _MASK2FORMER,
    "panoptic-segmentation": _MASK2FORMER,
    "semantic-segmentation": _SEMANTIC,
}
"""By task, for families without a recipe of their own."""


def recipe(family: str | None, task: str) -> Recipe:
    """The recipe of a family, else that of the task."""
    return RECIPES.get(family or "") or DEFAULTS[task]
