"""The sections of a report about semantic or panoptic segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pvzoo.report.parts import Bars, Cell, Matrix, Section, Table

if TYPE_CHECKING:
    from pvzoo.metrics.map_analysis import PanopticAnalysis, SemanticAnalysis

_MEANING = {
    "invented": "the class is predicted, but not in the image",
    "missed": "the class is in the image, but not predicted anywhere",
    "misplaced": "the class is in the image and predicted, but at another position",
    "poor": "the IoU of the class in the image is below 0.5",
}


def semantic(analysis: SemanticAnalysis) -> list[Section]:
    """Confusion in pixels and boundary IoU."""
    rows = [
        (kind, meaning, int(analysis.errors.get(kind, {}).get("count", 0)))
        for kind, meaning in _MEANING.items()
    ]
    boundary = analysis.boundary_iou
    return [
        Section(
            "Kinds of errors",
            "The number of images in which a class has an error, added up over the classes.",
            (Table(("kind", "meaning", "how often"), rows),),
        ),
        Section(
            "Confusion between classes",
            "The counts are pixels.",
            (Matrix(analysis.names, (*analysis.names, "other"), analysis.counts.tolist()),),
        ),
        Section(
            "Boundaries",
            "Boundary IoU counts only the pixels near boundaries: within 2 % of the image's "
            "diagonal. If it is far below the IoU of the class, the outlines are not exact.",
            (
                Bars([(name, value, f"{value:.3f}") for name, value in boundary.items()]),
                Table(("class", "boundary IoU"), list(boundary.items())),
            ),
        ),
    ]


def panoptic(analysis: PanopticAnalysis) -> list[Section]:
    """PQ as the product of SQ and RQ."""
    figures = analysis.summary()
    rows: list[tuple[Cell, ...]] = [
        (title, *(float(figures[f"{name}{end}"]) for name in ("pq", "sq", "rq")))
        for title, end in (("all", ""), ("things", "_things"), ("stuff", "_stuff"))
    ]
    segments = analysis.segments
    return [
        Section(
            "Where the panoptic quality is lost",
            "For each class, PQ = SQ x RQ: SQ is how well the matched segments fit; RQ is how many "
            "segments match. The rows are means over classes. If RQ is low, better detection "
            "helps; if SQ is low, better outlines help.",
            (
                Table(("segments", "PQ", "SQ", "RQ"), rows),
                Bars([(name, float(n), f"{n:,}") for name, n in segments.items()]),
            ),
        )
    ]
