"""From the network's resolution to the image's, a tile at a time.

Authors scale mask logits to the padded network input, crop the padding off and scale the rest to
the image, both times bilinearly. Both steps are linear and act on rows and columns apart, so each
axis is one sparse matrix, and any tile of the image depends on a small window of cells. All weights
are positive and sum to one; so the values in a tile lie between the least and the largest cell of
its window, and most tiles can be settled by that bound without computing a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as nnf

Size = tuple[int, int]

ROUNDING = 4e-6
"""By what share of themselves, and at least by how much, bounds are widened for rounding."""


@dataclass(frozen=True)
class Frame:
    """Where an image lies in the network's input; all sizes are (height, width) in pixels.

    Attributes:
        padded: The network's input.
        valid: The upper left part of it that shows the image; the rest is padding.
        image: The image itself.
    """

    padded: Size
    valid: Size
    image: Size


@dataclass(frozen=True)
class Band:
    """Pixels ``start:end`` of an axis of the image, made of the cells ``low:high``.

    Attributes:
        weights: (end - start, high - low), each row summing to 1.
    """

    start: int
    end: int
    low: int
    high: int
    weights: Tensor

    def __len__(self) -> int:
        return self.end - self.start

    @property
    def pixels(self) -> slice:
        """The band as a slice of the image's axis."""
        return slice(self.start, self.end)

    @property
    def cells(self) -> slice:
        """The band's window as a slice of the network's axis."""
        return slice(self.low, self.high)


@lru_cache(maxsize=4)  # asked for band by band
def scaling(cells: int, pixels: int, mode: str = "linear", align_corners: bool = False) -> Tensor:
    """The (pixels, cells) matrix of torch's own 1-D interpolation, rounding of positions included.

    It is what torch makes of the unit vectors; ``mode`` is "linear" or "cubic".
    """
    unit = torch.eye(cells)
    if mode == "cubic":
        scaled = nnf.interpolate(
            unit[None, None], size=(cells, pixels), mode="bicubic", align_corners=align_corners
        )[0, 0]
    else:
        scaled = nnf.interpolate(
            unit[None], size=pixels, mode="linear", align_corners=align_corners
        )[0]
    return scaled.T.contiguous()


@lru_cache(maxsize=8)  # images of a stream are often of one size
def axes(cells: Size, frame: Frame, align_corners: bool) -> tuple[Tensor, Tensor]:
    """The matrices (image, cells) of both scalings and the crop between them, for rows and columns.

    ``align_corners`` is that of the first scaling; the second never aligns them.
    """
    matrices = []
    for count, padded, valid, image in zip(
        cells, frame.padded, frame.valid, frame.image, strict=True
    ):
        to_input = scaling(count, padded, align_corners=align_corners)[:valid]
        # scaling the rows of the first matrix is the same as a product with the second
        to_image = nnf.interpolate(to_input.T[None], size=image, mode="linear")[0]
        matrices.append(to_image.T.contiguous())
    return matrices[0], matrices[1]


def bands(matrix: Tensor, size: int, device: torch.device) -> list[Band]:
    """Cut an axis of the image into bands of at most `size` pixels."""
    result = []
    for start in range(0, len(matrix), size):
        part = matrix[start : start + size]
        used = part.any(dim=0).nonzero()
        low, high = int(used[0]), int(used[-1]) + 1
        weights = part[:, low:high].contiguous().to(device)
        result.append(Band(start, start + len(part), low, high, weights))
    return result


def grid(
    maps: Tensor, frame: Frame, tile: int, *, align_corners: bool = False
) -> tuple[list[Band], list[Band]]:
    """The bands of rows and of columns in which (n, h, w) maps are scaled."""
    rows, columns = axes(tuple(maps.shape[-2:]), frame, align_corners)
    return bands(rows, tile, maps.device), bands(columns, tile, maps.device)


def bounds(window: Tensor, columns: list[Band]) -> tuple[Tensor, Tensor]:
    """(n, cells, w) maps -> the least and largest value of each map in each column band.

    Both are (columns, n), widened by `ROUNDING`.
    """
    least, largest = window.amin(dim=1), window.amax(dim=1)
    low = torch.stack([least[:, c.cells].amin(dim=1) for c in columns])
    high = torch.stack([largest[:, c.cells].amax(dim=1) for c in columns])
    return low - ROUNDING * (1 + low.abs()), high + ROUNDING * (1 + high.abs())


def tile_size(device: torch.device, small: int) -> int:
    """The side of a tile: small on a CPU, for its cache; large on an accelerator, for few calls."""
    return small if device.type == "cpu" else 1024
