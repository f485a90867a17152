"""Find each pixel's best class from queries, from windows of queries, or from scores per pixel.

No array of classes x height x width exists at image size: see `pvzoo.postprocess.frame`. Mask
logits and pixel logits may be tensors on an accelerator; the resulting maps are always arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pvzoo.families.base import PixelSteps
from pvzoo.postprocess.frame import (
    PRODUCT,
    Band,
    Frame,
    Map,
    Size,
    bands,
    best_of,
    bounds,
    grid,
    in_threads,
    tile_size,
    two_steps,
    values,
)
from pvzoo.postprocess.scaling import scaling
from pvzoo.postprocess.scores import sigmoid, sigmoid_, softmax

if TYPE_CHECKING:
    from torch import Tensor


def from_queries(
    class_logits: np.ndarray,
    mask_logits: np.ndarray | Tensor,
    frame: Frame,
    *,
    masks_first: bool,
    with_scores: bool = False,
) -> Map:
    """Each pixel's best class, and its score if `with_scores`.

    The score of a class at a pixel is the sum over queries of class probability times mask
    probability.

    Args:
        class_logits: (queries, classes + 1).
        mask_logits: (queries, h, w).
        frame: Where the image lies in the network's input.
        masks_first: Whether masks are scaled to the image before scores are computed (checkpoints
            that also make instances or panoptic maps). Otherwise scores are computed at the size of
            the network's input and then scaled (semantic-only checkpoints).
        with_scores: Whether to return also the score of the best class.
    """
    shares = np.ascontiguousarray(softmax(class_logits)[:, :-1])
    if not isinstance(mask_logits, np.ndarray):
        from pvzoo.postprocess import tensors

        return tensors.from_queries(
            shares, mask_logits, frame, masks_first=masks_first, with_scores=with_scores
        )
    painter = _of_queries(shares, mask_logits, frame, masks_first, scored=with_scores)
    return _painted(painter, frame.image, with_scores)


def scores_from_queries(
    class_logits: np.ndarray, mask_logits: np.ndarray, frame: Frame, *, masks_first: bool
) -> np.ndarray:
    """As `from_queries`, but the scores of all classes: (classes, height, width) float32."""
    shares = np.ascontiguousarray(softmax(class_logits)[:, :-1])
    painter = _of_queries(shares, mask_logits, frame, masks_first, every=True)
    return _dense(painter, shares.shape[1], frame.image)


class _Painter(NamedTuple):
    """Computes a map band by band.

    Attributes:
        of_rows: ``of_rows(index, paint)`` calls ``paint(column, classes, scores)`` for each tile of
            a band: (k,) classes that may win, and their (k, rows, columns) scores. If only one may
            win, there are no scores, unless they are asked for.
        rows: The bands.
    """

    of_rows: Callable[[int, Callable[..., None]], None]
    rows: Sequence[Band]


def _of_queries(
    shares: np.ndarray,
    mask_logits: np.ndarray,
    frame: Frame,
    masks_first: bool,
    *,
    scored: bool = False,
    every: bool = False,
) -> _Painter:
    """See `from_queries`; with `every`, all classes may win."""
    cells = mask_logits.shape[-2:]
    scales = [(cells, frame.image)]
    if not masks_first:
        scales += [(cells, frame.padded), (frame.valid, frame.image)]
    # in small tiles, few classes can win and few queries matter
    rows, columns = grid(cells, frame, tile_size(*scales, most=48))
    steps = None if masks_first else two_steps(cells, frame, rows, columns)

    def of_rows(index: int, paint: Callable[..., None]) -> None:
        row = rows[index]
        low, high = map(sigmoid, bounds(mask_logits[:, row.cells], columns))
        least, most = (_product(bound, shares) for bound in (low, high))
        possible = (most >= least.max(axis=1, keepdims=True) - 1e-6) | every
        for c, column in enumerate(columns):
            classes = np.flatnonzero(possible[c])
            if len(classes) == 1 and not (scored or every):
                paint(column, classes)
                continue
            some = shares[:, classes]
            # queries that change so little in this tile that, even together, they cannot matter
            spread = (high[c] - low[c]) * some.max(axis=1)
            order = np.argsort(spread)
            flat = order[: np.count_nonzero(np.cumsum(spread[order]) < 1e-6)]
            constant = (((high[c] + low[c]) / 2)[flat, None] * some[flat]).sum(axis=0)
            active = np.delete(np.arange(len(shares)), flat)
            if steps is None:
                scores = _sums(some[active], sigmoid_(values(mask_logits, active, row, column)))
            else:
                (row_in, row_out), (column_in, column_out) = steps[0][index], steps[1][c]
                window = mask_logits[:, row.cells, column.cells][active]
                scores = _sums(some[active], sigmoid_(row_in @ window @ column_in.T))
                scores = row_out @ scores @ column_out.T
            scores += constant[:, None, None]
            paint(column, classes, scores)

    return _Painter(of_rows, rows)


def _dense(painter: _Painter, classes: int, image: Size) -> np.ndarray:
    """(classes, height, width) float32 scores, from a painter of all classes."""
    result = np.empty((classes, *image), dtype=np.float32)

    def band(index: int) -> None:
        def paint(column: Band, _: np.ndarray, scores: np.ndarray) -> None:
            result[:, painter.rows[index].pixels, column.pixels] = scores

        painter.of_rows(index, paint)

    in_threads(band, range(len(painter.rows)))
    return result


def _painted(painter: _Painter, image: Size, with_scores: bool) -> Map:
    """A map of the best classes."""
    of_rows, rows = painter
    labels = np.empty(image, dtype=np.int16)
    best = np.empty(image, dtype=np.float32) if with_scores else None

    def band(index: int) -> None:
        def paint(column: Band, classes: np.ndarray, scores: np.ndarray | None = None) -> None:
            tile = (rows[index].pixels, column.pixels)
            if scores is None:
                labels[tile] = classes[0]
                return
            score, first = best_of(scores)
            labels[tile] = classes[first]
            if best is not None:
                best[tile] = score

        of_rows(index, paint)

    in_threads(band, range(len(rows)))
    return labels, best


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The product of two matrices, in small parts; see `PRODUCT`."""
    at_once = max(2, PRODUCT // right.size)
    return np.concatenate([left[i : i + at_once] @ right for i in range(0, len(left), at_once)])


_WIDE = 64
"""The number of pixels for which the class scores are computed in one matrix product."""


def _sums(shares: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """(queries, classes) and (queries, rows, columns) -> (classes, rows, columns).

    Many small products in one call; see `PRODUCT`.
    """
    queries, classes = shares.shape
    flat = masks.reshape(queries, masks.shape[1] * masks.shape[2])
    whole = flat.shape[1] // _WIDE * _WIDE
    result = np.empty((classes, flat.shape[1]), dtype=np.float32)

    def parts(rows: np.ndarray) -> np.ndarray:
        return rows[:, :whole].reshape(len(rows), whole // _WIDE, _WIDE).transpose(1, 0, 2)

    at_once = max(1, PRODUCT // max(1, queries * _WIDE))
    for start in range(0, classes, at_once):
        some = np.ascontiguousarray(shares[:, start : start + at_once].T)
        found = result[start : start + at_once]
        np.matmul(some, parts(flat), out=parts(found))
        np.matmul(some, flat[:, whole:], out=found[:, whole:])
    return result.reshape(classes, *masks.shape[1:])


def from_pixels(
    logits: np.ndarray | Tensor, frame: Frame, steps: PixelSteps, *, with_scores: bool = False
) -> Map:
    """As `from_queries`, from class logits per pixel (classes, h, w); scores are the logits.

    A single channel is a sigmoid: class 1 where it is above one half, otherwise class 0.

    ``steps`` is how the authors scale the logits:

    * "bilinear": to the network's input, then to the image (mmsegmentation,
      ``models/segmentors/encoder_decoder.py``: SegFormer, UPerNet, BEiT);
    * "aligned": the same, but with aligned corners in the first step (DeepLab,
      ``research/deeplab/model.py``; ml-cvnets, ``base_seg_head.py``);
    * "bicubic": probabilities straight to the image (DPT, ``run_segmentation.py``).
    """
    if not isinstance(logits, np.ndarray):
        from pvzoo.postprocess import tensors

        return tensors.from_pixels(logits, frame, steps, with_scores=with_scores)
    return _painted(_of_pixels(logits, frame, steps, scored=with_scores), frame.image, with_scores)


def scores_from_pixels(logits: np.ndarray, frame: Frame, steps: PixelSteps) -> np.ndarray:
    """As `from_pixels`, but the scores of all classes: (classes, height, width) float32."""
    classes = max(2, len(logits))
    return _dense(_of_pixels(logits, frame, steps, every=True), classes, frame.image)


def _of_pixels(
    logits: np.ndarray,
    frame: Frame,
    steps: PixelSteps,
    *,
    scored: bool = False,
    every: bool = False,
) -> _Painter:
    """See `from_pixels`; with `every`, all classes may win."""
    cells = logits.shape[-2:]
    tile = tile_size((cells, frame.image))
    overshoot = 0.0
    alone = len(logits) == 1
    if alone:  # the logits of both classes
        logits = np.concatenate([-logits, logits])
    if steps == "bicubic":
        logits = sigmoid(logits) if alone else softmax(logits, axis=0)
        matrices = [scaling(*sizes, "cubic") for sizes in zip(cells, frame.image, strict=True)]
        rows, columns = (bands(matrix, tile) for matrix in matrices)
        # some weights are negative: how far values can be outside the range of the cells
        largest = np.prod([np.abs(matrix).sum(axis=1).max() for matrix in matrices])
        overshoot = float(largest - 1) / 2
    else:
        rows, columns = grid(cells, frame, tile, align_corners=steps == "aligned")

    def of_rows(index: int, paint: Callable[..., None]) -> None:
        row = rows[index]
        low, high = bounds(logits[:, row.cells], columns)
        margin = overshoot * (high - low)
        possible = (high + margin >= (low - margin).max(axis=1, keepdims=True)) | every
        for c, column in enumerate(columns):
            classes = np.flatnonzero(possible[c])
            if len(classes) == 1 and not (scored or every):
                paint(column, classes)
            else:
                paint(column, classes, values(logits, classes, row, column))

    return _Painter(of_rows, rows)


def from_windows(
    class_logits: np.ndarray,
    mask_logits: np.ndarray | Tensor,
    windows: Sequence[tuple[int, int]],
    network: Size,
    scaled: Size,
    image: Size,
    *,
    with_scores: bool = False,
) -> Map:
    """As `from_queries`, from windows of a scaled image; overlapping windows are averaged.

    EoMT, ``training/lightning_module.py``: ``revert_window_logits_semantic``.

    Args:
        class_logits: (windows, queries, classes + 1).
        mask_logits: (windows, queries, h, w).
        windows: (start, end) of each window along the longer side of the scaled image.
        network: Size of a window.
        scaled: Size of the scaled image.
        image: Size of the original image.
    """
    shares = np.ascontiguousarray(softmax(class_logits)[..., :-1])
    if not isinstance(mask_logits, np.ndarray):
        from pvzoo.postprocess import tensors

        return tensors.from_windows(
            shares, mask_logits, windows, network, scaled, image, with_scores=with_scores
        )
    painter = _of_windows(shares, mask_logits, windows, network, scaled, image)
    return _painted(painter, image, with_scores)


def scores_from_windows(
    class_logits: np.ndarray,
    mask_logits: np.ndarray,
    windows: Sequence[tuple[int, int]],
    network: Size,
    scaled: Size,
    image: Size,
) -> np.ndarray:
    """As `from_windows`, but the scores of all classes: (classes, height, width) float32."""
    shares = np.ascontiguousarray(softmax(class_logits)[..., :-1])
    painter = _of_windows(shares, mask_logits, windows, network, scaled, image)
    return _dense(painter, shares.shape[-1], image)


def _of_windows(
    shares: np.ndarray,
    mask_logits: np.ndarray,
    windows: Sequence[tuple[int, int]],
    network: Size,
    scaled: Size,
    image: Size,
) -> _Painter:
    """See `from_windows`; all classes may win."""
    upright = image[0] > image[1]
    cells = mask_logits.shape[-2:]
    tile = tile_size((cells, image), (cells, network), (scaled, image))
    to_input = [scaling(*sizes) for sizes in zip(cells, network, strict=True)]
    rows, columns = (bands(scaling(*sizes), tile) for sizes in zip(scaled, image, strict=True))
    axis = 0 if upright else 1  # the axis along which the windows lie
    overlap = np.zeros(scaled[axis], dtype=np.float32)
    for start, end in windows:
        overlap[start:end] += 1

    def mean_scores(row: Band, column: Band) -> np.ndarray:
        """(classes, rows, columns) mean scores of the scaled image, for one tile."""
        sides = [(row.low, row.high), (column.low, column.high)]
        low, high = sides[axis]
        total = np.zeros((shares.shape[-1], *(b - a for a, b in sides)), dtype=np.float32)
        for share, masks, (start, end) in zip(shares, mask_logits, windows, strict=True):
            first, last = max(low, start), min(high, end)
            if first >= last:
                continue
            own = list(sides)
            own[axis] = (first - start, last - start)
            left, right = map(_used, to_input, own)
            part = left.weights @ masks[:, left.cells, right.cells] @ right.weights.T
            index: list[slice] = [slice(None)] * 3
            index[1 + axis] = slice(first - low, last - low)
            total[tuple(index)] += _sums(share, sigmoid_(part))
        count = overlap[low:high]
        return total / (count[:, None] if upright else count)

    def of_rows(index: int, paint: Callable[..., None]) -> None:
        row = rows[index]
        classes = np.arange(shares.shape[-1])
        for column in columns:
            scores = row.weights @ mean_scores(row, column) @ column.weights.T
            paint(column, classes, scores)

    return _Painter(of_rows, rows)


def _used(matrix: np.ndarray, part: tuple[int, int]) -> Band:
    """Some rows of a matrix as a band."""
    return bands(matrix[slice(*part)], part[1] - part[0])[0]
