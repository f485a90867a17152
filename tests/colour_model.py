"""A model without weights: it finds rectangles of known colours, and is wrong in a fixed way.

Its scenes and labels are drawn here too, so that evaluation can be tested on figures that are
neither 0 nor 1, as fast as images are read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
from PIL import Image

from pvzoo.adapters.base import Adapter, Spec
from pvzoo.data import schema
from pvzoo.model import Model
from pvzoo.results.classification import Classification
from pvzoo.results.detections import Detections
from pvzoo.results.instances import Instances
from pvzoo.results.masks import Masks
from pvzoo.results.panoptic import Panoptic, PanopticSegment
from pvzoo.results.semantic import SemanticMap

COLOURS = {"background": (0, 0, 0), "red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
NAMES = tuple(COLOURS)


def scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[np.ndarray, list[Any]]:
    """(height, width) class ids and the objects (class, left, top, width, height) of a scene."""
    height, width = size
    ids = np.zeros(size, dtype=np.uint8)
    objects = []
    for column in range(4):  # one object a column, so that none covers another
        if rng.random() < 0.7:
            label = int(rng.integers(1, 4))
            w, h = int(rng.integers(4, width // 4)), int(rng.integers(4, height))
            left = column * (width // 4) + int(rng.integers(0, width // 4 - w + 1))
            top = int(rng.integers(0, height - h + 1))
            ids[top : top + h, left : left + w] = label
            objects.append((label, left, top, w, h))
    return ids, objects


def dataset(
    task: str, folder: Path, count: int, *, size: tuple[int, int] = (48, 64), images: int = 0
) -> datasets.Dataset:
    """`count` rows of a task in pvzoo's columns; beyond `images` (if given) they repeat."""
    folder.mkdir(parents=True, exist_ok=True)
    images = images or count
    rows = []
    for i in range(count):
        ids, objects = scene(np.random.default_rng(i % images), size)
        file = folder / f"{i % images}.png"
        if i < images:
            Image.fromarray(np.array(list(COLOURS.values()), np.uint8)[ids]).save(file)
        row: dict[str, Any] = {"image": str(file), "image_id": i, "file_name": file.name}
        height, width = size
        names = NAMES
        if task == schema.CLASSIFICATION:
            row["label"] = objects[0][0] if objects else 0
        elif task in (schema.DETECTION, schema.INSTANCE):
            row |= {"height": height, "width": width, "objects": _objects(objects, ids, i, task)}
        else:
            annotation = folder / f"{task}-{i % images}.png"
            if task == schema.SEMANTIC:
                Image.fromarray(ids).save(annotation)
                row["segments"] = {"id": [0, 1, 2, 3], "category": [0, 1, 2, 3]}
            else:
                segments = np.zeros((*size, 3), np.uint8)
                for k, (_, left, top, w, h) in enumerate(objects, 1):
                    segments[top : top + h, left : left + w, 0] = k
                segments[..., 1] = segments[..., 0] == 0  # the background is segment 256
                Image.fromarray(segments).save(annotation)
                row["segments"] = {
                    "id": [256, *range(1, len(objects) + 1)],
                    "category": [0, *(o[0] for o in objects)],
                    "isthing": [False, *(True for _ in objects)],
                    "iscrowd": [False] * (len(objects) + 1),
                }
            row["annotation"] = str(annotation)
        rows.append(row)
    return datasets.Dataset.from_list(rows, features=schema.features(task, names))


def _objects(objects: list[Any], ids: np.ndarray, image: int, task: str) -> dict[str, Any]:
    found = {
        "id": [100 * image + k for k in range(1, len(objects) + 1)],
        "bbox": [list(map(float, o[1:])) for o in objects],
        "category": [o[0] for o in objects],
        "area": [float(o[3] * o[4]) for o in objects],
        "iscrowd": [False] * len(objects),
        "ignore": [False] * len(objects),
    }
    if task == schema.INSTANCE:
        masks = np.zeros((len(objects), *ids.shape), bool)
        for mask, (_, left, top, w, h) in zip(masks, objects, strict=True):
            mask[top : top + h, left : left + w] = True
        found["segmentation"] = Masks.from_array(masks).to_coco()
    return found


TASKS = (
    schema.CLASSIFICATION,
    schema.DETECTION,
    schema.INSTANCE,
    schema.SEMANTIC,
    schema.PANOPTIC,
)
"""Those that it is a model and has data for: pvzoo's own."""


class ColourAdapter(Adapter):
    """Sees the colours exactly; takes blue for green in the left half and cuts every box short."""

    tasks = TASKS

    @classmethod
    def matches(cls, config):
        return False

    def preprocess(self, image, **prompts):
        return {"pixels": np.asarray(image)[None]}, {"size": image.size[::-1]}

    def compute(self, inputs):
        return inputs

    def postprocess(self, outputs, meta, **controls):
        size = meta["size"]
        pixels = outputs["pixels"][0].astype(int)
        seen = pixels[..., 0] // 255 + pixels[..., 1] // 255 * 2 + pixels[..., 2] // 255 * 3
        seen[:, : size[1] // 2][seen[:, : size[1] // 2] == 3] = 2
        if self.task == schema.SEMANTIC:
            return SemanticMap.of(seen, self.labels)
        objects = []
        for column in range(4):
            part = seen[:, column * (size[1] // 4) : (column + 1) * (size[1] // 4)]
            ys, xs = np.nonzero(part)
            if len(ys):
                label = int(part[ys[0], xs[0]])
                left, top = xs.min() + column * (size[1] // 4), ys.min()
                objects.append(
                    (label, left, top, np.ptp(xs) + 1, max(1, int((np.ptp(ys) + 1) * 0.8)))
                )
        if self.task == schema.CLASSIFICATION:
            scores = np.full(len(self.labels), 0.1, np.float32)
            scores[objects[0][0] if objects else 0] = 0.7
            best = np.argsort(-scores, kind="stable")[: controls["top_k"]]
            return Classification(
                size=size,
                labels=best,
                scores=scores[best],
                names=tuple(self.labels[i] for i in best),
                probabilities=scores,
            )
        labels = np.array([o[0] for o in objects], dtype=np.int64)
        masks = np.zeros((len(objects), *size), bool)
        for mask, (_, left, top, w, h) in zip(masks, objects, strict=True):
            mask[top : top + h, left : left + w] = True
        if self.task == schema.PANOPTIC:
            ids = np.ones(size, np.int32)
            for k, mask in enumerate(masks, 2):
                ids[mask] = k
            about = [(1, 0, False), *((k, int(v), True) for k, v in enumerate(labels, 2))]
            return Panoptic(
                size=size,
                map=ids,
                segments=tuple(
                    PanopticSegment(k, v, self.labels[v], thing, 0.9, int((ids == k).sum()))
                    for k, v, thing in about
                ),
            )
        found = {
            "size": size,
            "boxes": np.array([(x, y, x + w, y + h) for _, x, y, w, h in objects], np.float32),
            "scores": np.array([0.3 + 0.6 * m.mean() for m in masks], np.float32),
            "labels": labels,
            "names": tuple(self.labels[i] for i in labels),
        }
        found["boxes"] = found["boxes"].reshape(-1, 4)
        if self.task == schema.INSTANCE:
            return Instances(**found, masks=Masks.from_array(masks))
        return Detections(**found)


def model(task: str, labels: tuple[str, ...] = NAMES) -> Model:
    """The colour model of a task; `labels` renames its four classes."""
    adapter = ColourAdapter(Spec("colours", task, labels))
    return Model("colours", adapter)
