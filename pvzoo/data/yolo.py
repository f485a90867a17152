"""YOLO: a data.yaml with the names of the classes, and a text file beside each image.

``data.yaml`` names for each of train, val and test a folder, several folders, or a text file with
a list of images, relative to its ``path`` or to itself; without any of them ``images/`` beside it
is taken. The labels of ``images/a/1.jpg`` are in ``labels/a/1.txt``: in the path the last folder
``images`` becomes ``labels``; without one they lie beside the image. A line is the number of a
class and a box (the centre, width and height) or a polygon (x1 y1 x2 y2 ...), in fractions of the
image turned upright. An image without a label file, or with an empty one, has no objects.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

import yaml
from pycocotools import mask as pycoco

from pvzoo.data.codes import polygon_code
from pvzoo.data.files import (
    Split,
    entries,
    folders,
    image_cell,
    images,
    is_image,
    objects_of,
    quoted,
    read_text,
    relative,
    split_name,
    upright_size,
    whole,
)
from pvzoo.data.schema import DETECTION, INSTANCE, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset

_CLASSES = re.compile(r"""^["']?(names|nc)["']?\s*:""", re.MULTILINE)
_KEYS = ("train", "val", "valid", "validation", "test")


def splits(path: Path) -> list[Split]:
    """The splits of a data.yaml or the folder with one; none if it is no YOLO data."""
    file = _yaml_file(path)
    if file is None:
        return []
    source = _Source(file, _content(file))
    parts = source.parts()

    @cache
    def natural() -> str:
        return (
            INSTANCE if any(source.has_polygons(found) for found in parts.values()) else DETECTION
        )

    def read(found: Sequence[Path], task: str | None) -> Dataset:
        if task is None:
            source.refuse_keypoints()
        return source.read(found, task if task in (DETECTION, INSTANCE) else natural())

    return [Split(name, partial(read, found)) for name, found in parts.items()]


def _yaml_file(path: Path) -> Path | None:
    """The data.yaml of a source: of its name if there is one, else any that names classes."""
    if path.is_file():
        return path if path.suffix in (".yaml", ".yml") else None
    files = [f for f in entries(path) if f.suffix in (".yaml", ".yml") and f.is_file()]
    found = [f for f in files if _CLASSES.search(read_text(f))]
    found = [f for f in found if f.stem == "data"][:1] or found
    if len(found) > 1:
        raise DataError(
            f"{path} has several YAML files with names: {', '.join(f.name for f in found)}.",
            "Point at the one you mean.",
        )
    return found[0] if found else None


def _content(file: Path) -> dict[str, Any]:
    """What a YAML file holds; the names of classes, folders and lists as they are written there.

    YAML takes ``no`` for false, ``007`` for 7, ``1.0`` for a number and ``2024-01-01`` for a date.
    """
    try:
        content = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise DataError(f"{file} is not YAML ({error}).", "Mend or export it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{file} is not a YAML mapping.", "It has keys such as names and train.")
    written = yaml.load(read_text(file), yaml.BaseLoader)
    named = [key for key in ("names", "path", *_KEYS) if content.get(key) is not None]
    return content | {key: written[key] for key in named if key in written}


@dataclass(frozen=True)
class _Source:
    file: Path
    content: Mapping[str, Any]

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes by their numbers; a number without a name is its own."""
        given, count = self.content.get("names"), whole(self.content.get("nc"))
        if isinstance(given, list):
            given = dict(enumerate(given))
        if given is None and count and count > 0:
            given = {}
        elif not isinstance(given, dict) or not given:
            raise DataError(
                f"{self.file} has names: {quoted(given)}.",
                "Write a list of names, or a mapping from numbers to names.",
            )
        names: dict[int, str] = {}
        for key, name in given.items():
            number = _class_id(key)
            if number is None or number < 0 or number in names or not isinstance(name, str):
                raise DataError(
                    f"{self.file} has names: {str(key)[:100]}: {quoted(name)}.",
                    "It has a text for each number of a class, the first of which is 0.",
                )
            names[number] = name or str(number)
        total = max(names) + 1 if names else count or 0
        if count is not None and total != count:
            raise DataError(
                f"{self.file} says nc: {count} but names {total} classes.",
                "Make them agree.",
            )
        return [names.get(number, str(number)) for number in range(total)]

    @property
    def root(self) -> Path:
        return self.file.parent

    def refuse_keypoints(self) -> None:
        if "kpt_shape" in self.content:
            raise DataError(
                f"{self.file} describes keypoints (kpt_shape), which pvzoo has no task for.",
                f'To read the boxes alone pass task="{DETECTION}".',
            )

    def parts(self) -> dict[str | None, list[Path]]:
        """The images of each split."""
        given = {key: self.content[key] for key in _KEYS if self.content.get(key)}
        if not given:
            return self._unnamed_parts()
        parts: dict[str | None, list[Path]] = {}
        missing = {}
        for key, value in given.items():
            found, lost = self._images(key, value)
            if lost:
                missing[key] = lost[0]
            if found or not lost:
                parts[split_name(key)] = found
        if not parts:
            key, value = next(iter(missing.items()))
            raise DataError(
                f"{self.file} says {key}: {value}, but there is no such folder or list here.",
                f"Mend the path; it is relative to {self._bases()[0]}.",
            )
        for key, value in missing.items():
            warn(
                f"{self.file} says {key}: {value}, which is not here and is left out.",
                PvzooWarning,
                stacklevel=2,
            )
        return parts

    def _unnamed_parts(self) -> dict[str | None, list[Path]]:
        inside = self.root / "images"
        if not inside.is_dir():
            raise DataError(
                f"{self.file} names neither train nor val nor test, and no folder images is "
                "beside it.",
                "Add a line such as: train: images/train",
            )
        named = {split_name(f.name): images(f) for f in folders(inside) if split_name(f.name)}
        return {**named} or {None: images(inside)}

    def _bases(self) -> list[Path]:
        """What the paths of the YAML may be relative to, the likeliest first."""
        given = self.content.get("path")
        given = [self.root / given] if isinstance(given, str) else []
        return [*given, self.root]

    def _images(self, key: str, value: Any) -> tuple[list[Path], list[str]]:
        """The images that an entry stands for, and the paths in it that are not there."""
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str) for v in values):
            raise DataError(
                f"{self.file} has {key}: {value!r}.", "Write a folder or a list of them."
            )
        found: list[Path] = []
        lost = []
        for text in values:
            path = self._resolve(text)
            if path is None:
                lost.append(text)
            else:
                found += images(path) if path.is_dir() else self._listed(path)
        return list(dict.fromkeys(found)), lost

    def _resolve(self, text: str) -> Path | None:
        """A path of the YAML where it is; exported ones often are one folder too high."""
        plain = text.replace("\\", "/")
        inner = plain
        while inner.startswith(("../", "./")):
            inner = inner.split("/", 1)[1]
        paths = [base / p for p in dict.fromkeys([plain, inner]) for base in self._bases()]
        parts = Path(plain).parts
        if Path(plain).is_absolute():  # made on another machine
            paths += [self.root.joinpath(*parts[i:]) for i in range(1, len(parts))]
        path = next((p for p in paths if p.exists()), None)
        return Path(os.path.normpath(path)) if path else None

    def _listed(self, file: Path) -> list[Path]:
        """The images that a text file lists, each relative to it or to the root."""
        found = []
        for place, line in enumerate(read_text(file).splitlines(), 1):
            text = line.strip()
            if not text:
                continue
            if not is_image(Path(text).name):
                raise DataError(f"{file}:{place} is no image: {text!r}.", "List one a line.")
            paths = [base / text for base in (file.parent, *self._bases())]
            found.append(Path(os.path.normpath(next((p for p in paths if p.exists()), paths[0]))))
        return found

    def has_polygons(self, found: Sequence[Path]) -> bool:
        """Whether a line of the labels of these images is a polygon."""
        return any(len(values) > 5 for image in found for _, values in self._lines(image))

    def read(self, found: Sequence[Path], task: str) -> Dataset:
        columns = self._columns(task)
        labels = [file for image in found if (file := _label_file(image)).is_file()]
        state = [self.file, *(image for image in found if image.is_file()), *labels]
        return write(lambda: self._rows(found, task), columns, state, task, "yolo", str(self.root))

    def _columns(self, task: str) -> Any:
        try:
            return features(task, self.names)
        except DataError as error:
            raise DataError(f"{self.file}: {error.what}", error.hint) from error

    def _rows(self, found: Sequence[Path], task: str) -> Iterator[dict[str, Any]]:
        number = 0
        for image_id, image in enumerate(found):
            width, height = upright_size(image)
            objects = []
            for category, values in self._lines(image):
                number += 1
                objects.append(
                    {
                        "id": number,  # from 1: pycocotools takes a match with 0 for none
                        "category": category,
                        "iscrowd": False,
                        "ignore": False,
                        **_shape(values, (height, width), task, str(_label_file(image))),
                    }
                )
            yield {
                "image": image_cell(image),
                "image_id": image_id,
                "file_name": relative(image, self.root),
                "width": width,
                "height": height,
                "objects": objects_of(objects, masks=task == INSTANCE),
            }

    def _lines(self, image: Path) -> Iterator[tuple[int, list[float]]]:
        """The class and the numbers of each line of the labels of an image.

        Raises:
            DataError: A line is no class with a box or a polygon.
        """
        file = _label_file(image)
        if not file.is_file():
            return
        for place, line in enumerate(read_text(file).splitlines(), 1):
            words = line.split()
            if not words:
                continue
            category = _class_id(words[0])
            try:
                values = [float(word) for word in words[1:]]
            except ValueError:
                values = []
            if category is None or not all(map(math.isfinite, values)):
                values = []
            if "kpt_shape" in self.content:  # only the box before the keypoints
                values = values[:4]
            if len(values) != 4 and (len(values) < 6 or len(values) % 2):
                raise DataError(
                    f"{file}:{place} is neither a box nor a polygon: {line.strip()[:80]!r}.",
                    "A line is: class x y width height, or: class x1 y1 x2 y2 x3 y3 ...",
                )
            yield category, values


def _label_file(image: Path) -> Path:
    """Where the labels of an image are, whether or not there are any."""
    parts = list(image.with_suffix(".txt").parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            other = Path(*parts)
            return other if other.is_file() else image.with_suffix(".txt")
    return image.with_suffix(".txt")


def _class_id(value: Any) -> int | None:
    """The number of a class, also when written ``3.0``; None if it is none."""
    try:
        return whole(float(value))
    except (TypeError, ValueError):
        return None


def _shape(values: Sequence[float], size: tuple[int, int], task: str, where: str) -> dict[str, Any]:
    """Box, area and mask of a line's numbers in an image of (height, width)."""
    height, width = size
    if len(values) == 4:
        x, y, w, h = values
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
        points = [left, top, right, top, right, bottom, left, bottom]
        area = box[2] * box[3]
    else:
        points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
        xs, ys = points[::2], points[1::2]
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        area = None
    if task == DETECTION and area is not None:
        return {"bbox": box, "area": area}
    code = polygon_code([points], size, where)
    area = float(pycoco.area(code))
    return {"bbox": box, "area": area} | ({"segmentation": code} if task == INSTANCE else {})
