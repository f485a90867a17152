"""Write COCO's JSON of boxes and masks.

Category ids are the indices of the classes, counted from 1. Image and annotation ids, areas, crowds
and ``ignore`` are taken from the dataset. Masks are compressed run-length codes.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.schema import INSTANCE


def write(parts: Parts, folder: Path) -> None:
    """Write ``annotations/instances_<split>.json`` and the images in ``<split>/``."""
    categories = [{"id": i, "name": name} for i, name in enumerate(parts.names, start=1)]
    for split in parts.splits:
        images, names = folder / (split or "images"), Names(parts.file_names(split))
        images.mkdir()
        file = folder / "annotations" / f"instances{f'_{split}' if split else ''}.json"
        with json_file(file, categories) as add:
            for row in parts.rows(split):
                image = {
                    "id": row["image_id"],
                    "file_name": copy_image(row, images, names),
                    "width": row["width"],
                    "height": row["height"],
                }
                add(image, _annotations(row, masks=parts.task == INSTANCE))


def _annotations(row: Mapping[str, Any], *, masks: bool) -> Iterable[dict[str, Any]]:
    objects = row["objects"]
    for i, number in enumerate(objects["id"]):
        yield {
            "id": number,
            "image_id": row["image_id"],
            "category_id": objects["category"][i] + 1,
            "bbox": objects["bbox"][i],
            "area": objects["area"][i],
            "iscrowd": int(objects["iscrowd"][i]),
            "ignore": int(objects["ignore"][i]),
            **({"segmentation": objects["segmentation"][i]} if masks else {}),
            **({"score": row["scores"][i]} if row.get("scores") else {}),
        }


Add = Callable[[Mapping[str, Any], Iterable[Mapping[str, Any]]], None]


@contextmanager
def json_file(file: Path, categories: list[dict[str, Any]]) -> Iterator[Add]:
    """Write a COCO JSON entry by entry, so that it need not fit in memory.

    Yields a function that takes an entry of ``images`` and the entries of ``annotations`` for it.
    """
    file.parent.mkdir(exist_ok=True)
    with (
        file.open("w", encoding="utf-8") as output,
        tempfile.TemporaryFile("w+", encoding="utf-8", dir=file.parent) as later,
    ):
        output.write('{"info": {}, "licenses": [], "images": [')
        add_image, add_annotation = _list(output), _list(later)

        def add(image: Mapping[str, Any], annotations: Iterable[Mapping[str, Any]]) -> None:
            add_image(image)
            for annotation in annotations:
                add_annotation(annotation)

        yield add
        output.write('\n], "annotations": [')
        later.seek(0)
        shutil.copyfileobj(later, output)
        output.write(f'\n], "categories": {json.dumps(categories, ensure_ascii=False)}}}\n')


def _list(file: TextIO) -> Callable[[Mapping[str, Any]], None]:
    """A function that writes the next entry of a JSON list."""
    comma = ""

    def add(entry: Mapping[str, Any]) -> None:
        nonlocal comma
        file.write(f"{comma}\n{json.dumps(entry, ensure_ascii=False)}")
        comma = ","

    return add
