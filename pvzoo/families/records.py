"""The families of transformers that pvzoo knows: one record for each model type.

A family that differs from another only in its name is one more line here. If a value needs a
reason, `pvzoo.families.base` or docs/differences.md gives it.
"""

from __future__ import annotations

from dataclasses import replace

from pvzoo.families import recipes
from pvzoo.families.base import (
    CLASSIFICATION,
    DETECTION,
    INSTANCE,
    SEMANTIC,
    UNIVERSAL,
    DetectionRecord,
    Family,
    MaskRecord,
)

_PER_QUERY = DetectionRecord(softmax=True)
_HUNDRED = DetectionRecord(pairs=100)
_QUERIES = DetectionRecord()
_LAYOUT = DetectionRecord(inclusive=True, reading_order=True)
_NO_LOSS = "transformers has no loss for it"
_TEXT = "finds lines of text as a heat map, not objects with classes and boxes"

_DETECTORS = {
    "detr": Family(
        {DETECTION: ("DetrForObjectDetection",), UNIVERSAL: ("DetrForSegmentation",)},
        boxes=_PER_QUERY,
        masks=MaskRecord(
            tasks=("instance-segmentation", "panoptic-segmentation"),
            competition="queries",
            pairs="query",
            quality=False,
            nearest=True,
            predicted_boxes=True,
            top_k=None,
            score=0.85,
            # COCO's panoptic classes are numbered sparsely, and ids up to 90 are things
            # (facebookresearch/detr, main.py: is_thing_map)
            stuff={250: range(91, 250)},
        ),
        recipe=recipes.DETR,
    ),
    "table-transformer": Family(
        {DETECTION: ("TableTransformerForObjectDetection",)},
        boxes=_PER_QUERY,
        recipe=recipes.DETR,
    ),
    "yolos": Family(
        {DETECTION: ("YolosForObjectDetection",)},
        boxes=_PER_QUERY,
        ignores_mask=True,
        recipe=recipes.YOLOS,
    ),
    "conditional_detr": Family(
        {DETECTION: ("ConditionalDetrForObjectDetection",)}, boxes=_HUNDRED, recipe=recipes.DETR
    ),
    "dab-detr": Family(
        {DETECTION: ("DabDetrForObjectDetection",)},
        boxes=_HUNDRED,
        float32="transformers makes its position embeddings in float32, whatever the weights are",
        recipe=recipes.DETR,
    ),
    "deformable_detr": Family(
        {DETECTION: ("DeformableDetrForObjectDetection",)},
        boxes=_HUNDRED,
        recipe=recipes.DEFORMABLE_DETR,
        # its authors train every decoder layer, but checkpoints turn this off; in the code of
        # DETR, Conditional DETR and Table Transformer it would change the predictions
        auxiliary_loss=True,
        ranking_class=True,
        patches=("sizes", "unoptimised"),
    ),
    "lw_detr": Family(
        {DETECTION: ("LwDetrForObjectDetection",)},
        boxes=_HUNDRED,
        recipe=recipes.LW_DETR,
        patches=("sizes",),
    ),
    "rt_detr": Family(
        {DETECTION: ("RTDetrForObjectDetection",)},
        boxes=_QUERIES,
        recipe=recipes.RT_DETR,
        patches=("length",),
    ),
    "rt_detr_v2": Family(
        {DETECTION: ("RTDetrV2ForObjectDetection",)},
        boxes=_QUERIES,
        recipe=recipes.RT_DETR,
        patches=("length",),
    ),
    "d_fine": Family(
        {DETECTION: ("DFineForObjectDetection",)},
        boxes=_QUERIES,
        recipe=recipes.D_FINE,
        patches=("length",),
    ),
    "deimv2": Family(
        {DETECTION: ("Deimv2ForObjectDetection",)},
        boxes=_QUERIES,
        recipe=recipes.D_FINE,
        patches=("length",),
    ),
    "rf_detr": Family(
        {DETECTION: ("RfDetrForObjectDetection",), INSTANCE: ("RfDetrForInstanceSegmentation",)},
        boxes=_QUERIES,
        masks=MaskRecord(
            tasks=("instance-segmentation",),
            softmax=False,
            quality=False,
            predicted_boxes=True,
            inside=True,
            straight=True,
            top_k=None,
        ),
        recipe=recipes.RF_DETR,
        patches=("sizes",),
    ),
    "pp_doclayout_v2": Family(
        {DETECTION: ("PPDocLayoutV2ForObjectDetection",)},
        boxes=_LAYOUT,
        untrained=_NO_LOSS,
        # transformers 5.24 sorts queries by whether their scores are above a threshold, not stably
        unexported="it sorts equal values, and no other runtime repeats PyTorch's order of them",
    ),
    "pp_doclayout_v3": Family(
        {DETECTION: ("PPDocLayoutV3ForObjectDetection",)},
        boxes=_LAYOUT,
        untrained=_NO_LOSS,
        patches=("length",),
    ),
    # no record: its boxes come from corner points, and a graph sorts them
    "pp_doclayout_v4": Family(
        {DETECTION: ("PPDocLayoutV4ForObjectDetection",)},
        untrained=_NO_LOSS,
        unexported="its boxes are read by its processor, which needs PyTorch",
    ),
    "pp_ocrv5_mobile_det": Family(
        {DETECTION: ("PPOCRV5MobileDetForObjectDetection",)}, refused=_TEXT
    ),
    "pp_ocrv5_server_det": Family(
        {DETECTION: ("PPOCRV5ServerDetForObjectDetection",)}, refused=_TEXT
    ),
    "pp_ocrv6_medium_det": Family(
        {DETECTION: ("PPOCRV6MediumDetForObjectDetection",)}, refused=_TEXT
    ),
    "pp_ocrv6_small_det": Family(
        {DETECTION: ("PPOCRV6SmallDetForObjectDetection",)}, refused=_TEXT
    ),
}

