"""Read YOLO: a data.yaml with the names of the classes, and a text file for each image.

For each of train, val and test, ``data.yaml`` names a folder, several folders, or a text file with
a list of images. The paths are relative to its ``path`` or to the file itself. If it names none of
them, ``images/`` beside it is used. The labels of ``images/a/1.jpg`` are in ``labels/a/1.txt``: the
last folder ``images`` in the path becomes ``labels``; without such a folder, the labels are beside
the image. A line is the number of a class and a box (the centre, width and height) or a polygon
(x1 y1 x2 y2 ...), in fractions of the upright image. An image without a label file, or with an
empty one, has no objects.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from pycocotools import mask as pycoco

from pvzoo.data.files import (
    Split,
    entries,
    folders,
    image_cell,
    images,
    is_file,
    is_image,
    objects_of,
    quoted,
    read_text,
    read_yaml,
    relative,
    split_name,
    upright_size,
    whole,
)
from pvzoo.data.formats.base import DataSource
from pvzoo.data.formats.yolo.without_yaml import without_yaml
from pvzoo.data.paths import Area, Located
from pvzoo.data.rle import outline_box, polygon_code
from pvzoo.data.schema import DETECTION, INSTANCE, features
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning

if TYPE_CHECKING:
    from datasets import Dataset

_CLASSES = re.compile(r"""^["']?(names|nc)["']?\s*:""", re.MULTILINE)
_KEYS = ("train", "val", "valid", "validation", "test")
MOST_UNNAMED = 10_000
"""How many classes of ``nc`` may have no name in a data.yaml."""


def splits(source: DataSource) -> list[Split]:
    """The splits of a data.yaml, of a folder with one, or of `without_yaml`; or none."""
    if (file := _yaml_file(source.path)) is not None:
        data = _Source(file, _content(file), source.area)
    elif (found := without_yaml(source.path)) is not None:
        data = _Source(*found, source.area)
    else:
        return []
    parts = data.parts()

    @cache
    def natural() -> str:
        return INSTANCE if any(map(data.has_polygons, parts.values())) else DETECTION

    def read(found: Sequence[Located], task: str | None) -> Dataset:
        if task is None:
            data.refuse_keypoints()
        return data.read(found, task if task in (DETECTION, INSTANCE) else natural())

    return [Split(name, partial(read, found)) for name, found in parts.items()]


def _yaml_file(path: Path) -> Path | None:
    """The data.yaml of a source; without a file of this name, any YAML that names classes."""
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
    """The contents of a YAML file; names of classes, folders and lists are kept as written.

    YAML itself reads ``no`` as false, ``007`` as 7, ``1.0`` as a number and ``2024-01-01`` as a
    date.
    """
    content = read_yaml(file)
    if not isinstance(content, dict):
        raise DataError(f"{file} is not a YAML mapping.", "Write keys such as names and train.")
    written = read_yaml(file, as_written=True)
    named = [key for key in ("names", "path", *_KEYS) if content.get(key) is not None]
    return content | {key: written[key] for key in named if key in written}


@dataclass(frozen=True)
class _Source:
    file: Path
    content: Mapping[str, Any]
    area: Area

    @cached_property
    def names(self) -> list[str]:
        """The names of the classes by their numbers; without a name, the number is the name."""
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
                    "Write a text for the number of each class; the first number is 0.",
                )
            names[number] = name or str(number)
        total = max(names) + 1 if names else count or 0
        if count is not None and total != count:
            raise DataError(
                f"{self.file} says nc: {count} but names {total} classes.",
                "Correct one of them.",
            )
        if total - len(names) > MOST_UNNAMED:
            raise DataError(
                f"{self.file} has {total} classes but names only {len(names)}; at most "
                f"{MOST_UNNAMED:,} classes may have no name.",
                "Correct nc or the numbers in names, or name the classes.",
            )
        return [names.get(number, str(number)) for number in range(total)]

    @property
    def root(self) -> Path:
        return self.file.parent

    def refuse_keypoints(self) -> None:
        if "kpt_shape" in self.content:
            raise DataError(
                f"{self.file} describes keypoints (kpt_shape), which pvzoo has no task for.",
                f'To read only the boxes, pass task="{DETECTION}".',
            )

    def parts(self) -> dict[str | None, list[Located]]:
        """The images of each split."""
        given = {key: self.content[key] for key in _KEYS if self.content.get(key)}
        if not given:
            return self._unnamed_parts()
        entries = {key: self._entries(key, value) for key, value in given.items()}
        indices = self._resolved({text for texts in entries.values() for text in texts})
        parts: dict[str | None, list[Located]] = {}
        missing = {}
        for key, texts in entries.items():
            here = [index for text in texts if (index := indices[text]) is not None]
            if len(here) < len(texts):
                missing[key] = next(text for text in texts if indices[text] is None)
            found = [i for p in here for i in (self._in(p) if p.is_dir() else self._listed(p))]
            if found or len(here) == len(texts):
                once = {image.path if image.found else image.name: image for image in found}
                parts[split_name(key)] = list(once.values())
        if not parts:
            key, value = next(iter(missing.items()))
            raise DataError(
                f"{self.file} has {key}: {_as_text(value)}, but there is no such folder or list.",
                f"Fix the path; it is relative to {self._bases[0]}.",
            )
        for key, value in missing.items():
            warn(
                f"{self.file} has {key}: {_as_text(value)}, which does not exist and is left out.",
                PvzooWarning,
                stacklevel=2,
            )
        return parts

    def _unnamed_parts(self) -> dict[str | None, list[Located]]:
        inside = self.root / "images"
        if not inside.is_dir():
            raise DataError(
                f"{self.file} names neither train nor val nor test, and there is no folder images "
                "beside it.",
                "Add a line such as: train: images/train",
            )
        named = {split_name(f.name): self._in(f) for f in folders(inside) if split_name(f.name)}
        return {**named} or {None: self._in(inside)}

    def _in(self, folder: Path) -> list[Located]:
        return [Located(path, relative(path, self.root), True) for path in images(folder)]

    @cached_property
    def _bases(self) -> list[Path]:
        """The folders that the paths in the YAML may be relative to, the likeliest first."""
        given = self.content.get("path")
        given = [self.root / given.replace("\\", "/")] if isinstance(given, str) else []
        return [*filter(self.area.allows, given), self.root]

    def _entries(self, key: str, value: Any) -> list[str]:
        """The paths in an entry."""
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str) for v in values):
            raise DataError(
                f"{self.file} has {key}: {quoted(value)}.", "Write a folder or a list of folders."
            )
        return values

    def _resolved(self, texts: Iterable[str]) -> dict[str, Path | None]:
        """The folders and lists that paths in the YAML mean; None for a path that leads nowhere."""
        texts = sorted(texts)
        found = self.area.locate(texts, self._bases, str(self.file), folders=True)
        indices = {text: f.path if f.found else None for text, f in zip(texts, found, strict=True)}
        base = self.content.get("path")
        lost = [text for text, index in indices.items() if index is None]
        if lost and isinstance(base, str):  # also if it leads out and so is not a base
            full = [f"{base}/{text}" for text in lost]
            found = self.area.locate(full, [self.root], str(self.file), folders=True)
            indices |= {t: f.path if f.found else None for t, f in zip(lost, found, strict=True)}
        return indices

    def _listed(self, file: Path) -> list[Located]:
        """The images that a text file lists; paths are relative to the file or to the bases."""
        texts = []
        for index, line in enumerate(read_text(file).splitlines(), 1):
            text = line.strip()
            if text and not is_image(re.split(r"[\\/]", text)[-1]):
                # the line is not quoted: strangers may have named a secret file as a list
                raise DataError(
                    f"{file}:{index} is not an image.", "Write the path of one image per line."
                )
            texts += [text] if text else []
        return self.area.locate(texts, [file.parent, *self._bases], str(file))

    def has_polygons(self, found: Sequence[Located]) -> bool:
        """Whether a line of the labels of these images is a polygon."""
        return any(len(values) > 5 for image in found for _, values in self._lines(image.path))

    def read(self, found: Sequence[Located], task: str) -> Dataset:
        columns = self._columns(task)
        state = [self.file, *(f for i in found for f in (i.path, _label_file(i.path)))]
        about = (task, "yolo", str(self.root), [image.name for image in found])
        return write(lambda: self._rows(found, task), columns, state, *about)

    def _columns(self, task: str) -> Any:
        names = self.names
        try:
            return features(task, names)
        except DataError as error:
            raise DataError(f"{self.file}: {error.what}", error.hint) from error

    def _rows(self, found: Sequence[Located], task: str) -> Iterator[dict[str, Any]]:
        number = 0
        for image_id, image in enumerate(found):
            width, height = upright_size(image.path)
            objects = []
            for category, values in self._lines(image.path):
                number += 1
                objects.append(
                    {
                        "id": number,  # from 1: pycocotools takes a match with 0 as no match
                        "category": category,
                        "iscrowd": False,
                        "ignore": False,
                        **_shape(values, (height, width), task, str(_label_file(image.path))),
                    }
                )
            yield {
                "image": image_cell(image.path),
                "image_id": image_id,
                "file_name": image.file_name(self.root),
                "width": width,
                "height": height,
                "objects": objects_of(objects, masks=task == INSTANCE),
            }

    def _lines(self, image: Path) -> Iterator[tuple[int, list[float]]]:
        """The class and the numbers of each line of the labels of an image.

        Raises:
            DataError: A line is not a class with a box or a polygon.
        """
        file = _label_file(image)
        if not is_file(file):
            return
        for index, line in enumerate(read_text(file).splitlines(), 1):
            words = line.split()
            if not words:
                continue
            category = _class_id(words[0])
            try:
                values = [float(word) for word in words[1:]]
            except ValueError:
                values = []
            if not all(map(math.isfinite, values)):
                values = []
            if "kpt_shape" in self.content:  # only the box before the keypoints
                values = values[:4]
            is_shape = len(values) == 4 or (len(values) >= 6 and len(values) % 2 == 0)
            if category is None or not is_shape:
                # only files in the data's folder are quoted: paths may lead to secrets beside it
                quote = f": {quoted(line.strip(), 80)}" if self.area.holds(file) else ""
                raise DataError(
                    f"{file}:{index} is neither a box nor a polygon{quote}.",
                    "Write: class x y width height, or: class x1 y1 x2 y2 x3 y3 ...",
                )
            yield category, values


