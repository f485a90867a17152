"""The shapes as signed distances: negative inside, positive outside, zero on the outline.

Each is a function of points (x to the right, y down) in its own units: a shape is about as wide as
the circle of radius 1 around 0. A union is the minimum of distances, a difference the maximum; the
signs are exact (https://iquilezles.org/articles/distfunctions2d).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Form:
    """A shape.

    Attributes:
        distance: The distance from the points x, y (two arrays of the same shape) to the outline.
        hull: (n, 3) centres x, y and radii of discs with the same convex hull as the shape.
    """

    distance: Distance
    hull: np.ndarray

    def box(self, rotation: float) -> tuple[float, float, float, float]:
        """Left, top, right, bottom of the shape turned by `rotation` radians around 0."""
        x, y = turn(self.hull[:, 0], self.hull[:, 1], rotation)
        r = self.hull[:, 2]
        return (x - r).min(), (y - r).min(), (x + r).max(), (y + r).max()


def turn(x: np.ndarray, y: np.ndarray, rotation: float) -> tuple[np.ndarray, np.ndarray]:
    """Points turned around 0 by `rotation` radians, clockwise on the screen."""
    cos, sin = np.cos(rotation), np.sin(rotation)
    return cos * x - sin * y, sin * x + cos * y


def _disc(centre_x: float, centre_y: float, radius: float) -> Distance:
    return lambda x, y: np.hypot(x - centre_x, y - centre_y) - radius


def _polygon(vertices: np.ndarray) -> Distance:
    ax, ay = vertices[:, :1], vertices[:, 1:]  # one row per edge
    bx, by = np.roll(ax, -1, axis=0), np.roll(ay, -1, axis=0)
    ex, ey = bx - ax, by - ay
    squares = ex * ex + ey * ey
    slope = ex / np.where(ey == 0, 1, ey)  # a horizontal edge crosses no horizontal line

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        level = y.reshape(-1)
        px, py = x.reshape(-1) - ax, level - ay
        along = np.clip((px * ex + py * ey) / squares, 0, 1)
        nearest = np.sqrt(((px - along * ex) ** 2 + (py - along * ey) ** 2).min(0))
        # even-odd rule: count the edges that cross the ray from the point to the right
        crossed = ((ay <= level) != (by <= level)) & (px < py * slope)
        inside = np.logical_xor.reduce(crossed)
        distances: np.ndarray = np.where(inside, -nearest, nearest).reshape(x.shape)
        return distances

    return distance


def _union(*parts: Distance) -> Distance:
    return lambda x, y: np.minimum.reduce([part(x, y) for part in parts])


def _without(whole: Distance, hole: Distance) -> Distance:
    return lambda x, y: np.maximum(whole(x, y), -hole(x, y))


def _on_circle(degrees: np.ndarray, radii: np.ndarray | float = 1.0) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _polygonal(vertices: np.ndarray | list[tuple[float, float]]) -> Form:
    vertices = np.array(vertices, dtype=np.float64)
    return Form(_polygon(vertices), np.pad(vertices, [(0, 0), (0, 1)]))


def _round(distance: Distance) -> Form:
    return Form(distance, np.array([[0.0, 0.0, 1.0]]))


def _cross(arm: float) -> Form:
    corner = [(1, -arm), (1, arm), (arm, arm)]  # rotated four times
    return _polygonal([p for k in range(4) for p in _quarters(corner, k)])


def _quarters(points: list[tuple[float, float]], times: int) -> list[tuple[float, float]]:
    for _ in range(times):
        points = [(-y, x) for x, y in points]
    return points


def _heart() -> Form:
    half = np.sqrt(0.5)  # half the diagonal of a square of side 1 that stands on its corner
    square = _polygonal([(0, -half), (half, 0), (0, half), (-half, 0)])
    lobes = np.array([[-half / 2, -half / 2, 0.5], [half / 2, -half / 2, 0.5]])
    distance = _union(square.distance, *(_disc(*lobe) for lobe in lobes))
    return Form(distance, np.concatenate([square.hull, lobes]))


def _crescent(offset: float, radius: float) -> Form:
    tip = np.degrees(np.arccos((1 + offset**2 - radius**2) / (2 * offset)))
    arc = _on_circle(np.linspace(tip, 360 - tip, 181))
    return Form(_without(_disc(0, 0, 1), _disc(offset, 0, radius)), np.pad(arc, [(0, 0), (0, 1)]))


FORMS: dict[str, Form] = {
    "disc": _round(_disc(0, 0, 1)),
    "square": _polygonal(_on_circle(np.arange(45, 360, 90))),
    "triangle": _polygonal(_on_circle(np.arange(0, 360, 120))),
    "star": _polygonal(_on_circle(np.arange(0, 360, 36), np.tile([1.0, 0.42], 5))),
    "cross": _cross(0.32),
    "ring": _round(_without(_disc(0, 0, 1), _disc(0, 0, 0.55))),
    "heart": _heart(),
    "crescent": _crescent(0.5, 0.85),
    "arrow": _polygonal(
        [(-1, -0.24), (0.1, -0.24), (0.1, -0.75), (1, 0), (0.1, 0.75), (0.1, 0.24), (-1, 0.24)]
    ),
    "hourglass": _polygonal(
        [(-0.7, -1), (0.7, -1), (0.16, 0), (0.7, 1), (-0.7, 1), (-0.16, 0)],
    ),
}

SHAPES = ("disc", "square", "triangle", "star", "cross", "ring", "heart", "crescent")
"""The default shapes of a scene."""

MORE_SHAPES = tuple(name for name in FORMS if name not in SHAPES)
"""Shapes that are drawn only if requested: classes that the models have not seen."""
