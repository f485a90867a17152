"""Run steps that turn an upright RGB image into the input arrays of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from PIL import Image

from pvzoo.preprocess.floats import resize_float
from pvzoo.preprocess.long_images import check_input, middle
from pvzoo.preprocess.resize import resize_uint8
from pvzoo.preprocess.sizes import Size, scaled
from pvzoo.preprocess.steps import (
    CenterCrop,
    Channels,
    Constant,
    Filter,
    Normalize,
    Pad,
    Rescale,
    Resize,
    Step,
    Windows,
)

_PILLOW: dict[Filter, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class _State:
    """An image between two steps.

    Attributes:
        pixels: (n, height, width, channels) uint8, or (n, channels, height, width) float32; n is
            the number of windows, or 1.
        valid: The size of the image in the pixels, without padding.
        windows: (start, end) of each window along the longer side.
        more: Other inputs.
    """

    pixels: np.ndarray
    valid: Size
    windows: tuple[tuple[int, int], ...] = ()
    more: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        shape = self.pixels.shape
        return shape[1:3] if self.pixels.dtype == np.uint8 else shape[2:4]


def run(
    steps: Sequence[Step], image: Image.Image, name: str = "pixel_values"
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Prepare one image.

    Args:
        steps: The steps, in order.
        image: Upright and RGB.
        name: The name of the input for the pixels.

    Returns:
        The inputs and the values that postprocessing needs. Each input has a leading axis (1, or
        the number of windows); pixels are (n, channels, height, width). The values are the
        (height, width) sizes ``size`` of the image, ``valid`` of the image in the input and
        ``padded`` of the input, and ``windows`` if the image was cut into windows.

    Raises:
        ImageError: The image would become larger than
            `pvzoo.preprocess.long_images.MAX_INPUT_PIXELS`.
    """
    used = middle(image) if _cuts_the_middle(steps) else image
    rest = list(steps)
    while rest and isinstance(rest[0], Resize) and rest[0].arithmetic == "pillow":
        used = _by_pillow(used, rest.pop(0))  # before it becomes an array, which is a copy
    state = _State(np.asarray(used)[None], (used.height, used.width))
    for step in rest:
        state = _DO[type(step)](state, step)
    pixels = state.pixels
    if pixels.dtype == np.uint8:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    meta: dict[str, Any] = {
        "size": (image.height, image.width),
        "valid": state.valid,
        "padded": tuple(pixels.shape[-2:]),
    }
    if state.windows:
        meta["windows"] = list(state.windows)
    return {name: pixels, **state.more}, meta


def _cuts_the_middle(steps: Sequence[Step]) -> bool:
    """Whether the steps scale the shorter side to a length and then crop the middle."""
    return any(
        isinstance(one, Resize) and one.rule == "shorter" and isinstance(other, CenterCrop)
        for one, other in pairwise(steps)
    )


def _resize(state: _State, step: Resize) -> _State:
    size = scaled(state.size, step.rule, step.size, step.multiple, step.rounding)
    check_input(state.size[::-1], size)
    if size == state.size:
        pixels = state.pixels
    elif step.arithmetic == "float":
        pixels = resize_float(_planes(state.pixels), *size)
    elif step.arithmetic == "pillow":
        pixels = np.asarray(_by_pillow(Image.fromarray(state.pixels[0]), step))[None]
    elif step.filter == "nearest":
        pixels = _nearest(state.pixels, *size)
    else:
        pixels = resize_uint8(state.pixels[0], *size, step.filter, antialias=step.antialias)[None]
    return replace(state, pixels=pixels, valid=size)


def _by_pillow(image: Image.Image, step: Any) -> Image.Image:
    old = (image.height, image.width)
    size = scaled(old, step.rule, step.size, step.multiple, step.rounding)
    check_input(image.size, size)
    return image if size == old else image.resize(size[::-1], _PILLOW[step.filter])


