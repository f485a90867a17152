"""Small labelled datasets for the tests of readers: images, and what supervision holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import supervision as sv
from PIL import Image
from pycocotools import mask as pycoco
from scipy.ndimage import binary_dilation, binary_erosion

NAMES = ["zebra", "apple", "traffic light"]


def image_file(path: Path, width: int = 8, height: int = 6, value: int = 90) -> Path:
    """A plain image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), (value, 40, 10)).save(path)
    return path


def rotated_image(path: Path, width: int, height: int) -> Path:
    """A JPEG whose pixels lie on their side: upright it has this size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (height, width))
    exif = image.getexif()
    exif[274] = 6
    image.save(path, exif=exif)
    return path


def some_detections(
    folder: Path, seed: int, *, masks: bool = False, count: int = 12
) -> sv.DetectionDataset:
    """Images in a folder with random objects: whole-pixel boxes, or one rectangle or L a mask.

    Some of them have no object.
    """
    rng = np.random.default_rng(seed)
    images, annotations = [], {}
    for index in range(count):
        width, height = (int(n) for n in rng.integers(30, 90, 2))
        path = str(image_file(folder / f"image-{index:02}.png", width, height, index))
        images.append(path)
        total = int(rng.integers(0, 5)) if index else 0
        left, top = rng.integers(0, width - 12, total), rng.integers(0, height - 12, total)
        sides = np.stack([rng.integers(8, width - left + 1), rng.integers(8, height - top + 1)])
        boxes = np.stack([left, top, left + sides[0], top + sides[1]], axis=1).reshape(-1, 4)
        shapes = np.zeros((total, height, width), bool)
        for shape, (x1, y1, x2, y2) in zip(shapes, boxes, strict=True):
            shape[y1:y2, x1:x2] = True
            if rng.random() < 0.5:
                shape[y1 : y1 + (y2 - y1) // 2, x1 : x1 + (x2 - x1) // 2] = False
        annotations[path] = sv.Detections(
            xyxy=boxes.astype(np.float32),
            class_id=rng.integers(0, len(NAMES), total),
            mask=shapes if masks else None,
        )
    return sv.DetectionDataset(classes=NAMES, images=images, annotations=annotations)


def corners(objects: dict) -> np.ndarray:
    """(n, 4) left, top, right, bottom of a row's objects."""
    boxes = np.array(objects["bbox"], dtype=float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def decoded(code: dict) -> np.ndarray:
    """(height, width) uint8 mask of a row's run-length code."""
    return pycoco.decode({"size": code["size"], "counts": code["counts"].encode()})


def assert_same_but_for_the_border(mask: np.ndarray, wanted: np.ndarray) -> None:
    """supervision's outlines run through the middle of the border's pixels: one may differ."""
    around = np.ones((3, 3), bool)
    assert (mask.astype(bool) <= binary_dilation(wanted, around)).all()
    assert (mask.astype(bool) >= binary_erosion(wanted, around)).all()
