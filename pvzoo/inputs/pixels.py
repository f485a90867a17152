"""Convert pixels of every mode and type to 8-bit RGB; `pvzoo.inputs.images` has the rules.

Images are converted strip by strip, so that only the input and the output are in memory. At 89
megapixels, PIL's own conversions and numpy's conversions of whole arrays take several gigabytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.errors import ImageError

STRIP = 2**21
"""How many pixels are converted at a time."""


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert a decoded image of any mode to 8-bit RGB; such an image is returned itself.

    Raises:
        ImageError: It is not known which number is white.
    """
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    convert = _conversion(image)
    result = Image.new("RGB", image.size)
    for strip, index in strips(image):
        result.paste(convert(strip), index)
    return result


def strips(image: Image.Image) -> Iterator[tuple[Image.Image, tuple[int, int]]]:
    """Strips of an image, as wide as the image, each with its (left, top)."""
    rows = max(1, STRIP // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield image.crop((0, top, image.width, bottom)), (0, top)


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A function that converts a strip of the image to RGB."""
    mode = image.mode
    if mode == "I" or mode.startswith("I;16"):
        return _of_numbers(image)
    if mode == "F":
        scale = _scale(np.dtype(np.float32), *_extremes(_arrays(image)))
        return lambda strip: Image.fromarray(scale(np.asarray(strip))).convert("RGB")
    if mode == "La":  # PIL has no direct conversion
        return lambda strip: _over_white(strip.convert("LA").convert("RGBA"))
    if mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        return lambda strip: _over_white(strip.convert("RGBA"))
    return lambda strip: strip.convert("RGB")


def _of_numbers(image: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """A conversion of 16-bit grey. PIL may use mode I for it, but also for other whole numbers."""
    low, high = _extremes(_arrays(image))
    unsure = image.mode == "I" and image.format != "PPM" and 0 < high <= 255
    if low < 0 or high > 65535 or unsure:
        raise ImageError(
            f"has 32-bit pixels from {low} to {high}; which number is white is not known.",
            "Make it 8 or 16 bits first: Image.fromarray(np.asarray(image).astype('uint8')).",
        )
    levels = _LEVELS
    see_through = image.info.get("transparency")
    if isinstance(see_through, int) and 0 <= see_through <= 65535:
        levels = levels.copy()
        levels[see_through] = 255
    return lambda strip: Image.fromarray(levels[np.asarray(strip)]).convert("RGB")


def _arrays(image: Image.Image) -> Iterator[np.ndarray]:
    return (np.asarray(strip) for strip, _ in strips(image))


def _over_white(strip: Image.Image) -> Image.Image:
    least, most = strip.getchannel("A").getextrema()
    if least == 255:
        return strip.convert("RGB")
    white = Image.new("RGBA", strip.size, (255, 255, 255, 255))
    return (Image.alpha_composite(white, strip) if most else white).convert("RGB")


# --- arrays ---------------------------------------------------------------------------------------


def to_uint8(
    shape: tuple[int, ...], dtype: np.dtype, rows: Callable[[slice], np.ndarray]
) -> np.ndarray:
    """A copy of an image array with 8-bit pixels.

    Args:
        shape: (height, width) or (height, width, channels).
        dtype: The type of the pixels.
        rows: Returns the rows in a slice.

    Raises:
        ImageError: A pixel has a value or type that the rules do not allow.
    """
    step = max(1, STRIP // shape[1])
    places = [slice(top, top + step) for top in range(0, shape[0], step)]
    ends = (0, 0)
    if dtype.kind == "f" or (dtype.kind in "iu" and dtype.str[1:] not in ("u1", "u2")):
        ends = _extremes(map(rows, places))
    scale = _scale(dtype, *ends)
    result = np.empty(shape, np.uint8)
    for place in places:
        result[place] = scale(rows(place))
    return result


def _extremes(arrays: Iterable[np.ndarray]) -> tuple[Any, Any]:
    """The least and the largest number in several arrays; nan if any of their numbers is nan."""
    low, high = zip(*((array.min(), array.max()) for array in arrays), strict=True)
    return np.min(low).item(), np.max(high).item()


_LEVELS = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
"""The 8-bit level for each 16-bit value."""


def _of_fractions(part: np.ndarray) -> np.ndarray:
    part = np.multiply(part, 255, dtype=np.promote_types(part.dtype, np.float32))
    return np.clip(np.round(part, out=part), 0, 255, out=part).astype(np.uint8)


def _scale(dtype: np.dtype, low: Any, high: Any) -> Callable[[np.ndarray], np.ndarray]:
    """A function that converts pixels of a type to 8 bits; they lie between `low` and `high`."""
    if dtype == np.uint8:
        return lambda part: part
    if dtype == np.bool_:
        return lambda part: part.astype(np.uint8) * 255
    if dtype.kind == "u" and dtype.itemsize == 2:  # in either byte order
        return lambda part: _LEVELS[part]
    if dtype.kind == "f":
        if not np.isfinite([low, high]).all():
            raise ImageError("has pixels that are NaN or infinite.", "Clean it with np.nan_to_num.")
        half = 0.5 / 255
        if low < -half or high > 1 + half:
            hint = (
                "Undo the normalisation (pvzoo normalises images itself), or clip it."
                if low < 0
                else "Divide by 255, or cast to uint8 if it is 0..255."
            )
            raise ImageError(f"has float pixels from {low:g} to {high:g}; floats are 0..1.", hint)
        return _of_fractions
    if dtype.kind in "iu":
        if low < 0 or high > 255:
            raise ImageError(
                f"has {dtype} pixels from {low} to {high}; they should be 0..255.",
                "For 16-bit pixels cast to uint16; else scale to 0..255.",
            )
        return lambda part: part.astype(np.uint8)
    raise ImageError(f"has pixels of the type {dtype}.", "Cast it to uint8.")
