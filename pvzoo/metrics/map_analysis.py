"""The errors of semantic and panoptic segmentation, by class and image."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.maps import replaced
from pvzoo.data.schema import SEMANTIC_VOID
from pvzoo.metrics.analysis import Analysis, ImageErrors, Suspect
from pvzoo.metrics.base import ratio
from pvzoo.metrics.bootstrap import ClassCounts
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.truth import read_truth

if TYPE_CHECKING:
    from pvzoo.report.parts import Section
    from pvzoo.results.panoptic import Panoptic
    from pvzoo.results.semantic import SemanticMap

POOR = 0.5
"""A class with a smaller IoU counts as an error of the image."""
_LEAST_SHARE = 0.01
"""A class is suspicious only if at least this share of the image's pixels is wrong."""
_LEAST = 0.3
"""A class is suspicious only if its quality in the image is at most this."""


class MapAnalysis(Analysis):
    """The analysis of maps, from the counts of each class in each image.

    Args:
        kept: The counts of each class in each image.
        match: The classes of the model and of the data.
        void: The value of a map that is void unless a segment has this value as its id.
    """

    def __init__(self, kept: ClassCounts, match: LabelMatch, void: int) -> None:
        self._kept, self._match, self._void = kept, match, void
        self._names = match.data

    def wrong_pixels(self, result: Any, row: Mapping[str, Any]) -> np.ndarray:
        """(height, width) bool: where the predicted class is wrong; False in void."""
        segments, classes = read_truth(row, result.size, self._match, self._void)
        truth = classes[segments]
        wrong: np.ndarray = (truth >= 0) & (truth != self._match.translate(self._classes(result)))
        return wrong

    def _classes(self, result: Any) -> np.ndarray:
        """(height, width) class ids of the model; -1 for no class."""
        raise NotImplementedError

    @cached_property
    def _quality(self) -> np.ndarray:
        """(m,) the quality of each class in each image, from 0 to 1."""
        raise NotImplementedError

    @cached_property
    def _kinds(self) -> np.ndarray:
        """(m,) the kind of error of each class in each image, or ""."""
        raise NotImplementedError

    @cached_property
    def errors(self) -> dict[str, dict[str, float]]:  # type: ignore[override]
        """The number of (image, class) pairs with each kind of error."""
        kinds, counts = np.unique(self._kinds, return_counts=True)
        return {str(k): {"count": int(n)} for k, n in zip(kinds, counts, strict=True) if k}

    def images(self) -> list[ImageErrors]:
        """The images with errors; the loss is 1 minus the mean quality of the image's classes."""
        kept = self._kept
        known = ~np.isnan(self._quality)
        count = np.bincount(kept.image[known], minlength=len(kept.images))
        total = np.bincount(kept.image[known], self._quality[known], len(kept.images))
        losses = 1 - ratio(total, count)
        rows: dict[int, list[tuple[float, str, str]]] = {}
        for i in np.flatnonzero(self._kinds != "").tolist():
            found = (float(self._quality[i]), str(self._kinds[i]), self._names[kept.label[i]])
            rows.setdefault(int(kept.image[i]), []).append(found)
        made = []
        for place in np.flatnonzero(losses > 0).tolist():
            errors = sorted(rows.get(place, []))
            about = ", ".join(f"{kind}: {name}" for _, kind, name in errors[:4])
            made.append(
                ImageErrors(
                    int(kept.images[place]),
                    float(losses[place]),
                    tuple(dict.fromkeys(kind for _, kind, _ in errors)),
                    tuple(dict.fromkeys(name for _, _, name in errors)),
                    about + (f" and {len(errors) - 4} more" if len(errors) > 4 else ""),
                )
            )
        return sorted(made, key=lambda one: (-one.loss, one.index))


