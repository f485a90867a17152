"""The figures of depth estimation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pvzoo.errors import DataError
from pvzoo.metrics.base import Evaluation, Metric, check_numbers
from pvzoo.metrics.bootstrap import Means
from pvzoo.metrics.class_match import LabelMatch
from pvzoo_depth.data import read_depth
from pvzoo_depth.task import DepthMap

FIGURES = ("abs_rel", "rmse", "delta_1.25")


class DepthMetric(Metric):
    """Errors over the pixels whose depth is known; the mean over the images.

    Figures (Eigen et al., "Depth map prediction from a single image", section 4.1), with d what is
    predicted and z the truth in metres: ``abs_rel``, the mean of |d - z| / z; ``rmse``, the root of
    the mean of (d - z)^2; ``delta_1.25``, the share of pixels with max(d / z, z / d) < 1.25.

    Metric depth is judged as it is. Relative inverse depth p is aligned to each image first, as
    MiDaS is judged (Ranftl et al., "Towards robust monocular depth estimation", section 5): with
    the scale s and shift t for which the sum of (s p + t - 1 / z)^2 is least, d is 1 / (s p + t),
    at most the greatest z of the image.
    """

    def __init__(self, match: LabelMatch) -> None:
        super().__init__(match)
        self._rows: dict[int, tuple[float, ...]] = {}
        self._aligned = 0
        self._left_out = 0

    def update(self, index: int, result: DepthMap, row: Mapping[str, Any]) -> None:
        """Take the depth of one image."""
        truth = read_depth(row["depth"], row["file_name"])
        if truth.shape != result.size:
            raise DataError(
                "The depth of {} is {} x {}, the image {} x {}.".format(
                    row["file_name"], *truth.shape[::-1], *result.size[::-1]
                ),
                "Save it at the size of the image.",
            )
        check_numbers(row, result.depth)
        known = np.isfinite(truth)
        if not known.any():
            self._left_out += 1
            return
        z, d = truth[known].astype(float), result.depth[known].astype(float)
        if not result.metric:
            self._aligned += 1
            d = aligned(d, z)
        ratio = np.maximum(d / z, z / np.maximum(d, 1e-9))
        errors = np.abs(d - z)
        self._rows[index] = (
            float((errors / z).mean()),
            float(np.sqrt((errors**2).mean())),
            float((ratio < 1.25).mean()),
        )

    def state(self) -> Any:
        """The figures of each image."""
        return self._rows, self._aligned, self._left_out

    def merge(self, states: Sequence[Any]) -> None:
        """Put them together, in the order of the images."""
        self._rows = dict(sorted(item for rows, _, _ in states for item in rows.items()))
        self._aligned = sum(aligned for _, aligned, _ in states)
        self._left_out = sum(left_out for _, _, left_out in states)

    def compute(self) -> Evaluation:
        """See the class."""
        values = np.array([*self._rows.values()]).reshape(-1, len(FIGURES))
        kept = DepthOfImages(np.array([*self._rows], np.int64), FIGURES, values)
        return Evaluation(
            kept.figures(np.ones(len(values), np.int64)),
            {},
            len(self._rows) + self._left_out,
            self.match,
            left_out=self._left_out,
            note="relative inverse depth, aligned to the truth of each image by least squares"
            if self._aligned
            else "depth in metres, not aligned",
            per_image=kept,
        )


class DepthOfImages(Means):
    """The figures of each image."""

    lower_is_better = ("abs_rel", "rmse")


def aligned(p: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(n,) relative inverse depth as depth in metres; see `DepthMetric`."""
    terms = np.stack([p, np.ones_like(p)], axis=1)
    inverse = terms @ np.linalg.lstsq(terms, 1 / z)[0]
    depth: np.ndarray = 1 / np.maximum(inverse, 1 / z.max())
    return depth
