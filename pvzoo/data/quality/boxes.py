"""What can be wrong with the boxes of a dataset, and how to correct it.

Boxes are (n, 4) float64, left, top, width, height in pixels, as in `pvzoo.data.schema`. Frames are
(width, height), or (n, 2) with one frame for each box.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from pvzoo.data.quality import rules
from pvzoo.data.quality.rules import Rule

TOLERANCE = 1.0
"""Pixels that a box may reach out of its frame. Formats that count pixels from 1, or include the
last pixel, differ by this much."""

CARELESS = 0.01
"""Share of the longer side of the frame that a box may reach out of it and still count as drawn
carelessly, rather than as written in another convention."""

LEAST_SIDE = 1e-3
"""Pixels: a box with a smaller width or height is empty."""

TINY_SIDE = 1.01
"""Pixels: a box with at most this width or height is probably a slip of the mouse."""

_LEAST_FRAME = 8
"""Pixels: in smaller images, a box does not show which convention it is in."""


_FROM_ONE = np.array([1, 1, -1, -1])


# --- single boxes ---------------------------------------------------------------------------------


def positive(boxes: np.ndarray) -> np.ndarray:
    """The same boxes without negative width or height: left before right, top above bottom."""
    corners, sides = boxes[:, :2], boxes[:, 2:]
    return np.hstack([np.minimum(corners, corners + sides), np.abs(sides)])


def clip(boxes: np.ndarray, frame: tuple[int, int]) -> np.ndarray:
    """The part of each box in the frame; width or height is 0 or less if there is no such part."""
    first = np.clip(boxes[:, :2], 0, frame)
    last = np.clip(boxes[:, :2] + boxes[:, 2:], 0, frame)
    return np.hstack([first, last - first])


def finite(boxes: np.ndarray) -> np.ndarray:
    """(n,) bool: whether all four values are finite numbers."""
    good: np.ndarray = np.isfinite(boxes).all(axis=1)
    return good


def faults(boxes: np.ndarray, frame: tuple[int, int]) -> dict[Rule, np.ndarray]:
    """Which boxes break each rule, (n,) bool. No box is out of a frame that has no pixels."""
    good = finite(boxes)
    empty = good & _is_empty(boxes)
    solid = good & ~empty
    outside, beyond, fraction = np.zeros((3, len(boxes)), bool)
    if min(frame) > 0:
        straight = positive(boxes)
        outside = solid & _is_empty(clip(straight, frame))
        beyond = solid & ~outside & (overhang(straight, frame) > TOLERANCE)
    if min(frame) >= _LEAST_FRAME:
        fraction = solid & _are_shares(boxes)
    return {
        rules.NOT_FINITE: ~good,
        rules.INVERTED: solid & _is_inverted(boxes),
        rules.EMPTY: empty,
        rules.FRACTION: fraction,
        rules.TINY: solid & ~fraction & (np.abs(boxes[:, 2:]) <= TINY_SIDE).any(axis=1),
        rules.OUTSIDE: outside,
        rules.OVERHANG: beyond,
    }


def _is_inverted(boxes: np.ndarray) -> np.ndarray:
    negative: np.ndarray = np.any(boxes[:, 2:] < 0, axis=1)
    return negative


def _is_empty(boxes: np.ndarray) -> np.ndarray:
    small: np.ndarray = np.any(np.abs(boxes[:, 2:]) < LEAST_SIDE, axis=1)
    return small


def _are_shares(boxes: np.ndarray) -> np.ndarray:
    """Whether each box lies in the first pixel and is not exactly that pixel.

    Pascal VOC counts pixels from 1, so its reader turns such edges into a box that begins outside
    the frame.
    """
    plain = ((boxes >= 0) & (boxes <= 1)).all(axis=1)
    counted = boxes + _FROM_ONE
    counted = ((counted >= 0) & (counted < 1)).all(axis=1)
    shares: np.ndarray = (plain | counted) & (boxes % 1 != 0).any(axis=1)
    return shares


def overhang(boxes: np.ndarray, frame: tuple[int, int] | np.ndarray) -> np.ndarray:
    """(n,) the most pixels by which each box, of positive size, reaches out of its frame."""
    beyond = boxes[:, :2] + boxes[:, 2:] - frame
    most: np.ndarray = np.maximum(-boxes[:, :2], beyond).max(axis=1, initial=0)
    return most


def leave(boxes: np.ndarray, frame: tuple[int, int]) -> bool:
    """Whether any box reaches out of a frame further than a carelessly drawn one."""
    slack = max(TOLERANCE, CARELESS * max(frame))
    return bool((overhang(positive(boxes[finite(boxes)]), frame) > slack).any())


def turn(boxes: np.ndarray, orientation: int, raw: tuple[int, int]) -> np.ndarray:
    """Convert boxes in the stored pixels of an image to boxes in the upright image.

    Args:
        boxes: Boxes of positive size.
        orientation: The EXIF orientation, 1 to 8.
        raw: (width, height) of the stored pixels.
    """
    x0, y0, w, h = boxes.T
    x1, y1 = raw[0] - x0 - w, raw[1] - y0 - h  # distances from the right and bottom edges
    return np.stack(
        {
            1: (x0, y0, w, h),
            2: (x1, y0, w, h),
            3: (x1, y1, w, h),
            4: (x0, y1, w, h),
            5: (y0, x0, h, w),
            6: (y1, x0, h, w),
            7: (y1, x1, h, w),
            8: (y0, x1, h, w),
        }[orientation],
        axis=1,
    )


# --- conventions of a whole dataset ---------------------------------------------------------------

_Convert = Callable[[np.ndarray, np.ndarray], np.ndarray]
_CONVENTIONS: dict[str, _Convert] = {
    # what the four numbers of a box are by mistake -> a function that makes them xywh in pixels
    "xywh": lambda b, frame: b,
    "xyxy": lambda b, frame: np.hstack([b[:, :2], b[:, 2:] - b[:, :2]]),
    "xywh read as xyxy": lambda b, frame: np.hstack([b[:, :2], b[:, 2:] + b[:, :2]]),
    "cxcywh": lambda b, frame: np.hstack([b[:, :2] - b[:, 2:] / 2, b[:, 2:]]),
    "pixels read as normalised": lambda b, frame: b / np.tile(frame, 2),
    "normalised xywh": lambda b, frame: b * np.tile(frame, 2),
    "normalised xyxy": lambda b, frame: _CONVENTIONS["xyxy"](b * np.tile(frame, 2), frame),
    "normalised cxcywh": lambda b, frame: _CONVENTIONS["cxcywh"](b * np.tile(frame, 2), frame),
    # what a reader of Pascal VOC makes of them: it counts pixels from 1 to the last one
    "normalised xyxy from 1": lambda b, frame: (b + _FROM_ONE) * np.tile(frame, 2),
    "normalised xywh from 1": lambda b, frame: _CONVENTIONS["xywh read as xyxy"](
        (b + _FROM_ONE) * np.tile(frame, 2), frame
    ),
    "normalised cxcywh from 1": lambda b, frame: _CONVENTIONS["cxcywh"](
        _CONVENTIONS["normalised xywh from 1"](b, frame), frame
    ),
    # what a reader of YOLO makes of them: it subtracts half of the sides from supposed centres
    "xywh read as cxcywh": lambda b, frame: np.hstack([b[:, :2] + b[:, 2:] / 2, b[:, 2:]]),
    "xyxy read as cxcywh": lambda b, frame: np.hstack(
        [b[:, :2] + b[:, 2:] / 2, b[:, 2:] / 2 - b[:, :2]]
    ),
    "pixels read as normalised, xywh as cxcywh": lambda b, frame: _CONVENTIONS[
        "xywh read as cxcywh"
    ](b / np.tile(frame, 2), frame),
    "pixels read as normalised, xyxy as cxcywh": lambda b, frame: _CONVENTIONS[
        "xyxy read as cxcywh"
    ](b / np.tile(frame, 2), frame),
}

UNCLEAR = ("unclear", "normalised, unclear")
"""The convention cannot be found: several conventions explain the boxes equally well, or none."""

SUSPECT = 0.05
"""Other conventions are considered if at least this share of boxes is impossible."""

EXPLAINED = 0.98
"""Share of boxes that another convention must make possible. (Nine in ten boxes of large objects in
the middle of the image are also possible as left, top, right, bottom.)"""

FILLED = 0.1
"""Share of boxes that must reach beyond half of their frame in at least one direction, once they
are divided by the frame. Boxes in thousandths, or from before the image was scaled down, stay near
the corner."""

FEW_BOXES = 8
"""With fewer boxes, half must be impossible; one or two boxes are never enough."""


def to_pixels(boxes: np.ndarray, frame: tuple[int, int], convention: str) -> np.ndarray:
    """Convert boxes of another convention to left, top, width, height in pixels."""
    frames = np.broadcast_to(np.array(frame, float), (len(boxes), 2))
    return _CONVENTIONS[convention](boxes, frames)


def votes(boxes: np.ndarray, frames: np.ndarray) -> Counter[str]:
    """Count how many boxes each convention makes possible.

    Further keys count other boxes:

    * "all": all boxes that count.
    * "suspect": boxes that are impossible as they are, and not just carelessly drawn: inverted,
      more than a tenth of the frame out of it, or within its first pixel.
    * "before": boxes that begin left of the frame or above it.
    * "turned": boxes that are possible as they are if some of the frames are laid on their side.
    * "filled" and the name of a convention of pixels read as normalised: the boxes that it makes
      possible and that reach beyond half of the frame once they are converted.

    Args:
        boxes: Boxes of any number of images.
        frames: (n, 2), the frame of each box; boxes in frames of a few pixels do not count.
    """
    use = finite(boxes) & (frames.min(axis=1) >= _LEAST_FRAME)
    boxes, frames = boxes[use], frames[use].astype(float)
    longest = frames.max(axis=1)
    plain, counted = ((np.abs(b) <= 1.01).all(axis=1) for b in (boxes, boxes + _FROM_ONE))
    unit = plain | counted
    far = overhang(positive(boxes), frames) > 0.1 * longest
    count = Counter(all=len(boxes), suspect=int((unit | far | _is_inverted(boxes)).sum()))
    slack = np.maximum(TOLERANCE, CARELESS * longest)
    count["before"] = int((boxes[:, :2] < -slack[:, None]).any(axis=1).sum())
    beyond = np.minimum(overhang(boxes, frames), overhang(boxes, frames[:, ::-1]))
    count["turned"] = int(((boxes[:, 2:] > 0).all(axis=1) & (beyond <= slack) & ~unit).sum())
    for name, convert in _CONVENTIONS.items():
        there = convert(boxes, frames)
        fits = (there[:, 2:] > 0).all(axis=1)
        fits &= overhang(there, frames) <= slack
        fits &= (there[:, :2] + there[:, 2:]).max(axis=1) > 1.01
        if _is_scaled(name):  # no other mistake makes numbers that large
            fits &= (boxes[:, :2] + boxes[:, 2:] > 2 * frames).all(axis=1)
            reach = (there[:, :2] + there[:, 2:]) / frames
            count[f"filled {name}"] = int((fits & (reach > 0.5).any(axis=1)).sum())
        if name.startswith("normalised"):
            fits &= counted if name.endswith("from 1") else plain
        else:
            fits &= ~unit
        count[name] = int(fits.sum())
    return count


def _is_scaled(convention: str) -> bool:
    return convention.startswith("pixels")


def convention(count: Mapping[str, int]) -> str:
    """The convention of boxes, given the sum of their `votes`.

    It is "xywh", the right one, unless many boxes are impossible and one other convention explains
    (nearly) all of them. It is one of `UNCLEAR` if several other conventions explain them, if the
    only one that does leaves the frames almost empty, or if most boxes are impossible and no other
    convention explains them.
    """
    total, suspect = count.get("all", 0), count.get("suspect", 0)
    if total < 3 or suspect < (SUSPECT if total >= FEW_BOXES else 0.5) * total:
        return "xywh"
    others = [name for name in _CONVENTIONS if name != "xywh"]
    fitting = {name: count[name] for name in others if count[name] >= EXPLAINED * total}
    if count["before"] < SUSPECT * total:  # only boxes that lost half of a side begin there
        fitting = {name: n for name, n in fitting.items() if not name.endswith("as cxcywh")}
    empty = [n for n in fitting if _is_scaled(n) and count[f"filled {n}"] < FILLED * total]
    for name in empty:
        del fitting[name]
    if empty and not fitting:
        return UNCLEAR[0]
    best = [name for name in fitting if fitting[name] == max(fitting.values())]
    if len(fitting) == 1 or (len(best) == 1 and fitting[best[0]] == total):
        return best[0]
    if not fitting:  # boxes in frames on their side are possible as they are
        lost = total >= FEW_BOXES and suspect > total / 2 and count["turned"] < EXPLAINED * total
        return UNCLEAR[0] if lost else "xywh"
    return UNCLEAR[all(name.startswith("normalised") for name in fitting)]
