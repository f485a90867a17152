"""Convert masks of objects in any form to COCO's compressed run-length codes.

Polygons are in pixels, the corner of the image is (0, 0), and pycocotools fills them. COCO's own
form is a list of polygons, each a list x1, y1, x2, y2, ... A single such list is accepted too, and
points instead of pairs of numbers: ``[x, y]`` or ``{"x": x, "y": y}``. Run lengths are an object
with ``size`` and ``counts``, compressed (text) or not (a list).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as pycoco

from pvzoo.data.files import quoted, whole
from pvzoo.errors import DataError

MOST_PIXELS = 2**28
"""The most pixels of an image; PIL by default opens fewer. To merge polygons, pycocotools needs
four bytes for each pixel of the stated size, and crashes if it does not get them."""

MOST_OUTLINE = 2**22
"""The longest outline of a polygon, in pixels; pycocotools needs memory in proportion to it."""

_DEEPEST = 4
"""Levels of lists: of numbers, of points, of polygons, and one more that some tools add."""


def empty_code(size: tuple[int, int], where: str) -> dict[str, Any]:
    """The run-length code of a mask of (height, width) without pixels.

    Raises:
        DataError: The size is too large for an image; `where` is what messages call the object.
    """
    if not _is_size(size):
        raise DataError(
            f"{where} is in an image of {size[1]} x {size[0]} pixels, which is not possible.",
            "Correct the width and height of the image.",
        )
    return _packed([size[0] * size[1]], size)


def polygon_code(
    polygons: Sequence[Sequence[float] | np.ndarray], size: tuple[int, int], where: str
) -> dict[str, Any]:
    """The run-length code of polygons x1, y1, x2, y2, ... in pixels, in an image (height, width).

    pycocotools makes the mask. Polygons with fewer than three points have no area.

    Raises:
        DataError: The size is too large for an image, or the outline of a polygon is too long;
            `where` is what messages call the object.
    """
    height, width = size
    empty = empty_code(size, where)
    far = 4.0 * max(size)  # how far beyond this a point lies does not matter
    solid = [np.clip(np.asarray(p, float), -far, far) for p in polygons if len(p) >= 6]
    if not solid or not height or not width:
        return empty
    for polygon in solid:
        steps = np.abs(np.diff(polygon.reshape(-1, 2), axis=0))
        if steps.max(axis=1).sum() > MOST_OUTLINE:
            raise DataError(
                f"{where} has a polygon of {len(polygon) // 2} points whose outline is longer than "
                f"{MOST_OUTLINE:,} pixels.",
                "Check whether its numbers are pixels.",
            )
    codes = pycoco.frPyObjects(solid, height, width)
    return _as_text(pycoco.merge(codes) if len(codes) > 1 else codes[0])


def outline_box(polygons: Sequence[Sequence[float]]) -> list[float]:
    """Left, top, width, height of one or more polygons x1, y1, x2, y2, ..."""
    xs, ys = ([v for polygon in polygons for v in polygon[axis::2]] for axis in (0, 1))
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def masked_object(
    code: Mapping[str, Any], number: int, category: int, *, iscrowd: bool = False
) -> dict[str, Any]:
    """An object of `pvzoo.data.schema` made from its mask: box and area are the mask's."""
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
    """Convert a mask in any form to a compressed run-length code.

    Args:
        given: Polygons or run lengths; see the module.
        size: (height, width) of the image, needed for polygons.
        where: What messages call the object.

    Raises:
        DataError: The mask is in no such form, or damaged.
    """
    if isinstance(given, dict) and not _is_point(given):
        return _run_lengths(given, where)
    if not isinstance(given, list):
        raise DataError(f"{where} has a segmentation that is not a list or object.", _FORMS)
    polygons = _polygons(given)
    if polygons is None or any(len(polygon) % 2 for polygon in polygons):
        raise DataError(f"{where} has a polygon that is not pairs of numbers.", _FORMS)
    return polygon_code(polygons, size, where)


_FORMS = (
    "Write a list of polygons, each x1, y1, x2, y2, ... in pixels; or an object with size and "
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
    """A list of finite numbers as float64; None for any other list."""
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
            f"Write [height, width], at most {MOST_PIXELS:,} pixels.",
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
    if 0 in sides:  # pycocotools would make a box of any size
        return empty_code((height, width), where)
    if isinstance(counts, str):
        return {"size": sides, "counts": counts}
    return _packed(runs.tolist(), (height, width))


def _whole_numbers(given: Any) -> list[int] | None:
    """A list of whole numbers; None for anything else."""
    found = [whole(v) for v in given] if isinstance(given, list) else [None]
    numbers = [n for n in found if n is not None]
    return numbers if len(numbers) == len(found) else None


def _fills(runs: np.ndarray, size: Sequence[int]) -> bool:
    """Whether run lengths are possible and add up to the pixels of a (height, width) mask."""
    total = size[0] * size[1]
    if ((runs < 0) | (runs > total)).any():
        return False
    numbers: list[int] = runs.tolist()  # Python's integers do not overflow
    return sum(numbers) == total


def is_whole(code: Mapping[str, Any]) -> bool:
    """Whether a compressed run-length code has a possible size and fills it exactly.

    pycocotools itself notices only codes with too many pixels.
    """
    size, counts = code.get("size"), code.get("counts")
    if not size or not counts or not _is_size(size) or 0 in size:
        return False
    runs = _unpacked(counts)
    return runs is not None and _fills(runs, size)


def _is_size(size: Sequence[int | None]) -> bool:
    """Whether an image can have this (height, width)."""
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
    """The run lengths in a compressed code, or None if it is damaged; pycocotools does not check.

    Each run length is written in digits of base 32, the lowest first, one character per digit,
    starting at "0". Bit 32 means that more digits follow; bit 16 of the last digit is the sign.
    From the fourth on, a number is the difference from the run length two before it (`rleToString`
    in maskApi.c of pycocotools).
    """
    if not counts.isascii():
        return None
    digits = np.frombuffer(counts.encode("ascii"), np.uint8).astype(np.int64) - 48
    if not digits.size or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
        return None
    last = np.flatnonzero(~digits & 32)
    first = np.concatenate([[0], last[:-1] + 1])
    length = last - first + 1
    if length.max() > 7:  # at most 35 bits, so that the sums below do not overflow
        return None
    index = np.arange(digits.size) - np.repeat(first, length)
    values = np.add.reduceat((digits & 31) << (5 * index), first)
    values -= np.where(digits[last] & 16, 1 << (5 * length), 0)
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
