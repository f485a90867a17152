"""Read and write maps: images whose pixels are numbers, for semantic and panoptic labels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import DataError, ImageError, let_go
from pvzoo.inputs.encoded import opened
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.pixels import STRIP, strips
from pvzoo.results.ids_as_colours import colours_of, ids_of


def read_map(cell: Any, name: str) -> np.ndarray:
    """The values of a map: (height, width) int32.

    Grey and palette images hold the values themselves. In a colour image a value is
    R + 256 G + 65536 B, as in COCO's panoptic PNGs.

    Args:
        cell: A cell of an Image column that is not decoded, with ``path`` and ``bytes``.
        name: What messages call the map.

    Raises:
        DataError: The map cannot be read, its pixels are fractions, or they differ in transparency
            only.
    """
    return values_of(open_map(cell, name), name)


def open_map(cell: Any, name: str) -> Image.Image:
    """The map in its own mode, upright.

    Raises:
        DataError: The map is missing, cannot be read, or is in a format that changes values.
    """
    if cell is None:
        raise DataError(f"{name} is missing.", "Restore it, or leave the row out.")
    try:
        handle = ImageHandle.of(cell)
        image = handle.open_as_is()
        with opened(handle.data) as head:  # a turned image has lost its format
            lossy = head.format in ("JPEG", "MPO") or head.info.get("compression") == "jpeg"
    except ImageError as error:
        reason = error.what.removeprefix(error.source).strip().removesuffix(".")
        hint = "Copy or download it again, or leave the row out."
        raise DataError(f"{name} cannot be read (it {reason}).", hint) from let_go(error)
    if lossy:
        raise DataError(
            f"{name} is a JPEG, which changes the values of pixels.",
            "Save maps as PNG. In a black and white map, first set values from 128 to 255.",
        )
    return image


def values_of(image: Image.Image, name: str) -> np.ndarray:
    """The values of a decoded map; see `read_map`."""
    if image.mode in ("RGBA", "LA") and _is_drawn_in_alpha(image):
        raise DataError(
            f"The pixels of {name} have one colour and differ in transparency only.",
            "Save it as a grey or palette PNG of class ids.",
        )
    if image.mode == "F":
        raise DataError(f"{name} holds fractions.", "Save it as a PNG of whole numbers.")
    values = np.empty(image.size[::-1], np.int32)
    for strip, (_, top) in strips(image):
        pixels = np.asarray(strip)
        if pixels.ndim == 3:
            pixels = ids_of(pixels) if pixels.shape[2] >= 3 else pixels[..., 0]
        values[top : top + len(pixels)] = pixels
    return values


def areas_of(values: np.ndarray) -> dict[int, int]:
    """The values that occur in a map, in ascending order, and how many pixels each has.

    Counting runs of equal pixels is faster than sorting all pixels.
    """
    flat = values.reshape(-1)
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]])[: flat.size])
    found, indices = np.unique(flat[starts], return_inverse=True)
    runs = np.diff(starts, append=flat.size)
    areas = np.bincount(indices, weights=runs, minlength=len(found)).astype(int)
    return dict(zip(found.tolist(), areas.tolist(), strict=True))


def replaced(values: np.ndarray, table: Mapping[int, int], rest: int) -> np.ndarray:
    """Replace each value of a map by its entry in `table`, or by `rest`; returns int32."""
    result = np.full(values.shape, rest, np.int32)
    if not values.size:
        return result
    low, high = int(values.min()), int(values.max())
    known = {value: new for value, new in table.items() if low <= value <= high}
    if high - low < 2**24:  # as in all maps but those of 32 bit
        new = np.full(high - low + 1, rest, np.int32)
        new[[value - low for value in known]] = list(known.values())
        step = max(1, STRIP // values.shape[1])
        for top in range(0, len(values), step):
            result[top : top + step] = new[values[top : top + step] - low]
    else:
        for value, become in known.items():
            result[values == value] = become
    return result


def _is_drawn_in_alpha(image: Image.Image) -> bool:
    extrema: Any = image.getextrema()  # of several channels: (least, most) of each
    *colours, (low, high) = extrema
    return bool(low != high and all(least == most for least, most in colours))


def encode_grey(values: np.ndarray) -> bytes:
    """Encode (height, width) values from 0 to 65535 as a grey PNG, 8 bit if they fit, else 16."""
    small = values.size == 0 or values.max() <= 255
    return _png(Image.fromarray(values.astype(np.uint8 if small else np.uint16)))


def encode_colour(values: np.ndarray) -> bytes:
    """Encode (height, width) values from 0 to 2**24 - 1 as an RGB PNG: R + 256 G + 65536 B."""
    return _png(Image.fromarray(colours_of(values)))


def encode_map(values: np.ndarray) -> bytes:
    """Encode (height, width) values from 0 to 2**24 - 1 as a grey PNG if they fit, else as RGB."""
    return (encode_colour if values.max(initial=0) > 65535 else encode_grey)(values)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
