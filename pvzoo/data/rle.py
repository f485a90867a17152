"""Masks of objects as COCO's compressed run-length codes, whatever form they are given in.

Polygons are in pixels, the corner of the image is (0, 0); pycocotools makes masks of them. COCO's
own form is a list of polygons, each a list x1, y1, x2, y2, ...; also understood are a single such
list, and points instead of pairs of numbers: ``[x, y]`` or ``{"x": x, "y": y}``. Run lengths
are an object with ``size`` and ``counts``, compressed (text) or not (a list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as pycoco

from pvzoo.data.files import quoted, whole
from pvzoo.errors import DataError

MOST_PIXELS = 2**28
"""Of an image, more than PIL opens unless told to. To put polygons together pycocotools takes four
bytes for each pixel that the image is said to have, and crashes where it does not get them."""

MOST_OUTLINE = 2**22
"""Pixels: the length of the outline of a polygon, by which pycocotools needs memory."""

_DEEPEST = 4
"""Lists in each other: of numbers, of points, of polygons, and one more that some put around."""


def empty_code(size: tuple[int, int], where: str) -> dict[str, Any]:
    """The run-length code of a mask of (height, width) without a pixel.

    Raises:
        DataError: No image is that large; `where` is what a message calls the object.
    """
    if not _is_size(size):
        raise DataError(
            f"{where} is in an image that is said to have {size[1]} x {size[0]} pixels.",
            "Correct the width and height of the image.",
        )
    return _packed([size[0] * size[1]], size)


def polygon_code(
    polygons: Sequence[Sequence[float] | np.ndarray], size: tuple[int, int], where: str
) -> dict[str, Any]:
    """The run-length code of polygons x1, y1, x2, y2, ... in pixels, in an image (height, width).

    The mask is what pycocotools makes of them. Polygons of less than three points have no area.

    Raises:
        DataError: No image is that large, or the outline of a polygon is too long to be meant;
            `where` is what a message calls the object.
    """
    height, width = size
    empty = empty_code(size, where)
    far = 4.0 * max(size)  # what is further out is of no matter
    solid = [np.clip(np.asarray(p, float), -far, far) for p in polygons if len(p) >= 6]
    if not solid or not height or not width:
        return empty
    for polygon in solid:
        steps = np.abs(np.diff(polygon.reshape(-1, 2), axis=0))
        if steps.max(axis=1).sum() > MOST_OUTLINE:
            raise DataError(
                f"{where} has a polygon whose {len(polygon) // 2} points are, from one to the "
                f"next, more than {MOST_OUTLINE:,} pixels apart in all.",
                "Check what its numbers are of.",
            )
    codes = pycoco.frPyObjects(solid, height, width)
    return _as_text(pycoco.merge(codes) if len(codes) > 1 else codes[0])


def outline_box(polygons: Sequence[Sequence[float]]) -> list[float]:
    """Left, top, width, height of polygons x1, y1, x2, y2, ..., of which there is one at least."""
    xs, ys = ([v for polygon in polygons for v in polygon[axis::2]] for axis in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def masked_object(
    code: Mapping[str, Any], number: int, category: int, *, iscrowd: bool = False
) -> dict[str, Any]:
    """An object of `pvzoo.data.schema` that is known by its mask: box and area are the mask's."""
    return {
        "id": number,
        "bbox": pycoco.toBbox(code).tolist(),
        "category": category,
        "area": float(pycoco.area(code)),
        "iscrowd": iscrowd,
        "ignore": False,
        "segmentation": code,
    }


