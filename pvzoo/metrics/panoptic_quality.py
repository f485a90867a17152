"""Panoptic quality, as panopticapi defines it (Kirillov et al., arXiv:1801.00868)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.metrics.base import Evaluation, Metric, column, mean, ratio
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.metrics.map_analysis import PanopticAnalysis
from pvzoo.metrics.tally import Tally
from pvzoo.metrics.truth import find, read_truth

if TYPE_CHECKING:
    from pvzoo.results.panoptic import Panoptic

_VOID_VALUE = 0
_UNIT = 2**40
"""IoUs are added as whole multiples of 1 / _UNIT, so that their order does not matter."""

# the counts of each class
_IOU, _TP, _FP, _FN, _STUFF, _THING, _MAYBE_STUFF, _MAYBE_THING = range(8)
_KINDS = 8


class PanopticMetric(Metric):
    """Panoptic, segmentation and recognition quality.

    A labelled segment and a predicted segment match if they have the same class and their IoU,
    without void pixels, is above 0.5. Matches are TP, predicted segments without a match FP, and
    labelled segments without a match FN. For each class, RQ is TP / (TP + FP / 2 + FN / 2), SQ is
    the mean IoU of the matches (0 if there are none), and PQ is their product. A predicted segment
    without a match is not an FP if more than half of it lies on void or on crowds of its class. A
    crowd without a match is not an FN. (panopticapi looks at only one crowd per class and image;
    here all crowds count.)

    The metrics are from 0 to 1: ``pq``, ``sq``, ``rq`` are means over the classes that occur in the
    labels or as FP. ``pq_things`` and so on are means over the classes that are things, and
    ``pq_stuff`` and so on over the others; the labels decide this, or the predictions if the class
    is not in the labels. Each class has ``pq``, ``sq``, ``rq`` and ``segments``, the number of
    segments to find.

    Segments of a class that the model does not have are void. Predicted segments of a class that
    the data does not have are left out; labelled segments under them count as not found.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._tally = Tally(_KINDS, len(match.data))

    def update(self, index: int, result: Panoptic, row: Mapping[str, Any]) -> None:
        """Add the map of one image."""
        places, classes = read_truth(row, result.size, self.match, _VOID_VALUE)
        shape = (len(classes) - 1,)
        crowd = column(row, "segments.iscrowd", row["segments"]["iscrowd"], shape, np.bool_)
        thing = column(row, "segments.isthing", row["segments"]["isthing"], shape, np.bool_)
        crowd, thing = np.append(crowd, False), np.append(thing, False)
        ids = np.array([s.id for s in result.segments], dtype=np.int64)
        labels = self.match.translate(np.array([s.label for s in result.segments], dtype=np.int64))
        is_thing = np.array([s.is_thing for s in result.segments], dtype=bool)

        # the number of pixels that a labelled segment (row) shares with a predicted one (column)
        table = (len(classes), len(ids) + 1)
        pairs = places * table[1] + find(result.map, ids)
        shared = np.bincount(pairs.reshape(-1), minlength=table[0] * table[1]).reshape(table)
        area, found_area = shared.sum(1), shared.sum(0)[:-1]
        shared = shared[:, :-1]
        void = classes < 0
        on_void = shared[void].sum(0)
        same = classes[:, None] == labels
        asked = ~void & ~crowd
        union = area[:, None] + found_area - shared - on_void
        # an IoU above one half: each segment can have only one such partner
        hit = same & asked[:, None] & (2 * shared > union)
        ignored = on_void + (shared * (same & crowd[:, None])).sum(0)
        wrong = (labels >= 0) & ~hit.any(0) & (found_area > 0) & (2 * ignored <= found_area)

        ious = np.rint(shared[hit] / union[hit] * _UNIT).astype(np.int64)
        truths = classes[np.nonzero(hit)[0]]
        counts = np.zeros((_KINDS, len(self.match.data)), np.int64)
        np.add.at(counts[_IOU], truths, ious)
        for what, of in (
            (_TP, truths),
            (_FP, labels[wrong]),
            (_FN, classes[asked & ~hit.any(1)]),
            (_THING, classes[~void & thing]),
            (_STUFF, classes[~void & ~thing]),
            (_MAYBE_THING, labels[(labels >= 0) & is_thing]),
            (_MAYBE_STUFF, labels[(labels >= 0) & ~is_thing]),
        ):
            counts[what] = np.bincount(of, minlength=len(self.match.data))
        self._tally.add(index, counts)

    def state(self) -> Any:
        """The counts of each class in each image."""
        return self._tally.state()

    def merge(self, states: Sequence[Any]) -> None:
        """Join the states."""
        self._tally.merge(states)

    def compute(self) -> Evaluation:
        """The metrics; see the class."""
        kept = self._tally.per_image(_figures)
        sums = kept.sums(np.ones(len(kept.images), np.int64))
        quality = _quality(sums)
        segments = sums[_TP] + sums[_FN]
        per_class = {
            self.match.data[i]: {
                **{name: float(values[i]) for name, values in quality.items()},
                "segments": float(segments[i]),
            }
            for i in self.match.common
        }
        return Evaluation(
            _figures(sums),
            per_class,
            len(kept.images),
            self.match,
            per_image=kept,
            analysis=PanopticAnalysis(kept, self.match, _UNIT),
        )


def _quality(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The quality of each class; nan if it does not occur."""
    iou, tp, fp, fn = sums[: _FN + 1]
    rq = ratio(2 * tp, 2 * tp + fp + fn)
    sq = np.where(tp + fp + fn > 0, iou / _UNIT / np.maximum(tp, 1), np.nan)
    return {"pq": sq * rq, "sq": sq, "rq": rq}


def _figures(sums: np.ndarray) -> dict[str, float]:
    quality = _quality(sums)
    stuff, thing, maybe_stuff, maybe_thing = sums[_STUFF:]
    # a class is a thing if most of its segments are
    is_thing = np.where(stuff + thing > 0, thing > stuff, maybe_thing > maybe_stuff)
    figures = {name: mean(values) for name, values in quality.items()}
    for group, members in (("things", is_thing), ("stuff", ~is_thing)):
        figures |= {f"{name}_{group}": mean(v[members]) for name, v in quality.items()}
    return figures