class SemanticAnalysis(MapAnalysis):
    """The analysis of semantic maps.

    Args:
        kept: Three counts of each class in each image: right pixels, labelled pixels and
            predicted pixels.
        boundaries: Two counts of pixels near boundaries: in label and prediction, and in at least
            one of them.
        match: The classes of the model and of the data.
        confusion: (classes, classes + 1) numbers of pixels.
    """

    def __init__(
        self,
        kept: ClassCounts,
        boundaries: ClassCounts,
        match: LabelMatch,
        confusion: np.ndarray,
    ) -> None:
        super().__init__(kept, match, SEMANTIC_VOID)
        self._boundaries, self.counts = boundaries, confusion

    def _classes(self, result: SemanticMap) -> np.ndarray:
        return result.map

    @property
    def names(self) -> tuple[str, ...]:
        """The classes of the data."""
        return self._names

    @cached_property
    def _quality(self) -> np.ndarray:
        hits, pixels, predicted = self._kept.counts.T
        return ratio(hits, pixels + predicted - hits)

    @cached_property
    def _kinds(self) -> np.ndarray:
        hits, pixels, predicted = self._kept.counts.T
        conditions = [pixels == 0, predicted == 0, hits == 0, self._quality < POOR]
        return np.select(conditions, ["invented", "missed", "misplaced", "poor"], "")

    @cached_property
    def boundary_iou(self) -> dict[str, float]:
        """The boundary IoU over all images of each class that has boundaries."""
        both, either = self._boundaries.sums(np.ones(len(self._boundaries.images), np.int64))
        shares = ratio(both, either)
        return {n: float(v) for n, v in zip(self._names, shares, strict=True) if v == v}

    def suspects(self) -> list[Suspect]:
        """Classes of an image for which label and prediction mostly disagree."""
        hits, pixels, predicted = self._kept.counts.T
        total = np.bincount(self._kept.image, pixels, len(self._kept.images))[self._kept.image]
        wrong = np.maximum(pixels, predicted) - hits
        suspicion = np.where(wrong >= _LEAST_SHARE * total, 1 - self._quality, 0)
        made = []
        for i in np.flatnonzero(suspicion >= 1 - _LEAST).tolist():
            name, there = self._names[self._kept.label[i]], pixels[i] >= predicted[i]
            made.append(
                Suspect(
                    int(self._kept.images[self._kept.image[i]]),
                    float(suspicion[i]),
                    "nothing there" if there else "missing",
                    name if there else "",
                    "" if there else name,
                    float("nan"),
                )
            )
        return sorted(made, key=lambda one: (-one.suspicion, one.index))

    def sections(self) -> list[Section]:
        """The report's sections: confusion in pixels, boundary IoU."""
        from pvzoo.report.maps import semantic

        return semantic(self)


class PanopticAnalysis(MapAnalysis):
    """The analysis of panoptic maps, from matched, false and missed segments.

    Args:
        kept: The counts of `PanopticMetric` for each class in each image.
        match: The classes of the model and of the data.
        unit: The number in the counts that stands for an IoU of 1.
    """

    def __init__(self, kept: ClassCounts, match: LabelMatch, unit: int) -> None:
        super().__init__(kept, match, 0)
        self._unit = unit

    def _classes(self, result: Panoptic) -> np.ndarray:
        return replaced(result.map, {s.id: s.label for s in result.segments}, -1)

    @cached_property
    def _quality(self) -> np.ndarray:
        iou, tp, fp, fn = self._kept.counts.T[:4]
        return ratio(2 * iou / self._unit, 2 * tp + fp + fn)

    @cached_property
    def _kinds(self) -> np.ndarray:
        _, _, fp, fn = self._kept.counts.T[:4]
        conditions = [(fp > 0) & (fn > 0), fn > 0, fp > 0]
        return np.select(conditions, ["missed and false", "missed", "false"], "")

    @cached_property
    def segments(self) -> dict[str, int]:
        """The numbers of matched, missed and false segments."""
        _, tp, fp, fn = (int(n) for n in self._kept.counts.T[:4].sum(axis=1))
        return {"matched": tp, "missed": fn, "false": fp}

    def sections(self) -> list[Section]:
        """The report's section: PQ as the product of SQ and RQ."""
        from pvzoo.report.maps import panoptic

        return panoptic(self)

    def summary(self) -> dict[str, float]:
        """The metrics: ``pq``, ``sq``, ``rq``, and the same for things and for stuff."""
        return self._kept.figures(np.ones(len(self._kept.images), np.int64))
