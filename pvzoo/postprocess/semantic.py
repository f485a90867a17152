"""Each pixel's best class: from queries, from windows of queries, or from scores per pixel.

Nothing of size classes x height x width is held at image size: see `pvzoo.postprocess.frame`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as nnf

from pvzoo.postprocess.frame import Band, Frame, Size, bands, bounds, grid, scaling, tile_size

Steps = Literal["bilinear", "aligned", "bicubic"]


def from_queries(
    class_logits: Tensor,
    mask_logits: Tensor,
    frame: Frame,
    *,
    masks_first: bool,
    with_scores: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Each pixel's best class: (height, width) int16, and its score if asked for.

    A class's score at a pixel is the sum over queries of class probability times mask probability.

    Args:
        class_logits: (queries, classes + 1).
        mask_logits: (queries, h, w).
        frame: Where the image lies in the network's input.
        masks_first: Whether masks are scaled to the image before scores are made (checkpoints that
            also make instances or panoptic maps), or scores are made on the network's input and
            then scaled (semantic-only checkpoints).
        with_scores: Whether the score of the best class is returned too.
    """
    shares = class_logits.softmax(-1)[:, :-1].contiguous()
    device = mask_logits.device
    labels = torch.empty(frame.image, dtype=torch.int16, device=device)
    best = torch.empty(frame.image, device=device) if with_scores else None
    tiles = _Tiles(mask_logits, frame, tile_size(device, 64), masks_first)
    for r, row in enumerate(tiles.rows):
        low, high = bounds(mask_logits[:, row.cells], tiles.columns)
        low, high = low.sigmoid(), high.sigmoid()
        least, most = low @ shares, high @ shares
        possible = most >= least.amax(dim=1, keepdim=True) - 1e-6
        for c, column in enumerate(tiles.columns):
            place = (row.pixels, column.pixels)
            classes = possible[c].nonzero().flatten()
            if len(classes) == 1 and best is None:
                labels[place] = int(classes)
                continue
            some = shares[:, classes]
            # queries that change so little in this tile that together they cannot matter
            spread = (high[c] - low[c]) * some.amax(dim=1)
            order = spread.argsort()
            flat = order[: int((spread[order].cumsum(0) < 1e-6).sum())]
            constant = ((high[c] + low[c]) / 2)[flat] @ some[flat]
            active = torch.ones(len(shares), dtype=torch.bool, device=device)
            active[flat] = False
            score, first = tiles.best(r, c, active, some[active], constant)
            labels[place] = classes[first].to(torch.int16)
            if best is not None:
                best[place] = score
    return labels, best


