"""Maps: pictures whose pixels are numbers, as semantic and panoptic labels hold them."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import DataError


def read_map(cell: Any, name: str) -> np.ndarray:
    """The values of a map: (height, width) int32.

    Grey and palette pictures hold the values themselves; of a coloured one a value is
    R + 256 G + 65536 B, as in COCO's panoptic PNGs.

    Args:
        cell: What an Image column holds when it is not decoded, with ``path`` and ``bytes``.
        name: What messages call it.

    Raises:
        DataError: It cannot be read, or its pixels are fractions or only differ in transparency.
    """
    return values_of(open_map(cell, name), name)


def open_map(cell: Any, name: str) -> Image.Image:
    """The map as `datasets` decodes it, in its own mode.

    Raises:
        DataError: It is missing, cannot be read, or is in a format that does not keep values.
    """
    from datasets import Image as ImageColumn

    if cell is None:
        raise DataError(f"{name} is missing.", "Restore it, or leave the row out.")
    try:
        picture = ImageColumn().decode_example(cell)
    except Exception as error:  # what PIL raises for damaged files knows no bounds
        raise DataError(
            f"{name} cannot be read ({error}).", "Copy or download it again, or leave the row out."
        ) from error
    if picture.format in ("JPEG", "MPO") or picture.info.get("compression") == "jpeg":
        raise DataError(
            f"{name} is compressed as JPEG, in which values are not kept.",
            "Save maps as PNG; one in black and white so that 128 and more becomes 255.",
        )
    return picture


def values_of(picture: Image.Image, name: str) -> np.ndarray:
    """The values of a decoded map; see `read_map`."""
    pixels = np.asarray(picture)
    if picture.mode in ("RGBA", "LA") and _is_drawn_in_alpha(pixels):
        raise DataError(
            f"{name} has one colour throughout and differs in transparency only.",
            "Save it as grey or palette PNG of class ids.",
        )
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        red, green, blue = (pixels[..., i].astype(np.int32) for i in range(3))
        return red + 256 * green + 65536 * blue
    if pixels.dtype.kind == "f":
        raise DataError(f"{name} holds fractions.", "Save it as PNG of whole numbers.")
    return (pixels[..., 0] if pixels.ndim == 3 else pixels).astype(np.int32)


def _is_drawn_in_alpha(pixels: np.ndarray) -> bool:
    colours, alpha = pixels[..., :-1], pixels[..., -1]
    same = bool((colours == colours[:1, :1]).all())
    return same and bool((alpha != alpha[:1, :1]).any())


def encode_grey(values: np.ndarray) -> bytes:
    """(height, width) values from 0 to 65535 as a grey PNG of 8 bit if they fit, else of 16."""
    small = values.size == 0 or values.max() <= 255
    return _png(Image.fromarray(values.astype(np.uint8 if small else np.uint16)))


def encode_colour(values: np.ndarray) -> bytes:
    """(height, width) values from 0 to 2**24 - 1 as an RGB PNG: R + 256 G + 65536 B."""
    octets = values.astype("<u4", order="C").view(np.uint8).reshape(*values.shape, 4)
    return _png(Image.fromarray(np.ascontiguousarray(octets[..., :3])))


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
