"""Write COCO's panoptic JSON and PNGs.

Category ids are the indices of the classes, counted from 1. Void segments become 0 in the PNG; all
others keep their ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.formats.coco.objects_write import json_file
from pvzoo.data.maps import encode_colour, read_map
from pvzoo.data.schema import VOID
from pvzoo.data.validated import sound_rows
from pvzoo.results.masks import Masks


def write(parts: Parts, folder: Path) -> None:
    """Write ``annotations/panoptic_<split>.json``, its PNGs, and the images in ``<split>/``."""
    stuff = _stuff(parts)
    categories = [
        {"id": i + 1, "name": name, "isthing": int(i not in stuff)}
        for i, name in enumerate(parts.names)
    ]
    for split in parts.splits:
        # not "images": with PNGs in "annotations" beside it, this would look like semantic masks
        images, names = folder / (split or "data"), Names(parts.file_names(split))
        images.mkdir()
        stem = f"panoptic{f'_{split}' if split else ''}"
        maps = folder / "annotations" / stem
        maps.mkdir(parents=True)
        with json_file(folder / "annotations" / f"{stem}.json", categories) as add:
            for row in parts.rows(split):
                name = copy_image(row, images, names)
                png = Path(name).with_suffix(".png").as_posix()
                pixels = read_map(row["annotation"], f"The map of the image {row['file_name']}")
                segments = [s for s in _segments(row) if s["category"] != VOID]
                known = [s["id"] for s in segments]
                void = {s["id"] for s in _segments(row)} - set(known)
                if void:
                    pixels = np.where(np.isin(pixels, list(void)), 0, pixels)
                (maps / png).parent.mkdir(parents=True, exist_ok=True)
                (maps / png).write_bytes(encode_colour(pixels))
                masks = Masks.from_map(pixels, known)
                height, width = pixels.shape
                image = {"id": row["image_id"], "file_name": name}
                info = [
                    {
                        "id": s["id"],
                        "category_id": s["category"] + 1,
                        "iscrowd": int(s["iscrowd"]),
                        "area": area,
                        "bbox": [left, top, right - left, bottom - top],
                    }
                    for s, area, (left, top, right, bottom) in zip(
                        segments,
                        masks.areas.tolist(),
                        masks.boxes.astype(int).tolist(),
                        strict=True,
                    )
                ]
                entry = {"image_id": row["image_id"], "file_name": png, "segments_info": info}
                add(image | {"width": width, "height": height}, [entry])


def _segments(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    lists = row["segments"]
    return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def _stuff(parts: Parts) -> set[int]:
    """The classes that occur only as stuff."""
    stuff: set[int] = set()
    things: set[int] = set()
    for part in parts.splits.values():
        for row in sound_rows(part, ["segments"]):
            for segment in _segments(row):
                (things if segment["isthing"] else stuff).add(segment["category"])
    return stuff - things