_EOMT = Family(
    {UNIVERSAL: ("EomtForUniversalSegmentation",)},
    masks=MaskRecord(),
    ignores_mask=True,
    windows=True,
    # probabilities of masked attention during training; with a value between 0 and 1 the network
    # makes a random choice at every call
    zeroed=("attn_mask_probs",),
    recipe=recipes.EOMT,
    backbone=("embeddings.", "layers.", "layernorm."),  # a ViT, with its heads beside the layers
    patches=("plain probabilities",),
)

_MASKS = {
    "mask2former": Family(
        {UNIVERSAL: ("Mask2FormerForUniversalSegmentation",)},
        masks=MaskRecord(scores={"mapillary-vistas": 0.0}),
        ignores_mask=True,
        recipe=recipes.MASK2FORMER,
        patches=("sizes",),
    ),
    "maskformer": Family(
        {
            UNIVERSAL: ("MaskFormerForInstanceSegmentation",),
            INSTANCE: ("MaskFormerForInstanceSegmentation",),
        },
        masks=MaskRecord(void_below_half=False, score=0.7),
        ignores_mask=True,
        recipe=recipes.MASK2FORMER,
    ),
    "oneformer": Family(
        {UNIVERSAL: ("OneFormerForUniversalSegmentation",)},
        masks=MaskRecord(top_k=None, scores={"ade20k-150": 0.5}, masks_first=True),
        ignores_mask=True,
        multiple=32,  # SHI-Labs/OneFormer: SIZE_DIVISIBILITY
        words=True,
        untrained="its loss needs texts that name each object",
        patches=("sizes",),
    ),
    "eomt": _EOMT,
    "eomt_dinov3": replace(_EOMT, heads={UNIVERSAL: ("EomtDinov3ForUniversalSegmentation",)}),
    "videomt": Family(
        {UNIVERSAL: ("VideomtForUniversalSegmentation",)}, refused="takes videos, not images"
    ),
}

_PIXELS = {
    "beit": Family(
        {
            CLASSIFICATION: ("BeitForImageClassification",),
            SEMANTIC: ("BeitForSemanticSegmentation",),
        }
    ),
    "data2vec-vision": Family(
        {
            CLASSIFICATION: ("Data2VecVisionForImageClassification",),
            SEMANTIC: ("Data2VecVisionForSemanticSegmentation",),
        }
    ),
    "dpt": Family(
        {SEMANTIC: ("DPTForSemanticSegmentation",)},
        pixels="bicubic",
        options={"keep_aspect_ratio": False},  # the network takes square inputs only
    ),
    "mobilenet_v2": Family(
        {
            CLASSIFICATION: ("MobileNetV2ForImageClassification",),
            SEMANTIC: ("MobileNetV2ForSemanticSegmentation",),
        },
        pixels="aligned",
        whole=True,
    ),
    "mobilevit": Family(
        {
            CLASSIFICATION: ("MobileViTForImageClassification",),
            SEMANTIC: ("MobileViTForSemanticSegmentation",),
        },
        pixels="aligned",
        whole=True,
    ),
    "mobilevitv2": Family(
        {
            CLASSIFICATION: ("MobileViTV2ForImageClassification",),
            SEMANTIC: ("MobileViTV2ForSemanticSegmentation",),
        },
        pixels="aligned",
        whole=True,
    ),
    "sapiens2": Family({SEMANTIC: ("Sapiens2ForSemanticSegmentation",)}),
    "segformer": Family(
        {
            CLASSIFICATION: ("SegformerForImageClassification",),
            SEMANTIC: ("SegformerForSemanticSegmentation",),
        },
        recipe=recipes.SEGFORMER,
    ),
    "tipsv2_dpt": Family({SEMANTIC: ("Tipsv2DptForSemanticSegmentation",)}),
    "upernet": Family({SEMANTIC: ("UperNetForSemanticSegmentation",)}),
}

_CLASSIFIERS = {
    "bit": Family({CLASSIFICATION: ("BitForImageClassification",)}),
    "clip": Family({CLASSIFICATION: ("CLIPForImageClassification",)}),
    "convnext": Family({CLASSIFICATION: ("ConvNextForImageClassification",)}),
    "convnextv2": Family({CLASSIFICATION: ("ConvNextV2ForImageClassification",)}),
    "cvt": Family({CLASSIFICATION: ("CvtForImageClassification",)}),
    "deit": Family(
        {
            CLASSIFICATION: (
                "DeiTForImageClassification",
                "DeiTForImageClassificationWithTeacher",
            )
        }
    ),
    "dinat": Family({CLASSIFICATION: ("DinatForImageClassification",)}),
    "dinov2": Family({CLASSIFICATION: ("Dinov2ForImageClassification",)}),
    "dinov2_with_registers": Family(
        {CLASSIFICATION: ("Dinov2WithRegistersForImageClassification",)}
    ),
    "donut-swin": Family({CLASSIFICATION: ("DonutSwinForImageClassification",)}),
    "efficientnet": Family({CLASSIFICATION: ("EfficientNetForImageClassification",)}),
    "focalnet": Family({CLASSIFICATION: ("FocalNetForImageClassification",)}),
    "hgnet_v2": Family({CLASSIFICATION: ("HGNetV2ForImageClassification",)}),
    "hiera": Family({CLASSIFICATION: ("HieraForImageClassification",)}),
    "ijepa": Family({CLASSIFICATION: ("IJepaForImageClassification",)}),
    "imagegpt": Family({CLASSIFICATION: ("ImageGPTForImageClassification",)}),
    "levit": Family(
        {
            CLASSIFICATION: (
                "LevitForImageClassification",
                "LevitForImageClassificationWithTeacher",
            )
        }
    ),
    "metaclip_2": Family({CLASSIFICATION: ("MetaClip2ForImageClassification",)}),
    "mobilenet_v1": Family({CLASSIFICATION: ("MobileNetV1ForImageClassification",)}),
    "perceiver": Family(
        {
            CLASSIFICATION: (
                "PerceiverForImageClassificationLearned",
                "PerceiverForImageClassificationFourier",
                "PerceiverForImageClassificationConvProcessing",
            )
        }
    ),
    "poolformer": Family({CLASSIFICATION: ("PoolFormerForImageClassification",)}),
    "pp_lcnet": Family({CLASSIFICATION: ("PPLCNetForImageClassification",)}, untrained=_NO_LOSS),
    "pvt": Family({CLASSIFICATION: ("PvtForImageClassification",)}),
    "pvt_v2": Family({CLASSIFICATION: ("PvtV2ForImageClassification",)}),
    "regnet": Family({CLASSIFICATION: ("RegNetForImageClassification",)}),
    "resnet": Family({CLASSIFICATION: ("ResNetForImageClassification",)}),
    "shieldgemma2": Family({CLASSIFICATION: ("ShieldGemma2ForImageClassification",)}),
    "siglip": Family({CLASSIFICATION: ("SiglipForImageClassification",)}),
    "siglip2": Family({CLASSIFICATION: ("Siglip2ForImageClassification",)}),
    "swiftformer": Family({CLASSIFICATION: ("SwiftFormerForImageClassification",)}),
    "swin": Family({CLASSIFICATION: ("SwinForImageClassification",)}),
    "swinv2": Family({CLASSIFICATION: ("Swinv2ForImageClassification",)}),
    "textnet": Family({CLASSIFICATION: ("TextNetForImageClassification",)}),
    "vit": Family({CLASSIFICATION: ("ViTForImageClassification",)}),
    "vit_msn": Family({CLASSIFICATION: ("ViTMSNForImageClassification",)}),
    "timm_wrapper": Family(),  # the adapter of timm opens it
}

FAMILIES: dict[str, Family] = {**_DETECTORS, **_MASKS, **_PIXELS, **_CLASSIFIERS}
"""All records, by ``model_type``."""
