"""Masks by classification of queries: one engine, and a small record per family.

Follows the authors' inference code (Mask2Former: ``mask2former/maskformer_model.py``; MaskFormer:
``mask_former/mask_former_model.py``; OneFormer: ``oneformer/oneformer_model.py``; EoMT:
``training/lightning_module.py``; DETR: ``models/segmentation.py``; RF-DETR:
``rfdetr/models/postprocess.py``), in their order of steps, but never holds
queries x height x width at image size: see `pvzoo.postprocess.frame`.

Class logits are (queries, classes), for softmax families with a last column "no object". Mask
logits are (queries, h, w) at the network's own resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as nnf

from pvzoo.postprocess.frame import Frame, bounds, grid, tile_size


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


@dataclass
class Segment:
    """A segment of a panoptic map: its number there, class, class score and area in pixels."""

    number: int
    label: int
    score: float
    area: int


@dataclass
class Instance:
    """One instance: class, score, box (left, top, right, bottom in pixels), and packed mask."""

    label: int
    score: float
    box: tuple[float, float, float, float]
    mask: Any


Pack = Callable[[int, int, Tensor], Any]
"""(top, left, bool mask without empty surroundings) -> the form in which a mask is kept.

The mask it is given is a view into a buffer; what is kept must not refer to it."""

MASK_BYTES = 64 * 2**20
"""About how many bytes of masks are held before they are packed."""


# --- panoptic -------------------------------------------------------------------------------------


def panoptic(
    record: MaskRecord,
    class_logits: Tensor,
    mask_logits: Tensor,
    frame: Frame,
    *,
    stuff: Collection[int],
    threshold: float,
    overlap: float,
) -> tuple[Tensor, list[Segment]]:
    """A map of segment numbers, (height, width) int32 with 0 for void, and the segments, from 1."""
    scores, labels = class_logits.softmax(-1).max(-1)
    kept = ((labels != class_logits.shape[-1] - 1) & (scores > threshold)).nonzero().flatten()
    scores, names, masks = scores[kept], labels[kept].tolist(), mask_logits[kept]
    if len(kept) == 0:
        return torch.zeros(frame.image, dtype=torch.int32, device=masks.device), []
    if record.competition == "queries":
        return _contest_of_queries(masks, scores, names, frame, stuff)
    winner, inside, own = _weighted_contest(masks, scores, frame)
    return _number_segments(winner, inside, own, scores, names, stuff, overlap, record)


def _weighted_contest(masks: Tensor, scores: Tensor, frame: Frame) -> tuple[Tensor, Tensor, Tensor]:
    """Each pixel to the query with the largest class score times mask probability.

    Returns:
        (height, width) int16 winners; (height, width) bool, whether the winner's own mask
        probability is at least one half; (queries,) the area of each query's own mask.
    """
    device = masks.device
    winner = torch.empty(frame.image, dtype=torch.int16, device=device)
    inside = torch.empty(frame.image, dtype=torch.bool, device=device)
    own = torch.zeros(len(masks), dtype=torch.int64, device=device)
    rows, columns = grid(masks, frame, tile_size(device, 96))
    for row in rows:
        window = masks[:, row.cells]
        low, high = bounds(window, columns)
        least, most = low.sigmoid() * scores, high.sigmoid() * scores
        rivals = most >= least.amax(dim=1, keepdim=True) - 1e-6  # others cannot win there
        mixed = (low < 0) & (high >= 0)
        whole = low >= 0
        for i, column in enumerate(columns):
            own += whole[i] * (len(row) * len(column))
            place = (row.pixels, column.pixels)
            racing = rivals[i].nonzero().flatten()
            alone = len(racing) == 1
            # the racing ones first, so that they are a slice of the values
            others = (mixed[i] & ~rivals[i]).nonzero().flatten()
            needed = racing if not alone or bool(mixed[i, racing]) else racing[:0]
            needed = torch.cat([needed, others])
            if len(needed):
                cells = window[:, :, column.cells][needed]
                values = row.weights @ cells @ column.weights.T
                positive = values >= 0  # sigmoid(x) >= 1/2
                areas = positive.flatten(1).sum(dim=1, dtype=torch.int32)
                own[needed] += areas * mixed[i][needed]
            if alone:
                winner[place] = int(racing)
                inside[place] = positive[0] if bool(mixed[i, racing]) else whole[i, racing]
                continue
            chances = values[: len(racing)].sigmoid_().mul_(scores[racing, None, None])
            first = chances.max(dim=0).indices  # the first of equal ones; argmax is far slower
            winner[place] = racing[first].to(torch.int16)
            inside[place] = positive.gather(0, first[None])[0]
    return winner, inside, own


def _number_segments(
    winner: Tensor,
    inside: Tensor,
    own: Tensor,
    scores: Tensor,
    labels: list[int],
    stuff: Collection[int],
    overlap: float,
    record: MaskRecord,
) -> tuple[Tensor, list[Segment]]:
    """Drop queries that won too little of their mask, fuse stuff, number the rest from 1."""
    won, final = _areas(winner, inside, len(labels))
    if not record.void_below_half:
        final = won
    numbers = torch.zeros(len(labels), dtype=torch.int32)
    segments: list[Segment] = []
    fused: dict[int, Segment] = {}
    own_areas = own.tolist()
    for query, label in enumerate(labels):
        if won[query] == 0 or own_areas[query] == 0 or final[query] == 0:
            continue
        if won[query] / own_areas[query] < overlap:
            continue
        segment = fused.get(label)
        if segment is None:
            segment = Segment(len(segments) + 1, label, float(scores[query]), 0)
            segments.append(segment)
            if label in stuff:
                fused[label] = segment
        segment.area += final[query]
        numbers[query] = segment.number
    numbers = numbers.to(winner.device)
    ids = torch.empty(winner.shape, dtype=torch.int32, device=winner.device)
    for part, strip, seen in zip(ids.split(256), winner.split(256), inside.split(256), strict=True):
        part.copy_(numbers[strip.to(torch.int32)])
        if record.void_below_half:
            part.masked_fill_(~seen, 0)
    return ids, segments


def _areas(winner: Tensor, inside: Tensor, count: int) -> tuple[list[int], list[int]]:
    """Pixels each query won, and those of them inside its own mask; in strips, for memory."""
    won = torch.zeros(count, dtype=torch.int64, device=winner.device)
    final = torch.zeros_like(won)
    for strip, seen in zip(winner.split(256), inside.split(256), strict=True):
        flat = strip.flatten().to(torch.int32)
        won += torch.bincount(flat, minlength=count)
        final += torch.bincount(flat[seen.flatten()], minlength=count)
    return won.tolist(), final.tolist()


def _contest_of_queries(
    masks: Tensor, scores: Tensor, labels: list[int], frame: Frame, stuff: Collection[int]
) -> tuple[Tensor, list[Segment]]:
    """DETR's `PostProcessPanoptic`.

    The contest is held on the network's valid input and its map of winners scaled to the image with
    nearest neighbours. Queries of one stuff class are merged into the first, in the first round
    only. As long as any query has 4 pixels or fewer in the image, those are dropped and the rest
    contest anew.
    """
    height, width = frame.valid
    full = _to_network(masks, frame)
    kept = torch.arange(len(labels), device=masks.device)
    first_of = {}
    merged = torch.tensor(
        [first_of.setdefault(n, q) if n in stuff else q for q, n in enumerate(labels)],
        device=masks.device,
    )
    to_rows = _nearest_index(height, frame.image[0], masks.device)
    to_columns = _nearest_index(width, frame.image[1], masks.device)
    first_round = True
    while len(kept):
        # in strips, for memory; the softmax is theirs and decides near-ties
        winner = torch.cat([strip[kept].softmax(0).argmax(0) for strip in full.split(64, dim=1)])
        if first_round:
            winner = merged[winner]
        ids = winner.to(torch.int32)[to_rows][:, to_columns]
        areas = torch.bincount(ids.flatten(), minlength=len(kept))
        if int(areas.min()) > 4:
            break
        kept = kept[areas > 4]
        first_round = False
    if not len(kept):
        return torch.zeros(frame.image, dtype=torch.int32, device=masks.device), []
    segments = [
        Segment(i + 1, labels[q], float(scores[q]), int(area))
        for i, (q, area) in enumerate(zip(kept.tolist(), areas.tolist(), strict=True))
    ]
    return ids + 1, segments


def _to_network(masks: Tensor, frame: Frame) -> Tensor:
    """(n, h, w) logits on the valid part of the network's input, as DETR and its kin need them."""
    scaled = nnf.interpolate(masks[None], size=frame.padded, mode="bilinear")[0]
    return scaled[:, : frame.valid[0], : frame.valid[1]]


