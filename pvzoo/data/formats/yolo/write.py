"""YOLO: data.yaml and a text file beside each image, in fractions of the upright picture.

A mask of several parts is one polygon, also one with holes: the outlines are joined by ways there
and back, which have no area. That is how ultralytics joins the parts of COCO's masks; pycocotools,
which fills by the even-odd rule, makes the same mask of it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pycocotools import mask as coco

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.files import upright_size
from pvzoo.data.schema import INSTANCE
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.masks import Masks

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
            values = _polygon(code)
            if not values:
                lost["objects without a pixel"] += 1
                continue
        else:
            (left, top, width, height), (across, down) = objects["bbox"][i], size
            values = [(left + width / 2) / across, (top + height / 2) / down]
            values += [width / across, height / down]
        yield " ".join([str(category), *map(repr, values)])


def _polygon(code: Mapping[str, Any]) -> list[float]:
    """A mask as one polygon in fractions of its size; empty for one without a pixel."""
    height, width = code["size"]
    outlines = _outlines({"size": [height, width], "counts": code["counts"].encode("ascii")})
    return (join(outlines) / (width, height)).flatten().tolist() if outlines else []


def _outlines(code: Mapping[str, Any]) -> list[np.ndarray]:
    """(k, 2) outlines of the parts of a mask, of the holes in them, of the parts in those ..."""
    (height, width), found = code["size"], []
    while outlines := Masks((height, width), (code["counts"],)).polygons(0):
        filled = coco.merge(coco.frPyObjects(outlines, height, width))
        # of the parts that lie in no hole
        outlines = Masks((height, width), (filled["counts"],)).polygons(0)
        found += [np.reshape(outline, (-1, 2)) for outline in outlines]
        code = coco.encode(coco.decode(filled) - coco.decode(code))
    return found


def join(outlines: Sequence[np.ndarray]) -> np.ndarray:
    """(k, 2) outlines as one, each reached from those before by a way there and back."""
    path = outlines[0]
    for outline in outlines[1:]:
        here = int(((path - outline[0]) ** 2).sum(axis=1).argmin())
        there = int(((outline - path[here]) ** 2).sum(axis=1).argmin())
        turned = np.roll(outline, -there, axis=0)
        path = np.concatenate([path[: here + 1], turned, turned[:1], path[here:]])
    return path