def _nearest(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """torch's "nearest-exact" (transformers uses it for Pillow's filter); positions in float32."""
    rows, columns = (
        np.minimum(
            (
                (np.arange(new, dtype=np.float32) + np.float32(0.5))
                * (np.float32(old) / np.float32(new))
            ).astype(int),
            old - 1,
        )
        for old, new in zip(pixels.shape[1:3], (height, width), strict=True)
    )
    return pixels[:, rows][:, :, columns]


def _centre_crop(state: _State, step: CenterCrop) -> _State:
    missing = [max(wanted - has, 0) for wanted, has in zip(step.size, state.size, strict=True)]
    if any(missing):
        margins = tuple((m // 2, m - m // 2) for m in missing)
        state = replace(state, pixels=_padded(state.pixels, margins))
    spare = [has - wanted for wanted, has in zip(step.size, state.size, strict=True)]
    starts = [n // 2 if step.rounding == "down" else round(n / 2) for n in spare]
    pixels = _cut(state.pixels, *(slice(s, s + n) for s, n in zip(starts, step.size, strict=True)))
    return replace(state, pixels=pixels, valid=step.size)


def _pad(state: _State, step: Pad) -> _State:
    height, width = state.size
    wanted = step.size or (_multiple(height, step.multiple), _multiple(width, step.multiple))
    missing = [max(w - has, 0) for w, has in zip(wanted, state.size, strict=True)]
    before = [m // 2 if step.place == "middle" else 0 for m in missing]
    margins = tuple((b, m - b) for b, m in zip(before, missing, strict=True))
    pixels = _padded(state.pixels, margins) if any(missing) else state.pixels
    more = state.more
    if step.mask:
        mask = np.zeros(
            (len(pixels), *(has + m for has, m in zip(state.size, missing, strict=True))), np.int64
        )
        mask[:, before[0] : before[0] + height, before[1] : before[1] + width] = 1
        more = {**more, step.mask: mask}
    # with margins on all sides, the network's output includes the padding
    valid = state.valid if step.place == "corner" else (state.valid if not any(missing) else wanted)
    return replace(state, pixels=pixels, valid=valid, more=more)


def _multiple(side: int, of: int) -> int:
    return math.ceil(side / of) * of


def _channels(state: _State, step: Channels) -> _State:
    order = list(step.order)
    if state.pixels.dtype == np.uint8:
        return replace(state, pixels=state.pixels[..., order])
    return replace(state, pixels=state.pixels[:, order])


def _rescale(state: _State, step: Rescale) -> _State:
    pixels, factor = _planes(state.pixels), np.float32(step.factor)
    if step.divide:
        pixels /= factor
    else:
        pixels *= factor
    if step.offset:
        pixels += np.float32(step.offset)
    return replace(state, pixels=pixels)


def _normalize(state: _State, step: Normalize) -> _State:
    pixels = _planes(state.pixels)
    shape = (-1, 1, 1)
    pixels -= np.asarray(step.mean, np.float32).reshape(shape)
    pixels /= np.asarray(step.std, np.float32).reshape(shape)
    return replace(state, pixels=pixels)


def _windows(state: _State, step: Windows) -> _State:
    """`EomtImageProcessor._split_image` in transformers."""
    height, width = state.size
    longer = max(height, width)
    count = math.ceil(longer / step.size)
    overlap = (count * step.size - longer) / (count - 1) if count > 1 else 0
    starts = [int(i * (step.size - overlap)) for i in range(count)]
    spans = [slice(start, start + step.size) for start in starts]
    whole = slice(None)
    parts = [_cut(state.pixels, *((s, whole) if height > width else (whole, s))) for s in spans]
    windows = tuple((start, start + step.size) for start in starts)
    return replace(state, pixels=np.concatenate(parts), windows=windows)


def _constant(state: _State, step: Constant) -> _State:
    value = np.asarray(step.value, step.dtype)
    return replace(state, more={**state.more, step.name: value[None].repeat(len(state.pixels), 0)})


def _planes(pixels: np.ndarray) -> np.ndarray:
    """The pixels as float32 planes that may be changed in place."""
    if pixels.dtype == np.float32:
        return pixels
    count, height, width, channels = pixels.shape
    planes = np.empty((count, channels, height, width), np.float32)
    planes[...] = pixels.transpose(0, 3, 1, 2)
    return planes


def _cut(pixels: np.ndarray, rows: slice, columns: slice) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels[:, rows, columns]
    return pixels[:, :, rows, columns]


def _padded(pixels: np.ndarray, margins: tuple[tuple[int, int], ...]) -> np.ndarray:
    none = (0, 0)
    if pixels.dtype == np.uint8:
        return np.pad(pixels, (none, *margins, none))
    return np.pad(pixels, (none, none, *margins))


_DO: dict[type[Step], Callable[[_State, Any], _State]] = {
    Resize: _resize,
    CenterCrop: _centre_crop,
    Pad: _pad,
    Channels: _channels,
    Rescale: _rescale,
    Normalize: _normalize,
    Windows: _windows,
    Constant: _constant,
}
