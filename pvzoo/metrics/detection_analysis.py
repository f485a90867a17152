"""The errors of a detector: by kind, class and image, and labels that may be mistakes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.metrics.analysis import Analysis, ImageErrors, Panel, Ranked, Suspect
from pvzoo.metrics.calibration import Calibration, calibration
from pvzoo.metrics.curves import Curve, curve
from pvzoo.metrics.error_kinds import costs, counts
from pvzoo.metrics.matching import (
    CLASS,
    KINDS,
    LEFT_OUT,
    LOCATION,
    MISSED,
    RIGHT,
    Overlaps,
    Pairing,
    match,
)
from pvzoo.metrics.suspects import suspects

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.report.parts import Section

THRESHOLD = 0.5
"""The least score of the detections of the confusion matrix: what `predict` shows by default."""
LEAST_CALIBRATED = 0.05
"""Detections that score less are not looked at for calibration: there are too many of them."""

RIGHT_COLOUR = "#2da44e"
COLOURS = {
    "class": "#d81b8c",
    "location": "#e8a100",
    "both": "#8250df",
    "duplicate": "#00a0b0",
    "background": "#e5534b",
    "missed": "#2f81f7",
}


class DetectionAnalysis(Analysis):
    """Of boxes or masks.

    Args:
        found: Structured array of the detections with the class ids of the data; ``image`` is the
            index in the dataset.
        objects: Likewise the objects.
        names: The classes of the data.
        overlaps: The IoU of detections and objects of an image.
    """

    colours = COLOURS

    def __init__(
        self, found: np.ndarray, objects: np.ndarray, names: tuple[str, ...], overlaps: Overlaps
    ) -> None:
        self._found, self._objects = found, objects
        self.names = names
        self._overlaps = overlaps

    @cached_property
    def pairing(self) -> Pairing:
        """Which detection finds which object; see `pvzoo.metrics.matching`."""
        return match(self._found, self._objects, self._overlaps)

    @cached_property
    def curves(self) -> dict[str, Curve]:  # type: ignore[override]
        """Of each class that has objects, and of all together."""
        pairing = self.pairing
        counted = pairing.kind != LEFT_OUT
        scores, right = pairing.found["score"][counted], pairing.kind[counted] == RIGHT
        labels, asked = pairing.found["label"][counted], pairing.objects["label"]
        made = {"": curve(scores, right, len(asked))}
        for label in np.unique(asked).tolist():
            own = labels == label
            count = int((asked == label).sum())
            made[self.names[label]] = curve(scores[own], right[own], count)
        return made

    @property
    def threshold(self) -> float:
        """The one with the highest F1 of all classes together."""
        best = self.curves[""].best
        return best if best == best else THRESHOLD

    @cached_property
    def _costs(self) -> tuple[float, dict[str, float]]:
        return costs(self.pairing, len(self.names))

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:  # type: ignore[override]
        """By kind how many there are, at any score, and at `threshold`; and what they cost."""
        at_any, lost = counts(self.pairing), self._costs[1]
        wrong, missed = self._shown
        shown = {n: int((self.pairing.kind[wrong] == k).sum()) for k, n in enumerate(KINDS)}
        shown[KINDS[MISSED]] = int(missed.sum())
        return {
            name: {"cost": lost[name], "count": at_any[name], "shown": shown[name]}
            for name in KINDS
        }

    @cached_property
    def calibration(self) -> Calibration:  # type: ignore[override]
        """Of the detections that score at least `LEAST_CALIBRATED`."""
        pairing = self.pairing
        some = (pairing.kind != LEFT_OUT) & (pairing.found["score"] >= LEAST_CALIBRATED)
        return calibration(pairing.found["score"][some], pairing.kind[some] == RIGHT)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes + 1, classes + 1) int64 at a threshold of `THRESHOLD` and an IoU of 0.5.

        A row is the class of an object, or "nothing"; a column that of the detection there, or
        "missed".
        """
        pairing, none = self.pairing, len(self.names)
        found, kind = pairing.found, pairing.kind
        sure = found["score"] >= THRESHOLD
        rows = np.full(len(found), none)
        taken = np.zeros(len(pairing.objects), bool)
        right = np.flatnonzero(sure & (kind == RIGHT))
        taken[pairing.object_of[right]] = True
        rows[right] = found["label"][right]
        wrong = np.flatnonzero(sure & (kind == CLASS))
        wrong = wrong[~taken[pairing.object_of[wrong]]]
        at, first = np.unique(pairing.object_of[wrong], return_index=True)
        taken[at] = True
        rows[wrong[first]] = pairing.objects["label"][at]
        shown = sure & (kind != LEFT_OUT)
        made = np.zeros((none + 1, none + 1), np.int64)
        np.add.at(made, (rows[shown], found["label"][shown]), 1)
        missed = pairing.objects["label"][~taken]
        np.add.at(made, (missed, np.full(len(missed), none)), 1)
        return made

    @property
    def confusion_names(self) -> tuple[str, ...]:
        """The classes, and what stands for no object or no detection."""
        return (*self.names, "none")

    @cached_property
    def _shown(self) -> tuple[np.ndarray, np.ndarray]:
        """What is wrong at `threshold`: (d,) bool detections, (o,) bool objects."""
        pairing = self.pairing
        sure = pairing.found["score"] >= self.threshold
        covered = np.zeros(len(pairing.objects), bool)
        near = sure & np.isin(pairing.kind, (RIGHT, CLASS, LOCATION))
        covered[pairing.object_of[near]] = True
        return sure & (pairing.kind >= 0), ~covered

    def images(self) -> list[ImageErrors]:
        """By the scores of their wrong detections, and 1 for each missed object."""
        pairing, (wrong, missed) = self.pairing, self._shown
        detections, objects = pairing.found[wrong], pairing.objects[missed]
        scores = np.append(detections["score"], np.ones(len(objects)))
        kinds = np.append(pairing.kind[wrong], np.full(len(objects), MISSED))
        columns = [np.append(detections[name], objects[name]) for name in ("image", "label")]
        rows: dict[int, list[tuple[float, str, str]]] = {}
        for index, label, score, kind in zip(
            *(values.tolist() for values in (*columns, scores, kinds)), strict=True
        ):
            rows.setdefault(index, []).append((score, KINDS[kind], self.names[label]))
        made = [
            ImageErrors(
                index,
                sum(score for score, _, _ in errors),
                tuple(kind for kind in KINDS if any(kind == k for _, k, _ in errors)),
                tuple(sorted({name for _, _, name in errors})),
                _few([f"{kind}: {name}" for _, kind, name in sorted(errors, reverse=True)]),
            )
            for index, errors in rows.items()
        ]
        return sorted(made, key=lambda one: (-one.loss, one.index))

    def suspects(self) -> list[Suspect]:
        """See `pvzoo.metrics.suspects`."""
        return suspects(self.pairing, self.names)

    def ranked(self) -> Ranked:
        """The detections that are not left out, at an IoU of 0.5."""
        pairing = self.pairing
        counted = pairing.kind != LEFT_OUT
        found, objects = pairing.found[counted], pairing.objects
        return Ranked(
            found["image"],
            found["label"],
            found["score"],
            pairing.kind[counted] == RIGHT,
            objects["image"],
            objects["label"],
            self.names,
        )

    def sections(self) -> list[Section]:
        """Kinds of errors, thresholds, confusion, calibration."""
        from pvzoo.report.detection import sections

        return sections(self)

    def panels(self, index: int, image: Image.Image, row: Mapping[str, Any]) -> list[Panel]:
        """Objects and detections, in the colours of what is wrong with them."""
        from pvzoo.report.detection import panels

        pairing = self.pairing
        d = slice(*np.searchsorted(pairing.found["image"], [index, index + 1]))
        o = slice(*np.searchsorted(pairing.objects["image"], [index, index + 1]))
        shown = (pairing.found["score"][d] >= self.threshold) & (pairing.kind[d] != LEFT_OUT)
        return panels(
            image,
            self.names,
            pairing.found[d][shown],
            [KINDS[k] if k >= 0 else "" for k in pairing.kind[d][shown]],
            pairing.objects[o],
            ["missed" if missed else "" for missed in self._shown[1][o]],
            {**COLOURS, "": RIGHT_COLOUR},
        )

    @property
    def average_precision(self) -> float:
        """At an IoU of 0.5: what the costs of the kinds are measured from."""
        return self._costs[0]


def _few(texts: list[str], most: int = 4) -> str:
    """The first ones, each once with how often it is there, and how many others there are."""
    counted = Counter(texts)
    shown = ", ".join(
        f"{text} ({count})" if count > 1 else text for text, count in list(counted.items())[:most]
    )
    return f"{shown} and {len(counted) - most} more" if len(counted) > most else shown
