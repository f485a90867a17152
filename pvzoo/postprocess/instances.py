"""Make instances (class, score, box and mask) by the rules of the family's authors."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pvzoo.families.base import MaskRecord
from pvzoo.postprocess.detection import corners, select
from pvzoo.postprocess.frame import Band, Frame, bounds, grid, in_threads, tile_size, values
from pvzoo.postprocess.scaling import nearest
from pvzoo.postprocess.scores import largest, sigmoid, sigmoid_, softmax

if TYPE_CHECKING:
    from torch import Tensor

Pack = Callable[[int, int, np.ndarray], Any]
"""(top, left, bool mask without empty rows and columns around it) -> the form that is stored.

The mask is a view into a buffer; the stored form must not refer to it. The function is called from
several threads at once."""

MASK_BYTES = 64 * 2**20
"""About this many bytes of masks are in memory before they are packed."""


@dataclass
class Instance:
    """One instance: class, score, box (left, top, right, bottom in pixels), and packed mask."""

    label: int
    score: float
    box: tuple[float, float, float, float]
    mask: Any


def instances(
    record: MaskRecord,
    class_logits: np.ndarray,
    mask_logits: np.ndarray | Tensor,
    frame: Frame,
    *,
    threshold: float,
    pack: Pack,
    boxes: np.ndarray | None = None,
    classes: Collection[int] | None = None,
    **controls: Any,
) -> list[Instance]:
    """Instances with a final score above `threshold`, in the authors' order (best class first).

    If possible, masks are made only for the instances that the options keep. If boxes and scores
    are computed from the masks, they are made for all instances with a wanted class and a class
    score above the threshold.

    Args:
        record: How the family turns queries into masks.
        class_logits: (queries, classes).
        mask_logits: (queries, h, w).
        frame: Where the image lies in the network's input.
        threshold: Instances must have a higher score.
        pack: Called with each mask as soon as it is made, so that few unpacked masks are in memory.
        boxes: (queries, 4) predicted boxes, relative centre and size, for families that have them.
        classes: Class ids that count as things; None for all. Others are dropped after the best
            pairs are chosen.
        **controls: The other options of `pvzoo.postprocess.select`.
    """
    scores, labels, queries = _best_pairs(record, class_logits)
    kept = scores > threshold  # the final score is never above the class score
    if classes is not None:
        kept &= np.isin(labels, list(classes))
    scores, labels, queries = scores[kept], labels[kept], queries[kept]
    sides = None
    if record.predicted_boxes and boxes is not None:
        sides = corners(boxes[queries], frame.image)
        if record.inside:
            height, width = frame.image
            np.clip(sides, 0, np.array([width, height, width, height], np.float32), out=sides)
        chosen = select(sides, scores, labels, **controls)
        scores, labels, queries = scores[chosen], labels[chosen], queries[chosen]
        sides = sides[chosen]
    unique, position = np.unique(queries, return_inverse=True)
    best = np.zeros(len(unique))
    np.maximum.at(best, position, scores)
    found = cut_out(
        mask_logits[unique],
        frame,
        pack,
        by_nearest=record.nearest,
        wanted=(lambda i, quality: best[i] * quality > threshold) if record.quality else None,
    )
    if record.quality:
        final = scores * np.array([one.quality for one in found])[position]
        kept = final > threshold
        scores, labels, position = final[kept], labels[kept], position[kept]
    if sides is None:
        sides = np.array([one.box for one in found], dtype=np.float32).reshape(-1, 4)[position]
        chosen = select(sides, scores.astype(np.float32), labels, **controls)
        scores, labels = scores[chosen], labels[chosen]
        sides, position = sides[chosen], position[chosen]
    return [
        Instance(label, score, (left, top, right, bottom), found[index].mask)
        for label, score, (left, top, right, bottom), index in zip(
            labels.tolist(), scores.tolist(), sides.tolist(), position.tolist(), strict=True
        )
    ]


def _best_pairs(
    record: MaskRecord, class_logits: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scores, classes, queries) of the candidates for instances."""
    count = len(class_logits)
    scores = softmax(class_logits)[:, :-1] if record.softmax else sigmoid(class_logits)
    if record.pairs == "query":
        queries, labels = np.arange(count), scores.argmax(axis=1)
        return scores[queries, labels], labels, queries
    index = largest(scores.reshape(-1), record.top_k or count)
    queries, labels = np.divmod(index, scores.shape[1])
    return scores.reshape(-1)[index], labels, queries


