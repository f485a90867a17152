"""Segmentation inference as each model's authors wrote it, one image at a time and slowly.

Every function takes the raw outputs for ONE image and returns what the authors' code would
return for it.  Nothing here is fast or clever: each step of the authors' code is one visible step
(usually one loop) so that the two can be read side by side.

Sizes are always ``(height, width)``:

* ``padded_size``: the size of the tensor the network was given;
* ``valid_size``: the part of it that shows the image (top left corner; the rest is padding);
* ``image_size``: the size the result is wanted in, normally that of the file.

Class logits are ``(queries, classes + 1)`` with the "no object" column last, except for RF-DETR,
which has no such column.  Mask logits are ``(queries, h, w)`` at the network's own resolution.

Thresholds of the authors (``score`` is the bound on a query's best class probability,
``overlap`` the smallest share of its mask a query has to win, ``top_k`` the number of instances):

=============  =====================================================  ======  =======  =======
family         checkpoint                                             score   overlap  top_k
=============  =====================================================  ======  =======  =======
mask2former    panoptic: COCO, ADE20K, Cityscapes                     0.8     0.8      100
mask2former    panoptic: Mapillary Vistas                             0.0     0.8      -
mask2former    instance                                               -       -        100
maskformer     panoptic: COCO, ADE20K                                 0.7     0.8      -
oneformer      ADE20K                                                 0.5     0.8      queries
oneformer      COCO, Cityscapes                                       0.8     0.8      queries
eomt           panoptic, all datasets                                 0.8     0.8      -
eomt           instance                                               -       -        100
detr           panoptic (COCO)                                        0.85    none     -
rf_detr        instance (bound of the ``predict`` method: 0.5)        -       -        queries
=============  =====================================================  ======  =======  =======

"queries": as many as the checkpoint has queries (OneFormer 150 or 250, RF-DETR 100 to 300).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as nnf

Size = tuple[int, int]

VOID = -1
"""The value of a pixel which belongs to no segment."""

COCO_PANOPTIC_STUFF = frozenset(range(80, 133))
"""Stuff among the 133 contiguous COCO panoptic classes (all the families but DETR)."""

DETR_COCO_STUFF = frozenset(range(91, 201))
"""Stuff among the 250 sparse classes of DETR: ``is_thing_map = {i: i <= 90}`` of its authors."""

CITYSCAPES_STUFF = frozenset(range(11))
"""Stuff among the 19 Cityscapes classes."""

_ADE20K_STUFF = """
0 1 2 3 4 5 6 9 11 13 16 17 21 25 26 28 29 34 40 46 48 51 52 54 59 60 61 63 68 77 79 84 91 94 96 99
100 101 105 106 109 113 114 117 122 128 131 140 141 145
"""
ADE20K_STUFF = frozenset(int(label) for label in _ADE20K_STUFF.split())
"""Stuff among the 150 ADE20K classes (``ADE20K_150_CATEGORIES`` of Mask2Former)."""


@dataclass(frozen=True)
class Instance:
    """One found object; ``box`` is ``(left, top, right, bottom)`` in pixels of the image."""

    label: int
    score: float
    mask: np.ndarray
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Segment:
    """One region of a panoptic map.

    The authors give no score to a segment: ``score`` is the class probability of the query which
    opened it (of the first one, if several were merged).
    """

    id: int
    label: int
    isthing: bool
    area: int
    score: float


@dataclass(frozen=True)
class Panoptic:
    """A map of segment ids (``VOID`` where there is none) and the segments in it."""

    ids: np.ndarray
    segments: list[Segment]


# ---------------------------------------------------------------------------------------------
# Steps which several families share
# ---------------------------------------------------------------------------------------------


def bilinear(maps: Tensor, size: Size, *, align_corners: bool = False) -> Tensor:
    """Scale ``(n, h, w)`` maps with the interpolation that all the authors use."""
    if maps.shape[0] == 0:
        return maps.new_zeros((0, *size))
    scaled = nnf.interpolate(
        maps[None].float(), size=size, mode="bilinear", align_corners=align_corners
    )
    return scaled[0]


def crop_and_resize(maps: Tensor, valid_size: Size, image_size: Size) -> Tensor:
    """Cut the padding off, then scale to the image.

    detectron2/modeling/postprocessing.py: ``sem_seg_postprocess``.
    """
    height, width = valid_size
    return bilinear(maps[:, :height, :width], image_size)


def network_to_image(maps: Tensor, padded_size: Size, valid_size: Size, image_size: Size) -> Tensor:
    """Bring mask logits to the image: up to the network's input, crop, scale."""
    return crop_and_resize(bilinear(maps, padded_size), valid_size, image_size)


