"""Run scikit-image's cascade of boosted local binary patterns, with numpy only.

A window slides over the image at every scale; some windows pass all stages of the cascade. A real
object is found in many overlapping windows, a false one only in one or two. So overlapping windows
become one object, and its score grows with their number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Arrays, Checkpoint, Meta, Spec
from pvzoo.adapters.detection import detections
from pvzoo.errors import WeightsError
from pvzoo.results.detections import Detections

if TYPE_CHECKING:
    from skimage.feature import Cascade

SIDE = 640
"""Larger images are scaled down to this longer side, in pixels, because the search is slow."""

_SCALE_STEP = 1.1
_SAME = 0.4  # IoU above which two windows show the same object
_HALF = 10  # the number of windows for a score of one half


class CascadeAdapter(Adapter):
    """Runs a cascade in OpenCV's XML format; ``classes`` of its config are the class names.

    The adapter has no network and computes the outputs itself.
    """

    tasks = ("object-detection",)

    def __init__(self, cascade: Cascade, labels: tuple[str, ...]) -> None:
        super().__init__(Spec("pvzoo-face-cascade:cascade", "object-detection", labels))
        self._cascade = cascade

    @classmethod
    def matches(cls, config: Mapping[str, Any]) -> bool:
        """Whether the config has ``cascade = "lbp"``."""
        return config.get("cascade") == "lbp"

    @classmethod
    def open(cls, checkpoint: Checkpoint, *, task: str | None) -> CascadeAdapter:
        """Read the XML file."""
        from skimage.feature import Cascade  # here, because `matches` runs for every checkpoint

        try:
            cascade = Cascade(str(checkpoint.weights))
        except Exception as error:  # scikit-image does not catch the errors of its parser
            raise WeightsError(
                f"{checkpoint.weights} is not a cascade that scikit-image can read ({error!r}).",
                "Install scikit-image again.",
            ) from error
        return cls(cascade, tuple(checkpoint.config["classes"]))

    def preprocess(self, image: Image.Image, **prompts: Any) -> tuple[Arrays, Meta]:
        """``pixels``: (1, height, width) uint8 grey; the longer side is at most `SIDE`."""
        small = image.convert("L")
        small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
        scale = [image.width / small.width, image.height / small.height]
        return {"pixels": np.asarray(small)[None]}, {"size": image.size[::-1], "scale": scale}

    def compute(self, inputs: Arrays) -> Arrays:
        """``windows``: (n, most, 4) float32 left, top, right, bottom, padded with zeros."""
        found = [self._windows(pixels) for pixels in inputs["pixels"]]
        windows = np.zeros((len(found), max(map(len, found)), 4), dtype=np.float32)
        for row, own in zip(windows, found, strict=True):
            row[: len(own)] = own
        return {"windows": windows}

    def _windows(self, pixels: np.ndarray) -> np.ndarray:
        """(k, 4) windows that pass the cascade."""
        least = self._cascade.window_width
        if min(pixels.shape) < least:
            return np.zeros((0, 4))
        found = self._cascade.detect_multi_scale(
            img=pixels,
            scale_factor=_SCALE_STEP,
            step_ratio=1,
            min_size=(least, least),
            max_size=pixels.shape,
            min_neighbor_number=1,
            intersection_score_threshold=2,  # never reached: `_groups` groups windows instead
        )
        boxes = [(w["c"], w["r"], w["c"] + w["width"], w["r"] + w["height"]) for w in found]
        return np.array(boxes, dtype=float).reshape(-1, 4)

    def postprocess(self, outputs: dict[str, Any], meta: Meta, **controls: Any) -> Detections:
        """Objects of one image: the mean of each group of windows, best first."""
        windows = outputs["windows"][0]
        boxes, counts = _groups(windows[windows[:, 2] > 0])
        best = np.argsort(-counts, kind="stable")
        boxes = (boxes[best] * np.tile(meta["scale"], 2)).astype(np.float32)
        scores = (counts[best] / (counts[best] + _HALF)).astype(np.float32)
        labels = np.zeros(len(scores), dtype=np.int64)
        return detections(boxes, scores, labels, self.labels, meta["size"], **controls)


def _groups(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 4) windows -> (n, 4) means of groups that overlap, and (n,) the sizes of the groups.

    Two windows are in the same group if a chain of overlapping windows connects them.
    """
    touch = _overlap(windows) > _SAME
    group = np.arange(len(windows))  # becomes the smallest index of a window in the group
    while True:
        least = np.where(touch, group, len(group)).min(axis=1, initial=len(group))
        if (least == group).all():
            break
        group = least
    _, group, counts = np.unique(group, return_inverse=True, return_counts=True)
    sums = np.zeros((len(counts), 4))
    np.add.at(sums, group, windows)
    return sums / counts[:, None], counts


def _overlap(boxes: np.ndarray) -> np.ndarray:
    """(n, 4) boxes -> (n, n) intersection over union of each pair."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1)
    shares: np.ndarray = common / (area[:, None] + area[None] - common)
    return shares
