"""Resize 8-bit images in numpy exactly as torchvision does, to the bit.

torch scales uint8 images along one axis after the other, columns first, with weights of 16 bits,
and rounds to 8 bits after each axis (``aten/src/ATen/native/cpu/UpSampleKernel.cpp``). Each pass is
a product with a band matrix. The matrix is cut into dense blocks, which BLAS multiplies in floating
point: all numbers are integers that are small enough to be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

Filter = Literal["bilinear", "bicubic", "lanczos"]

BLOCKS = ((1.5, 16), (4.0, 8), (math.inf, 4))
"""(largest scale, pixels of the result in a block of weights). Larger blocks are multiplied faster,
but more of their weights are zero when the image shrinks more."""

ROWS = 64
"""The most rows of an image that are floats at a time, so that they fit in the CPU cache."""

PRODUCT = 1 << 18
"""The most multiplications in one call of BLAS. OpenBLAS uses threads for larger calls, which is
slower if several threads already prepare images."""


def resize_uint8(
    pixels: np.ndarray, height: int, width: int, filter: Filter, *, antialias: bool = True
) -> np.ndarray:
    """(h, w, channels) uint8 -> (height, width, channels) uint8.

    The result equals ``torchvision.transforms.v2.functional.resize`` on processors on which torch
    scales uint8 images without converting them to floats (AVX2 or newer, or ARM).
    """
    old_height, old_width, channels = pixels.shape
    rows = pixels.reshape(old_height, -1)
    if old_width != width:
        rows = _columns(rows, _bands(old_width, width, filter, antialias, channels))
    if old_height != height:
        rows = _rows(rows, _bands(old_height, height, filter, antialias, 1))
    return rows.reshape(height, width, channels)


def _columns(pixels: np.ndarray, bands: _Bands) -> np.ndarray:
    """Scale (h, old) to (h, new)."""
    height, old = pixels.shape
    result = np.empty((height, len(bands.offsets)), np.uint8)
    step = max(1, min(height, ROWS, PRODUCT // bands.largest))
    window = np.empty((step, old), bands.dtype)
    sums = np.empty((step, len(bands.offsets)), bands.dtype)
    for top in range(0, height, step):
        rows = slice(top, min(top + step, height))
        count = rows.stop - top
        _floats(pixels[rows], bands, window[:count])
        for index, used, weights in bands.blocks:
            np.matmul(window[:count, used], weights.T, out=sums[:count, index])
        _round(sums[:count], bands, bands.offsets, result[rows])
    return result


def _rows(pixels: np.ndarray, bands: _Bands) -> np.ndarray:
    """Scale (old, w) to (new, w)."""
    width = pixels.shape[1]
    result = np.empty((len(bands.offsets), width), np.uint8)
    step = max(1, PRODUCT // bands.largest)
    sees = max(weights.shape[1] for _, _, weights in bands.blocks)
    window = np.empty((sees, width), bands.dtype)
    sums = np.empty((len(bands.blocks[0][2]), width), bands.dtype)
    for index, used, weights in bands.blocks:
        new, old = weights.shape
        _floats(pixels[used], bands, window[:old])
        for left in range(0, width, step):
            some = slice(left, left + step)
            np.matmul(weights, window[:old, some], out=sums[:new, some])
        _round(sums[:new], bands, bands.offsets[index, None], result[index])
    return result


class _Bands(NamedTuple):
    """A scaling along one axis.

    Attributes:
        blocks: For each block (its pixels of the result, the pixels of the image it uses, weights
            of the shape (pixels of the result, pixels of the image)).
        largest: The most weights in a block.
        offsets: (pixels of the result,) numbers added to the sums before they are rounded down.
        centred: Whether 128 is subtracted from every pixel, which keeps large sums exact.
        bits: The number of fraction bits of a sum; 0 if the weights are fractions.
        dtype: The float type in which the sums are exact.
        signed: Whether a weight is negative, so that a sum may be outside 0..255.
    """

    blocks: list[tuple[slice, slice, np.ndarray]]
    largest: int
    offsets: np.ndarray
    centred: bool
    bits: int
    dtype: np.dtype
    signed: bool


def _floats(values: np.ndarray, bands: _Bands, result: np.ndarray) -> None:
    if bands.centred:
        np.subtract(values, 128, out=result, dtype=bands.dtype)
    else:
        result[...] = values


def _round(sums: np.ndarray, bands: _Bands, offsets: np.ndarray, result: np.ndarray) -> None:
    """Round sums to bytes as torch does: up from one half, then clipped to 0..255."""
    if bands.bits:
        whole = sums.astype(np.int32)
        whole += offsets
        whole >>= bands.bits
        np.clip(whole, 0, 255, out=result, casting="unsafe")
        return
    sums += offsets
    if bands.signed:
        np.clip(sums, 0, 255, out=sums)
    result[...] = sums  # the conversion rounds down


@lru_cache(maxsize=16)  # images of a stream often have the same size
def _bands(old: int, new: int, filter: Filter, antialias: bool, channels: int) -> _Bands:
    first, weights = (
        smooth_weights(old, new, filter) if antialias else plain_weights(old, new, filter)
    )
    weights, bits = _fixed(weights)
    signed = bool((weights < 0).any())
    sums = int(np.abs(weights).sum(1).max())
    centred = sums * 255 > 2**24
    # Without negative weights, a centred sum exceeds 2**24 only if nearly all pixels are black; all
    # its partial sums are smaller. The result is then 0, whatever the last bits are.
    beyond = 0 if signed else 1 << (bits - 2)
    dtype = np.dtype(np.float64 if centred and sums * 128 > 2**24 + beyond else np.float32)
    # a float32 holds the 8 bits of a byte and 16 fraction bits; larger sums are clipped to 255
    fractions = bits <= 16
    offsets = np.full(new, 1 << (bits - 1)) + centred * 128 * weights.sum(1)
    if fractions:
        weights, offsets = weights / (1 << bits), offsets / (1 << bits)
    taps = weights.shape[1]
    size = next(size for scale, size in BLOCKS if old / new <= scale)
    blocks = []
    for start in range(0, new, size):
        end = min(start + size, new)
        low, high = int(first[start]), min(int(first[end - 1]) + taps, old)
        dense = np.zeros((end - start, high - low + taps), dtype)
        rows = np.arange(end - start)[:, None]
        dense[rows, (first[start:end, None] - low) + np.arange(taps)] = weights[start:end]
        dense = np.kron(dense[:, : high - low], np.eye(channels, dtype=dtype))
        index, used = (
            slice(start * channels, end * channels),
            slice(low * channels, high * channels),
        )
        blocks.append((index, used, dense))
    return _Bands(
        blocks,
        largest=max(block.size for _, _, block in blocks),
        offsets=np.repeat(offsets, channels).astype(dtype if fractions else np.int32),
        centred=centred,
        bits=0 if fractions else bits,
        dtype=dtype,
        signed=signed,
    )


def _fixed(weights: np.ndarray) -> tuple[np.ndarray, int]:
    """Weights as integers below 2**15, and their number of fraction bits."""
    largest, bits = weights.max(), 0
    while bits < 22 and int(0.5 + largest * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    fixed = np.trunc(weights * (1 << bits) + np.where(weights < 0, -0.5, 0.5))
    return fixed.astype(np.int64), bits


def smooth_weights(old: int, new: int, filter: Filter) -> tuple[np.ndarray, np.ndarray]:
    """With antialiasing: for each new pixel the first old pixel it uses, and (new, taps) weights.

    ``_compute_indices_min_size_weights_aa`` in torch's ``UpSampleKernel.cpp``.
    """
    reach, kernel = _FILTERS[filter]
    scale = old / new
    support = reach * max(scale, 1.0)
    shrink = 1 / scale if scale >= 1 else 1.0
    centre = scale * (np.arange(new) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), old)
    taps = np.arange(int((last - first).max()))
    weights = kernel((taps + first[:, None] - centre[:, None] + 0.5) * shrink)
    weights[taps >= (last - first)[:, None]] = 0
    weights /= np.add.accumulate(weights, axis=1)[:, -1:]  # summed one by one, as in torch
    return first, weights


def plain_weights(old: int, new: int, filter: Filter) -> tuple[np.ndarray, np.ndarray]:
    """As `smooth_weights`, without antialiasing; the bicubic weights then differ.

    ``_compute_indices_min_size_weights`` in torch's ``UpSampleKernel.cpp``.
    """
    taps = {"bilinear": 2, "bicubic": 4}[filter]
    support = taps // 2
    centre = old / new * (np.arange(new) + 0.5) - 0.5
    if filter == "bilinear":
        centre = np.maximum(centre, 0.0)
    index = np.minimum(np.floor(centre).astype(np.int64), old - 1)
    share = np.clip(centre - index, 0.0, 1.0)
    places = np.arange(taps)
    distance = places + 1 - support - share[:, None]
    each = _bilinear(distance) if filter == "bilinear" else _bicubic(distance, -0.75)
    seen = np.clip(index[:, None] - support + 1 + places, 0, old - 1)  # edges are repeated
    first = seen[:, 0]
    weights = np.zeros((new, taps))
    for place in places:
        np.add.at(weights, (np.arange(new), seen[:, place] - first), each[:, place])
    return first, weights


def _bilinear(x: np.ndarray) -> np.ndarray:
    weights: np.ndarray = np.maximum(0.0, 1 - np.abs(x))
    return weights


def _bicubic(x: np.ndarray, a: float = -0.5) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _lanczos(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


_FILTERS: dict[Filter, tuple[float, Callable[[np.ndarray], np.ndarray]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