def box_of_mask(mask: np.ndarray) -> tuple[float, float, float, float]:
    """Give the box around a mask; an empty mask has the box (0, 0, 0, 0).

    detectron2/structures/masks.py: ``BitMasks.get_bounding_boxes`` (right and bottom are
    exclusive, that is one more than the last pixel's index).
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return (0.0, 0.0, 0.0, 0.0)
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def class_scores_of_pixels(class_logits: Tensor, mask_logits: Tensor) -> Tensor:
    """Sum, over the queries, class probability times mask probability: ``(classes, h, w)``.

    ``semantic_inference`` of Mask2Former and OneFormer, ``semantic_probabilistic_inference`` of
    MaskFormer, ``to_per_pixel_logits_semantic`` of EoMT.
    """
    probabilities = class_logits.float().softmax(dim=-1)[:, :-1]
    masks = mask_logits.float().sigmoid()
    scores = torch.zeros((probabilities.shape[1], *masks.shape[1:]))
    for label in range(probabilities.shape[1]):
        for query in range(probabilities.shape[0]):
            scores[label] += probabilities[query, label] * masks[query]
    return scores


def label_of_pixels(scores: Tensor) -> np.ndarray:
    """Name each pixel's best class (the first one, when several are equal)."""
    return scores.argmax(dim=0).numpy()


def _best_pairs(scores: Tensor, top_k: int) -> list[tuple[int, int, float]]:
    """Give the ``top_k`` best (query, label, score) over all pairs, best first."""
    count = min(top_k, scores.numel())
    best, where = scores.flatten().topk(count, sorted=True)
    pairs = []
    for score, index in zip(best.tolist(), where.tolist(), strict=True):
        pairs.append((index // scores.shape[1], index % scores.shape[1], score))
    return pairs


def _instances_by_mask_quality(
    class_logits: Tensor, masks: Tensor, *, top_k: int, labels: Collection[int] | None
) -> list[Instance]:
    """Rank (query, class) pairs; weigh each by the mean probability inside its mask.

    ``masks`` are logits of the image's size.  Pairs whose label is not in ``labels`` (if given)
    are dropped *after* the best ``top_k`` were taken, so fewer may remain.
    """
    probabilities = class_logits.float().softmax(dim=-1)[:, :-1]
    instances = []
    for query, label, score in _best_pairs(probabilities, top_k):
        if labels is not None and label not in labels:
            continue
        mask = masks[query] > 0
        inside = (masks[query].sigmoid() * mask).sum() / (mask.sum() + 1e-6)
        array = mask.numpy()
        instances.append(Instance(label, score * float(inside), array, box_of_mask(array)))
    return instances


def _panoptic_by_weighted_argmax(
    class_logits: Tensor,
    masks: Tensor,
    *,
    score_threshold: float,
    overlap_threshold: float,
    stuff: Collection[int],
    void_below_half: bool,
) -> Panoptic:
    """Let the queries compete for the pixels; ``masks`` are logits of the image's size.

    A pixel goes to the query with the largest class probability times mask probability.  A query
    stays if the pixels it won are at least ``overlap_threshold`` of those where its own
    (unweighted) mask probability reaches one half.  With ``void_below_half`` it then gets only the
    won pixels inside that mask, without it all the won pixels.
    """
    no_object = class_logits.shape[-1] - 1
    scores, labels = class_logits.float().softmax(dim=-1).max(dim=-1)
    kept = []
    for query in range(class_logits.shape[0]):
        if int(labels[query]) != no_object and float(scores[query]) > score_threshold:
            kept.append(query)

    ids = torch.full(masks.shape[1:], VOID, dtype=torch.int64)
    if not kept:
        return Panoptic(ids.numpy(), [])

    probabilities = masks[kept].sigmoid()
    weighted = torch.stack([scores[q] * p for q, p in zip(kept, probabilities, strict=True)])
    winner = weighted.argmax(dim=0)

    opened: list[tuple[int, int, float]] = []
    stuff_ids: dict[int, int] = {}
    for position, query in enumerate(kept):
        label = int(labels[query])
        won = winner == position
        own = probabilities[position] >= 0.5
        final = won & own if void_below_half else won
        if int(won.sum()) == 0 or int(own.sum()) == 0 or int(final.sum()) == 0:
            continue
        if int(won.sum()) / int(own.sum()) < overlap_threshold:
            continue
        if label in stuff:
            if label in stuff_ids:
                ids[final] = stuff_ids[label]
                continue
            stuff_ids[label] = len(opened)
        ids[final] = len(opened)
        opened.append((len(opened), label, float(scores[query])))

    segments = []
    for number, label, score in opened:
        area = int((ids == number).sum())
        segments.append(Segment(number, label, label not in stuff, area, score))
    return Panoptic(ids.numpy(), segments)


# ---------------------------------------------------------------------------------------------
# Mask2Former and OneFormer
# ---------------------------------------------------------------------------------------------


def mask2former_semantic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    resize_first: bool,
) -> np.ndarray:
    """Give the label map of a Mask2Former checkpoint.

    mask2former/maskformer_model.py: ``forward`` and ``semantic_inference``.  ``resize_first`` is
    ``sem_seg_postprocess_before_inference``: True for checkpoints which also do instances or
    panoptic maps, False for those that do nothing but semantic maps (there the class scores are
    made on the padded network input and *they* are cropped and scaled).
    """
    masks = bilinear(mask_logits, padded_size)
    if resize_first:
        masks = crop_and_resize(masks, valid_size, image_size)
        return label_of_pixels(class_scores_of_pixels(class_logits, masks))
    scores = class_scores_of_pixels(class_logits, masks)
    return label_of_pixels(crop_and_resize(scores, valid_size, image_size))


def mask2former_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    things: Collection[int] | None = None,
    top_k: int = 100,
) -> list[Instance]:
    """Give the instances of a Mask2Former checkpoint, best class probability first.

    mask2former/maskformer_model.py: ``instance_inference``.  ``things`` is None for an instance
    checkpoint and the set of thing classes for a panoptic one.  The authors drop nothing by score.
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    return _instances_by_mask_quality(class_logits, masks, top_k=top_k, labels=things)


def mask2former_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    stuff: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Panoptic:
    """Give the panoptic map of a Mask2Former checkpoint.

    mask2former/maskformer_model.py: ``panoptic_inference`` (its ids start at 1, void is 0).
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    return _panoptic_by_weighted_argmax(
        class_logits,
        masks,
        score_threshold=score_threshold,
        overlap_threshold=overlap_threshold,
        stuff=stuff,
        void_below_half=True,
    )


