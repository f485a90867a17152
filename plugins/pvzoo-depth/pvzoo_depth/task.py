"""The task of depth estimation: its results, and where its data, metric and training are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.results.base import Result
from pvzoo.results.drawing import add_legend, enlarge
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from pvzoo.data.files import Split
    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch

_COLOURS = np.array([(122, 4, 3), (251, 128, 34), (164, 252, 60), (40, 188, 235), (48, 18, 59)])
"""Five colours of Google's Turbo map, from near to far."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DepthMap(Result):
    """How far away each pixel of one image is.

    Attributes:
        depth: (height, width) float32. If ``metric``, metres along the camera's axis. Otherwise the
            inverse of the depth (larger is nearer) with an unknown scale and shift, which may
            differ from image to image.
        metric: Whether ``depth`` is in metres.
    """

    task: ClassVar[str] = "depth-estimation"
    columns: ClassVar[Mapping[str, str]] = {
        "least": "float64",
        "median": "float64",
        "greatest": "float64",
        "unit": "str",
    }

    depth: np.ndarray
    metric: bool

    @property
    def unit(self) -> str:
        """The unit of ``depth``: "m", or "relative inverse depth"."""
        return "m" if self.metric else "relative inverse depth"

    def rows(self) -> list[dict[str, Any]]:
        """One dict: the ``least``, ``median`` and ``greatest`` depth, and their ``unit``."""
        values = zip(
            ("least", "median", "greatest"), np.quantile(self.depth, (0, 0.5, 1)), strict=True
        )
        return [{name: float(value) for name, value in values} | {"unit": self.unit}]

    def draw(self, image: Image.Image) -> Image.Image:
        """The depth in colours, from red (near) to blue (far), with a scale below."""
        return draw_depth(self.depth, self.metric)


def draw_depth(depth: np.ndarray, metric: bool) -> Image.Image:
    """See `DepthMap.draw`; NaN is black."""
    known = np.isfinite(depth)
    ends = np.quantile(depth[known], (0.02, 0.98)) if known.any() else np.zeros(2)
    near, far = ends if metric else ends[::-1]
    stops = np.linspace(near, far, len(_COLOURS))
    index = np.clip((depth - near) / ((far - near) or 1), 0, 1) * (len(_COLOURS) - 1)
    shown = np.where(known, index, 0)
    bands = [np.interp(shown, range(len(_COLOURS)), band) * known for band in _COLOURS.T]
    unit = " m" if metric else ""
    legend = [(f"{v:.3g}{unit}", tuple(c)) for v, c in zip(stops, _COLOURS.tolist(), strict=True)]
    if not metric:
        legend.append(("inverse depth, scale unknown", (255, 255, 255)))
    return add_legend(enlarge(Image.fromarray(np.stack(bands, -1).astype(np.uint8)))[0], legend)


class DepthEstimation(Task):
    """How far away each pixel is."""

    id = "depth-estimation"
    result = DepthMap
    main_metric = "delta_1.25"
    training = "pvzoo_depth.training:DepthTraining"

    def metric(self, match: LabelMatch) -> Metric:
        """`pvzoo_depth.metric.DepthMetric`."""
        from pvzoo_depth.metric import DepthMetric

        return DepthMetric(match)

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """``depth``, an image of numbers; see `pvzoo_depth.data.read_depth`."""
        from datasets import Image as ImageColumn

        return {"depth": ImageColumn()}

    def find_columns(self, columns: Mapping[str, Any]) -> dict[str, str] | None:
        """Two columns of images, one of them with "depth" in its name, such as ``depth_map``."""
        from datasets import Image as ImageColumn

        images = [name for name, kind in columns.items() if isinstance(kind, ImageColumn)]
        maps = [name for name in images if re.search("depth", name, re.IGNORECASE)]
        others = [name for name in images if name not in maps]
        if len(maps) != 1 or len(others) != 1:
            return None
        return {"image": others[0], "depth": maps[0]}

    def find_files(self, folder: Path) -> list[Split]:
        """`pvzoo_depth.data.splits`."""
        from pvzoo_depth.data import splits

        return splits(folder)

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`pvzoo_depth.data.DepthCheck`."""
        from pvzoo_depth.data import DepthCheck

        return DepthCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """As `DepthMap.draw`; unknown depth is black."""
        from pvzoo_depth.data import read_depth

        return draw_depth(read_depth(row["depth"], row["file_name"], image.size), metric=True)
