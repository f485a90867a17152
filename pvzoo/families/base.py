"""What a record of a family can say, all of it read without a network library.

A family is a ``model_type`` of transformers, or whatever a plugin gives as `Spec.family`. Most
fields say how a family differs from what most do; the defaults are right for the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pvzoo.families.recipes import Recipe

Kind = Literal["classification", "detection", "universal", "instance", "semantic"]
"""What a head is for, as transformers divides them."""

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
            best class, in query order. Otherwise they are sigmoids, and the best pairs of a
            query and a class are taken, best first.
        pairs: Most pairs taken; None for as many as there are queries.
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
        softmax: Class scores are a softmax whose last column means "no object", else sigmoids.
        competition: How queries compete for the pixels of a panoptic map: by class score times mask
            probability ("weighted"), or by a softmax of the mask logits over queries
            ("queries", DETR).
        void_below_half: Whether a pixel that a query won with a mask probability below one half
            is left void.
        pairs: Instances are the best pairs of a query and a class ("all"), or each query's best
            class ("query").
        quality: Whether an instance's score is its class score times the mean mask probability
            inside the mask, or the class score alone.
        nearest: Whether an instance's mask is made binary on the network's input and enlarged with
            nearest neighbours, or scaled first.
        predicted_boxes: Whether boxes are predicted by the network, whose outputs and labels are
            then named as a detector's, or drawn around the masks.
        inside: Whether predicted boxes are kept in the image.
        straight: Whether masks are scaled straight to the image, without the network's input and
            its padding in between.
        masks_first: Whether checkpoints made for semantic maps alone scale masks before they sum
            classes, too, as all others do.
        top_k: Most instances; None for as many as there are queries.
        score: Least class score of a query in a panoptic map.
        scores: Likewise, for published label sets (`pvzoo.families.stuff_classes`) that differ.
        overlap: Least share of its own mask that a query must win.
        stuff: By the number of classes, ids of those that are stuff, for labels that are none of
            the published sets.
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
    """What is known of a family.

    Attributes:
        heads: The classes of transformers that a config names, by what they are for.
        refused: Why pvzoo drives none of them, after "the network"; "" if it does.
        boxes: How a detector is read; None if by its processor's own function.
        masks: How masks of queries are read; None for families that score pixels.
        pixels: How scores of pixels are brought to the image.
        ignores_mask: Whether the network does not look at the mask of what is image and what is
            padding, though its processor makes one.
        options: What the processor is told for a map, instead of its own attributes.
        whole: Whether, for a map, the processor's centre crop is left out.
        windows: Whether the processor fits images into a square or, for semantic maps alone, cuts
            them into windows of one, and does not say where they lie in it.
        multiple: What the sides of the input are padded to a multiple of.
        words: Whether the task is an input of the network, as words.
        zeroed: Buffers that training leaves with other values than the zeros of its end.
        float32: Why the network runs in no other type; "" if it does.
        recipe: How the authors train it; None for that of the task (`Task.training`).
        untrained: Why it cannot be fine-tuned; "" if it can.
        backbone: What the names of the backbone's parameters begin with, where that cannot be told
            by the names that most have.
        auxiliary_loss: Whether every layer of the decoder is trained, though configs say no.
        patches: Names in `pvzoo.export.patches` of what its export needs.
        unexported: Why it cannot be exported; "" if it can.
        ranking_class: Whether the first row of the last head ranks proposals, whatever class it is
            of, in networks of two stages.
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
