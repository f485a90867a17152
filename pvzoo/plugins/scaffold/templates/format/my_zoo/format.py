"""The format: a file ``my-zoo.jsonl`` beside the images.

The first line has the names of the classes; each other line has an image with its boxes::

    {"classes": ["cat", "dog"]}
    {"image": "train/1.jpg", "split": "train", "boxes": [["cat", 10, 20, 64.5, 32]]}

A box is a class, then left, top, width and height in pixels. Without splits, "split" is null.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.files import Split, is_file, number, quoted, read_text
from pvzoo.data.formats.annotated import Annotated, Annotations, Shape
from pvzoo.data.formats.base import DataSource, Format
from pvzoo.data.formats.left_out import Lost
from pvzoo.errors import DataError

FILE = "my-zoo.jsonl"

T = TypeVar("T")


class ExampleFormat(Format):
    """Boxes of object detection."""

    name = "my-zoo"
    title = "my-zoo's lines"
    layout = f"a {FILE}"
    reads = ("object-detection",)
    writes = ("object-detection",)

    @staticmethod
    def splits(source: DataSource) -> list[Split]:
        """The splits of a folder with the file, or of the file itself."""
        file = source.path / FILE if source.path.is_dir() else source.path
        if file.name != FILE or not is_file(file):
            return []
        first, *others = [
            _parsed(text, f"{file}, line {index}")
            for index, text in enumerate(read_text(file).rstrip("\n").split("\n"), 1)
        ]
        classes = _list(first.get("classes"), str)
        if classes is None:
            raise DataError(f"{file}, line 1 has no list of classes.", "Write the file again.")
        images = [
            _image(found, classes, f"{file}, line {index}") for index, found in enumerate(others, 2)
        ]
        if not images:
            raise DataError(f"{file} has no images.", "Write the file again.")
        root = file.parent
        read = Annotations(ExampleFormat.title, file, [file], root, images, classes, source.area)
        return read.splits({image.split: [root] for image in images})

    @staticmethod
    def write(parts: Parts, folder: Path) -> None:
        """Write the file, and the images of each split into a folder."""
        lost = Lost(ExampleFormat.title)
        lines: list[dict[str, Any]] = [{"classes": list(parts.names)}]
        for split in parts.splits:
            place = split or "images"
            names = Names(parts.file_names(split))
            for row in parts.rows(split):
                objects = row["objects"]
                boxes = [
                    [parts.names[label], *objects["bbox"][i]]
                    for i, label in enumerate(objects["category"])
                    if not lost.is_flagged(objects, i) and not lost.has_no_class(label, parts.names)
                ]
                image = f"{place}/{copy_image(row, folder / place, names)}"
                lines.append({"image": image, "split": split, "boxes": boxes})
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / FILE).write_text(text, encoding="utf-8")
        lost.warn()


def _parsed(text: str, where: str) -> dict[str, Any]:
    """The JSON object of a line."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is not JSON ({error}).", "Write the file again.") from error
    if not isinstance(found, dict):
        raise DataError(f"{where} is not a JSON object.", "Write the file again.")
    return found


def _image(found: dict[str, Any], classes: list[str], where: str) -> Annotated:
    """The image of a line, with its boxes."""
    name, split, boxes = found.get("image"), found.get("split"), _list(found.get("boxes"), list)
    if not isinstance(name, str) or not name or boxes is None:
        raise DataError(f"{where} has no image or no boxes list.", "Write the file again.")
    if not isinstance(split, str | None):
        raise DataError(f"{where} has the split {quoted(split)}.", "Use a text or null.")
    shapes = tuple(_shape(box, classes, where) for box in boxes)
    return Annotated(name, (0, 0), shapes, split=split)


def _shape(box: list[Any], classes: list[str], where: str) -> Shape:
    """A box of a line."""
    sides = [side for side in map(number, box[1:]) if side is not None]
    if len(box) != 5 or len(sides) != 4 or box[0] not in classes:
        raise DataError(
            f"{where} has the box {quoted(box)}.",
            "A box must be [class, left, top, width, height], with a class of line 1.",
        )
    left, top, width, height = sides
    return Shape(box[0], where, box=(left, top, width, height))


def _list(value: Any, kind: type[T]) -> list[T] | None:
    """`value` if it is a list and all its items are of this kind, else None."""
    fits = isinstance(value, list) and all(isinstance(one, kind) for one in value)
    return value if fits else None
