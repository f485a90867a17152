"""Make panoptic maps: each pixel gets one query, by the rules of the family's authors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pvzoo.families.base import MaskRecord
from pvzoo.postprocess.frame import (
    Band,
    Contest,
    Frame,
    bounds,
    grid,
    in_threads,
    tile_size,
    values,
)
from pvzoo.postprocess.scores import sigmoid, sigmoid_, softmax
from pvzoo.postprocess.semantic import from_pixels

if TYPE_CHECKING:
    from torch import Tensor


@dataclass
class Segment:
    """A segment of a panoptic map: its number in the map, class, class score, area in pixels."""

    number: int
    label: int
    score: float
    area: int


def panoptic(
    record: MaskRecord,
    class_logits: np.ndarray,
    mask_logits: np.ndarray | Tensor,
    frame: Frame,
    *,
    stuff: Collection[int],
    threshold: float,
    overlap: float,
) -> tuple[np.ndarray, list[Segment]]:
    """A map of segment numbers, (height, width) int32 (from 1; 0 is void), and the segments."""
    chances = softmax(class_logits)
    labels = chances.argmax(axis=1)
    scores = chances[np.arange(len(labels)), labels]
    kept = np.flatnonzero((labels != class_logits.shape[1] - 1) & (scores > threshold))
    scores, names, masks = scores[kept], labels[kept].tolist(), mask_logits[kept]
    if len(kept) == 0:
        return np.zeros(frame.image, dtype=np.int32), []
    if record.competition == "queries":
        return _contest_of_queries(masks, scores, names, frame, stuff)
    if isinstance(masks, np.ndarray):
        held = contest(masks, scores, frame)
    else:
        from pvzoo.postprocess import tensors

        held = tensors.contest(masks, scores, frame)
    return _number_segments(held, scores, names, stuff, overlap, record)


def contest(masks: np.ndarray, scores: np.ndarray, frame: Frame) -> Contest:
    """Give each pixel to the query with the largest class score times mask probability."""
    cells, count = masks.shape[-2:], len(masks)
    codes = np.empty(frame.image, dtype=np.int16)
    rows, columns = grid(cells, frame, tile_size((cells, frame.image), most=96))

    def of_rows(row: Band) -> tuple[np.ndarray, np.ndarray]:
        """Fill a band of `codes`; return its part of `counts` and `own`."""
        counts, own = np.zeros((count, 2), dtype=np.int64), np.zeros(count, dtype=np.int64)
        low, high = bounds(masks[:, row.cells], columns)
        least, most = sigmoid(low) * scores, sigmoid(high) * scores
        rivals = most >= least.max(axis=1, keepdims=True) - 1e-6  # others cannot win here
        whole, mixed = low >= 0, (low < 0) & (high >= 0)
        for i, column in enumerate(columns):
            tile = codes[row.pixels, column.pixels]
            own += whole[i] * tile.size
            racing = np.flatnonzero(rivals[i])
            alone = len(racing) == 1
            # the competing queries first, so that they are a slice of the values
            needed = np.flatnonzero(mixed[i] & ~rivals[i])
            if not alone or mixed[i, racing[0]]:
                needed = np.concatenate([racing, needed])
            if len(needed):
                logits = values(masks, needed, row, column)
                inside = logits >= 0  # sigmoid(x) >= 1/2
                areas = np.count_nonzero(inside.reshape(len(needed), -1), axis=1)
                own[needed] += areas * mixed[i, needed]
            if alone:
                query = racing[0]
                seen = inside[0] if mixed[i, query] else whole[i, query]
                tile[...] = seen
                tile += np.int16(2 * query)
                within = areas[0] if mixed[i, query] else tile.size * seen
                counts[query] += (tile.size - within, within)
                continue
            chances = sigmoid_(logits[: len(racing)])
            chances *= scores[racing, None, None]
            _race(chances, inside, racing, tile)
            counts += np.bincount(tile.reshape(-1), minlength=2 * count).reshape(count, 2)
        return counts, own

    parts = in_threads(of_rows, rows)
    counts = sum((counts for counts, _ in parts), start=np.zeros((count, 2), dtype=np.int64))
    own = sum((own for _, own in parts), start=np.zeros(count, dtype=np.int64))
    return Contest(codes, counts, own)


def _race(chances: np.ndarray, inside: np.ndarray, racing: np.ndarray, tile: np.ndarray) -> None:
    """Fill a tile with the codes of the best queries; of equal ones, the first."""
    best = chances[0]
    np.add(inside[0], np.int16(2 * racing[0]), out=tile)
    for query, chance, seen in zip(racing[1:], chances[1:], inside[1:], strict=False):
        better = chance > best
        np.copyto(best, chance, where=better)
        np.copyto(tile, seen + np.int16(2 * query), where=better)


def _number_segments(
    held: Contest,
    scores: np.ndarray,
    labels: list[int],
    stuff: Collection[int],
    overlap: float,
    record: MaskRecord,
) -> tuple[np.ndarray, list[Segment]]:
    """Drop queries that won too little of their mask, fuse stuff, and number the rest from 1."""
    won = held.counts.sum(axis=1)
    final = held.counts[:, 1] if record.void_below_half else won
    numbers = np.zeros((len(labels), 2), dtype=np.int32)
    segments: list[Segment] = []
    fused: dict[int, Segment] = {}
    for query, label in enumerate(labels):
        own = int(held.own[query])
        if own == 0 or final[query] == 0 or won[query] / own < overlap:
            continue
        segment = fused.get(label)
        if segment is None:
            segment = Segment(len(segments) + 1, label, float(scores[query]), 0)
            segments.append(segment)
            if label in stuff:
                fused[label] = segment
        segment.area += int(final[query])
        numbers[query, int(record.void_below_half) :] = segment.number
    of_codes = numbers.reshape(-1)
    ids = np.empty(held.codes.shape, dtype=np.int32)

    def number(start: int) -> None:
        strip = slice(start, start + 64)
        np.take(of_codes, held.codes[strip], out=ids[strip], mode="clip")

    in_threads(number, range(0, len(ids), 64))
    return ids, segments


def _contest_of_queries(
    masks: np.ndarray | Tensor,
    scores: np.ndarray,
    labels: list[int],
    frame: Frame,
    stuff: Collection[int],
) -> tuple[np.ndarray, list[Segment]]:
    """DETR's `PostProcessPanoptic`.

    The winners are computed at the size of the network's valid input; their map is then scaled to
    the image with nearest neighbours. Queries of the same stuff class are merged into the first,
    only in the first round. While any query has 4 pixels or fewer in the image, such queries are
    dropped, and the winners are computed again.
    """
    input_frame = replace(frame, image=frame.valid)
    kept = np.arange(len(labels))
    first_of: dict[int, int] = {}
    merged = np.array(
        [first_of.setdefault(n, q) if n in stuff else q for q, n in enumerate(labels)]
    )
    to_rows, to_columns = map(_nearest_by_pil, frame.valid, frame.image)
    first_round = True
    while len(kept):
        if len(kept) == 1:  # a single query wins everywhere
            winner = np.zeros(input_frame.image, dtype=np.int16)
        else:  # the winner of a softmax over queries has the largest logit
            winner, _ = from_pixels(masks[kept], input_frame, "bilinear")
        if first_round:
            winner = merged[winner]
        ids = winner[to_rows][:, to_columns]
        areas = np.bincount(ids.reshape(-1), minlength=len(kept))
        if areas.min() > 4:
            break
        kept = kept[areas > 4]
        first_round = False
    if not len(kept):
        return np.zeros(frame.image, dtype=np.int32), []
    segments = [
        Segment(i + 1, labels[q], float(scores[q]), int(area))
        for i, (q, area) in enumerate(zip(kept, areas, strict=True))
    ]
    return ids.astype(np.int32) + 1, segments


def _nearest_by_pil(cells: int, pixels: int) -> np.ndarray:
    """The cell that each pixel shows in PIL's nearest-neighbour scaling, as DETR's authors use."""
    ramp = Image.fromarray(np.arange(cells, dtype=np.int32)[None])
    shown: np.ndarray = np.asarray(ramp.resize((pixels, 1), Image.Resampling.NEAREST))[0]
    return shown
