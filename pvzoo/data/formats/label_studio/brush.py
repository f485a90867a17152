"""The run lengths that Label Studio keeps a brush's mask in.

They are of an image's RGBA values, row by row, of which the last of each four says whether the
pixel is in the mask. The bits are, the highest first: 32 for the number of values; 5 for the bits
of a value, less one; four times 4 for the bits of a length, less one. Then for each run: 1 bit,
whether one value is repeated or several follow; 2 bits, which of the four sizes its length has; the
length, less one; the value or values. It is the format of the package rle-pack
(github.com/thi-ng/umbrella), as label_studio_converter's brush.py reads it.
"""

from __future__ import annotations

import numpy as np

from pvzoo.errors import DataError

_SIZES = (3, 4, 8, 16)
_MOST_PIXELS = 2**27


def decode(rle: bytes, size: tuple[int, int], where: str) -> np.ndarray:
    """The mask of an image of (height, width), bool.

    Raises:
        DataError: The run lengths are damaged or of another size; `where` is what has them.
    """
    height, width = size
    damaged = DataError(f"{where} has a damaged mask.", "Export it again.")
    if height * width > _MOST_PIXELS:
        raise DataError(f"{where} is of {width} x {height} pixels.", "Correct the size.")
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
            if read(word):  # of the values here those are alphas whose place is 3, 7, 11, ...
                mask[start // 4 : stop // 4] = True
            start = stop
    return mask.reshape(height, width)


def encode(mask: np.ndarray) -> list[int]:
    """The bytes for a (height, width) bool mask."""
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
