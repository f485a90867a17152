"""Which detection finds which object, and what is wrong with the others.

The kinds of errors are those of TIDE (Bolya et al., arXiv:2008.08115), and so is the matching: an
image's detections, best first, each take the object of their class with the highest IoU that no
better one has taken. With "near" for an IoU from `BACKGROUND` to `MATCH`:

    right         an object of its class, with an IoU of at least `MATCH`
    class         such an object, but of another class
    location      near an object of its class
    both          near an object of another class
    duplicate     an object that a better detection has found
    background    nothing near it
    missed        an object that no detection finds, and that has no error of class or location

Detections that lie in a crowd or an ignored object of their class are left out. (The package
`tidecv` takes them out of the average precision too, but counts them as errors.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

KINDS = ("class", "location", "both", "duplicate", "background", "missed")
RIGHT, LEFT_OUT = -1, -2
CLASS, LOCATION, BOTH, DUPLICATE, BACKGROUND_KIND, MISSED = range(6)

MATCH = 0.5
"""Least IoU of a detection and the object that it finds."""
BACKGROUND = 0.1
"""Most IoU with any object of a detection that has found nothing at all."""
MOST = 100
"""How many detections of an image count, the best ones."""

Overlaps = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Pairing:
    """Detections and objects of a data set, image by image.

    Attributes:
        found: (d,) detections: a structured array with the fields image, label and score, sorted by
            image and then by score, the highest first.
        objects: (o,) objects that are neither crowds nor ignored, likewise; sorted by image.
        kind: (d,) int8: a place in `KINDS`, `RIGHT` or `LEFT_OUT`.
        object_of: (d,) int64: the object that a detection finds, or at which it is wrong (class,
            location, duplicate); else -1.
        detection_of: (o,) int64: the detection that finds an object, or -1.
        corrected: (d,) bool: a wrong class or location that would find its object if it were
            right, which no other detection finds.
        missed: (o,) bool: neither found, nor near an error of class or location.
        near: (o,) float32: the highest of score x IoU of the detections at an object, of any class.
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
        overlaps: The IoU of some detections with some objects of their image, (d, o) float64; for
            crowds, the share of the detection that lies in them.
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
    """(n,) int64: 0 for the first row of each image; the rows are sorted by image."""
    ranks: np.ndarray = np.arange(len(rows)) - np.searchsorted(rows["image"], rows["image"])
    return ranks


def _images(*tables: np.ndarray) -> Iterator[tuple[slice, ...]]:
    """For each image the rows of each table, which are sorted by image."""
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
    """Fill in the rows of one image, which has detections."""
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
    """Let each detection in turn take the best object that is left."""
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
    """Say what is wrong with the detections at `wrong`, whose (w, o) IoUs these are."""
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
    """Of errors at an object that nothing finds, the best would find it."""
    near = np.flatnonzero((kind == CLASS) | (kind == LOCATION))
    near = near[~taken[object_of[near]]]
    at, first = np.unique(object_of[near], return_index=True)
    corrected[near[first]] = True
    missed[taken] = False
    missed[at] = False