def _label_file(image: Path) -> Path:
    """The path of the label file of an image, whether or not it exists."""
    parts = list(image.with_suffix(".txt").parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            other = Path(*parts)
            return other if is_file(other) else image.with_suffix(".txt")
    return image.with_suffix(".txt")


def _as_text(value: Any) -> str:
    """A value of the YAML for a message."""
    return value if isinstance(value, str) and len(value) <= 100 else quoted(value)


def _class_id(value: Any) -> int | None:
    """The number of a class, also if written ``3.0``; None for anything else."""
    try:
        return whole(float(value))
    except (TypeError, ValueError):
        return None


def _shape(values: Sequence[float], size: tuple[int, int], task: str, where: str) -> dict[str, Any]:
    """The box, area and mask for the numbers of a line, in an image of (height, width)."""
    height, width = size
    if len(values) == 4:
        x, y, w, h = values
        box = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        left, top, right, bottom = box[0], box[1], box[0] + box[2], box[1] + box[3]
        points = [left, top, right, top, right, bottom, left, bottom]
        area = box[2] * box[3]
    else:
        points = [v * (height if i % 2 else width) for i, v in enumerate(values)]
        box = outline_box([points])
        area = None
    if task == DETECTION and area is not None:
        return {"bbox": box, "area": area}
    code = polygon_code([points], size, where)
    area = float(pycoco.area(code))
    return {"bbox": box, "area": area} | ({"segmentation": code} if task == INSTANCE else {})