def oneformer_semantic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
) -> np.ndarray:
    """Give the label map of OneFormer (run with the task "semantic").

    oneformer/oneformer_model.py: ``semantic_inference``.  Every published checkpoint has the
    panoptic switch on, hence masks are always scaled first.
    """
    return mask2former_semantic(
        class_logits,
        mask_logits,
        padded_size=padded_size,
        valid_size=valid_size,
        image_size=image_size,
        resize_first=True,
    )


def oneformer_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    things: Collection[int],
    top_k: int = 150,
    demo_score_threshold: float | None = None,
) -> list[Instance]:
    """Give the instances of OneFormer (run with the task "instance").

    oneformer/oneformer_model.py: ``instance_inference``.  The authors' demo also drops pairs whose
    class probability is not above the panoptic score threshold (``demo_score_threshold``); their
    evaluation does not.  Their renumbering of ADE20K labels to 0..99 is left out: it only serves
    the evaluation's annotation file.
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    probabilities = class_logits.float().softmax(dim=-1)[:, :-1]
    instances = []
    for query, label, score in _best_pairs(probabilities, top_k):
        if demo_score_threshold is not None and not score > demo_score_threshold:
            continue
        if label not in things:
            continue
        mask = masks[query] > 0
        inside = (masks[query].sigmoid() * mask).sum() / (mask.sum() + 1e-6)
        array = mask.numpy()
        instances.append(Instance(label, score * float(inside), array, box_of_mask(array)))
    return instances


def oneformer_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    stuff: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Panoptic:
    """Give the panoptic map of OneFormer (run with the task "panoptic").

    oneformer/oneformer_model.py: ``panoptic_inference``, the same as Mask2Former's.
    """
    return mask2former_panoptic(
        class_logits,
        mask_logits,
        padded_size=padded_size,
        valid_size=valid_size,
        image_size=image_size,
        stuff=stuff,
        score_threshold=score_threshold,
        overlap_threshold=overlap_threshold,
    )


# ---------------------------------------------------------------------------------------------
# MaskFormer
# ---------------------------------------------------------------------------------------------


def maskformer_semantic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    resize_first: bool,
) -> np.ndarray:
    """Give the label map of a MaskFormer checkpoint.

    mask_former/mask_former_model.py: ``forward`` and ``semantic_probabilistic_inference``.
    ``resize_first`` is True for panoptic checkpoints, False for semantic ones.
    """
    return mask2former_semantic(
        class_logits,
        mask_logits,
        padded_size=padded_size,
        valid_size=valid_size,
        image_size=image_size,
        resize_first=resize_first,
    )


def maskformer_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    stuff: Collection[int],
    score_threshold: float = 0.7,
    overlap_threshold: float = 0.8,
) -> Panoptic:
    """Give the panoptic map of a MaskFormer checkpoint.

    mask_former/mask_former_model.py: ``panoptic_inference``.  Unlike in Mask2Former, a kept query
    gets every pixel it won, also those where its mask probability is below one half.
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    return _panoptic_by_weighted_argmax(
        class_logits,
        masks,
        score_threshold=score_threshold,
        overlap_threshold=overlap_threshold,
        stuff=stuff,
        void_below_half=False,
    )


