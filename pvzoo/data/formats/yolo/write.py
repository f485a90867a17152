"""Write YOLO: data.yaml, and a text file for each image in fractions of the upright image.

A mask is written as one polygon; see `pvzoo.data.polygons`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pvzoo.data.copies import Names, Parts, check_size, copy_image
from pvzoo.data.files import upright_size
from pvzoo.data.formats.left_out import Lost
from pvzoo.data.polygons import outline
from pvzoo.data.schema import INSTANCE

_KEYS = {None: "train", "validation": "val"}


def write(parts: Parts, folder: Path) -> None:
    """Write ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``."""
    lost = Lost("YOLO")
    places = {split: f"images/{split}" if split else "images" for split in parts.splits}
    for split, place in places.items():
        images, labels, names = folder / place, folder / f"labels{place[6:]}", Names()
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for row in parts.rows(split):
            # no subfolders: one called "images" would change where readers look for labels
            base = os.path.basename((row["file_name"] or "").replace("\\", "/"))
            name = copy_image(row, images, names, base)
            if row["objects"]["id"]:
                check_size(row, upright_size(images / name))
            lines = list(_lines(row, lost, masks=parts.task == INSTANCE))
            file = labels / Path(name).with_suffix(".txt")
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    content: dict[str, Any] = {_KEYS.get(s) or str(s): place for s, place in places.items()}
    content["names"] = dict(enumerate(parts.names))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    lost.warn()


def _lines(row: Mapping[str, Any], lost: Lost, *, masks: bool) -> Iterable[str]:
    """The line of each object; objects without a line are counted as lost."""
    objects, size = row["objects"], (row["width"], row["height"])
    for i, category in enumerate(objects["category"]):
        if lost.is_flagged(objects, i):
            continue
        if masks:
            code = objects["segmentation"][i]
            corners = outline(code)
            if corners is None:
                lost.count("objects without pixels")
                continue
            height, width = code["size"]
            values = (corners / (width, height)).flatten().tolist()
        else:
            (left, top, width, height), (across, down) = objects["bbox"][i], size
            values = [(left + width / 2) / across, (top + height / 2) / down]
            values += [width / across, height / down]
        yield " ".join([str(category), *map(repr, values)])
