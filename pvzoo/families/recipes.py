"""The training settings of each family's authors, as far as fine-tuning uses them.

Rates are for the authors' batch sizes. They are used unchanged, since the batch size matters little
for AdamW, and clipping limits a step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings of AdamW and of the schedule.

    Attributes:
        source: The source of the numbers.
        rate: Learning rate of all but the backbone.
        backbone: Learning rate of the backbone, as a factor of `rate`.
        decay: Weight decay; 0 for vectors (biases and the scales of normalisation).
        clip: Largest norm of the gradient; 0 for no limit.
        schedule: How the rate falls after the warm-up, as `transformers.Trainer` names it.
        warm_up: Share of the steps over which the rate rises from 0.
        average: Decay of the moving average of the weights; None for no average.
    """

    source: str
    rate: float
    backbone: float = 0.1
    decay: float = 1e-4
    clip: float = 0.1
    schedule: str = "cosine"
    warm_up: float = 0.05
    average: float | None = None


DETR = Recipe("facebookresearch/detr, main.py", 1e-4)
DEFORMABLE_DETR = Recipe("fundamentalvision/Deformable-DETR, main.py", 2e-4)
YOLOS = Recipe("hustvl/YOLOS, main.py", 1e-4, 1.0)
LW_DETR = Recipe("Atten4Vis/LW-DETR, scripts/lwdetr_small_coco_train.sh", 1e-4, 1.5, average=0.9997)
RF_DETR = Recipe("roboflow/rf-detr, rfdetr/config.py TrainConfig", 1e-4, 1.5, average=0.993)
RT_DETR = Recipe(
    "lyuwenyu/RT-DETR, rtdetrv2_pytorch/configs/rtdetrv2/include/optimizer.yml",
    1e-4,
    schedule="constant_with_warmup",
    average=0.9999,
)
D_FINE = Recipe(
    "Peterande/D-FINE, configs/dfine/include/optimizer.yml",
    2.5e-4,
    0.05,
    1.25e-4,
    schedule="constant_with_warmup",
    average=0.9999,
)
MASK2FORMER = Recipe(
    "facebookresearch/Mask2Former, configs/coco/panoptic-segmentation/Base-*.yaml",
    1e-4,
    decay=0.05,
    clip=0.01,
    schedule="polynomial",
)
EOMT = Recipe(
    "tue-mps/eomt, training/mask_classification_semantic.py, with one rate for half of the "
    "layer-wise ones",
    1e-4,
    0.5,
    0.05,
    0.01,
    schedule="polynomial",
)
SEGFORMER = Recipe(
    "NVlabs/SegFormer, local_configs/segformer/B0/segformer.b0.512x512.ade.160k.py",
    6e-4,
    decay=0.01,
    clip=0.0,
    schedule="polynomial",
)

UPERNET = Recipe(
    "Swin-Transformer-Semantic-Segmentation, configs/swin (UPerNet)",
    6e-5,
    1.0,
    0.01,
    0.0,
    schedule="polynomial",
)
CLASSIFIER = Recipe(
    "huggingface/transformers, examples/pytorch/image-classification, with a ten times higher "
    "rate for the new head",
    5e-4,
    decay=0.01,
    clip=1.0,
)
PLAIN = Recipe(
    "no author's: weight decay of torch.optim.AdamW, clipping of transformers.Trainer",
    1e-4,
    decay=0.01,
    clip=1.0,
)
