"""What can be wrong with boxes and masks of objects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pycocotools import mask as coco

from pvzoo.data.labels import box_array, is_uneven, repeated
from pvzoo.data.quality import boxes as box
from pvzoo.data.quality import rules
from pvzoo.data.quality.report import Notes, Size
from pvzoo.data.quality.splits import CheckedSplit
from pvzoo.data.quality.tasks.base import ClassedCheck, Sample, lengths, size_in_words
from pvzoo.data.rle import is_whole

_ROWS_AT_ONCE = 1000

_CONVENTION_RULES = {
    "xyxy": rules.XYXY,
    "xywh read as xyxy": rules.XYWH,
    "cxcywh": rules.CXCYWH,
    "xywh read as cxcywh": rules.XYWH_AS_CENTRE,
    "xyxy read as cxcywh": rules.XYXY_AS_CENTRE,
    "pixels read as normalised": rules.TWICE_SCALED,
    "pixels read as normalised, xywh as cxcywh": rules.XYWH_AS_CENTRE,
    "pixels read as normalised, xyxy as cxcywh": rules.XYXY_AS_CENTRE,
    "normalised xyxy from 1": rules.NORMALISED,
    "normalised xywh from 1": rules.NORMALISED,
    "normalised cxcywh from 1": rules.NORMALISED,
    "normalised xywh": rules.NORMALISED,
    "normalised xyxy": rules.NORMALISED,
    "normalised cxcywh": rules.NORMALISED,
    "unclear": rules.UNCLEAR,
    "normalised, unclear": rules.NORMALISED_UNCLEAR,
}


class ObjectsCheck(ClassedCheck):
    """Checks boxes with classes."""

    none: ClassVar[frozenset[int]] = frozenset()

    def __init__(self, parts: Sequence[CheckedSplit], notes: Notes) -> None:
        super().__init__(parts, notes)
        self._waiting: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {p.name: [] for p in parts}

    def survey(self, part: CheckedSplit, row: Mapping[str, Any]) -> None:
        """Count the objects of an image, and let its boxes vote on their convention."""
        objects = row["objects"] or {}
        part.classes.update(objects.get("category") or [])
        part.objects += len(objects.get("bbox") or [])
        boxes = box_array(objects)
        waiting = self._waiting[part.name]
        waiting.append((boxes, np.tile(size_of(row), (len(boxes), 1))))
        if len(waiting) == _ROWS_AT_ONCE:
            self._vote(part)

    def _vote(self, part: CheckedSplit) -> None:
        if waiting := self._waiting[part.name]:
            part.votes += box.votes(*map(np.concatenate, zip(*waiting, strict=True)))
            waiting.clear()

    def conclude(self) -> None:
        """Decide on the convention of the boxes of each split."""
        for part in self.parts:
            self._vote(part)
        together = sum((part.votes for part in self.parts), Counter())
        for part in self.parts:
            enough = part.votes["all"] >= box.FEW_BOXES
            part.convention = box.convention(part.votes if enough else together)
        super().conclude()

    def is_labelled(self, part: CheckedSplit) -> bool:
        """Whether there is any object."""
        return part.objects > 0

    def check(self, sample: Sample) -> None:
        """Check the lists, boxes, classes and masks of an image."""
        part, row = sample.part, sample.row
        objects = row["objects"] or {}
        if is_uneven(objects):
            sample.note(rules.UNEVEN, lengths(objects))
            return
        given = box_array(objects)
        boxes, frame = given, size_of(row)
        convention = _CONVENTION_RULES.get(part.convention)
        if convention and len(given):
            sample.note(convention, f": {_numbers(given[0])}, {size_in_words(frame)}", len(given))
        known = part.convention not in box.UNCLEAR
        if known:
            boxes = box.to_pixels(given, frame, part.convention)
            frame = _frame(sample, boxes)
        about = [
            f", object {i}" if i is not None else ""
            for i in objects.get("id") or [None] * len(boxes)
        ]
        for i, label in enumerate(objects["category"] if len(boxes) else []):
            self.check_class(sample, label, about[i])
        sound = np.full(len(boxes), known)
        if known:
            for rule, broken in box.faults(boxes, frame).items():
                sound &= ~broken
                for i in np.flatnonzero(broken).tolist():
                    sample.note(rule, f"{about[i]}: {_numbers(given[i])}, {size_in_words(frame)}")
            for i in repeated(objects, boxes):
                sample.note(rules.REPEATED, f"{about[i]}: {_numbers(given[i])}")
        for i, code in enumerate(objects.get("segmentation") or [] if len(boxes) else []):
            _check_mask(sample, code, boxes[i] if sound[i] else None, frame, about[i])


class InstancesCheck(ObjectsCheck):
    """Checks objects with masks."""

    def turn(self, part: CheckedSplit, row: int, how: tuple[int, Size]) -> None:
        """Note masks that were read at the upright size, and so were cut off at its edges."""
        width, height = how[1]
        if how[0] >= 5 and width != height:
            text = f"{part.text_of(row)}: {height} x {width}, {size_in_words(how[1])}"
            self.notes.add(rules.MASK_SIZE, text, part.index(row))


def _frame(sample: Sample, boxes: np.ndarray) -> Size:
    """The (width, height) of the frame that the labels of an image belong to."""
    part, look, number = sample.part, sample.look, sample.number
    declared = size_of(sample.row)
    turned = look.raw != look.upright
    if turned and declared in (look.raw, look.upright):
        out_of_raw, out_of_upright = (box.leave(boxes, size) for size in (look.raw, look.upright))
        # An upright size tells nothing: it comes from the file if the labels have no size.
        says_raw = declared == look.raw if out_of_raw == out_of_upright else out_of_upright
        if says_raw:
            part.turned[number] = (look.orientation, look.raw)
            size = f"{look.raw[0]} x {look.raw[1]}"
            sample.note(rules.ROTATED, f": orientation {look.orientation}, stored as {size}")
            return look.raw
        if out_of_raw and not out_of_upright:
            part.upright += 1
        elif len(boxes):
            part.unsure[number] = (look.orientation, look.raw)
    elif look.orientation != 1 and declared == look.upright and len(boxes):
        part.unsure[number] = (look.orientation, look.raw)
    if declared != look.upright:
        size = f"{look.upright[0]} x {look.upright[1]}"
        sample.note(rules.SIZE, f": labelled as {declared[0]} x {declared[1]}, is {size}")
    return declared


def _check_mask(
    sample: Sample,
    code: Mapping[str, Any] | None,
    bbox: np.ndarray | None,
    frame: Size,
    about: str,
) -> None:
    if not code or not is_whole(code):
        sample.note(rules.MASK_BROKEN, about)
        return
    height, width = code["size"]
    if (width, height) != frame:
        sample.note(rules.MASK_SIZE, f"{about}: {width} x {height}, {size_in_words(frame)}")
    elif coco.area(code) == 0:
        sample.note(rules.MASK_EMPTY, about)
    elif bbox is not None and not _fits(bbox, np.array(coco.toBbox(code))):
        of_mask = _numbers(coco.toBbox(code))
        sample.note(
            rules.MASK_ELSEWHERE, f"{about}: box {_numbers(bbox)}, box of the mask {of_mask}"
        )


# --- labels as arrays and words -------------------------------------------------------------------


def _fits(bbox: np.ndarray, of_mask: np.ndarray) -> bool:
    """Whether two boxes differ by at most 2 pixels a side, or overlap by half (IoU)."""
    a, b = (np.concatenate([v[:2], v[:2] + v[2:]]) for v in (bbox, of_mask))
    if not np.isfinite(a).all() or np.abs(a - b).max() <= 2:
        return True  # another rule reports boxes that are not numbers
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = sides.clip(0).prod()
    return bool(common >= 0.5 * (bbox[2:].prod() + of_mask[2:].prod() - common))


def size_of(row: Mapping[str, Any]) -> Size:
    """The (width, height) in the labels of an image; 0 for a side that they do not have."""
    return (row["width"] or 0, row["height"] or 0)


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{v:.4g}" if abs(v) < 10 else f"{v:.1f}" for v in values) + "]"
