"""Models without weights that see only what a tile shows, for tests of tiles."""

from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from pvzoo.adapters.base import Adapter, Spec
from pvzoo.adapters.detection import detections
from pvzoo.model import Model
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.results.semantic import SemanticMap

COLOURS = {"background": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
NAMES = tuple(COLOURS)
REACH = 6
"""How far `BlurAdapter` looks around a pixel."""


def canvas(size: tuple[int, int]) -> np.ndarray:
    """A black image of (height, width)."""
    return np.zeros((*size, 3), np.uint8)


def disc(pixels: np.ndarray, name: str, x: float, y: float, radius: float) -> None:
    """Draw a disc."""
    ys, xs = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    pixels[(xs - x) ** 2 + (ys - y) ** 2 <= radius**2] = COLOURS[name]


def box(pixels: np.ndarray, name: str, left: int, top: int, right: int, bottom: int) -> None:
    """Draw a rectangle."""
    pixels[top:bottom, left:right] = COLOURS[name]


def classes_of(pixels: np.ndarray) -> np.ndarray:
    """(height, width) class ids of an image."""
    bright = pixels.astype(int) // 200
    return bright[..., 0] + 2 * bright[..., 1] + 3 * bright[..., 2]


class _Adapter(Adapter):
    pixels = "pixels"
    shown: tuple[int, ...] = ()

    @classmethod
    def matches(cls, config):
        return False

    def preprocess(self, image, **prompts):
        return {"pixels": np.asarray(image)[None]}, {"size": image.size[::-1]}

    def compute(self, inputs):
        self.batches.append(inputs["pixels"].shape)
        return inputs

    def __init__(self, spec):
        super().__init__(spec)
        self.batches = []


class BlobAdapter(_Adapter):
    """Every area of one colour is an object; one in which nothing else lies is surer."""

    tasks = ("object-detection", "instance-segmentation")

    def postprocess(self, outputs, meta, **controls):
        seen = classes_of(outputs["pixels"][0])
        boxes, labels, masks = [], [], []
        for label in np.unique(seen[seen > 0]).tolist():
            areas, _ = ndimage.label(seen == label)
            for i, (rows, columns) in enumerate(ndimage.find_objects(areas), 1):
                if min(rows.stop - rows.start, columns.stop - columns.start) < 3:
                    continue
                boxes.append([columns.start, rows.start, columns.stop, rows.stop])
                labels.append(label)
                if self.task == "instance-segmentation":
                    masks.append(areas == i)
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        labels = np.array(labels, np.int64)
        scores = np.full(len(boxes), 0.9, np.float32)
        # larger parts are surer
        scores -= 0.2 / (1 + np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) / 20)
        if self.task == "object-detection":
            return detections(boxes, scores, labels, self.labels, meta["size"], **controls)
        masks = np.array(masks, bool).reshape(-1, *meta["size"])
        names = tuple(self.labels[i] for i in labels)
        found = Instances(
            size=meta["size"],
            boxes=boxes,
            scores=scores,
            labels=labels,
            names=names,
            masks=Masks.from_array(masks),
        )
        return found[scores > controls["threshold"]]


class BlurAdapter(_Adapter):
    """The class of a pixel is the commonest around it; beyond the edge of its input it sees blue.

    So it is wrong near the edges of a tile, as networks are.
    """

    tasks = ("semantic-segmentation",)

    def dense_scores(self, outputs, meta):
        seen = classes_of(outputs["pixels"][0])
        return np.stack(
            [
                ndimage.uniform_filter(
                    (seen == label).astype(np.float32),
                    2 * REACH + 1,
                    mode="constant",
                    cval=2.0 * (label == 3),
                )
                for label in range(len(NAMES))
            ]
        )

    def postprocess(self, outputs, meta, scores):
        dense = self.dense_scores(outputs, meta)
        best = dense.max(axis=0) if scores else None
        return SemanticMap.of(dense.argmax(axis=0), self.labels, best)


def model(task: str) -> Model:
    """The model of a task."""
    kind = BlurAdapter if task == "semantic-segmentation" else BlobAdapter
    return Model("blobs", kind(Spec("blobs", task, NAMES)))


def image(pixels: np.ndarray) -> Image.Image:
    """The pixels as an image."""
    return Image.fromarray(pixels)
