"""Draw the background: a textured backdrop, or a landscape of sky, water and ground."""

from __future__ import annotations

import numpy as np
from PIL import Image

STUFF = ("backdrop", "sky", "water", "ground")

LAYOUTS = (("backdrop",), ("sky", "ground"), ("sky", "water"), ("sky", "water", "ground"))
"""The regions of a background from top to bottom."""

LAYOUT_CHANCES = (0.5, 0.2, 0.1, 0.2)

_SKY = ((190, 230), (0.2, 0.6), (0.7, 1.0))
_WATER = ((170, 230), (0.5, 0.9), (0.3, 0.65))
_GROUND = ((20, 120), (0.3, 0.7), (0.25, 0.6))

Range = tuple[float, float]


def background(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A background of (height, width) = `size`.

    Returns:
        The image, (3, h, w) float32 in 0..1, and (h, w) uint8 indices in `STUFF`.
    """
    height, width = size
    # pixel centres, in units of the shorter side
    y, x = (np.indices(size, dtype=np.float32) + np.float32(0.5)) / min(size)
    layout = LAYOUTS[rng.choice(len(LAYOUTS), p=LAYOUT_CHANCES)]
    image = np.zeros((3, height, width), dtype=np.float32)
    stuff = np.zeros(size, dtype=np.uint8)
    tops = [0.0, rng.uniform(0.3, 0.55), rng.uniform(0.67, 0.85)]
    for name, top in zip(layout, tops, strict=False):
        region = _REGIONS[name](rng, x, y)
        if top:
            below = (y - _edge(rng, x[0])) * min(size) - top * height  # the edge, in pixels
            stuff[below >= 0] = STUFF.index(name)
            image += np.clip(below + 0.5, 0, 1) * (region - image)
        else:
            stuff[:] = STUFF.index(name)
            image[:] = region
    return image, stuff


def any_colour(rng: np.random.Generator, ranges: tuple[Range, Range, Range]) -> np.ndarray:
    """A random colour, RGB in 0..1, from `ranges` of hue (degrees), saturation and value (0..1)."""
    hue, saturation, value = (rng.uniform(low, high) for low, high in ranges)
    return hsv_to_rgb(hue, saturation, value)


def hsv_to_rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """(3,) float32 in 0..1, by the formula of https://en.wikipedia.org/wiki/HSL_and_HSV."""
    k = (np.array([5, 3, 1]) + hue / 60) % 6
    rgb = value - value * saturation * np.clip(np.minimum(k, 4 - k), 0, 1)
    return rgb.astype(np.float32)


# --- regions: (3, h, w) images ------------------------------------------------------------------


def _backdrop(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    first = any_colour(rng, ((0, 360), (0, 0.8), (0.1, 1)))
    # the colours are close to each other, so that no part of a texture looks like a shape
    second = np.clip(first + rng.uniform(0.1, 0.2) * _direction(rng), 0, 1)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))](rng, x, y)
    return _blend(pattern, first, second)


def _sky(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    image = _blend(y / y.max(), any_colour(rng, _SKY), any_colour(rng, _SKY))
    clouds = np.clip(1.6 * _noise(rng, x, 2.5) - 0.7, 0, 1) * rng.uniform(0, 0.6)
    whitened: np.ndarray = image + clouds * (1 - image)
    return whitened


def _water(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    swell = y + 0.03 * _noise(rng, x, 5)
    ripples = 0.5 + 0.5 * np.sin(2 * np.pi * rng.uniform(12, 22) * swell)
    colour = any_colour(rng, _WATER)
    return _blend(ripples * _noise(rng, x, 6), colour, np.clip(colour + 0.25, 0, 1))


def _ground(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    grain = 0.5 * _noise(rng, x, 8) + 0.5 * rng.random(x.shape, dtype=np.float32)
    colour = any_colour(rng, _GROUND)
    return _blend(grain, colour * 0.75, np.clip(colour * 1.2, 0, 1))


_REGIONS = {"backdrop": _backdrop, "sky": _sky, "water": _water, "ground": _ground}


def _edge(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """For each of the (w,) x: how far a region's upper edge lies below its mean height."""
    tilt = rng.uniform(-0.06, 0.06) * (x - x.mean())
    height = rng.uniform(0, 0.025)
    edge: np.ndarray = tilt + height * np.sin(rng.uniform(3, 12) * x + rng.uniform(0, 6.3))
    return edge


# --- patterns: (h, w) values in 0..1 --------------------------------------------------------------


def _gradient(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    along = _along(rng, x, y)
    share: np.ndarray = (along - along.min()) / np.ptp(along)
    return share


def _clouds(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _noise(rng, x, rng.uniform(2, 6))


def _stripes(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    wave = np.sin(2 * np.pi * rng.uniform(3, 14) * _along(rng, x, y))
    return np.clip(0.5 + rng.uniform(0.5, 2.5) * wave, 0, 1)


def _checks(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    angle, fields = rng.uniform(0, np.pi / 2), rng.uniform(4, 12)
    u = np.cos(angle) * x + np.sin(angle) * y
    v = np.cos(angle) * y - np.sin(angle) * x
    share: np.ndarray = (np.floor(u * fields) + np.floor(v * fields)) % 2
    return share


def _blobs(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.clip(8 * (_noise(rng, x, rng.uniform(3, 8)) - 0.5) + 0.5, 0, 1)


_PATTERNS = (_gradient, _clouds, _stripes, _checks, _blobs)


def _along(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    along: np.ndarray = np.cos(angle) * x + np.sin(angle) * y
    return along


def _noise(rng: np.random.Generator, x: np.ndarray, cells: float) -> np.ndarray:
    """Value noise of two octaves in 0..1, with the shape of `x` and `cells` per shorter side."""
    height, width = x.shape
    total = np.zeros(x.shape, dtype=np.float32)
    for octave, weight in ((1, 2 / 3), (2, 1 / 3)):
        unit = min(x.shape) / (cells * octave)
        grid = rng.random((int(height / unit) + 2, int(width / unit) + 2), dtype=np.float32)
        smooth = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
        total += weight * np.asarray(smooth)
    return np.clip(total, 0, 1)


def _direction(rng: np.random.Generator) -> np.ndarray:
    """A unit vector (3,) with a random direction."""
    vector = rng.standard_normal(3)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def _blend(share: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = first[:, None, None], second[:, None, None]
    mixed: np.ndarray = first + share.astype(np.float32, copy=False) * (second - first)
    return mixed
