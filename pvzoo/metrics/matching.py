"""Match detections with objects, and find the kind of error of each wrong detection.

The matching and the kinds of errors are those of TIDE (Bolya et al., arXiv:2008.08115). The
detections of an image take objects in turn, best detection first. Each takes the object of its
class with the highest IoU, among those that no better detection has taken. "At" an object means an
IoU of at least `MATCH`; "near" it means an IoU from `BACKGROUND` to `MATCH`:

    right         at an object of its class
    class         at an object of another class
    location      near an object of its class
    both          near an object of another class
    duplicate     at an object that a better detection has already found
    background    not near any object
    missed        an object that no detection finds, without an error of class or location at it

Detections inside a crowd or an ignored object of their class are left out. (The package `tidecv`
leaves them out of the average precision too, but counts them as errors.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("class", "location", "both", "duplicate", "background", "missed")
RIGHT, LEFT_OUT = -1, -2
CLASS, LOCATION, BOTH, DUPLICATE, BACKGROUND_KIND, MISSED = range(6)

MATCH = 0.5
"""The smallest IoU of a detection and the object that it finds."""
BACKGROUND = 0.1
"""A detection is background if its IoU with every object is at most this."""
MOST = 100
"""Only this many detections of an image count, best first."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pairing:
    """Detections and objects of a data set, image by image.

    Attributes:
        found: (d,) detections: a structured array with the fields image, label and score, sorted by
            image and then by score, highest first.
        objects: (o,) objects that are neither crowds nor ignored: a structured array with the
            fields image and label, sorted by image.
        kind: (d,) int8: an index in `KINDS`, `RIGHT` or `LEFT_OUT`.
        object_of: (d,) int64: the object that a detection finds, or the object of its error (class,
            location, duplicate); else -1.
        detection_of: (o,) int64: the detection that finds an object, or -1.
        corrected: (d,) bool: errors of class or location that would find their object if they were
            corrected; no other detection finds this object.
        missed: (o,) bool: objects that are not found and have no error of class or location.
        near: (o,) float32: the highest score x IoU of all detections, of any class, for an object.
    """

    found: np.ndarray
    objects: np.ndarray
    kind: np.ndarray
    object_of: np.ndarray
    detection_of: np.ndarray
    corrected: np.ndarray
    missed: np.ndarray
    near: np.ndarray


def match(found: np.ndarray, objects: np.ndarray, overlaps: Overlaps) -> Pairing:
    """Match the detections and objects of a data set.

    Args:
        found: (n,) detections, a structured array with the fields image, label and score.
        objects: (m,) objects with the fields image, label and crowd.
        overlaps: Returns the IoU of some detections with some objects of their image, (d, o)
            float64; for a crowd, the share of the detection that is inside it.
    """
    found = found[np.lexsort((-found["score"], found["image"]))]
    found = found[rank_in_image(found) < MOST]
    objects = objects[np.argsort(objects["image"], kind="stable")]
    crowds, objects = objects[objects["crowd"]], objects[~objects["crowd"]]
    made = Pairing(
        found,
        objects,
        np.full(len(found), BACKGROUND_KIND, np.int8),
        np.full(len(found), -1, np.int64),
        np.full(len(objects), -1, np.int64),
        np.zeros(len(found), bool),
        np.ones(len(objects), bool),
        np.zeros(len(objects), np.float32),
    )
    for d, o, c in _images(found, objects, crowds):
        if d.stop > d.start:
            _match_image(made, d, o, crowds[c], overlaps)
    return made


def rank_in_image(rows: np.ndarray) -> np.ndarray:
    """(n,) int64: the number of each row within its image, from 0; rows are sorted by image."""
    ranks: np.ndarray = np.arange(len(rows)) - np.searchsorted(rows["image"], rows["image"])
    return ranks


def _images(*tables: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """The rows of each table for each image; the tables are sorted by image."""
    images = np.unique(np.concatenate([table["image"] for table in tables]))
    bounds = [
        (
            np.searchsorted(table["image"], images, "left").tolist(),
            np.searchsorted(table["image"], images, "right").tolist(),
        )
        for table in tables
    ]
    for i in range(len(images)):
        yield tuple(slice(starts[i], stops[i]) for starts, stops in bounds)


def _match_image(made: Pairing, d: slice, o: slice, crowds: np.ndarray, overlaps: Overlaps) -> None:
    """Fill in the rows of one image that has detections."""
    found, objects = made.found[d], made.objects[o]
    kind, object_of = made.kind[d], made.object_of[d]
    if len(objects):
        ious = overlaps(found, objects)
        same = found["label"][:, None] == objects["label"]
        of_class = ious * same
        _find(of_class, kind, object_of, made.detection_of[o], d.start)
    if len(crowds):
        inside = overlaps(found, crowds) > MATCH
        inside &= found["label"][:, None] == crowds["label"]
        kind[(kind != RIGHT) & inside.any(axis=1)] = LEFT_OUT
    if len(objects):
        made.near[o] = (ious * found["score"][:, None]).max(axis=0)
        wrong = np.flatnonzero((kind != RIGHT) & (kind != LEFT_OUT))
        taken = made.detection_of[o] >= 0
        _explain(ious[wrong], of_class[wrong], taken, wrong, kind, object_of)
        _correct(kind, object_of, taken, made.corrected[d], made.missed[o])
        object_of[object_of >= 0] += o.start


def _find(
    of_class: np.ndarray,
    kind: np.ndarray,
    object_of: np.ndarray,
    detection_of: np.ndarray,
    first: int,
) -> None:
    """Let each detection in turn take the best object that is not taken yet."""
    left = of_class.copy()
    for i in np.flatnonzero(of_class.max(axis=1) >= MATCH).tolist():
        best = int(left[i].argmax())
        if left[i, best] >= MATCH:
            kind[i], object_of[i], detection_of[best] = RIGHT, best, first + i
            left[:, best] = 0


def _explain(
    ious: np.ndarray,
    of_class: np.ndarray,
    taken: np.ndarray,
    wrong: np.ndarray,
    kind: np.ndarray,
    object_of: np.ndarray,
) -> None:
    """Set the kind of error of the detections at the indices `wrong`, from their (w, o) IoUs."""
    others, used = np.where(of_class > 0, 0, ious), of_class * taken
    best = of_class.max(axis=1)
    location = (best >= BACKGROUND) & (best <= MATCH)
    classes = others.max(axis=1) >= MATCH
    duplicate = used.max(axis=1) >= MATCH
    background = ious.max(axis=1) <= BACKGROUND
    conditions = [location, classes, duplicate, background]
    kind[wrong] = np.select(conditions, [LOCATION, CLASS, DUPLICATE, BACKGROUND_KIND], BOTH)
    at = [of_class.argmax(axis=1), others.argmax(axis=1), used.argmax(axis=1)]
    object_of[wrong] = np.select(conditions[:3], at, -1)


def _correct(
    kind: np.ndarray,
    object_of: np.ndarray,
    taken: np.ndarray,
    corrected: np.ndarray,
    missed: np.ndarray,
) -> None:
    """Mark the best error at each object that is not found: corrected, it would find the object."""
    near = np.flatnonzero((kind == CLASS) | (kind == LOCATION))
    near = near[~taken[object_of[near]]]
    at, first = np.unique(object_of[near], return_index=True)
    corrected[near[first]] = True
    missed[taken] = False
    missed[at] = False
