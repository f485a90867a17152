"""The errors of a detector by kind, class and image, and labels that may be mistakes."""

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
"""The lowest score of detections in the confusion matrix; the default threshold of `predict`."""
LEAST_CALIBRATED = 0.05
"""Detections with lower scores do not count for calibration: there are too many of them."""

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
    """The analysis of boxes or masks.

    Args:
        found: Structured array of the detections with the class ids of the data; ``image`` is the
            index in the dataset.
        objects: Structured array of the objects, with the same ids.
        names: The classes of the data.
        overlaps: Returns the IoU of detections and objects of an image.
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
        """The matched detections and objects; see `pvzoo.metrics.matching`."""
        return match(self._found, self._objects, self._overlaps)

    @cached_property
    def curves(self) -> dict[str, Curve]:  # type: ignore[override]
        """The curve of each class that has objects, and of all classes together."""
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
        """The threshold with the highest F1 for all classes together."""
        best = self.curves[""].best
        return best if best == best else THRESHOLD

    @cached_property
    def _costs(self) -> tuple[float, dict[str, float]]:
        return costs(self.pairing, len(self.names))

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:  # type: ignore[override]
        """The number of errors of each kind at any score and at `threshold`, and their cost."""
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
        """The calibration of detections with a score of at least `LEAST_CALIBRATED`."""
        pairing = self.pairing
        some = (pairing.kind != LEFT_OUT) & (pairing.found["score"] >= LEAST_CALIBRATED)
        return calibration(pairing.found["score"][some], pairing.kind[some] == RIGHT)

    @cached_property
    def confusion(self) -> np.ndarray:
        """(classes + 1, classes + 1) int64 at a threshold of `THRESHOLD` and an IoU of 0.5.

        A row is the class of an object; the last row is for detections without an object. A column
        is the class of the detection; the last column is for missed objects.
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
        """The classes, and a name for no object or no detection."""
        return (*self.names, "none")

    @cached_property
    def _shown(self) -> tuple[np.ndarray, np.ndarray]:
        """The errors at `threshold`: (d,) bool wrong detections, (o,) bool missed objects."""
        pairing = self.pairing
        sure = pairing.found["score"] >= self.threshold
        covered = np.zeros(len(pairing.objects), bool)
        near = sure & np.isin(pairing.kind, (RIGHT, CLASS, LOCATION))
        covered[pairing.object_of[near]] = True
        return sure & (pairing.kind >= 0), ~covered

    def images(self) -> list[ImageErrors]:
        """The images with errors; the loss adds the scores of wrong detections, and 1 per miss."""
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
        """The report's sections: kinds of errors, thresholds, confusion, calibration."""
        from pvzoo.report.detection import sections

        return sections(self)

    def panels(self, index: int, image: Image.Image, row: Mapping[str, Any]) -> list[Panel]:
        """Draw objects and detections in the colours of their errors."""
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
        """The average precision at an IoU of 0.5, which the costs of errors refer to."""
        return self._costs[0]


def _few(texts: list[str], most: int = 4) -> str:
    """The first `most` different texts with their counts, and the number of others."""
    counted = Counter(texts)
    shown = ", ".join(
        f"{text} ({count})" if count > 1 else text for text, count in list(counted.items())[:most]
    )
    return f"{shown} and {len(counted) - most} more" if len(counted) > most else shown
