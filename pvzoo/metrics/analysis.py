"""What an evaluation knows beside its figures: which errors, in which images.

A metric gives an `Analysis` to the `Evaluation` that it makes. The analysis computes nothing before
somebody asks for it. A metric without one gets an analysis of what it keeps of each image.
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
    """An image and what is wrong with what was predicted for it.

    Attributes:
        index: Of the image in the dataset.
        loss: How bad it is, at least 0; of the same kind for all images of an evaluation.
        kinds: The kinds of errors in it.
        classes: The names of the classes that have an error in it.
        about: The errors in a few words.
    """

    index: int
    loss: float
    kinds: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    about: str = ""


@dataclass(frozen=True)
class Suspect:
    """A label that may be a mistake, or a place where one may be missing.

    Attributes:
        index: Of the image in the dataset.
        suspicion: From 0 to 1.
        kind: What may be wrong: "wrong class", "missing", "position" or "nothing there".
        label: The name of its class in the data; "" where a label may be missing.
        predicted: The name of the class that is predicted there; "" for nothing.
        score: Of that prediction; nan for none.
        box: Left, top, width and height in pixels, if it has a place in the image.
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
    """All predictions with their scores, from which a threshold can be chosen.

    Attributes:
        image: (n,) int64 indices in the dataset.
        label: (n,) int64 indices in `names`.
        score: (n,) float32.
        right: (n,) bool, whether each finds a thing that nothing with a higher score has found.
        asked_image: (m,) int64, of the things to be found.
        asked_label: (m,) int64.
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
    """What is known of the errors of an evaluation. A subclass says what its task has.

    Attributes:
        curves: By the name of the class, and "" for all together.
        errors: By kind, such as "missed": ``count``, and ``cost`` where it is known.
        calibration: Whether scores are what they seem; None if there are none.
        colours: By kind of error the colour in which `panels` draws it, as "#rrggbb".
    """

    curves: Mapping[str, Curve] = {}
    errors: Mapping[str, Mapping[str, float]] = {}
    calibration: Calibration | None = None
    colours: Mapping[str, str] = {}

    def images(self) -> list[ImageErrors]:
        """The images that have an error, the worst first."""
        return []

    def suspects(self) -> list[Suspect]:
        """Labels that may be mistakes, the most suspicious first."""
        return []

    def ranked(self) -> Ranked | None:
        """All predictions with their scores; None if the task has no threshold."""
        return None

    def sections(self) -> list[Section]:
        """What a report shows of the task."""
        return []

    def panels(self, index: int, image: Image.Image, row: Mapping[str, Any]) -> list[Panel] | None:
        """The label and the prediction of an image, each with its title, drawn.

        None where the predictions are not kept: then the model predicts once more, and the result
        is drawn as ever.
        """
        return None

    def wrong_pixels(self, result: Any, row: Mapping[str, Any]) -> np.ndarray | None:
        """(height, width) bool: where a map is wrong; None if results are not maps."""
        return None


class MeansAnalysis(Analysis):
    """Of figures that are means over the images: the worst images by the main figure."""

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
        """The images with a figure that is not perfect."""
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
    """The analysis of a metric that brings none, such as that of a plugin.

    Args:
        kept: What the metric keeps of each image.
        main: The main figure of the task.
    """
    if isinstance(kept, Means) and main in kept.names:
        return MeansAnalysis(kept, str(main))
    return Analysis()
