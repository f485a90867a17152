"""The same box on one image in each layout whose label files name the image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from labelled_files import image_file

BOX = [2, 1, 8, 4]
"""Left, top, width, height of the one object, of the class "cat", in an image of 20 x 10."""


def coco(root: Path, name: str, **image: Any) -> Path:
    """``annotations/instances_train.json``; the image belongs in ``train/``."""
    (root / "annotations").mkdir(parents=True)
    (root / "train").mkdir()
    content = {
        "images": [{"id": 1, "file_name": name, **image}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": BOX}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "annotations/instances_train.json").write_text(json.dumps(content))
    return root


def panoptic(root: Path, name: str, map_name: str = "1.png") -> Path:
    """``annotations/panoptic_train.json`` with a map of one segment; the image in ``train/``."""
    (root / "annotations/panoptic_train").mkdir(parents=True)
    (root / "train").mkdir()
    colour = 90 + 256 * 40 + 65536 * 10  # of every pixel
    segment = {"id": colour, "category_id": 1, "iscrowd": 0, "area": 200}
    content = {
        "images": [{"id": 1, "file_name": name}],
        "annotations": [{"image_id": 1, "file_name": map_name, "segments_info": [segment]}],
        "categories": [{"id": 1, "name": "cat", "isthing": 1}],
    }
    image_file(root / "annotations/panoptic_train/1.png", 20, 10)
    (root / "annotations/panoptic_train.json").write_text(json.dumps(content))
    return root


def yolo_list(root: Path, *lines: str, labels: bool = True) -> Path:
    """A data.yaml with the list ``train.txt``; the image belongs in ``images/train/``."""
    (root / "images/train").mkdir(parents=True)
    (root / "labels/train").mkdir(parents=True)
    if labels:
        (root / "labels/train/1.txt").write_text("0 .3 .3 .4 .4\n")
    (root / "data.yaml").write_text("names: [cat]\ntrain: train.txt\n")
    (root / "train.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def voc(root: Path, name: str, size: str = "") -> Path:
    """``Annotations/a.xml``, which says `name`; the image belongs in ``JPEGImages/``."""
    (root / "Annotations").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    edges = "<xmin>3</xmin><ymin>2</ymin><xmax>10</xmax><ymax>5</ymax>"
    (root / "Annotations/a.xml").write_text(
        f"<annotation><filename>{name}</filename>{size}"
        f"<object><name>cat</name><bndbox>{edges}</bndbox></object></annotation>"
    )
    return root
