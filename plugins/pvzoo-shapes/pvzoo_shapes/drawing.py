"""Draw a scene: shapes over a background, each shape over the shapes before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pvzoo_shapes.backgrounds import Range, any_colour, background
from pvzoo_shapes.forms import FORMS, SHAPES, turn

MAX_OBJECTS = 8
EXTENT = (0.10, 0.45)
"""The extent of a shape: the longer side of its box as a share of the frame's shorter side."""

MIN_VISIBLE = 0.6
"""The smallest share of a shape's pixels that must stay visible."""

MIN_SIDE = 32
"""The smallest side of a frame, in pixels; in smaller frames, a shape may be too small."""

ANY_COLOUR: tuple[Range, Range, Range] = ((0.0, 360.0), (0.0, 1.0), (0.15, 1.0))
"""Ranges of hue in degrees, saturation and value in 0..1 (HSV)."""

_TRIES = 40
_COLOURS = 4
_MIN_CONTRAST = 0.3  # distance in RGB of 0..1; the two colours of a texture are at most 0.2 apart
_SIMILAR = 0.15  # the share of the pixels behind a shape that may be closer to its colour


@dataclass(frozen=True, eq=False)
class Thing:
    """A shape of a scene.

    Attributes:
        shape: Its name.
        rotation: Degrees, clockwise.
        colour: (3,) float32, RGB in 0..1, before shading and noise.
        box: Left, top, right, bottom of its whole outline in pixels, including hidden parts.
        mask: (height, width) bool: the pixels with centres that it covers, including hidden parts.
    """

    shape: str
    rotation: float
    colour: np.ndarray
    box: tuple[float, float, float, float]
    mask: np.ndarray


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and its labels.

    Attributes:
        image: (height, width, 3) uint8, RGB.
        things: The shapes, from back to front.
        visible: (height, width) uint8: for a visible shape, its index in `things` plus one; 0 for
            the background.
        stuff: (height, width) uint8: indices in `STUFF`, also behind the shapes.
    """

    image: np.ndarray
    things: tuple[Thing, ...]
    visible: np.ndarray
    stuff: np.ndarray


def draw(
    seed: int,
    index: int,
    *,
    size: tuple[int, int] = (128, 128),
    shapes: Sequence[str] = SHAPES,
    colours: tuple[Range, Range, Range] = ANY_COLOUR,
    most: int = MAX_OBJECTS,
) -> Scene:
    """Scene number `index` of the series `seed`; it is the same each time it is drawn.

    The number of shapes is uniform in 1..`most`. But a shape is left out if there is no place where
    it and the shapes behind it stay visible enough, so crowded scenes have fewer.

    Args:
        seed: Not negative.
        index: Not negative.
        size: (height, width) in pixels, each at least `MIN_SIDE`.
        shapes: Names from `SHAPES` and `MORE_SHAPES`, all equally likely.
        colours: The colours of the shapes: ranges of hue in degrees, saturation and value (0..1).
        most: The largest number of shapes.
    """
    rng = np.random.default_rng([seed, index])
    things: list[Thing] = []
    while not things:  # again, if the first shape would not stand out anywhere on a background
        canvas, stuff = background(rng, size)
        visible = np.zeros(size, dtype=np.uint8)
        for _ in range(rng.integers(1, most + 1)):
            shape = shapes[int(rng.integers(len(shapes)))]
            thing = _place(rng, shape, colours, canvas, visible, things)
            if thing:
                things.append(thing)
    canvas += rng.uniform(0.01, 0.04) * rng.standard_normal(canvas.shape, dtype=np.float32)
    pixels = (canvas.clip(0, 1) * 255).round().astype(np.uint8)
    return Scene(np.ascontiguousarray(pixels.transpose(1, 2, 0)), tuple(things), visible, stuff)


def _place(
    rng: np.random.Generator,
    shape: str,
    colours: tuple[Range, Range, Range],
    canvas: np.ndarray,
    visible: np.ndarray,
    things: Sequence[Thing],
) -> Thing | None:
    """Draw a shape on `canvas` and mark it in `visible`; None if no place was found."""
    for _ in range(_TRIES):
        rotation = rng.uniform(0, 2 * np.pi)
        distance, window, box = _lay(rng, shape, rotation, visible.shape)
        covered = distance <= 0
        if not (_fits(covered, visible.shape) and _all_seen(covered, window, visible, things)):
            continue
        colour = _contrasting(rng, colours, canvas[:, *window][:, covered])
        if colour is None:
            continue
        share = np.clip(0.5 - distance, 0, 1)
        canvas[:, *window] += share * (_shaded(rng, colour, covered.shape) - canvas[:, *window])
        visible[window][covered] = len(things) + 1
        mask = np.zeros(visible.shape, dtype=bool)
        mask[window] = covered
        return Thing(shape, float(np.degrees(rotation)), colour, box, mask)
    return None


def _lay(
    rng: np.random.Generator, shape: str, rotation: float, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[slice, slice], tuple[float, float, float, float]]:
    """A shape of random extent at a random place in the frame.

    Returns:
        (h, w) distances in pixels from the pixel centres of a window to the outline, negative
        inside; the window's rows and columns; left, top, right, bottom of the outline.
    """
    form = FORMS[shape]
    left, top, right, bottom = form.box(rotation)
    extent = rng.uniform(*EXTENT) * min(size)
    scale = extent / max(right - left, bottom - top)  # pixels per unit
    start_x = rng.uniform(0, size[1] - scale * (right - left))
    start_y = rng.uniform(0, size[0] - scale * (bottom - top))
    end_x, end_y = start_x + scale * (right - left), start_y + scale * (bottom - top)
    first_x, first_y = max(int(start_x) - 1, 0), max(int(start_y) - 1, 0)
    last_x, last_y = min(int(end_x) + 2, size[1]), min(int(end_y) + 2, size[0])
    x = (np.arange(first_x, last_x) + 0.5 - start_x) / scale + left
    y = (np.arange(first_y, last_y) + 0.5 - start_y) / scale + top
    x, y = turn(x, y[:, None], -rotation)
    window = slice(first_y, last_y), slice(first_x, last_x)
    return scale * form.distance(x, y), window, (start_x, start_y, end_x, end_y)


def _fits(mask: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether the longer side of the box around a mask is an allowed share of the frame."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return False
    extent = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    return bool(EXTENT[0] <= extent / min(size) <= EXTENT[1])


def _all_seen(
    covered: np.ndarray, window: tuple[slice, slice], visible: np.ndarray, things: Sequence[Thing]
) -> bool:
    """Whether the things stay visible enough, in pixels and in extent, behind a new thing."""
    for number in set(visible[window][covered].tolist()) - {0}:
        left_over = visible == number
        left_over[window] &= ~covered
        if left_over.sum() < MIN_VISIBLE * things[number - 1].mask.sum():
            return False
        if not _fits(left_over, visible.shape):
            return False
    return True


def _contrasting(
    rng: np.random.Generator, colours: tuple[Range, Range, Range], beneath: np.ndarray
) -> np.ndarray | None:
    """A colour that is similar to few of the (3, n) pixels behind it, or None."""
    for _ in range(_COLOURS):
        colour = any_colour(rng, colours)
        near = ((beneath - colour[:, None]) ** 2).sum(0) < _MIN_CONTRAST**2
        if near.mean() <= _SIMILAR:
            return colour
    return None


def _shaded(rng: np.random.Generator, colour: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A (3, h, w) image of a colour that is lighter on one side than on the other."""
    y, x = np.linspace(-1, 1, size[0])[:, None], np.linspace(-1, 1, size[1])
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)
    light = 1 + strength * (np.cos(angle) * x + np.sin(angle) * y)
    lit: np.ndarray = colour[:, None, None] * light
    return lit