class _Tiles:
    """Class scores of one tile at a time, with masks or scores scaled."""

    def __init__(self, mask_logits: Tensor, frame: Frame, tile: int, masks_first: bool) -> None:
        self._maps = mask_logits
        self._masks_first = masks_first
        self.rows, self.columns = grid(mask_logits, frame, tile)
        if not masks_first:
            self._steps = [
                [_two_steps(band, *sizes) for band in side]
                for side, *sizes in zip(
                    (self.rows, self.columns),
                    mask_logits.shape[-2:],
                    frame.padded,
                    frame.valid,
                    frame.image,
                    strict=True,
                )
            ]

    def best(
        self, r: int, c: int, active: Tensor, shares: Tensor, constant: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(rows, columns) best score and its class in a tile.

        Scores are `constant` (classes,), plus what the `active` queries add with their `shares`.
        """
        row, column = self.rows[r], self.columns[c]
        window = self._maps[:, row.cells, column.cells][active]
        if self._masks_first:
            masks = (row.weights @ window @ column.weights.T).sigmoid_()
            scores = (shares.T @ masks.flatten(1)).view(-1, *masks.shape[1:])
        else:
            (row_in, row_out), (column_in, column_out) = self._steps[0][r], self._steps[1][c]
            masks = (row_in @ window @ column_in.T).sigmoid_()
            scores = (shares.T @ masks.flatten(1)).view(-1, *masks.shape[1:])
            scores = row_out @ scores @ column_out.T
        return (scores + constant[:, None, None]).max(dim=0)


def _two_steps(
    band: Band, cells: int, padded: int, valid: int, image: int
) -> tuple[Tensor, Tensor]:
    """Of one band: the matrices (input pixels, cells) and (image pixels, input pixels)."""
    to_image = scaling(valid, image)[band.pixels]
    used = to_image.any(dim=0).nonzero()
    inputs = slice(int(used[0]), int(used[-1]) + 1)
    to_input = scaling(cells, padded)[:valid][inputs, band.cells]
    device = band.weights.device
    return to_input.contiguous().to(device), to_image[:, inputs].contiguous().to(device)


def from_pixels(
    logits: Tensor, frame: Frame, steps: Steps, *, with_scores: bool = False
) -> tuple[Tensor, Tensor | None]:
    """As `from_queries`, from class logits per pixel (classes, h, w); scores are the logits.

    One channel alone is a sigmoid: class 1 where it is above one half, else class 0.

    ``steps`` is how the authors scale them:

    * "bilinear": to the network's input, then to the image (mmsegmentation,
      ``models/segmentors/encoder_decoder.py``: SegFormer, UPerNet, BEiT);
    * "aligned": likewise, but corners aligned in the first step (DeepLab,
      ``research/deeplab/model.py``; ml-cvnets, ``base_seg_head.py``);
    * "bicubic": probabilities straight to the image (DPT, ``run_segmentation.py``).
    """
    device = logits.device
    labels = torch.empty(frame.image, dtype=torch.int16, device=device)
    best = torch.empty(frame.image, device=device) if with_scores else None
    tile = tile_size(device, 64)
    if len(logits) == 1:  # the logits of either answer
        logits = torch.cat([-logits, logits])
        if steps == "bicubic":
            logits = logits.sigmoid()
    elif steps == "bicubic":
        logits = logits.softmax(0)
    if steps == "bicubic":
        rows, columns = (
            bands(scaling(cells, image, "cubic"), tile, device)
            for cells, image in zip(logits.shape[-2:], frame.image, strict=True)
        )
    else:
        rows, columns = grid(logits, frame, tile, align_corners=steps == "aligned")
    for row in rows:
        low, high = bounds(logits[:, row.cells], columns)
        possible = high >= low.amax(dim=1, keepdim=True)
        if steps == "bicubic":  # its weights are not all positive, so the bounds do not hold
            possible.fill_(True)
        for c, column in enumerate(columns):
            place = (row.pixels, column.pixels)
            classes = possible[c].nonzero().flatten()
            if len(classes) == 1 and best is None:
                labels[place] = int(classes)
                continue
            window = logits[classes][:, row.cells, column.cells]
            score, first = (row.weights @ window @ column.weights.T).max(dim=0)
            labels[place] = classes[first].to(torch.int16)
            if best is not None:
                best[place] = score
    return labels, best


def from_windows(
    class_logits: Tensor,
    mask_logits: Tensor,
    windows: Sequence[tuple[int, int]],
    network: Size,
    scaled: Size,
    image: Size,
    *,
    with_scores: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """As `from_queries`, from windows of a scaled image; where they overlap, the mean counts.

    EoMT, ``training/lightning_module.py``: ``revert_window_logits_semantic``.

    Args:
        class_logits: (windows, queries, classes + 1).
        mask_logits: (windows, queries, h, w).
        windows: (start, end) of each along the longer side of the scaled image.
        network: Size of a window.
        scaled: Size the image was scaled to.
        image: Size of the image.
    """
    device = mask_logits.device
    shares = class_logits.softmax(-1)[..., :-1]
    upright = image[0] > image[1]
    to_rows, to_columns = (
        scaling(cells, pixels).to(device)
        for cells, pixels in zip(mask_logits.shape[-2:], network, strict=True)
    )
    count = torch.zeros(scaled[0] if upright else scaled[1], device=device)
    for start, end in windows:
        count[start:end] += 1

    def scores_of(low: int, high: int) -> Tensor:
        """(classes, high - low, scaled width): the mean class scores of some rows."""
        total = torch.zeros((shares.shape[-1], high - low, scaled[1]), device=device)
        for share, masks, (start, end) in zip(shares, mask_logits, windows, strict=True):
            first, last = (max(low, start), min(high, end)) if upright else (low, high)
            if first >= last:
                continue
            offset = start if upright else 0
            part = to_rows[first - offset : last - offset] @ masks @ to_columns.T
            scores = (share.T @ part.sigmoid_().flatten(1)).view(-1, *part.shape[1:])
            columns = slice(None) if upright else slice(start, end)
            total[:, first - low : last - low, columns] += scores
        return total / (count[low:high, None] if upright else count)

    labels = torch.empty(image, dtype=torch.int16, device=device)
    best = torch.empty(image, device=device) if with_scores else None
    for row in bands(scaling(scaled[0], image[0]), 32, device):
        tall = row.weights @ scores_of(row.low, row.high)
        wide = nnf.interpolate(tall[None], size=(len(row), image[1]), mode="bilinear")[0]
        score, label = wide.max(dim=0)
        labels[row.pixels] = label.to(torch.int16)
        if best is not None:
            best[row.pixels] = score
    return labels, best
