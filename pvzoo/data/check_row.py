"""What is wrong with one image and its labels, as `pvzoo.data.check` notes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pycocotools import mask as coco

from pvzoo.data import boxes as box
from pvzoo.data import rules
from pvzoo.data.codes import is_whole
from pvzoo.data.labels import box_array, is_uneven, repeated
from pvzoo.data.looks import Look, digest_of
from pvzoo.data.parts import Part
from pvzoo.data.report import Notes, Size
from pvzoo.data.rules import Rule
from pvzoo.data.schema import CLASSIFICATION, DETECTION, INSTANCE, SEMANTIC, SEMANTIC_VOID, VOID

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


@dataclass(frozen=True, eq=False)
class RowCheck:
    """One image with its labels, and what is known of the split that it is in.

    Attributes:
        task: What the labels are of.
        class_shift: What to add to its class ids.
        notes: Where what is wrong is noted.
        part: The split, which learns what the image says of the whole.
        number: The row of the image in the split.
        row: Its labels.
        look: The image itself.
    """

    task: str
    class_shift: int
    notes: Notes
    part: Part
    number: int
    row: Mapping[str, Any]
    look: Look

    def note(self, rule: Rule, text: str = "", count: int = 1) -> None:
        """Note that the image breaks a rule `count` times; `text` follows its name."""
        name = self.part.text(self.row["file_name"], self.number)
        self.notes.add(rule, f"{name}{text}", self.part.place(self.number), count)

    def check(self) -> None:
        """Note all that is wrong with it."""
        part, look, row = self.part, self.look, self.row
        if look.problem:
            self.note(rules.UNREADABLE, f": {look.problem}")
            part.drop.add(self.number)
            part.digests.append(None)
            return
        told = {key: row[key] for key in ("label", "labels", "segments") if key in row}
        if row.get("objects"):
            told["objects"] = {key: row["objects"][key] for key in row["objects"] if key != "id"}
        part.digests.append(look.digest + digest_of(told, look.map_digest))
        if self.task == CLASSIFICATION:
            self._label()
        elif self.task in (DETECTION, INSTANCE):
            self._objects()
        else:
            self._map()

    def _label(self) -> None:
        row = self.row
        labels = row["labels"] if "labels" in row else [row["label"]]
        if labels is None or ("label" in row and labels[0] in (None, VOID)):
            if self.part.is_labelled(self.task):
                self.note(rules.NO_LABEL)
            return
        for label in labels:
            self._class(label, "")

    def _class(self, label: int | None, of: str) -> None:
        """Note a class id that is no place in the names."""
        if label is not None and 0 <= label < len(self.part.names) and not self.class_shift:
            return
        if label is not None and 0 <= label + self.class_shift < len(self.part.names):
            self.note(rules.OFF_BY_ONE, f"{of}: class id {label} of {len(self.part.names)}")
        else:
            self.note(rules.OUT_OF_RANGE, f"{of}: class id {label} of {len(self.part.names)}")

    def _objects(self) -> None:
        part, row = self.part, self.row
        objects = row["objects"] or {}
        if is_uneven(objects):
            self.note(rules.UNEVEN, _lengths(objects))
            return
        given = box_array(objects)
        boxes, frame = given, size_of(row)
        convention = _CONVENTION_RULES.get(part.convention)
        if convention and len(given):
            self.note(convention, f": {_numbers(given[0])}, {size_in_words(frame)}", len(given))
        known = part.convention not in box.UNCLEAR
        if known:
            boxes = box.to_pixels(given, frame, part.convention)
            frame = self._frame(boxes)
        about = [
            f", object {i}" if i is not None else ""
            for i in objects.get("id") or [None] * len(boxes)
        ]
        for i, label in enumerate(objects["category"] if len(boxes) else []):
            self._class(label, about[i])
        sound = np.full(len(boxes), known)
        if known:
            for rule, broken in box.faults(boxes, frame).items():
                sound &= ~broken
                for i in np.flatnonzero(broken):
                    self.note(rule, f"{about[i]}: {_numbers(given[i])}, {size_in_words(frame)}")
            for i in repeated(objects, boxes):
                self.note(rules.REPEATED, f"{about[i]}: {_numbers(given[i])}")
        if self.task == INSTANCE:
            for i, code in enumerate(objects["segmentation"] if len(boxes) else []):
                self._mask(code, boxes[i] if sound[i] else None, frame, about[i])

    def _frame(self, boxes: np.ndarray) -> Size:
        """The (width, height) that the labels of an image are in."""
        part, look, number, declared = self.part, self.look, self.number, size_of(self.row)
        turned = look.raw != look.upright
        if turned and declared in (look.raw, look.upright):
            out_of_raw, out_of_upright = (
                box.leave(boxes, size) for size in (look.raw, look.upright)
            )
            # An upright size says nothing: it is that of the file where the labels say none.
            says_raw = declared == look.raw if out_of_raw == out_of_upright else out_of_upright
            if says_raw:
                part.turned[number] = (look.orientation, look.raw)
                size = f"{look.raw[0]} x {look.raw[1]}"
                self.note(rules.ROTATED, f": orientation {look.orientation}, stored as {size}")
                return look.raw
            if out_of_raw and not out_of_upright:
                part.upright += 1
            elif len(boxes):
                part.unsure[number] = (look.orientation, look.raw)
        elif look.orientation != 1 and declared == look.upright and len(boxes):
            part.unsure[number] = (look.orientation, look.raw)
        if declared != look.upright:
            size = f"{look.upright[0]} x {look.upright[1]}"
            self.note(rules.SIZE, f": labelled as {declared[0]} x {declared[1]}, is {size}")
        return declared

    def _mask(
        self,
        code: Mapping[str, Any] | None,
        bbox: np.ndarray | None,
        frame: Size,
        about: str,
    ) -> None:
        if not code or not is_whole(code):
            self.note(rules.MASK_BROKEN, about)
            return
        height, width = code["size"]
        if (width, height) != frame:
            self.note(rules.MASK_SIZE, f"{about}: {width} x {height}, {size_in_words(frame)}")
        elif coco.area(code) == 0:
            self.note(rules.MASK_EMPTY, about)
        elif bbox is not None and not _fits(bbox, np.array(coco.toBbox(code))):
            of_mask = _numbers(coco.toBbox(code))
            self.note(
                rules.MASK_ELSEWHERE, f"{about}: box {_numbers(bbox)}, that of the mask {of_mask}"
            )

    def _map(self) -> None:
        part, row, look = self.part, self.row, self.look
        turned = look.raw != look.upright
        if turned and look.map_size == look.raw:
            part.turned[self.number] = (look.orientation, look.raw)
            self.note(rules.ROTATED, f": orientation {look.orientation}")
        elif look.map_size != look.upright:
            size = f"{look.map_size[0]} x {look.map_size[1]}"
            self.note(rules.MASK_SIZE, f": the map is {size}, {size_in_words(look.upright)}")
        elif turned:
            part.upright += 1
        elif look.orientation != 1:
            part.unsure[self.number] = (look.orientation, look.raw)
        segments = row["segments"] or {}
        if is_uneven(segments):
            self.note(rules.UNEVEN, _lengths(segments))
            return
        ids, categories = segments.get("id") or [], segments.get("category") or []
        for i, label in zip(ids, categories, strict=True):
            if label != VOID:
                self._class(label, f", segment {i}")
        for i, times in Counter(ids).items():
            if times > 1:
                self.note(rules.OVERLAP, f": {times} segments have the id {i}")
        void = {SEMANTIC_VOID} if self.task == SEMANTIC else {0}
        if strange := sorted(look.map_areas.keys() - void - set(ids)):
            self.note(rules.VALUES, f": {few(strange)}")
        if self.task == SEMANTIC:
            part.values |= look.map_areas.keys() - (void - set(ids))
            part.listed = part.listed or dict(zip(ids, categories, strict=True))
            return
        for i in sorted(set(ids) - look.map_areas.keys()):
            self.note(rules.SEGMENT_EMPTY, f", segment {i}")
        if 0 in ids:
            self.note(rules.SEGMENT_ZERO)
        for i, stated in zip(ids, row.get("areas") or (), strict=False):
            pixels = look.map_areas.get(i, 0)
            if pixels and stated is not None and abs(stated - pixels) > 1:
                self.note(
                    rules.PAINTED_OVER, f", segment {i}: {stated} pixels, {pixels} in the map"
                )


# --- labels as arrays and words -------------------------------------------------------------------


def _fits(bbox: np.ndarray, of_mask: np.ndarray) -> bool:
    """Whether two boxes differ by at most 2 pixels a side, or overlap by half (IoU)."""
    a, b = (np.concatenate([v[:2], v[:2] + v[2:]]) for v in (bbox, of_mask))
    if not np.isfinite(a).all() or np.abs(a - b).max() <= 2:
        return True  # what is no box at all is reported as such
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = sides.clip(0).prod()
    return common >= 0.5 * (bbox[2:].prod() + of_mask[2:].prod() - common)


def size_of(row: Mapping[str, Any]) -> Size:
    """The (width, height) that the labels of an image say; 0 for what they do not."""
    return (row["width"] or 0, row["height"] or 0)


def _lengths(lists: Mapping[str, Any]) -> str:
    return ": " + ", ".join(f"{len(v or [])} {k}" for k, v in lists.items())


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{v:.4g}" if abs(v) < 10 else f"{v:.1f}" for v in values) + "]"


def size_in_words(size: Size) -> str:
    """The size of an image, for a finding."""
    return f"image {size[0]} x {size[1]}"


def few(values: Iterable[Any], most: int = 8) -> str:
    """The first of some values, for a finding."""
    values = list(values)
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown
