"""The analysis of an evaluation: which errors there are, in which images.

A metric passes an `Analysis` to the `Evaluation` that it makes. The analysis computes everything
only when it is needed. If a metric has no analysis of its own, there is one of the values that it
keeps of each image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.metrics.bootstrap import Means, PerImage

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.metrics.calibration import Calibration
    from pvzoo.metrics.curves import Curve
    from pvzoo.report.parts import Section

Panel = tuple[str, "Image.Image"]


@dataclass(frozen=True)
class ImageErrors:
    """The errors of the prediction for an image.

    Attributes:
        index: The index of the image in the dataset.
        loss: How bad the prediction is, at least 0; comparable within an evaluation.
        kinds: The kinds of errors in the image.
        classes: The names of the classes that have an error in the image.
        about: The errors in a few words.
    """

    index: int
    loss: float
    kinds: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Suspect:
    """A label that may be a mistake, or a position where a label may be missing.

    Attributes:
        index: The index of the image in the dataset.
        suspicion: How suspicious the label is, from 0 to 1.
        kind: The possible mistake: "wrong class", "missing", "position" or "nothing there".
        label: The labelled class; "" if a label may be missing.
        predicted: The predicted class; "" if there is no prediction.
        score: The score of the prediction; nan if there is no prediction.
        box: (left, top, width, height) in pixels; None if the label is for the whole image.
    """

    index: int
    suspicion: float
    kind: str
    label: str
    predicted: str
    score: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Ranked:
    """All predictions with their scores, for choosing thresholds.

    Attributes:
        image: (n,) int64: the index in the dataset of each prediction's image.
        label: (n,) int64: the class of each prediction, as an index in `names`.
        score: (n,) float32: the score of each prediction.
        right: (n,) bool: whether each prediction finds an object or label that no prediction with
            a higher score has found.
        asked_image: (m,) int64: the image of each object or label to find.
        asked_label: (m,) int64: the class of each object or label to find.
        names: The classes.
    """

    image: np.ndarray
    label: np.ndarray
    score: np.ndarray
    right: np.ndarray
    asked_image: np.ndarray
    asked_label: np.ndarray
    names: tuple[str, ...]


class Analysis:
    """The errors of an evaluation. A subclass overrides what its task has.

    Attributes:
        curves: The curve of each class, by its name; "" is all classes together.
        errors: The ``count`` of each kind of error, such as "missed", and its ``cost`` if it is
            known.
        calibration: Whether scores match accuracy; None if the task has no scores.
        colours: The colour in which `panels` draws each kind of error, as "#rrggbb".
    """

    curves: Mapping[str, Curve] = {}
    errors: Mapping[str, Mapping[str, float]] = {}
    calibration: Calibration | None = None
    colours: Mapping[str, str] = {}

    def images(self) -> list[ImageErrors]:
        """The images that have an error, worst first."""
        return []

    def suspects(self) -> list[Suspect]:
        """Labels that may be mistakes, most suspicious first."""
        return []

    def ranked(self) -> Ranked | None:
        """All predictions with their scores; None if the task has no threshold."""
        return None

    def sections(self) -> list[Section]:
        """The sections of a report for the task."""
        return []

    def panels(self, index: int, image: Image.Image, row: Mapping[str, Any]) -> list[Panel] | None:
        """Draw the label and the prediction of an image: (title, image) of each.

        None if the analysis does not keep predictions. The model then predicts the image again,
        and the result draws itself.
        """
        return None

    def wrong_pixels(self, result: Any, row: Mapping[str, Any]) -> np.ndarray | None:
        """(height, width) bool: the wrong pixels of a map; None if results are not maps."""
        return None


class MeansAnalysis(Analysis):
    """The analysis of metrics that are means over images: it ranks images by the main metric."""

    def __init__(self, kept: Means, main: str) -> None:
        self._kept = kept
        self._main = main

    @cached_property
    def _losses(self) -> np.ndarray:
        values = self._kept.values[:, self._kept.names.index(self._main)].astype(np.float64)
        if self._main in self._kept.lower_is_better:
            return values
        losses: np.ndarray = np.nanmax(values, initial=1.0) - values
        return losses

    def images(self) -> list[ImageErrors]:
        """The images whose main metric is not perfect, worst first."""
        losses = self._losses
        order = [i for i in np.argsort(-losses, kind="stable").tolist() if losses[i] > 0]
        names = self._kept.names
        return [
            ImageErrors(
                int(self._kept.images[i]),
                float(losses[i]),
                about=", ".join(
                    f"{n} {v:.3f}" for n, v in zip(names, self._kept.values[i], strict=True)
                ),
            )
            for i in order
        ]


def analysis_of(kept: PerImage | None, main: str | None) -> Analysis:
    """The analysis for a metric that has none of its own, such as a plugin's metric.

    Args:
        kept: The values that the metric keeps of each image.
        main: The main metric of the task.
    """
    if isinstance(kept, Means) and main in kept.names:
        return MeansAnalysis(kept, str(main))
    return Analysis()
