"""Measure the difference between two results for one image, for any task.

A result consists of rows (objects, classes or segments) and maps. Each row is paired with the most
similar row of the other result, because rows with the same score up to rounding may come in
another order. Maps are compared pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pvzoo.results.base import Result
from pvzoo.results.masks import Masks

SCORE = 1e-3
"""The largest difference of scores that is allowed."""
PIXELS = 0.5
"""The largest difference of each box edge that is allowed, in pixels of the image."""
OVERLAP = 0.999
"""The smallest IoU of two masks that is allowed."""
PIXELS_OF_MASKS = 2
"""The number of pixels of the network's input that may always differ in a mask. In a small mask,
one pixel is more than a thousandth, and rounding may decide whether a pixel is in the mask."""
TIES = 1e-3
"""The largest share of a map's pixels that may have another class or segment. At such pixels, two
classes have almost equal scores."""
RANGE = 1e-3
"""The largest difference of the numbers of a map, such as depths, as a share of their range."""


@dataclass(frozen=True)
class Row:
    """One object, class or segment of a result.

    Attributes:
        label: The id of the class; None if there are no classes.
        name: The name of the class.
        score: The score of the row.
        box: The corners of the box in pixels; None without a box.
        mask: The mask as COCO's compressed run lengths; None without a mask.
    """

    label: int | None
    name: str
    score: float
    box: tuple[float, ...] | None = None
    mask: bytes | None = None


@dataclass(frozen=True)
class Reading:
    """The content of a result, in the form that is compared.

    Attributes:
        kind: The name of the result's Python class.
        size: (height, width) of the image.
        rows: The rows, best first.
        maps: Arrays of shape (height, width, ...), by the name of their field.
    """

    kind: str
    size: tuple[int, int]
    rows: tuple[Row, ...]
    maps: dict[str, np.ndarray]

    @classmethod
    def of(cls, result: Result) -> Reading:
        """Read a result of any task."""
        maps = {
            f.name: value
            for f in fields(result)
            if isinstance(value := getattr(result, f.name), np.ndarray)
            and value.shape[:2] == result.size
            and f.name != "boxes"
        }
        return cls(type(result).__name__, result.size, tuple(_rows(result)), maps)


@dataclass
class Tally:
    """The largest differences found in all comparisons.

    Attributes:
        rows: The number of objects, classes or segments that had a partner.
        worst: The largest difference by the name of what was compared; for "mask IoU", the
            smallest IoU.
        faults: A sentence for each difference that is larger than allowed.
    """

    rows: int = 0
    worst: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, what: str, value: float, allowed: float, where: str) -> None:
        """Record a difference, and a fault if it is larger than `allowed`."""
        least = what == "mask IoU"
        keep = min if least else max
        self.worst[what] = keep(self.worst.get(what, value), float(value))
        if not (value >= allowed if least else value <= allowed):
            self.faults.append(f"{where}: {what} is {value:.4g}, but {allowed:g} is allowed")


def compare(
    one: Reading, other: Reading, tally: Tally, where: str, most: int = 50, pixel: float = 1.0
) -> None:
    """Compare the original's result for an image with the export's result.

    Args:
        one: The original's result. Only its first `most` rows are compared.
        other: The export's result.
        tally: Records the differences.
        where: The name of the image.
        most: The largest number of rows to compare.
        pixel: How many pixels of the image one pixel of the network's input covers, at least 1.
    """
    if (one.kind, one.size, set(one.maps)) != (other.kind, other.size, set(other.maps)):
        tally.faults.append(
            f"{where}: a {one.kind} of {one.size} became a {other.kind} of {other.size}"
        )
        return
    for name, mine in one.maps.items():
        _compare_maps(name, mine, other.maps[name], tally, where)
    left = list(other.rows)
    for row in one.rows[:most]:
        same = [o for o in left if (o.label, o.name) == (row.label, row.name)]
        partner = min(same, key=lambda o: _distance(row, o, one.size), default=None)
        if partner is None:
            tally.faults.append(f"{where}: {row.name or row.label} ({row.score:.3f}) is missing")
            continue
        left = [o for o in left if o is not partner]
        tally.rows += 1
        tally.note("score", abs(row.score - partner.score), SCORE, where)
        if row.box is not None and partner.box is not None:
            tally.note("box, pixels", _apart(row.box, partner.box), PIXELS, where)
        if row.mask is not None and partner.mask is not None:
            both, either = _shared(row.mask, partner.mask, one.size)
            least = OVERLAP if either - both > PIXELS_OF_MASKS * pixel else 0.0
            tally.note("mask IoU", both / either if either else 1.0, least, where)


def _compare_maps(
    name: str, mine: np.ndarray, theirs: np.ndarray, tally: Tally, where: str
) -> None:
    if mine.shape != theirs.shape:
        tally.faults.append(f"{where}: {name} has the shape {theirs.shape}, not {mine.shape}")
    elif mine.dtype.kind == "f":
        span = float(np.ptp(mine)) or 1.0
        gap = float(np.abs(mine - theirs).max(initial=0)) / span
        tally.note(f"{name}, share of its range", gap, RANGE, where)
    else:
        tally.note(f"{name}, share of pixels", float(np.mean(mine != theirs)), TIES, where)


def _rows(result: Any) -> list[Row]:
    """The rows of a result, best first; empty if it has none."""
    if hasattr(result, "segments"):
        codes = result.masks().counts
        return [
            Row(s.label, s.name, s.score, mask=code)
            for s, code in zip(result.segments, codes, strict=True)
        ]
    labels, scores = getattr(result, "labels", None), getattr(result, "scores", None)
    names, boxes = getattr(result, "names", None), getattr(result, "boxes", None)
    masks = getattr(result, "masks", None)
    if scores is None or names is None or np.ndim(scores) != 1:
        return []
    counts: Sequence[bytes | None]
    counts = masks.counts if isinstance(masks, Masks) else [None] * len(scores)
    return [
        Row(
            None if labels is None else int(labels[i]),
            names[i],
            float(scores[i]),
            None if boxes is None else tuple(map(float, boxes[i])),
            counts[i],
        )
        for i in range(len(scores))
    ]


def _distance(row: Row, other: Row, size: tuple[int, int]) -> float:
    """How different two rows are: objects by their position, classes by their scores."""
    apart = abs(row.score - other.score)
    if row.box is not None and other.box is not None:
        return apart + _apart(row.box, other.box) / 100
    if row.mask is not None and other.mask is not None:
        both, either = _shared(row.mask, other.mask, size)
        return apart + 1 - (both / either if either else 1.0)
    return apart


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _shared(one: bytes, other: bytes, size: tuple[int, int]) -> tuple[int, int]:
    """The number of pixels in both masks, and in at least one of them."""
    from pycocotools import mask

    pair = [{"size": list(size), "counts": counts} for counts in (one, other)]
    return int(mask.area(mask.merge(pair, intersect=True))), int(mask.area(mask.merge(pair)))
