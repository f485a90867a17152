"""The sections of a report about a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.report.parts import Bars, Cell, Lines, Matrix, Part, Section, Table
from pvzoo.results.drawing import draw_objects
from pvzoo.results.masks import Masks

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.metrics.calibration import Calibration
    from pvzoo.metrics.curves import Curve
    from pvzoo.metrics.detection_analysis import DetectionAnalysis

_MEANING = {
    "class": "at an object, but of another class",
    "location": "near an object of its class, with an IoU below 0.5",
    "both": "near an object of another class",
    "duplicate": "at an object that a better detection has already found",
    "background": "where there is no object",
    "missed": "an object that no detection finds",
}


def sections(analysis: DetectionAnalysis) -> list[Section]:
    """Kinds of errors, thresholds, confusion, calibration."""
    errors, colours = analysis.errors, list(analysis.colours.values())
    rows = [
        (kind, _MEANING[kind], found["cost"], int(found["shown"]), int(found["count"]))
        for kind, found in errors.items()
    ]
    bars = [(kind, found["cost"], f"{found['cost']:.3f}") for kind, found in errors.items()]
    columns = ("kind", "meaning", "costs", f"at {analysis.threshold:.2f}", "at any score")
    names = analysis.confusion_names
    return [
        Section(
            "Where the average precision is lost",
            f"The average precision at an IoU of 0.5 is {analysis.average_precision:.3f}. The cost "
            "of a kind of error is how much the average precision would rise if all errors of that "
            "kind were corrected. One error can hide another, so the costs do not add up to the "
            "whole loss.",
            (Bars(bars, colours), Table(columns, rows, colours)),
        ),
        thresholds(analysis.curves),
        Section(
            "Confusion between classes",
            "Only detections with a score of at least 0.5 count. The last row counts detections "
            "where there is no object; the last column counts objects that are not found.",
            (Matrix(names, names, analysis.confusion.tolist()),),
        ),
        reliability(analysis.calibration, "detections"),
    ]


def thresholds(curves: Mapping[str, Curve]) -> Section:
    """Precision, recall and F1 over the threshold, for all classes together and for each class."""
    rows: list[Sequence[Cell]] = [
        (name or "all classes", curve.best, *curve.at(curve.best).values())
        for name, curve in curves.items()
        if curve.best == curve.best
    ]
    return Section(
        "Which threshold",
        "A low threshold finds more; a high one makes fewer errors. The best threshold is "
        "the one with the highest F1, which balances precision and recall. model.tune_thresholds "
        "stores thresholds with a model.",
        (_lines(curves[""]), Table(("class", "best threshold", "precision", "recall", "F1"), rows)),
        [(name, _lines(curve)) for name, curve in list(curves.items())[1:41]],
    )


def _lines(curve: Curve) -> Lines:
    series = {"precision": curve.precision, "recall": curve.recall, "F1": curve.f1}
    return Lines(
        "threshold",
        (np.arange(101) / 100).tolist(),
        {name: values.tolist() for name, values in series.items()},
        curve.best,
        f"best {curve.best:.2f}",
    )


def reliability(found: Calibration, what: str) -> Section:
    """A reliability diagram."""
    bins = [f"{n / 10:.1f} to {(n + 1) / 10:.1f}" for n in range(10)]
    some = found.count > 0
    rows = [
        (name, int(count), float(confidence), float(accuracy))
        for name, count, confidence, accuracy in zip(
            bins, found.count, found.confidence, found.accuracy, strict=True
        )
    ]
    lines: Part = Lines(
        "mean score",
        found.confidence[some].tolist(),
        {"share that is right": found.accuracy[some].tolist()},
        diagonal=True,
    )
    return Section(
        "Are the scores honest?",
        f"Of {what} with a score of 0.8, 80 % should be right; then the points are on the "
        "diagonal. If they are below it, the scores are too high. The expected calibration error "
        f"is {found.error:.3f}.",
        (lines, Table(("score", what, "mean score", "right"), rows)),
    )


def panels(
    image: Image.Image,
    names: Sequence[str],
    found: np.ndarray,
    kinds: Sequence[str],
    objects: np.ndarray,
    marks: Sequence[str],
    colours: Mapping[str, str],
) -> list[tuple[str, Image.Image]]:
    """Draw the objects of an image, and its detections.

    Args:
        image: An upright RGB image.
        names: The classes of the data.
        found: The detections that are drawn.
        kinds: The kind of error of each detection, or "".
        objects: The labelled objects.
        marks: "missed" or "" for each object.
        colours: The colour of each kind of error, as "#rrggbb"; "" is the kind without error.

    Returns:
        (title, image) of the label and of the prediction.
    """
    sides: list[tuple[str, Image.Image]] = []
    for title, table, errors in (("label", objects, marks), ("prediction", found, kinds)):
        boxes = table["box"].astype(float)
        boxes[:, 2:] += boxes[:, :2]
        called = [
            f"{names[label]}, {error}" if error else names[label]
            for label, error in zip(table["label"], errors, strict=True)
        ]
        drawn = draw_objects(
            image,
            boxes,
            table["score"] if "score" in (table.dtype.names or ()) else None,
            table["label"],
            called,
            _masks(table, image.size),
            colours=[_rgb(colours[error]) for error in errors],
        )
        sides.append((title, drawn))
    return sides


def _masks(table: np.ndarray, size: tuple[int, int]) -> Any:
    if "mask" not in (table.dtype.names or ()):
        return None
    return Masks((size[1], size[0]), tuple(table["mask"].tolist()))


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
