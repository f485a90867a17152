"""YOLO: data.yaml and a text file beside each image, in fractions of the upright picture.

A mask is one polygon; see `pvzoo.data.outlines`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.files import upright_size
from pvzoo.data.outlines import outline
from pvzoo.data.schema import INSTANCE
from pvzoo.errors import DataError, PvzooWarning

_KEYS = {None: "train", "validation": "val"}


def write(parts: Parts, folder: Path) -> None:
    """Write ``data.yaml``, ``images/<split>/`` and ``labels/<split>/``."""
    lost = {"crowds": 0, "objects to ignore": 0, "objects without a pixel": 0}
    places = {split: f"images/{split}" if split else "images" for split in parts.splits}
    for split, place in places.items():
        pictures, labels, names = folder / place, folder / f"labels{place[6:]}", Names()
        pictures.mkdir(parents=True)
        labels.mkdir(parents=True)
        for row in parts.rows(split):
            # without folders: "images" among them would change where labels are looked for
            base = os.path.basename((row["file_name"] or "").replace("\\", "/"))
            name = copy_image(row, pictures, names, base)
            if row["objects"]["id"]:
                _check_size(row, upright_size(pictures / name))
            lines = list(_lines(row, lost, masks=parts.task == INSTANCE))
            file = labels / Path(name).with_suffix(".txt")
            file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    content = {_KEYS.get(split, split): place for split, place in places.items()}
    content["names"] = dict(enumerate(parts.names))
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    if said := ", ".join(f"{count} {what}" for what, count in lost.items() if count):
        warnings.warn(f"Left out, as YOLO cannot say them: {said}.", PvzooWarning, stacklevel=3)


def _check_size(row: Mapping[str, Any], upright: tuple[int, int]) -> None:
    """Refuse labels whose fractions would be of another frame than the picture's.

    `upright` is (0, 0) for a picture that cannot be read.
    """
    size = (row["width"], row["height"])
    if not all(size):
        raise DataError(
            f"The image {row['file_name']} has no known size, which fractions need.",
            "Leave it out, or say its width and height.",
        )
    if all(upright) and size != upright:
        raise DataError(
            f"The labels of {row['file_name']} are of {size[0]} x {size[1]} pixels, but the "
            f"upright image has {upright[0]} x {upright[1]}: their fractions would be wrong.",
            "Run pvzoo.data.check; pvzoo.data.mend turns the labels of images that EXIF rotates.",
        )


def _lines(row: Mapping[str, Any], lost: dict[str, int], *, masks: bool) -> Iterable[str]:
    """The line of each object; counts those that have none."""
    objects, size = row["objects"], (row["width"], row["height"])
    for i, category in enumerate(objects["category"]):
        if objects["iscrowd"][i] or objects["ignore"][i]:
            lost["crowds" if objects["iscrowd"][i] else "objects to ignore"] += 1
            continue
        if masks:
            code = objects["segmentation"][i]
            corners = outline(code)
            if corners is None:
                lost["objects without a pixel"] += 1
                continue
            height, width = code["size"]
            values = (corners / (width, height)).flatten().tolist()
        else:
            (left, top, width, height), (across, down) = objects["bbox"][i], size
            values = [(left + width / 2) / across, (top + height / 2) / down]
            values += [width / across, height / down]
        yield " ".join([str(category), *map(repr, values)])
