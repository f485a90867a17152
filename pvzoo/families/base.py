"""The fields of the record of a family, which can be read without a network library.

A family is a ``model_type`` of transformers, or the name that a plugin gives as `Spec.family`. Most
fields say how a family differs from most others, for which the defaults are right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pvzoo.families.recipes import Recipe

Kind = Literal["classification", "detection", "universal", "instance", "semantic"]
"""The kinds of heads that transformers has."""

PixelSteps = Literal["bilinear", "aligned", "bicubic"]
"""See `pvzoo.postprocess.semantic.from_pixels`."""

CLASSIFICATION: Kind = "classification"
DETECTION: Kind = "detection"
UNIVERSAL: Kind = "universal"
INSTANCE: Kind = "instance"
SEMANTIC: Kind = "semantic"


@dataclass(frozen=True)
class DetectionRecord:
    """How queries become boxes; see `pvzoo.postprocess.detection`.

    Attributes:
        softmax: Scores are a softmax whose last column means "no object", and each query gives its
            best class, in the order of the queries. Otherwise scores are sigmoids, and the result
            is the best pairs of a query and a class, best first.
        pairs: The largest number of pairs in the result; None for the number of queries.
        inclusive: Whether a score equal to the threshold is kept.
        reading_order: Whether the kept boxes are sorted by the network's ``order_logits``.
    """

    softmax: bool = False
    pairs: int | None = None
    inclusive: bool = False
    reading_order: bool = False


@dataclass(frozen=True)
class MaskRecord:
    """How queries become masks; defaults are those of Mask2Former's authors.

    They follow the authors' inference code (Mask2Former: ``mask2former/maskformer_model.py``;
    MaskFormer: ``mask_former/mask_former_model.py``; OneFormer: ``oneformer/oneformer_model.py``;
    EoMT: ``training/lightning_module.py``; DETR: ``models/segmentation.py``; RF-DETR:
    ``rfdetr/models/postprocess.py``). `pvzoo.postprocess.panoptic` and
    `pvzoo.postprocess.instances` make the masks.

    Attributes:
        tasks: The tasks that a network of the family can serve.
        softmax: Whether class scores are a softmax whose last column means "no object", or
            sigmoids.
        competition: How queries compete for the pixels of a panoptic map: by class score times mask
            probability ("weighted"), or by a softmax of the mask logits over queries
            ("queries", DETR).
        void_below_half: Whether a pixel stays void if the mask probability of the query that won
            it is below one half.
        pairs: Instances are the best pairs of a query and a class ("all"), or each query's best
            class ("query").
        quality: Whether an instance's score is its class score times the mean mask probability
            inside the mask, or the class score alone.
        nearest: Whether an instance's mask is made binary on the network's input and enlarged with
            nearest neighbours, or scaled first.
        predicted_boxes: Whether the network predicts boxes; its outputs and labels then have the
            names of a detector's. Otherwise boxes are computed from the masks.
        inside: Whether predicted boxes are clipped to the image.
        straight: Whether masks are scaled straight to the image, without the network's input and
            its padding in between.
        masks_first: Whether checkpoints that only make semantic maps also scale masks before they
            sum classes, as all others do.
        top_k: The largest number of instances; None for the number of queries.
        score: The lowest class score of a query in a panoptic map.
        scores: Other values of `score`, by published label set (`pvzoo.families.stuff_classes`).
        overlap: The smallest share of its own mask that a query must win.
        stuff: Number of classes -> ids of the classes that are stuff, for labels that are not a
            published set.
    """

    tasks: tuple[str, ...] = (
        "semantic-segmentation",
        "instance-segmentation",
        "panoptic-segmentation",
    )
    softmax: bool = True
    competition: Literal["weighted", "queries"] = "weighted"
    void_below_half: bool = True
    pairs: Literal["all", "query"] = "all"
    quality: bool = True
    nearest: bool = False
    predicted_boxes: bool = False
    inside: bool = False
    straight: bool = False
    masks_first: bool = False
    top_k: int | None = 100
    score: float = 0.8
    scores: Mapping[str, float] = field(default_factory=dict)
    overlap: float = 0.8
    stuff: Mapping[int, range] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """The record of a family.

    Attributes:
        heads: Kind of head -> names of the classes of transformers that a config may name.
        refused: Why pvzoo cannot run the family, as the end of a sentence about the network; "" if
            it can.
        boxes: How to read a detector; None to use the function of its processor.
        masks: How to read masks of queries; None for families that score pixels.
        pixels: How to scale the scores of pixels to the image.
        ignores_mask: Whether the network ignores the mask that separates the image from padding,
            although its processor makes one.
        options: Options for the processor of a map, which replace its own attributes.
        whole: Whether, for a map, the processor's centre crop is left out.
        windows: Whether the processor fits images into a square without saying where the image is
            in it. (For networks that only make semantic maps, it cuts them into square windows.)
        multiple: The sides of the input are padded to a multiple of this number of pixels.
        words: Whether the network takes the task as an input, in words.
        zeroed: Buffers that are zero at the end of training, but not in every checkpoint.
        float32: Why the network runs only in float32; "" if it runs in other dtypes too.
        recipe: The authors' training settings; None for the recipe of the task (`Task.training`).
        untrained: Why it cannot be fine-tuned; "" if it can.
        backbone: Prefixes of the names of the backbone's parameters, if the backbone does not have
            one of the usual names.
        auxiliary_loss: Whether the loss includes every layer of the decoder, although configs turn
            this off.
        patches: Names in `pvzoo.export.patches` of the patches that its export needs.
        unexported: Why it cannot be exported; "" if it can.
        ranking_class: Whether, in networks with two stages, the first row of the last head ranks
            proposals, whatever its class is.
    """

    heads: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    refused: str = ""
    boxes: DetectionRecord | None = None
    masks: MaskRecord | None = None
    pixels: PixelSteps = "bilinear"
    ignores_mask: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    windows: bool = False
    multiple: int = 1
    words: bool = False
    zeroed: tuple[str, ...] = ()
    float32: str = ""
    recipe: Recipe | None = None
    untrained: str = ""
    backbone: tuple[str, ...] = ()
    auxiliary_loss: bool = False
    ranking_class: bool = False
    patches: tuple[str, ...] = ()
    unexported: str = ""
