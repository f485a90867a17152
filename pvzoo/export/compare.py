"""How far two results of one picture are apart, whatever task they are of.

Rows (objects, classes, segments) are paired: equals may change places, where their scores are the
same up to rounding. Maps are compared pixel by pixel.
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
TIES = 1e-3
"""Largest share of a map's pixels that may have another class or segment: those that two classes
share as good as evenly."""
RANGE = 1e-3
"""By how much numbers of a map, such as depths, may differ, as a share of their range."""


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
            self.faults.append(f"{where}: {what} {value:.4g}, allowed {allowed:g}")


def compare(one: Result, other: Result, tally: Tally, where: str, most: int = 50) -> None:
    """Compare the result of an original with that of its export.

    Args:
        one: Of the original; of its rows only the first `most` are looked for.
        other: Of the export.
        tally: Gets what comes of it.
        where: What the picture is called.
        most: Most rows.
    """
    if type(one) is not type(other) or one.size != other.size:
        tally.faults.append(
            f"{where}: a {type(one).__name__} of {one.size} and a {type(other).__name__} of "
            f"{other.size}"
        )
        return
    for name in (f.name for f in fields(one) if f.name not in ("image", "size")):
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, np.ndarray) and mine.shape[:2] == one.size and name != "boxes":
            _compare_maps(name, mine, theirs, tally, where)
    rows, others = _rows(one), _rows(other)
    if rows:
        _compare_rows(rows[:most], others, tally, where)


def _compare_maps(
    name: str, mine: np.ndarray, theirs: np.ndarray, tally: Tally, where: str
) -> None:
    if mine.dtype.kind == "f":
        span = float(np.ptp(mine)) or 1.0
        gap = float(np.abs(mine - theirs).max(initial=0)) / span
        tally.note(f"{name}, share of its range", gap, RANGE, where)
    else:
        tally.note(f"{name}, share of pixels", float(np.mean(mine != theirs)), TIES, where)


@dataclass
class _Row:
    """One object, class or segment of a result."""

    label: Any
    name: str
    score: float
    box: np.ndarray | None = None
    mask: Any = None


def _rows(result: Any) -> list[_Row]:
    """The rows of a result that has any, the best first."""
    if hasattr(result, "segments"):
        codes = result.masks().to_coco()
        return [
            _Row(s.label, s.name, s.score, mask=codes[i])
            for i, s in enumerate(result.segments)
        ]
    labels, scores = getattr(result, "labels", None), getattr(result, "scores", None)
    names = getattr(result, "names", None)
    if scores is None or names is None or np.ndim(scores) != 1:
        return []
    boxes = getattr(result, "boxes", None)
    masks = getattr(result, "masks", None)
    codes: Sequence[Any] = masks.to_coco() if isinstance(masks, Masks) else [None] * len(scores)
    return [
        _Row(
            None if labels is None else int(labels[i]),
            names[i],
            float(scores[i]),
            None if boxes is None else np.asarray(boxes[i]),
            codes[i],
        )
        for i in range(len(scores))
    ]


def _compare_rows(rows: list[_Row], others: list[_Row], tally: Tally, where: str) -> None:
    left = list(others)
    for row in rows:
        same = [o for o in left if (o.label, o.name) == (row.label, row.name)]
        partner = min(same, key=lambda o: _distance(row, o), default=None)
        if partner is None:
            tally.faults.append(f"{where}: {row.name or row.label} ({row.score:.3f}) is not there")
            continue
        left = [o for o in left if o is not partner]
        tally.rows += 1
        tally.note("score", abs(row.score - partner.score), SCORE, where)
        if row.box is not None and partner.box is not None:
            tally.note("box, pixels", np.abs(row.box - partner.box).max(initial=0), PIXELS, where)
        if row.mask is not None and partner.mask is not None:
            tally.note("mask IoU", _overlap(row.mask, partner.mask), OVERLAP, where)


def _distance(row: _Row, other: _Row) -> float:
    """How unlike two rows are: objects by where they are, classes by their scores."""
    apart = abs(row.score - other.score)
    if row.box is not None and other.box is not None:
        return apart + float(np.abs(row.box - other.box).max(initial=0)) / 100
    if row.mask is not None and other.mask is not None:
        return apart + 1 - _overlap(row.mask, other.mask)
    return apart


def _overlap(one: Any, other: Any) -> float:
    from pycocotools import mask

    both, either = (
        mask.area(mask.merge([one, other], intersect=True)),
        mask.area(mask.merge([one, other])),
    )
    return float(both) / float(either) if either else 1.0