def maskformer_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    things: Collection[int] | None = None,
    top_k: int = 100,
) -> list[Instance]:
    """Give instances of a MaskFormer checkpoint.

    MaskFormer's authors publish no instance inference; this is that of their next model
    (``instance_inference`` of Mask2Former), which is also what is commonly done.
    """
    return mask2former_instance(
        class_logits,
        mask_logits,
        padded_size=padded_size,
        valid_size=valid_size,
        image_size=image_size,
        things=things,
        top_k=top_k,
    )


# ---------------------------------------------------------------------------------------------
# EoMT
# ---------------------------------------------------------------------------------------------


def eomt_scaled_size(image_size: Size, network_size: Size, *, cover: bool) -> Size:
    """Give the size an image is scaled to before EoMT sees it.

    training/lightning_module.py: ``scale_img_size_semantic`` (``cover``: the image covers the
    square and is cut into windows) and ``scale_img_size_instance_panoptic`` (it fits inside and
    is padded).
    """
    ratios = [network_size[0] / image_size[0], network_size[1] / image_size[1]]
    factor = max(ratios) if cover else min(ratios)
    return (round(image_size[0] * factor), round(image_size[1] * factor))


def eomt_windows(scaled_size: Size, window: int) -> list[tuple[int, int]]:
    """Give ``(start, end)`` of the windows along the longer side.

    training/lightning_module.py: ``window_imgs_semantic``.
    """
    longer = max(scaled_size)
    count = -(-longer // window)
    overlap = count * window - longer
    step_back = overlap / (count - 1) if overlap > 0 else 0
    windows = []
    for index in range(count):
        start = int(index * (window - step_back))
        windows.append((start, start + window))
    return windows


def eomt_semantic(
    class_logits: Sequence[Tensor],
    mask_logits: Sequence[Tensor],
    *,
    windows: Sequence[tuple[int, int]],
    network_size: Size,
    scaled_size: Size,
    image_size: Size,
) -> np.ndarray:
    """Give the label map of an EoMT semantic checkpoint from the outputs of an image's windows.

    training/mask_classification_semantic.py: ``eval_step``; training/lightning_module.py:
    ``revert_window_logits_semantic``.  Where windows overlap their class scores are averaged.
    """
    classes = class_logits[0].shape[-1] - 1
    total = torch.zeros((classes, *scaled_size))
    count = torch.zeros(scaled_size)
    for logits, masks, (start, end) in zip(class_logits, mask_logits, windows, strict=True):
        scores = class_scores_of_pixels(logits, bilinear(masks, network_size))
        if image_size[0] > image_size[1]:
            total[:, start:end, :] += scores
            count[start:end, :] += 1
        else:
            total[:, :, start:end] += scores
            count[:, start:end] += 1
    return label_of_pixels(bilinear(total / count, image_size))


def eomt_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    top_k: int = 100,
) -> list[Instance]:
    """Give the instances of an EoMT instance checkpoint.

    training/mask_classification_instance.py: ``eval_step``; the sizes follow
    ``revert_resize_and_pad_logits_instance_panoptic``.
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    return _instances_by_mask_quality(class_logits, masks, top_k=top_k, labels=None)


def eomt_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    stuff: Collection[int],
    score_threshold: float = 0.8,
    overlap_threshold: float = 0.8,
) -> Panoptic:
    """Give the panoptic map of an EoMT panoptic checkpoint.

    training/lightning_module.py: ``to_per_pixel_preds_panoptic`` (its ids start at 0).
    """
    masks = network_to_image(mask_logits, padded_size, valid_size, image_size)
    return _panoptic_by_weighted_argmax(
        class_logits,
        masks,
        score_threshold=score_threshold,
        overlap_threshold=overlap_threshold,
        stuff=stuff,
        void_below_half=True,
    )


# ---------------------------------------------------------------------------------------------
# DETR
# ---------------------------------------------------------------------------------------------


def _nearest(array: np.ndarray, size: Size) -> np.ndarray:
    image = Image.fromarray(array.astype(np.int32))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.NEAREST))


def detr_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    stuff: Collection[int],
    score_threshold: float = 0.85,
    undo_padding: bool = True,
) -> Panoptic:
    """Give the panoptic map of DETR.

    models/segmentation.py: ``PostProcessPanoptic``.  Things to notice there:

    * the mask logits go through a softmax over the kept queries, not through a sigmoid, and every
      pixel is given to some query: there is no void as long as one query is kept;
    * the competition happens on the *network's* valid size; the map of ids is then scaled to the
      image with nearest neighbours;
    * queries of the same stuff class are merged into the first of them, but only in the first
      round: this leaves the others with area 0, they are taken out as too small, and in the
      rounds after that their pixels are contested again by all the queries that are left;
    * rounds go on until no query has an area (in the image) of 4 or less.

    ``undo_padding=False`` repeats what the authors do with a padded batch: the padded mask is
    squeezed into the valid size.  They agree when the image is not padded.
    """
    no_object = class_logits.shape[-1] - 1
    scores, labels = class_logits.float().softmax(dim=-1).max(dim=-1)
    kept = []
    for query in range(class_logits.shape[0]):
        if int(labels[query]) != no_object and float(scores[query]) > score_threshold:
            kept.append(query)

    if undo_padding:
        masks = bilinear(mask_logits, padded_size)[:, : valid_size[0], : valid_size[1]]
    else:
        masks = bilinear(mask_logits, valid_size)

    same_stuff: dict[int, list[int]] = {}
    for position, query in enumerate(kept):
        if int(labels[query]) in stuff:
            same_stuff.setdefault(int(labels[query]), []).append(position)

    def contest(queries: list[int], merge: bool) -> tuple[np.ndarray, list[int]]:
        if queries:
            winner = masks[queries].softmax(dim=0).argmax(dim=0)
        else:
            winner = torch.zeros(valid_size, dtype=torch.int64)
        if merge:
            for positions in same_stuff.values():
                for position in positions:
                    winner[winner == position] = positions[0]
        ids = _nearest(winner.numpy(), image_size)
        areas = []
        for position in range(len(queries)):
            areas.append(int((ids == position).sum()))
        return ids, areas

    ids, areas = contest(kept, merge=True)
    while any(area <= 4 for area in areas):
        kept = [query for query, area in zip(kept, areas, strict=True) if area > 4]
        ids, areas = contest(kept, merge=False)

    if not kept:
        return Panoptic(np.full(image_size, VOID, dtype=np.int64), [])
    segments = []
    for number, (query, area) in enumerate(zip(kept, areas, strict=True)):
        label = int(labels[query])
        segments.append(Segment(number, label, label not in stuff, area, float(scores[query])))
    return Panoptic(ids.astype(np.int64), segments)


def detr_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    boxes: Tensor,
    *,
    padded_size: Size,
    valid_size: Size,
    image_size: Size,
    mask_threshold: float = 0.5,
) -> list[Instance]:
    """Give the instances of DETR: one for each query, in the order of the queries.

    models/detr.py: ``PostProcess`` (labels, scores, boxes; ``boxes`` are centre, width, height in
    0..1) and models/segmentation.py: ``PostProcessSegm`` (masks are made binary on the network's
    input and scaled to the image with nearest neighbours).
    """
    probabilities = class_logits.float().softmax(dim=-1)[:, :-1]
    probable = bilinear(mask_logits, padded_size).sigmoid() > mask_threshold
    binary = probable[:, : valid_size[0], : valid_size[1]]
    scaled = nnf.interpolate(binary[None].float(), size=image_size, mode="nearest")[0] > 0
    instances = []
    for query in range(class_logits.shape[0]):
        score, label = probabilities[query].max(dim=-1)
        box = _box_in_pixels(boxes[query], image_size)
        instances.append(Instance(int(label), float(score), scaled[query].numpy(), box))
    return instances


def _box_in_pixels(box: Tensor, image_size: Size) -> tuple[float, float, float, float]:
    x, y, width, height = box.tolist()
    image_height, image_width = image_size
    return (
        (x - width / 2) * image_width,
        (y - height / 2) * image_height,
        (x + width / 2) * image_width,
        (y + height / 2) * image_height,
    )


# ---------------------------------------------------------------------------------------------
# RF-DETR
# ---------------------------------------------------------------------------------------------


def rf_detr_instance(
    class_logits: Tensor,
    mask_logits: Tensor,
    boxes: Tensor,
    *,
    image_size: Size,
    top_k: int,
    score_threshold: float | None = 0.5,
) -> list[Instance]:
    """Give the instances of an RF-DETR segmentation checkpoint, best score first.

    rfdetr/models/postprocess.py: ``PostProcess`` (``_select_topk``, ``_gather_and_scale_boxes``,
    ``_postprocess_masks``).  ``top_k`` is ``num_select``, in every published segmentation model
    the number of queries.  Images are squashed to a square, never padded, and masks are scaled
    straight from the network's resolution to the image.
    """
    probabilities = class_logits.float().sigmoid()
    image_height, image_width = image_size
    instances = []
    for query, label, score in _best_pairs(probabilities, top_k):
        if score_threshold is not None and not score > score_threshold:
            continue
        left, top, right, bottom = _box_in_pixels(boxes[query], image_size)
        box = (
            min(max(left, 0.0), float(image_width)),
            min(max(top, 0.0), float(image_height)),
            min(max(right, 0.0), float(image_width)),
            min(max(bottom, 0.0), float(image_height)),
        )
        mask = bilinear(mask_logits[query][None], image_size)[0] > 0
        instances.append(Instance(label, score, mask.numpy(), box))
    return instances


# ---------------------------------------------------------------------------------------------
# Models which label pixels directly
# ---------------------------------------------------------------------------------------------


def mmseg_semantic(
    logits: Tensor, *, padded_size: Size, valid_size: Size, image_size: Size
) -> np.ndarray:
    """Give the label map of SegFormer, UPerNet, BEiT and Data2Vec checkpoints.

    mmseg/models/segmentors/encoder_decoder.py: ``encode_decode`` scales the logits to the
    network's input, ``whole_inference`` scales them to the image, ``inference`` applies a softmax
    and ``simple_test`` takes the argmax.  All with ``align_corners=False``; the softmax does not
    change which class is best.
    """
    scaled = crop_and_resize(bilinear(logits, padded_size), valid_size, image_size)
    return label_of_pixels(scaled.softmax(dim=0))


def dpt_semantic(logits: Tensor, *, image_size: Size) -> np.ndarray:
    """Give the label map of DPT.

    isl-org/DPT, run_segmentation.py: ``run``: probabilities (not logits) are scaled bicubically.
    """
    probabilities = logits.float().softmax(dim=0)
    scaled = nnf.interpolate(
        probabilities[None], size=image_size, mode="bicubic", align_corners=False
    )
    return label_of_pixels(scaled[0])


def aligned_semantic(logits: Tensor, *, padded_size: Size) -> np.ndarray:
    """Give the label map, on the network's input, of MobileNetV2 and MobileViT checkpoints.

    tensorflow/models, research/deeplab/model.py: ``predict_labels`` and apple/ml-cvnets,
    cvnets/models/segmentation/heads/base_seg_head.py: ``BaseSegHead.forward``: bilinear with
    ``align_corners=True`` to the network's input.  Neither scales further.
    """
    return label_of_pixels(bilinear(logits, padded_size, align_corners=True))
