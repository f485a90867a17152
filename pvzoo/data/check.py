"""`check`: what is wrong with labelled data, before anything is trained on it.

Two passes: one over the labels alone, which says how their boxes and classes are to be read, and
one over images and labels together. Memory grows by the digests of the images only.
"""

from __future__ import annotations

import hashlib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from pycocotools import mask as coco

from pvzoo.data import boxes as box
from pvzoo.data import rules
from pvzoo.data.codes import is_whole
from pvzoo.data.labels import box_array, is_uneven, label_rows, repeated, splits
from pvzoo.data.looks import Look, digest_of, looks
from pvzoo.data.parts import Part, note_repeats
from pvzoo.data.report import Notes, Plan, Report, Size
from pvzoo.data.rules import Rule
from pvzoo.data.schema import (
    CLASSIFICATION,
    DETECTION,
    INSTANCE,
    PANOPTIC,
    SEMANTIC,
    SEMANTIC_VOID,
    VOID,
    class_names,
    task_of,
)

if TYPE_CHECKING:
    pass

Progress = Callable[[int, int], None]

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
_LEAVE_OUT = {rules.UNREADABLE, rules.DUPLICATE, rules.LEAK}
"""Rules that are mended by leaving out images."""


def check(source: Any, task: str | None = None, *, progress: Progress | None = None) -> Report:
    """Look for mistakes in labelled data.

    Args:
        source: Anything that `pvzoo.data.load` takes.
        task: What to read the labels as; by default the one they are of.
        progress: Called after each image with how many are done, and how many there are.

    Raises:
        DataError: The source is no labelled data.
    """
    from pvzoo.data.load import load

    parts = [
        Part(name, dataset, class_names(dataset.features))
        for name, dataset in splits(load(source, task)).items()
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of frames and broken EXIF, once per image
        return _Check(parts, progress).run()


class _Check:
    def __init__(self, parts: list[Part], progress: Progress | None) -> None:
        self.task = task_of(parts[0].dataset.features)
        self.parts = parts
        self.notes = Notes()
        self.progress = progress
        self.class_shift = 0
        self.value_shift = 0
        self.listed: dict[int, int] = {}  # the first semantic row's values and classes

    def run(self) -> Report:
        for part in self.parts:
            self._survey(part)
        self._conclude()
        done, total = 0, sum(len(part.dataset) for part in self.parts)
        for part in self.parts:
            for number, row, look in looks(part.dataset):
                self._row(part, number, row, look)
                done += 1
                if self.progress:
                    self.progress(done, total)
        self._orientations()
        note_repeats(self.parts, self.notes)
        if self.task == SEMANTIC:
            self._semantic_values()
        self._classes()
        findings = self.notes.findings()
        relabel = any(rule.mendable and rule not in _LEAVE_OUT for rule in self.notes.count)
        plans = {
            part.name: Plan(
                fingerprint=part.fingerprint,
                drop=tuple(sorted(part.drop)),
                turned=dict(part.turned),
                convention=part.convention,
                class_shift=self.class_shift,
                value_shift=self.value_shift,
                relabel=relabel,
            )
            for part in self.parts
        }
        return Report(findings, total, sum(part.objects for part in self.parts), plans)

    # --- the labels alone

    def _survey(self, part: Part) -> None:
        digest = hashlib.blake2b(digest_size=16)
        some: list[np.ndarray] = []
        frames: list[np.ndarray] = []

        def vote() -> None:
            if some:
                part.votes += box.votes(np.concatenate(some), np.concatenate(frames))
                some.clear(), frames.clear()

        for row in label_rows(part.dataset):
            digest.update(repr(row).encode())
            if self.task == CLASSIFICATION:
                part.classes.update(row["labels"] or [] if "labels" in row else [row["label"]])
            elif self.task in (DETECTION, INSTANCE):
                objects = row["objects"] or {}
                part.classes.update(objects.get("category") or [])
                part.objects += len(objects.get("bbox") or [])
                some.append(box_array(objects))
                frames.append(np.tile(_declared(row), (len(some[-1]), 1)))
                if len(some) == _ROWS_AT_ONCE:
                    vote()
            elif self.task == PANOPTIC:
                categories = (row["segments"] or {}).get("category") or []
                part.classes.update(categories)
                part.objects += len(categories)
        vote()
        part.fingerprint = digest.hexdigest()

    def _conclude(self) -> None:
        """How boxes and classes are to be read, from all that was surveyed."""
        together = sum((part.votes for part in self.parts), Counter())
        for part in self.parts:
            enough = part.votes["all"] >= box.FEW_BOXES
            part.convention = box.convention(part.votes if enough else together)
        seen = {i for part in self.parts for i in part.classes if i is not None}
        if self.task in (CLASSIFICATION, PANOPTIC):  # where -1 means something else
            seen -= {VOID}
        self.class_shift = _shift(seen, range(len(self.parts[0].names)))

    # --- images and labels

    def _row(self, part: Part, number: int, row: Mapping[str, Any], look: Look) -> None:
        name = part.text(row["file_name"], number)
        if look.problem:
            self.notes.add(rules.UNREADABLE, f"{name}: {look.problem}", part.place(number))
            part.drop.add(number)
            part.digests.append(None)
            return
        told = {key: row[key] for key in ("label", "labels", "segments") if key in row}
        if row.get("objects"):
            told["objects"] = {key: row["objects"][key] for key in row["objects"] if key != "id"}
        part.digests.append(look.digest + digest_of(told, look.map_digest))

        def note(rule: Rule, text: str = "") -> None:
            self.notes.add(rule, f"{name}{text}", part.place(number))

        if self.task == CLASSIFICATION:
            self._label(part, row, note)
        elif self.task in (DETECTION, INSTANCE):
            self._objects(part, number, row, look, note)
        else:
            self._map(part, number, row, look, note)

    def _label(self, part: Part, row: Mapping[str, Any], note: Callable[..., None]) -> None:
        labels = row["labels"] if "labels" in row else [row["label"]]
        if labels is None or ("label" in row and labels[0] in (None, VOID)):
            if self._is_labelled(part):
                note(rules.NO_LABEL)
            return
        for label in labels:
            self._class(part, label, "", note)

    def _class(self, part: Part, label: int | None, of: str, note: Callable[..., None]) -> None:
        """Note a class id that is no place in the names."""
        if label is not None and 0 <= label < len(part.names) and not self.class_shift:
            return
        if label is not None and 0 <= label + self.class_shift < len(part.names):
            note(rules.OFF_BY_ONE, f"{of}: class id {label} of {len(part.names)}")
        else:
            note(rules.OUT_OF_RANGE, f"{of}: class id {label} of {len(part.names)}")

    def _objects(
        self,
        part: Part,
        number: int,
        row: Mapping[str, Any],
        look: Look,
        note: Callable[..., None],
    ) -> None:
        objects = row["objects"] or {}
        if is_uneven(objects):
            note(rules.UNEVEN, _lengths(objects))
            return
        given = box_array(objects)
        boxes, frame = given, _declared(row)
        convention = _CONVENTION_RULES.get(part.convention)
        if convention and len(given):
            text = f"{part.text(row['file_name'], number)}: {_numbers(given[0])}, {_pixels(frame)}"
            self.notes.add(convention, text, part.place(number), len(given))
        known = part.convention not in box.UNCLEAR
        if known:
            boxes = box.to_pixels(given, frame, part.convention)
            frame = self._frame(part, number, boxes, frame, look, note)
        about = [
            f", object {i}" if i is not None else ""
            for i in objects.get("id") or [None] * len(boxes)
        ]
        for i, label in enumerate(objects["category"] if len(boxes) else []):
            self._class(part, label, about[i], note)
        sound = np.full(len(boxes), known)
        if known:
            for rule, broken in box.faults(boxes, frame).items():
                sound &= ~broken
                for i in np.flatnonzero(broken):
                    note(rule, f"{about[i]}: {_numbers(given[i])}, {_pixels(frame)}")
            for i in repeated(objects, boxes):
                note(rules.REPEATED, f"{about[i]}: {_numbers(given[i])}")
        if self.task == INSTANCE:
            for i, code in enumerate(objects["segmentation"] if len(boxes) else []):
                self._mask(code, boxes[i] if sound[i] else None, frame, about[i], note)

    def _frame(
        self,
        part: Part,
        number: int,
        boxes: np.ndarray,
        declared: Size,
        look: Look,
        note: Callable[..., None],
    ) -> Size:
        """The (width, height) that the labels of an image are in."""
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
                note(rules.ROTATED, f": orientation {look.orientation}, stored as {size}")
                return look.raw
            if out_of_raw and not out_of_upright:
                part.upright += 1
            elif len(boxes):
                part.unsure[number] = (look.orientation, look.raw)
        elif look.orientation != 1 and declared == look.upright and len(boxes):
            part.unsure[number] = (look.orientation, look.raw)
        if declared != look.upright:
            size = f"{look.upright[0]} x {look.upright[1]}"
            note(rules.SIZE, f": labelled as {declared[0]} x {declared[1]}, is {size}")
        return declared

    def _mask(
        self,
        code: Mapping[str, Any] | None,
        bbox: np.ndarray | None,
        frame: Size,
        about: str,
        note: Callable[..., None],
    ) -> None:
        if not code or not is_whole(code):
            note(rules.MASK_BROKEN, about)
            return
        height, width = code["size"]
        if (width, height) != frame:
            note(rules.MASK_SIZE, f"{about}: {width} x {height}, {_pixels(frame)}")
        elif coco.area(code) == 0:
            note(rules.MASK_EMPTY, about)
        elif bbox is not None and not _fits(bbox, np.array(coco.toBbox(code))):
            of_mask = _numbers(coco.toBbox(code))
            note(rules.MASK_ELSEWHERE, f"{about}: box {_numbers(bbox)}, that of the mask {of_mask}")

    def _map(
        self,
        part: Part,
        number: int,
        row: Mapping[str, Any],
        look: Look,
        note: Callable[..., None],
    ) -> None:
        turned = look.raw != look.upright
        if turned and look.map_size == look.raw:
            part.turned[number] = (look.orientation, look.raw)
            note(rules.ROTATED, f": orientation {look.orientation}")
        elif look.map_size != look.upright:
            size = f"{look.map_size[0]} x {look.map_size[1]}"
            note(rules.MASK_SIZE, f": the map is {size}, {_pixels(look.upright)}")
        elif turned:
            part.upright += 1
        elif look.orientation != 1:
            part.unsure[number] = (look.orientation, look.raw)
        segments = row["segments"] or {}
        if is_uneven(segments):
            note(rules.UNEVEN, _lengths(segments))
            return
        ids, categories = segments.get("id") or [], segments.get("category") or []
        for i, label in zip(ids, categories, strict=True):
            if label != VOID:
                self._class(part, label, f", segment {i}", note)
        for i, times in Counter(ids).items():
            if times > 1:
                note(rules.OVERLAP, f": {times} segments have the id {i}")
        void = {SEMANTIC_VOID} if self.task == SEMANTIC else {0}
        if strange := sorted(look.map_areas.keys() - void - set(ids)):
            note(rules.VALUES, f": {_few(strange)}")
        if self.task == SEMANTIC:
            part.values |= look.map_areas.keys() - (void - set(ids))
            self.listed = self.listed or dict(zip(ids, categories, strict=True))
            return
        for i in sorted(set(ids) - look.map_areas.keys()):
            note(rules.SEGMENT_EMPTY, f", segment {i}")
        if 0 in ids:
            note(rules.SEGMENT_ZERO)
        for i, stated in zip(ids, row.get("areas") or (), strict=False):
            pixels = look.map_areas.get(i, 0)
            if pixels and stated is not None and abs(stated - pixels) > 1:
                note(rules.PAINTED_OVER, f", segment {i}: {stated} pixels, {pixels} in the map")

    # --- what only the whole says

    def _orientations(self) -> None:
        """Images of which nothing says how they were labelled, by the others of the data."""
        raw = any(part.turned for part in self.parts)
        upright = any(part.upright for part in self.parts)
        if upright and not raw:
            return
        for part in self.parts:
            for row, how in part.unsure.items():
                sure = raw and not upright
                rule = rules.ROTATED if sure else rules.MAYBE_ROTATED
                self.notes.add(rule, partial(part.text_of, row), part.place(row))
                if not sure:
                    continue
                part.turned[row] = how
                width, height = how[1]
                if self.task == INSTANCE and how[0] >= 5 and width != height:
                    # read as those of the upright picture, they were cut off at its edges
                    text = f"{part.text_of(row)}: {height} x {width}, {_pixels(how[1])}"
                    self.notes.add(rules.MASK_SIZE, text, part.place(row))

    def _semantic_values(self) -> None:
        """Which classes occur; and whether all values are one higher than those listed."""
        own = [i for i, label in self.listed.items() if label != VOID]
        values = set().union(*(part.values for part in self.parts))
        values -= {i for i, label in self.listed.items() if label == VOID}
        known = range(min(own, default=0), max(own, default=-1) + 1)
        if self._is_unnamed():
            names = self.parts[0].names
            self.notes.add(rules.UNNAMED, _few(names), None, len(names))
        if len(own) == known.stop - known.start and _shift(values, known) == -1:
            self.value_shift = 1
            self.notes.rename(rules.VALUES, rules.OFF_BY_ONE)
        for part in self.parts:
            for value, label in self.listed.items():
                part.classes[label] += value + self.value_shift in part.values

    def _is_unnamed(self) -> bool:
        """Whether all values of semantic maps are classes and are called by their numbers."""
        names = self.parts[0].names
        called = {value: names[i] for value, i in self.listed.items() if 0 <= i < len(names)}
        numbers = all(name == str(value) for value, name in called.items())
        return bool(called) and numbers and VOID not in self.listed.values()

    def _classes(self) -> None:
        """Splits without images or labels, and classes that do not occur."""
        used = {
            part.name: {
                i + self.class_shift
                for i, count in part.classes.items()
                if count and i is not None and 0 <= i + self.class_shift < len(part.names)
            }
            for part in self.parts
        }
        anywhere = set().union(*used.values())
        nothing = (rules.NOTHING, rules.NOTHING_HERE)
        if self.task == CLASSIFICATION:
            nothing = (rules.NO_LABEL, rules.NO_LABELS_HERE)
        labelled = [self._is_labelled(part) for part in self.parts]
        for part, is_labelled in zip(self.parts, labelled, strict=True):
            label = part.name or "the data"
            if not len(part.dataset):
                self.notes.add(rules.NO_IMAGES, label, None)
            elif not is_labelled:
                self.notes.add(nothing[any(labelled)], label, None, len(part.dataset))
            elif missing := [
                name
                for i, name in enumerate(part.names)
                if name and i in anywhere and i not in used[part.name]
            ]:
                self.notes.add(rules.ABSENT, f"{label}: {_few(missing)}", None, len(missing))
        never = [n for i, n in enumerate(self.parts[0].names) if n and i not in anywhere]
        if never and anywhere:
            self.notes.add(rules.NEVER, _few(never), None, len(never))

    def _is_labelled(self, part: Part) -> bool:
        if self.task in (DETECTION, INSTANCE):
            return part.objects > 0
        return any(count for i, count in part.classes.items() if i not in (None, VOID))


# --- labels as arrays and words -------------------------------------------------------------------


def _fits(bbox: np.ndarray, of_mask: np.ndarray) -> bool:
    """Whether two boxes differ by at most 2 pixels a side, or overlap by half (IoU)."""
    a, b = (np.concatenate([v[:2], v[:2] + v[2:]]) for v in (bbox, of_mask))
    if not np.isfinite(a).all() or np.abs(a - b).max() <= 2:
        return True  # what is no box at all is reported as such
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    common = sides.clip(0).prod()
    return common >= 0.5 * (bbox[2:].prod() + of_mask[2:].prod() - common)


def _shift(seen: set[int], known: range) -> int:
    """1 or -1 if all ids would be known, and some are not, when that was added; else 0.

    Not from ids that are fewer than half of what is known, which may be single mistakes.
    """
    if not known or 2 * len(seen) <= len(known):
        return 0
    if max(seen) == known.stop and min(seen) > known.start:
        return -1
    if min(seen) == known.start - 1 and max(seen) < known.stop - 1:
        return 1
    return 0


def _declared(row: Mapping[str, Any]) -> Size:
    return (row["width"] or 0, row["height"] or 0)


def _lengths(lists: Mapping[str, Any]) -> str:
    return ": " + ", ".join(f"{len(v or [])} {k}" for k, v in lists.items())


def _numbers(values: Iterable[float]) -> str:
    return "[" + ", ".join(f"{v:.4g}" if abs(v) < 10 else f"{v:.1f}" for v in values) + "]"


def _pixels(size: Size) -> str:
    return f"image {size[0]} x {size[1]}"


def _few(values: Iterable[Any], most: int = 8) -> str:
    values = list(values)
    shown = ", ".join(map(str, values[:most]))
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown
