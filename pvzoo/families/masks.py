"""Masks by classification of queries: a small record per family.

They follow the authors' inference code (Mask2Former: ``mask2former/maskformer_model.py``;
MaskFormer: ``mask_former/mask_former_model.py``; OneFormer: ``oneformer/oneformer_model.py``; EoMT:
``training/lightning_module.py``; DETR: ``models/segmentation.py``; RF-DETR:
``rfdetr/models/postprocess.py``). `pvzoo.postprocess.panoptic` and `pvzoo.postprocess.instances`
make the masks, in the authors' order of steps, but never hold queries x height x width at image
size: see `pvzoo.postprocess.frame`.

Class logits are (queries, classes), for softmax families with a last column "no object". Mask
logits are (queries, h, w) at the network's own resolution: an array, or a tensor on an accelerator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class MaskRecord:
    """How a family's queries become masks; defaults are the authors'.

    Attributes:
        softmax: Class scores are a softmax whose last column means "no object", else sigmoids.
        competition: How queries compete for the pixels of a panoptic map: by class score times mask
            probability ("weighted"), or by a softmax of the mask logits over queries
            ("queries", DETR); None if the family makes no panoptic maps.
        void_below_half: Whether a pixel that a query won with a mask probability below one half
            is left void.
        pairs: Instances are the best pairs of a query and a class ("all"), or each query's best
            class ("query").
        quality: Whether an instance's score is its class score times the mean mask probability
            inside the mask, or the class score alone.
        nearest: Whether an instance's mask is made binary on the network's input and enlarged with
            nearest neighbours, or scaled first.
        predicted_boxes: Whether boxes are predicted by the network, or drawn around the masks.
        top_k: Most instances; None for as many as there are queries.
        score: Least class score of a query in a panoptic map.
        overlap: Least share of its own mask that a query must win.
    """

    softmax: bool = True
    competition: Literal["weighted", "queries"] | None = "weighted"
    void_below_half: bool = True
    pairs: Literal["all", "query"] = "all"
    quality: bool = True
    nearest: bool = False
    predicted_boxes: bool = False
    top_k: int | None = 100
    score: float = 0.8
    overlap: float = 0.8


RECORDS: dict[str, MaskRecord] = {
    "mask2former": MaskRecord(),
    "maskformer": MaskRecord(void_below_half=False, score=0.7),
    "oneformer": MaskRecord(top_k=None),
    "eomt": MaskRecord(),
    "eomt_dinov3": MaskRecord(),
    "detr": MaskRecord(
        competition="queries",
        pairs="query",
        quality=False,
        nearest=True,
        predicted_boxes=True,
        top_k=None,
        score=0.85,
    ),
    "rf_detr": MaskRecord(
        softmax=False, competition=None, quality=False, predicted_boxes=True, top_k=None
    ),
}
"""By the ``model_type`` of the config."""
