"""Make masks and maps from tensors, for networks with masks on an accelerator.

The functions do the same as the functions with the same names for arrays, in
`pvzoo.postprocess.panoptic`, `instances` and `semantic`, but with few large operations. Both
versions are tested against the authors' inference and against each other. Only results leave the
device. No other module in `pvzoo.postprocess` imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pvzoo.families.base import PixelSteps
from pvzoo.postprocess import frame as arrays
from pvzoo.postprocess.frame import ROUNDING, Contest, Frame, Map, Size, two_steps
from pvzoo.postprocess.scaling import scaling

TILE = 1024
"""The side of a tile."""


@dataclass(frozen=True, eq=False)
class TensorBand(arrays.Span):
    """As `pvzoo.postprocess.frame.Band`, with its weights on a device."""

    weights: Tensor


def _on(device: torch.device, band: arrays.Band) -> TensorBand:
    weights = torch.from_numpy(band.weights).to(device)
    return TensorBand(band.start, band.end, band.low, band.high, weights)


def _grid(
    maps: Tensor, frame: Frame, *, align_corners: bool = False
) -> tuple[list[TensorBand], list[TensorBand]]:
    rows, columns = arrays.grid(_cells(maps), frame, TILE, align_corners)
    return [_on(maps.device, b) for b in rows], [_on(maps.device, b) for b in columns]


def _cells(maps: Tensor) -> Size:
    return maps.shape[-2], maps.shape[-1]


def _bounds(window: Tensor, columns: list[TensorBand]) -> tuple[Tensor, Tensor]:
    least, largest = window.amin(dim=1), window.amax(dim=1)
    low = torch.stack([least[:, c.cells].amin(dim=1) for c in columns])
    high = torch.stack([largest[:, c.cells].amax(dim=1) for c in columns])
    return low - ROUNDING * (1 + low.abs()), high + ROUNDING * (1 + high.abs())


def _values(maps: Tensor, some: Tensor, row: TensorBand, column: TensorBand) -> Tensor:
    return row.weights @ maps[:, row.cells, column.cells][some] @ column.weights.T


def contest(masks: Tensor, scores: np.ndarray, frame: Frame) -> Contest:
    """Give each pixel to the query with the largest class score times mask probability."""
    device, count = masks.device, len(masks)
    weights = torch.from_numpy(scores).to(device)
    codes = torch.empty(frame.image, dtype=torch.int16, device=device)
    own = torch.zeros(count, dtype=torch.int64, device=device)
    counts = torch.zeros(2 * count, dtype=torch.int64, device=device)
    rows, columns = _grid(masks, frame)
    for row in rows:
        low, high = _bounds(masks[:, row.cells], columns)
        least, most = low.sigmoid() * weights, high.sigmoid() * weights
        rivals = most >= least.amax(dim=1, keepdim=True) - 1e-6  # others cannot win here
        mixed = (low < 0) & (high >= 0)
        whole = low >= 0
        for i, column in enumerate(columns):
            own += whole[i] * (len(row) * len(column))
            racing = rivals[i].nonzero().flatten()
            # the competing queries first, so that they are a slice of the values
            needed = torch.cat([racing, (mixed[i] & ~rivals[i]).nonzero().flatten()])
            logits = _values(masks, needed, row, column)
            inside = logits >= 0  # sigmoid(x) >= 1/2
            areas = inside.flatten(1).sum(dim=1, dtype=torch.int64)
            own[needed] += areas * mixed[i][needed]
            chances = logits[: len(racing)].sigmoid_().mul_(weights[racing, None, None])
            first = chances.max(dim=0).indices  # the first of equal ones; argmax is much slower
            tile = 2 * racing[first] + inside.gather(0, first[None])[0]
            codes[row.pixels, column.pixels] = tile.to(torch.int16)
            counts += torch.bincount(tile.flatten(), minlength=2 * count)
    return Contest(codes.cpu().numpy(), counts.cpu().numpy().reshape(count, 2), own.cpu().numpy())


def positive(mask_logits: Tensor, frame: Frame, *, quality: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n, height, width) bool: where maps are positive; (n,) mean probability there, or 1."""
    device, count = mask_logits.device, len(mask_logits)
    masks = torch.zeros((count, *frame.image), dtype=torch.bool, device=device)
    wide = torch.float32 if device.type == "mps" else torch.float64  # Metal has no float64
    sums = torch.zeros(count, dtype=wide, device=device)
    areas = torch.zeros(count, dtype=torch.int64, device=device)
    rows, columns = _grid(mask_logits, frame)
    for row in rows:
        _, high = _bounds(mask_logits[:, row.cells], columns)
        for i, column in enumerate(columns):
            queries = (high[i] > 0).nonzero().flatten()  # the others have no positive pixel
            logits = _values(mask_logits, queries, row, column)
            found = logits > 0
            masks[queries, row.pixels, column.pixels] = found
            if quality:
                sums[queries] += (logits.sigmoid_() * found).sum(dim=(1, 2)).to(wide)
                areas[queries] += found.flatten(1).sum(dim=1, dtype=torch.int64)
    mean = (sums / (areas + 1e-6)).double() if quality else torch.ones(count, dtype=torch.float64)
    return masks.cpu().numpy(), mean.cpu().numpy()


