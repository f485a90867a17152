"""The task: its results, its options, and where its other parts are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image

from pvzoo.results.base import ResultWithRows
from pvzoo.results.drawing import add_legend, class_colour
from pvzoo.tasks.base import Task, check_fraction

if TYPE_CHECKING:
    from pvzoo.data.files import Split
    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True, eq=False, kw_only=True)
class Cover(ResultWithRows):
    """The share of one image that each class covers, the largest share first.

    Attributes:
        labels: (n,) int64 class ids.
        shares: (n,) float32 in 0..1, shares of the pixels.
        names: n class names.
    """

    task: ClassVar[str] = "my-zoo-cover"
    columns: ClassVar[Mapping[str, str]] = {"label": "int64", "name": "str", "share": "float64"}
    per_row: ClassVar[tuple[str, ...]] = ("labels", "shares", "names")

    labels: np.ndarray
    shares: np.ndarray
    names: tuple[str, ...]

    def rows(self) -> list[dict[str, Any]]:
        """One dict per class: ``label``, ``name`` and ``share``."""
        return [
            {"label": int(label), "name": name, "share": float(share)}
            for label, name, share in zip(self.labels, self.names, self.shares, strict=True)
        ]

    def draw(self, image: Image.Image) -> Image.Image:
        """The image with its classes in a legend below."""
        return draw_cover(image, zip(self.labels, self.names, self.shares, strict=True))


def draw_cover(image: Image.Image, cover: Iterable[tuple[int, str, float]]) -> Image.Image:
    """An image with a legend below, of class ids, names and shares."""
    lines = [(f"{name} {share:.0%}", class_colour(label)) for label, name, share in cover]
    return add_legend(image, lines)


@dataclass(frozen=True)
class CoverControls:
    """The options of `predict`.

    Attributes:
        least: Classes with a smaller share are not returned.
    """

    least: float = 0.05

    def __post_init__(self) -> None:
        check_fraction("least", self.least)


class CoverTask(Task):
    """Which share of an image each class covers."""

    id = "my-zoo-cover"
    result = Cover
    controls = CoverControls

    # --- labelled data, metric and training (optional) -------------------------------------------

    evaluation: ClassVar[Mapping[str, Any]] = {"least": 0.0}
    main_metric = "overlap"
    training = "my_zoo.training:CoverTraining"

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """``cover``: the classes of an image and the share of each."""
        from datasets import ClassLabel, List, Value

        category = List(ClassLabel(names=list(names)))
        return {"cover": {"category": category, "share": List(Value("float64"))}}

    def find_files(self, folder: Path) -> list[Split]:
        """`my_zoo.data.splits`."""
        from my_zoo.data import splits

        return splits(folder)

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """`my_zoo.data.CoverCheck`."""
        from my_zoo.data import CoverCheck

        return CoverCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """As `Cover.draw`; class ids that do not exist are left out."""
        pairs = zip(row["cover"]["category"], row["cover"]["share"], strict=False)
        known = range(len(names))
        return draw_cover(image, ((i, names[i], share) for i, share in pairs if i in known))

    def metric(self, match: LabelMatch) -> Metric:
        """`my_zoo.metric.CoverMetric`."""
        from my_zoo.metric import CoverMetric

        return CoverMetric(match)
