"""Draw random labelled data to test detectors and formats with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pvzoo.data.schema import DETECTION, features

if TYPE_CHECKING:
    from datasets import Dataset

COLOURS = {"red": (220, 40, 40), "green": (40, 170, 60), "blue": (40, 60, 220)}


def scenes(
    count: int, seed: int = 0, colours: dict[str, tuple[int, int, int]] | None = None
) -> Dataset:
    """Grey images with coloured rectangles, at most one of each colour, and their boxes.

    Args:
        count: The number of images.
        seed: Other seeds give other images.
        colours: (red, green, blue) of each class. The default classes are red, green and blue.

    Returns:
        A dataset with the columns of object detection (`pvzoo.data.schema`). The images are about
        120 pixels wide; some have no object.
    """
    from datasets import Dataset

    rng, colours, rows = np.random.default_rng(seed), colours or COLOURS, []
    objects_before = 0
    for number in range(count):
        width, height = (int(side) for side in rng.integers(100, 140, 2))
        image = Image.fromarray(rng.integers(110, 140, (height, width, 3), np.uint8))
        room = width // len(colours)  # so rectangles do not overlap
        boxes, labels = [], []
        for label, colour in enumerate(colours.values()):
            if rng.random() < 0.3:
                continue
            wide, high = int(rng.integers(room // 2, room)), int(rng.integers(20, 60))
            left = label * room + int(rng.integers(0, room - wide))
            top = int(rng.integers(0, height - high))
            image.paste(colour, (left, top, left + wide, top + high))
            boxes.append([left, top, wide, high])
            labels.append(label)
        objects = {
            "id": [objects_before + i for i in range(1, len(boxes) + 1)],
            "bbox": boxes,
            "category": labels,
            "area": [wide * high for _, _, wide, high in boxes],
            "iscrowd": [False] * len(boxes),
            "ignore": [False] * len(boxes),
        }
        objects_before += len(boxes)
        head = {"image": image, "image_id": number, "file_name": f"{number:04}.png"}
        rows.append({**head, "width": width, "height": height, "objects": objects})
    return Dataset.from_list(rows, features(DETECTION, list(colours)))
