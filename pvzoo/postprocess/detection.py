"""One engine that turns queries into boxes, and a small record per family of detectors.

`decode` gives what `post_process_object_detection` of the family's image processor gives, to the
bit and in the same order; that function exists there fifteen times over, in these few kinds.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms


@dataclass(frozen=True)
class DetectionRecord:
    """How a family's outputs are read.

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


_PER_QUERY = DetectionRecord(softmax=True)
_HUNDRED = DetectionRecord(pairs=100)
_QUERIES = DetectionRecord()
_LAYOUT = DetectionRecord(inclusive=True, reading_order=True)

RECORDS: dict[str, DetectionRecord] = {
    "detr": _PER_QUERY,
    "table-transformer": _PER_QUERY,
    "yolos": _PER_QUERY,
    "conditional_detr": _HUNDRED,
    "dab-detr": _HUNDRED,
    "deformable_detr": _HUNDRED,
    "lw_detr": _HUNDRED,
    "rt_detr": _QUERIES,
    "rt_detr_v2": _QUERIES,
    "d_fine": _QUERIES,
    "deimv2": _QUERIES,
    "rf_detr": _QUERIES,
    "pp_doclayout_v2": _LAYOUT,
    "pp_doclayout_v3": _LAYOUT,
}
"""By the ``model_type`` of the config."""


@dataclass(frozen=True)
class Boxes:
    """Detections of one image: (n,) scores, (n,) class ids, (n, 4) xyxy pixels, (n,) queries."""

    scores: Tensor
    labels: Tensor
    boxes: Tensor
    queries: Tensor

    def __getitem__(self, keep: Tensor) -> Boxes:
        """Those that a mask or an index tensor selects."""
        return Boxes(self.scores[keep], self.labels[keep], self.boxes[keep], self.queries[keep])


def decode(
    record: DetectionRecord,
    logits: Tensor,
    boxes: Tensor,
    size: tuple[int, int],
    threshold: float,
    order_logits: Tensor | None = None,
) -> Boxes:
    """The detections of one image above `threshold`.

    Args:
        record: How the family's outputs are read.
        logits: (queries, classes), with a last "no object" column if ``record.softmax``.
        boxes: (queries, 4) centre x, centre y, width, height, relative to the image.
        size: (height, width) of the image.
        threshold: Least score.
        order_logits: (queries, queries), how surely the row's query is read before the column's.
    """
    if record.softmax:
        scores, labels = logits.softmax(-1)[:, :-1].max(-1)
        queries = torch.arange(len(logits), device=logits.device)
    else:
        classes = logits.shape[1]
        flat = logits.sigmoid().flatten()
        scores, index = flat.topk(min(record.pairs or len(logits), len(flat)))
        queries, labels = index // classes, index % classes
    kept = scores >= threshold if record.inclusive else scores > threshold
    scores, labels, queries = scores[kept], labels[kept], queries[kept]
    if record.reading_order:
        order = torch.sort(_reading_ranks(order_logits)[queries]).indices
        scores, labels, queries = scores[order], labels[order], queries[order]
    centre, extent = boxes[queries].split(2, dim=-1)
    corners = torch.cat([centre - 0.5 * extent, centre + 0.5 * extent], dim=-1)
    height, width = size
    pixels = corners * torch.tensor([width, height, width, height], device=boxes.device)
    return Boxes(scores, labels, pixels, queries)


def _reading_ranks(votes: Tensor) -> Tensor:
    """(q, q) pairwise votes -> the rank of each query, as the PP-DocLayout processors count it."""
    before = votes.sigmoid()[None]  # batched as there: the order of a sum decides its last bit
    total = before.triu(1).sum(1) + (1.0 - before.transpose(1, 2)).tril(-1).sum(1)
    return total.argsort(1).argsort(1)[0]


def suppress(found: Boxes, iou: float, class_agnostic: bool) -> Boxes:
    """Greedy non-maximum suppression: of boxes overlapping more than `iou`, the best stays.

    The order of those that stay is kept.
    """
    if class_agnostic:
        kept = nms(found.boxes, found.scores, iou)
    else:
        kept = batched_nms(found.boxes, found.scores, found.labels, iou)
    return found[kept.sort().values]


def best(found: Boxes, count: int) -> Boxes:
    """The `count` best detections, in the order they had."""
    if len(found.scores) <= count:
        return found
    kept = found.scores.argsort(descending=True, stable=True)[:count]
    return found[kept.sort().values]