def from_queries(
    shares: np.ndarray,
    mask_logits: Tensor,
    frame: Frame,
    *,
    masks_first: bool,
    with_scores: bool,
) -> Map:
    """As the function for arrays, from (queries, classes) probabilities instead of logits."""
    device = mask_logits.device
    of_classes = torch.from_numpy(shares).to(device)
    canvas = _Canvas(frame.image, device, with_scores)
    rows, columns = _grid(mask_logits, frame)
    steps = None
    if not masks_first:
        steps = [
            [tuple(torch.from_numpy(matrix).to(device) for matrix in step) for step in side]
            for side in two_steps(_cells(mask_logits), frame, rows, columns)
        ]
    for r, row in enumerate(rows):
        low, high = (b.sigmoid() for b in _bounds(mask_logits[:, row.cells], columns))
        least, most = low @ of_classes, high @ of_classes
        possible = most >= least.amax(dim=1, keepdim=True) - 1e-6
        for c, column in enumerate(columns):
            classes = possible[c].nonzero().flatten()
            some = of_classes[:, classes]
            # queries that change so little in this tile that, even together, they cannot matter
            spread = (high[c] - low[c]) * some.amax(dim=1)
            order = spread.argsort()
            flat = order[: int((spread[order].cumsum(0) < 1e-6).sum())]
            constant = ((high[c] + low[c]) / 2)[flat] @ some[flat]
            active = torch.ones(len(shares), dtype=torch.bool, device=device)
            active[flat] = False
            window = mask_logits[:, row.cells, column.cells][active]
            if steps is None:
                scores = _sums(some[active], row.weights @ window @ column.weights.T)
            else:
                (row_in, row_out), (column_in, column_out) = steps[0][r], steps[1][c]
                scores = _sums(some[active], row_in @ window @ column_in.T)
                scores = row_out @ scores @ column_out.T
            canvas.paint(row, column, classes, scores + constant[:, None, None])
    return canvas.finished()


def _sums(shares: Tensor, logits: Tensor) -> Tensor:
    """(queries, classes) and (queries, rows, columns) logits -> (classes, rows, columns)."""
    flat = shares.T @ logits.sigmoid_().flatten(1)
    return flat.view(-1, *logits.shape[1:])


class _Canvas:
    """A map on a device, painted tile by tile."""

    def __init__(self, image: Size, device: torch.device, with_scores: bool) -> None:
        self._labels = torch.empty(image, dtype=torch.int16, device=device)
        self._best = torch.empty(image, device=device) if with_scores else None

    def paint(self, row: TensorBand, column: TensorBand, classes: Tensor, scores: Tensor) -> None:
        """Paint a tile with the best of (k,) classes, by their (k, rows, columns) scores."""
        score, first = scores.max(dim=0)
        self._labels[row.pixels, column.pixels] = classes[first].to(torch.int16)
        if self._best is not None:
            self._best[row.pixels, column.pixels] = score

    def finished(self) -> Map:
        """The map as arrays."""
        best = None if self._best is None else self._best.cpu().numpy()
        return self._labels.cpu().numpy(), best


def from_pixels(logits: Tensor, frame: Frame, steps: PixelSteps, *, with_scores: bool) -> Map:
    """As the function for arrays."""
    device, cells = logits.device, _cells(logits)
    canvas = _Canvas(frame.image, device, with_scores)
    alone = len(logits) == 1
    if alone:
        logits = torch.cat([-logits, logits])
    if steps == "bicubic":
        logits = logits.sigmoid() if alone else logits.softmax(0)
        rows, columns = (
            [_on(device, band) for band in arrays.bands(scaling(*sizes, "cubic"), TILE)]
            for sizes in zip(cells, frame.image, strict=True)
        )
    else:
        rows, columns = _grid(logits, frame, align_corners=steps == "aligned")
    for row in rows:
        low, high = _bounds(logits[:, row.cells], columns)
        possible = high >= low.amax(dim=1, keepdim=True)
        if steps == "bicubic":  # some of its weights are negative, so the bounds do not hold
            possible.fill_(True)
        for c, column in enumerate(columns):
            classes = possible[c].nonzero().flatten()
            canvas.paint(row, column, classes, _values(logits, classes, row, column))
    return canvas.finished()


def from_windows(
    shares: np.ndarray,
    mask_logits: Tensor,
    windows: Sequence[tuple[int, int]],
    network: Size,
    scaled: Size,
    image: Size,
    *,
    with_scores: bool,
) -> Map:
    """As the function for arrays, from (windows, queries, classes) probabilities, not logits."""
    device = mask_logits.device
    upright = image[0] > image[1]
    of_classes = torch.from_numpy(shares).to(device)
    to_rows, to_columns = (
        torch.from_numpy(scaling(*sizes)).to(device)
        for sizes in zip(mask_logits.shape[-2:], network, strict=True)
    )
    count = torch.zeros(scaled[0] if upright else scaled[1], device=device)
    for start, end in windows:
        count[start:end] += 1

    def scores_of(low: int, high: int) -> Tensor:
        """(classes, high - low, scaled width): the mean class scores of some rows."""
        total = torch.zeros((shares.shape[-1], high - low, scaled[1]), device=device)
        for share, masks, (start, end) in zip(of_classes, mask_logits, windows, strict=True):
            first, last = (max(low, start), min(high, end)) if upright else (low, high)
            if first >= last:
                continue
            offset = start if upright else 0
            part = to_rows[first - offset : last - offset] @ masks @ to_columns.T
            columns = slice(None) if upright else slice(start, end)
            total[:, first - low : last - low, columns] += _sums(share, part)
        return total / (count[low:high, None] if upright else count)

    canvas = _Canvas(image, device, with_scores)
    classes = torch.arange(shares.shape[-1], device=device)
    (whole,) = arrays.bands(scaling(scaled[1], image[1]), image[1])
    columns = _on(device, whole)
    for band in arrays.bands(scaling(scaled[0], image[0]), 32):
        row = _on(device, band)
        scores = row.weights @ scores_of(row.low, row.high) @ columns.weights.T
        canvas.paint(row, columns, classes, scores)
    return canvas.finished()