class Cutout(NamedTuple):
    """A mask cut out of its image.

    Attributes:
        mask: The mask as `Pack` returned it; None if it was not wanted.
        box: Left, top, right, bottom of the mask in pixels; zeros for an empty mask.
        quality: Mean mask probability inside it; 1 if it was not computed.
    """

    mask: Any
    box: tuple[int, int, int, int]
    quality: float


def cut_out(
    mask_logits: np.ndarray | Tensor,
    frame: Frame,
    pack: Pack,
    *,
    by_nearest: bool = False,
    wanted: Callable[[int, float], bool] | None = None,
) -> list[Cutout]:
    """Masks that are true where (n, h, w) maps are positive; few are in memory at a time.

    Args:
        mask_logits: An array, or a tensor on an accelerator.
        frame: Where the image lies in the network's input.
        pack: Called with each mask.
        by_nearest: Whether masks are made at the size of the network's input and then enlarged with
            nearest neighbours; otherwise logits are scaled to the image first.
        wanted: Called with a mask's index and quality; returns whether to pack it. None packs all
            masks, and no quality is computed.
    """
    positive: Callable[..., tuple[np.ndarray, np.ndarray]] = _positive
    if not isinstance(mask_logits, np.ndarray):
        from pvzoo.postprocess import tensors

        positive = tensors.positive
    # (rows, columns) of the valid input that the image shows, or all of the image
    shown: Any = None
    if by_nearest:
        shown = np.ix_(*map(nearest, frame.valid, frame.image))
        frame = replace(frame, image=frame.valid)

    def cut(item: tuple[int, np.ndarray, float]) -> Cutout:
        index, mask, quality = item
        top, left, mask = _trimmed(mask if shown is None else mask[shown])
        packed = pack(top, left, mask) if wanted is None or wanted(index, quality) else None
        return Cutout(packed, (left, top, left + mask.shape[1], top + mask.shape[0]), quality)

    found: list[Cutout] = []
    at_once = max(1, MASK_BYTES // (frame.image[0] * frame.image[1]))
    for start in range(0, len(mask_logits), at_once):
        masks, qualities = positive(
            mask_logits[start : start + at_once], frame, quality=wanted is not None
        )
        indices = range(start, start + len(masks))
        found += in_threads(cut, list(zip(indices, masks, qualities.tolist(), strict=True)))
    return found


def _positive(
    mask_logits: np.ndarray, frame: Frame, *, quality: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(n, height, width) bool: where maps are positive; (n,) their mean probability there, or 1."""
    cells, count = mask_logits.shape[-2:], len(mask_logits)
    masks = np.zeros((count, *frame.image), dtype=bool)
    rows, columns = grid(cells, frame, tile_size((cells, frame.image)))

    def of_rows(row: Band) -> tuple[np.ndarray, np.ndarray]:
        """Fill a band of the masks; return the sums of probabilities and the areas in it."""
        sums, areas = np.zeros(count), np.zeros(count, dtype=np.int64)
        low, high = bounds(mask_logits[:, row.cells], columns)
        for i, column in enumerate(columns):
            index = (row.pixels, column.pixels)
            some = high[i] > 0  # the other maps have no positive pixel here
            if not quality:
                masks[(low[i] > 0, *index)] = True
                some &= low[i] <= 0
            queries = np.flatnonzero(some)
            if len(queries) == 0:
                continue
            logits = values(mask_logits, queries, row, column)
            found = logits > 0
            masks[(queries, *index)] = found
            if quality:
                chances = sigmoid_(logits)
                chances *= found
                sums[queries] += chances.reshape(len(queries), -1).sum(axis=1)
                areas[queries] += np.count_nonzero(found.reshape(len(queries), -1), axis=1)
        return sums, areas

    parts = in_threads(of_rows, rows)
    if not quality:
        return masks, np.ones(count)
    sums = sum((sums for sums, _ in parts), start=np.zeros(count))
    areas = sum((areas for _, areas in parts), start=np.zeros(count, dtype=np.int64))
    return masks, sums / (areas + 1e-6)


def _trimmed(mask: np.ndarray) -> tuple[int, int, np.ndarray]:
    """(top, left, the mask without empty rows and columns around it)."""
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return 0, 0, mask[:0, :0]
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return top, left, mask[top:bottom, left:right]