def compressed(given: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """A mask in any form as a compressed run-length code.

    Args:
        given: Polygons or run lengths; see the module.
        size: (height, width) of the image, which polygons need.
        where: What to call it in a message.

    Raises:
        DataError: It is none of these, or damaged.
    """
    if isinstance(given, dict) and not _is_point(given):
        return _run_lengths(given, where)
    if not isinstance(given, list):
        raise DataError(f"{where} has a segmentation that is no list or object.", _FORMS)
    polygons = _polygons(given)
    if polygons is None or any(len(polygon) % 2 for polygon in polygons):
        raise DataError(f"{where} has a polygon that is not pairs of numbers.", _FORMS)
    return polygon_code(polygons, size, where)


_FORMS = (
    "A mask is a list of polygons, each x1, y1, x2, y2, ... in pixels; or an object with size and "
    "counts."
)


def _polygons(given: list[Any], depth: int = 1) -> list[np.ndarray] | None:
    """The polygons in a list, as numbers x1, y1, x2, y2, ...; None if there is anything else."""
    if (flat := _numbers(given)) is not None:
        return [flat]
    if all(map(_is_point, given)):
        points = [(p["x"], p["y"]) if isinstance(p, dict) else p for p in given]
        flat = _numbers([v for point in points for v in point])
        return None if flat is None else [flat]
    if depth == _DEEPEST or not all(isinstance(part, list) for part in given):
        return None
    found = [_polygons(part, depth + 1) for part in given]
    return None if None in found else [polygon for part in found for polygon in part or ()]


def _is_point(given: Any) -> bool:
    if isinstance(given, dict):
        return {"x", "y"} <= given.keys()
    return isinstance(given, list) and len(given) == 2 and not isinstance(given[0], list)


def _numbers(given: list[Any]) -> np.ndarray | None:
    """A list of finite numbers as float64; None if it is none."""
    try:
        numbers = np.array(given) if given else np.empty(0)
    except (ValueError, OverflowError):  # lists of different lengths
        return None
    plain = numbers.ndim == 1 and numbers.dtype.kind in "iuf" and np.isfinite(numbers).all()
    return numbers.astype(float) if plain else None


def _run_lengths(given: dict[str, Any], where: str) -> dict[str, Any]:
    size, counts = given.get("size"), given.get("counts")
    sides = _whole_numbers(size)
    if sides is None or len(sides) != 2 or not _is_size(sides):
        raise DataError(
            f"{where} has a mask of the size {quoted(size)}.",
            f"It is [height, width], of {MOST_PIXELS:,} pixels at most.",
        )
    height, width = sides
    if isinstance(counts, str):
        runs = _unpacked(counts)
    else:
        numbers = _whole_numbers(counts)
        runs = None if numbers is None else np.array(numbers, dtype=np.int64)
    if runs is None or not _fills(runs, sides):
        raise DataError(
            f"{where} has run lengths that do not fill a mask of {height} x {width} (height x "
            "width).",
            "Export it again.",
        )
    if 0 in sides:  # of which pycocotools makes a box of any size
        return empty_code((height, width), where)
    if isinstance(counts, str):
        return {"size": sides, "counts": counts}
    return _packed(runs.tolist(), (height, width))


def _whole_numbers(given: Any) -> list[int] | None:
    """A list of whole numbers; None if it is none."""
    found = [whole(v) for v in given] if isinstance(given, list) else [None]
    numbers = [n for n in found if n is not None]
    return numbers if len(numbers) == len(found) else None


def _fills(runs: np.ndarray, size: Sequence[int]) -> bool:
    """Whether run lengths are possible and as many pixels as a mask of (height, width) has."""
    total = size[0] * size[1]
    if ((runs < 0) | (runs > total)).any():
        return False
    numbers: list[int] = runs.tolist()  # Python's own, which do not overflow
    return sum(numbers) == total


def is_whole(code: Mapping[str, Any]) -> bool:
    """Whether a compressed run-length code has a possible size and as many pixels as it says.

    pycocotools itself only notices those that have too many.
    """
    size, counts = code.get("size"), code.get("counts")
    if not size or not counts or not _is_size(size) or 0 in size:
        return False
    runs = _unpacked(counts)
    return runs is not None and _fills(runs, size)


def _is_size(size: Sequence[int | None]) -> bool:
    """Whether the (height, width) of a mask can be that of an image."""
    height, width = size
    if height is None or width is None or min(height, width) < 0:
        return False
    return height * width <= MOST_PIXELS and max(height, width) < 2**31


def _packed(runs: list[int], size: tuple[int, int]) -> dict[str, Any]:
    height, width = size
    return _as_text(pycoco.frPyObjects({"size": [height, width], "counts": runs}, height, width))


def _as_text(code: dict[str, Any]) -> dict[str, Any]:
    return {"size": list(code["size"]), "counts": code["counts"].decode("ascii")}


def _unpacked(counts: str) -> np.ndarray | None:
    """The run lengths in a compressed code, or None if it is none. (pycocotools trusts it.)

    Each is written in digits to the base 32, the lowest first, a character each, from "0"; the
    bit 32 says that more follow, and the bit 16 of the last one is the sign. From the fourth on
    it is the difference from the last run but one (`rleToString` in maskApi.c of pycocotools).
    """
    if not counts.isascii():
        return None
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    last = np.flatnonzero(~digits & 32)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 7:  # 35 bits, of which the sums below do not overflow
        return None
    index = np.arange(digits.size) - np.repeat(first, length)
    values = np.add.reduceat((digits & 31) << (5 * index), first)
    values -= np.where(digits[last] & 16, 1 << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