def _nearest_index(cells: int, pixels: int, device: torch.device) -> Tensor:
    """Which cell PIL's nearest-neighbour scaling, which DETR's authors use, shows in each pixel."""
    ramp = Image.fromarray(np.arange(cells, dtype=np.int32)[None])
    index = np.asarray(ramp.resize((pixels, 1), Image.Resampling.NEAREST))[0]
    return torch.from_numpy(index.astype(np.int64)).to(device)


# --- instances ------------------------------------------------------------------------------------


def instances(
    record: MaskRecord,
    class_logits: Tensor,
    mask_logits: Tensor,
    frame: Frame,
    *,
    labels: Collection[int] | None,
    threshold: float,
    pack: Pack,
    boxes: Tensor | None = None,
) -> list[Instance]:
    """Instances whose final score is above `threshold`, in the authors' order (best class first).

    Args:
        record: How the family's queries become masks.
        class_logits: (queries, classes).
        mask_logits: (queries, h, w).
        frame: Where the image lies in the network's input.
        labels: Class ids that count as things; None for all. Others are dropped after the best
            pairs were taken.
        threshold: Least score.
        pack: Called with each mask as soon as it is made, so that few are held unpacked.
        boxes: (queries, 4) predicted boxes, relative centre and size, for families that have them.
    """
    scores, classes, queries = _best_pairs(record, class_logits)
    # the final score is at most the class score, so the rest need no mask
    keep = scores > threshold
    if labels is not None:
        keep &= torch.isin(classes, torch.tensor(sorted(labels), device=classes.device))
    scores, classes, queries = scores[keep], classes[keep], queries[keep]
    unique, position = queries.unique(return_inverse=True)
    make = _nearest_cutouts if record.nearest else _cutouts
    at_once = max(1, MASK_BYTES // (frame.image[0] * frame.image[1]))
    found = [
        _Packed(pack(top, left, mask), (left, top, left + mask.shape[1], top + mask.shape[0]), q)
        for some in unique.split(at_once)
        for top, left, mask, q in make(mask_logits[some], frame)
    ]
    result = []
    for score, label, query, index in zip(
        scores.tolist(), classes.tolist(), queries.tolist(), position.tolist(), strict=True
    ):
        packed = found[index]
        if record.quality:
            score *= packed.quality
            if not score > threshold:
                continue
        box = packed.box
        if record.predicted_boxes:
            box = _pixel_box(boxes[query], frame, clamp=not record.softmax)
        result.append(Instance(label, score, tuple(map(float, box)), packed.mask))
    return result


class _Packed(NamedTuple):
    mask: Any
    box: tuple[int, int, int, int]
    quality: float


def _best_pairs(record: MaskRecord, class_logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(scores, classes, queries) of the candidates for instances."""
    count = len(class_logits)
    scores = class_logits.softmax(-1)[:, :-1] if record.softmax else class_logits.sigmoid()
    if record.pairs == "query":
        best, classes = scores.max(-1)
        return best, classes, torch.arange(count, device=scores.device)
    best, index = scores.flatten().topk(min(record.top_k or count, scores.numel()))
    return best, index % scores.shape[1], index // scores.shape[1]


def _cutouts(mask_logits: Tensor, frame: Frame) -> list[tuple[int, int, Tensor, float]]:
    """Per map: (top, left, where it is positive in the image, mean probability there)."""
    device, count = mask_logits.device, len(mask_logits)
    masks = torch.zeros((count, *frame.image), dtype=torch.bool, device=device)
    wide = torch.float32 if device.type == "mps" else torch.float64  # Metal has no float64
    sums = torch.zeros(count, dtype=wide, device=device)
    areas = torch.zeros(count, dtype=torch.int64, device=device)
    rows, columns = grid(mask_logits, frame, tile_size(device, 256))
    for row in rows:
        window = mask_logits[:, row.cells]
        _, high = bounds(window, columns)
        for i, column in enumerate(columns):
            queries = (high[i] > 0).nonzero().flatten()  # elsewhere no pixel is positive
            if len(queries) == 0:
                continue
            values = row.weights @ window[:, :, column.cells][queries] @ column.weights.T
            found = values > 0
            sums[queries] += (values.sigmoid_() * found).sum(dim=(1, 2)).to(wide)
            areas[queries] += found.flatten(1).sum(dim=1, dtype=torch.int32)
            masks[queries, row.pixels, column.pixels] = found
    quality = (sums / (areas + 1e-6)).tolist()
    return [(*_trimmed(mask), q) for mask, q in zip(masks, quality, strict=True)]


def _nearest_cutouts(mask_logits: Tensor, frame: Frame) -> list[tuple[int, int, Tensor, float]]:
    """As `_cutouts`, but binary on the network's input and enlarged with nearest neighbours."""
    device = mask_logits.device
    indices = [
        nnf.interpolate(torch.arange(v, dtype=torch.float32)[None, None], size=i, mode="nearest")
        for v, i in zip(frame.valid, frame.image, strict=True)
    ]
    to_rows, to_columns = (i[0, 0].long().to(device) for i in indices)
    result = []
    for one in mask_logits:
        small = _to_network(one[None], frame)[0].sigmoid() > 0.5
        result.append((*_trimmed(small[to_rows][:, to_columns]), 1.0))
    return result


def _trimmed(mask: Tensor) -> tuple[int, int, Tensor]:
    """(top, left, the mask without empty rows and columns around it)."""
    bits = mask.view(torch.uint8)  # any() is many times slower than amax() on a CPU
    rows = bits.amax(dim=1).nonzero().flatten()
    if len(rows) == 0:
        return 0, 0, mask[:0, :0]
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = bits[top:bottom].amax(dim=0).nonzero().flatten()
    left, right = int(columns[0]), int(columns[-1]) + 1
    return top, left, mask[top:bottom, left:right]


def _pixel_box(box: Tensor, frame: Frame, clamp: bool) -> tuple[float, float, float, float]:
    x, y, w, h = box.tolist()
    height, width = frame.image
    sides = ((x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height)
    if not clamp:
        return sides
    left, top, right, bottom = sides
    return (
        min(max(left, 0.0), float(width)),
        min(max(top, 0.0), float(height)),
        min(max(right, 0.0), float(width)),
        min(max(bottom, 0.0), float(height)),
    )
