"""How far two results of one image are apart, whatever task they are of.

A result is read as rows (objects, classes, segments) and maps. Rows are paired: equals may change
places where their scores are the same up to rounding. Maps are compared pixel by pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from pvzoo.results.base import Result
from pvzoo.results.masks import Masks

SCORE = 1e-3
"""By how much scores may differ."""
PIXELS = 0.5
"""By how much each edge of a box may be elsewhere, in pixels of the image."""
OVERLAP = 0.999
"""Least IoU of two masks."""
PIXELS_OF_MASKS = 2
"""So many pixels of the network's input may differ in a mask in any case: of a small mask one is
more than a thousandth, and whether a pixel is in it may depend on rounding."""
TIES = 1e-3
"""Largest share of a map's pixels that may have another class or segment: those that two classes
share as good as evenly."""
RANGE = 1e-3
"""By how much numbers of a map, such as depths, may differ, as a share of their range."""


@dataclass(frozen=True)
class Row:
    """One object, class or segment of a result.

    Attributes:
        label: The id of its class; None where there are no classes.
        name: Of its class.
        score: Of the row.
        box: Its corners in pixels, if it has a box.
        mask: COCO's compressed run lengths, if it has a mask.
    """

    label: int | None
    name: str
    score: float
    box: tuple[float, ...] | None = None
    mask: bytes | None = None


@dataclass(frozen=True)
class Reading:
    """What a result says.

    Attributes:
        kind: The name of its class.
        size: (height, width) of the image.
        rows: The best first.
        maps: By the name of the field: (height, width, ...).
    """

    kind: str
    size: tuple[int, int]
    rows: tuple[Row, ...]
    maps: dict[str, np.ndarray]

    @classmethod
    def of(cls, result: Result) -> Reading:
        """What a result says; of any task."""
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
    """What was compared, and how far apart it was at most.

    Attributes:
        rows: How many objects, classes or segments had a partner.
        worst: By what was compared the largest difference; for "mask IoU" the least.
        faults: What was farther apart than it may be, as sentences.
    """

    rows: int = 0
    worst: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def note(self, what: str, value: float, allowed: float, where: str) -> None:
        """Keep a difference, and whether it is a fault."""
        least = what == "mask IoU"
        keep = min if least else max
        self.worst[what] = keep(self.worst.get(what, value), float(value))
        if not (value >= allowed if least else value <= allowed):
            self.faults.append(f"{where}: {what} is {value:.4g}, and {allowed:g} is allowed")


def compare(
    one: Reading, other: Reading, tally: Tally, where: str, most: int = 50, pixel: float = 1.0
) -> None:
    """Compare what the original says of an image with what its export says.

    Args:
        one: Of the original; of its rows only the first `most` are looked for.
        other: Of the export.
        tally: Gets what comes of it.
        where: What the image is called.
        most: Most rows.
        pixel: How many pixels of the image one of the network's input covers, at least 1.
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
            tally.faults.append(f"{where}: {row.name or row.label} ({row.score:.3f}) is not there")
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
        tally.faults.append(f"{where}: {name} is {theirs.shape}, and was {mine.shape}")
    elif mine.dtype.kind == "f":
        span = float(np.ptp(mine)) or 1.0
        gap = float(np.abs(mine - theirs).max(initial=0)) / span
        tally.note(f"{name}, share of its range", gap, RANGE, where)
    else:
        tally.note(f"{name}, share of pixels", float(np.mean(mine != theirs)), TIES, where)


def _rows(result: Any) -> list[Row]:
    """The rows of a result that has any, the best first."""
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
    """How unlike two rows are: objects by where they are, classes by their scores."""
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
    """Pixels that are in both masks, and in either."""
    from pycocotools import mask

    pair = [{"size": list(size), "counts": counts} for counts in (one, other)]
    return int(mask.area(mask.merge(pair, intersect=True))), int(mask.area(mask.merge(pair)))
