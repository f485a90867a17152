"""Compute the size that an image is scaled to, by the rules of several libraries."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

Size = tuple[int, int]
"""(height, width) in pixels."""

Rule = Literal[
    "exact",
    "shorter",
    "bounded",
    "bounded-yolos",
    "within",
    "shorter-rounded",
    "closest",
    "longest",
]
Rounding = Literal["up", "down", "nearest"]


def scaled(image: Size, rule: Rule, size: tuple[int, ...], multiple: int, way: Rounding) -> Size:
    """The size that a rule gives for an image, with both sides rounded to a multiple."""
    height, width = _RULES[rule](image, *size)
    return _to_multiple(height, multiple, way), _to_multiple(width, multiple, way)


def _to_multiple(side: float, multiple: int, way: Rounding) -> int:
    return _ROUND[way](side / multiple) * multiple


_ROUND: dict[Rounding, Callable[[float], int]] = {
    "up": math.ceil,
    "down": math.floor,
    "nearest": round,
}


def _exact(image: Size, height: int, width: int) -> Size:
    return height, width


def _shorter(image: Size, side: int) -> Size:
    """Scale the shorter side to `side` (torchvision's `Resize`)."""
    height, width = image
    if width <= height:
        return int(side * height / width), side
    return side, int(side * width / height)


def _shorter_rounded(image: Size, side: int) -> Size:
    """As `_shorter`, but rounded to the nearest integer (PaddleClas' `ResizeImage`)."""
    scale = side / min(image)
    return round(image[0] * scale), round(image[1] * scale)


def _bounded(image: Size, side: int, longest: int) -> Size:
    """Scale the shorter side to `side`, or less if the longer side would exceed `longest`.

    `get_size_with_aspect_ratio` in transformers, from DETR.
    """
    return _limited(image, side, longest, kept=min(image))


def _bounded_yolos(image: Size, side: int, longest: int) -> Size:
    """As `_bounded`, by YOLOS' processor, which keeps the size of upright images less often."""
    return _limited(image, side, longest, kept=image[0] if image[0] <= image[1] else -1)


def _limited(image: Size, side: int, longest: int, kept: int) -> Size:
    """The bounded size; an image keeps its size if the wanted shorter side is `kept`."""
    height, width = image
    least, largest = float(min(image)), float(max(image))
    exact: float = side
    if largest / least * side > longest:
        exact = longest * least / largest
        side = round(exact)
    if kept == side:
        return height, width
    if width < height:
        return int(exact * height / width), side
    return side, int(exact * width / height)


def _within(image: Size, tallest: int, widest: int) -> Size:
    """The largest size that fits (`get_image_size_for_max_height_width` in transformers)."""
    height, width = image
    scale = min(tallest / height, widest / width)
    return int(height * scale), int(width * scale)


def _longest(image: Size, side: int) -> Size:
    """The longer side becomes `side` (SAM's processor)."""
    scale = side / max(image)
    return int(image[0] * scale + 0.5), int(image[1] * scale + 0.5)


def _closest(image: Size, height: int, width: int) -> tuple[float, float]:
    """Scale in proportion so that the side that changes less fits exactly (DPT's processor)."""
    scales = height / image[0], width / image[1]
    scale = scales[1] if abs(1 - scales[1]) < abs(1 - scales[0]) else scales[0]
    return scale * image[0], scale * image[1]


_RULES: dict[Rule, Callable[..., tuple[float, float]]] = {
    "exact": _exact,
    "shorter": _shorter,
    "shorter-rounded": _shorter_rounded,
    "bounded": _bounded,
    "bounded-yolos": _bounded_yolos,
    "within": _within,
    "closest": _closest,
    "longest": _longest,
}
