"""Read and write the run lengths of Label Studio's brush masks.

They encode the RGBA values of an image, row by row; the alpha value tells whether the pixel is in
the mask. The code is a string of bits; each number has its highest bit first:

* 32 bits: how many values there are;
* 5 bits: the bits of a value, minus one;
* 4 times 4 bits: the four possible sizes of a run's length in bits, minus one;
* then for each run: 1 bit (1: one value is repeated, 0: as many values follow), 2 bits (which of
  the four sizes), the length minus one, and the value or values.

It is the format of the package rle-pack (github.com/thi-ng/umbrella), as brush.py of
label_studio_converter reads it.
"""

from __future__ import annotations

import numpy as np

from pvzoo.errors import DataError

_SIZES = (3, 4, 8, 16)
_MOST_PIXELS = 2**27


def decode(rle: bytes, size: tuple[int, int], where: str) -> np.ndarray:
    """Decode run lengths to a (height, width) bool mask.

    Args:
        rle: The run lengths.
        size: (height, width) of the image.
        where: What messages call the object.

    Raises:
        DataError: The run lengths are damaged or for another size.
    """
    height, width = size
    damaged = DataError(f"{where} has a damaged mask.", "Export it again.")
    if height * width > _MOST_PIXELS:
        raise DataError(
            f"{where} is in an image of {width} x {height} pixels, which is too large.",
            "Correct the size.",
        )
    bits = np.unpackbits(np.frombuffer(rle, np.uint8))
    text = (bits + ord("0")).tobytes().decode("ascii")
    at = 0

    def read(count: int) -> int:
        nonlocal at
        if at + count > len(text):
            raise damaged
        at += count
        return int(text[at - count : at], 2)

    if read(32) != 4 * height * width:
        raise damaged
    word = read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    mask = np.zeros(height * width, bool)
    start = 0
    while start < 4 * height * width:
        repeated = read(1)
        end = start + read(sizes[read(2)]) + 1
        if end > 4 * height * width:
            raise damaged
        for stop in [end] if repeated else range(start + 1, end + 1):
            if read(word):  # values 3, 7, 11, ... are alphas
                mask[start // 4 : stop // 4] = True
            start = stop
    return mask.reshape(height, width)


def encode(mask: np.ndarray) -> list[int]:
    """Encode a (height, width) bool mask as bytes."""
    flat = mask.reshape(-1)
    bounds = np.flatnonzero(np.diff(flat)) + 1
    starts = np.concatenate([[0], bounds]).astype(int)
    ends = np.concatenate([bounds, [flat.size]]).astype(int)
    parts = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{bits - 1:04b}" for bits in _SIZES)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        left, value = 4 * (end - start), 255 * bool(flat[start])
        while left:
            length = min(left, 2 ** _SIZES[-1])
            kind = next(i for i, bits in enumerate(_SIZES) if length <= 2**bits)
            parts.append(f"1{kind:02b}{length - 1:0{_SIZES[kind]}b}{value:08b}")
            left -= length
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return np.packbits(np.frombuffer(text.encode("ascii"), np.uint8) - ord("0")).tolist()
