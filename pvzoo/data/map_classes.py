"""Find out what the values of semantic maps mean.

A file beside the folders names the values:

| file | contents |
| --- | --- |
| ``classes.txt``, ``labels.txt``, ``class_names.txt`` | one name per line, the first for the value 0 (-1 if it is ``__ignore__``, as labelme writes it) |
| ``id2label.json``, ``label_map.json``, ``labels.json``, ``classes.json`` | a list of names, or an object from values to names or names to values |
| ``classes.csv``, ``class_dict.csv``, ``labels.csv`` | columns name, r, g, b |
| ``labelmap.txt`` | CVAT's ``name:r,g,b::`` |

Maps in colours need a file with colours. For other maps, a file with colours names the values 0, 1,
2, ... in the order of its lines. If all pixels of an RGB map are grey, the greys are its values. A
value named void, unlabeled, unlabelled or ignore is void.

**255** (white, which is 65535 in 16 bit) is void unless the file lists it, or it must be a class:

| the maps of the source hold | the file names | 255 is |
| --- | --- | --- |
| only 0 and 255 | two classes, 0 and 1 | the second class |
| only 0 and 255 | another number of classes | not clear: a `DataError` |
| only 0 and 255 | nothing | a class of its own |
| other values too | | void |

White in an image of one bit is the value 1. Without a file, the values serve as names, and a
`PvzooWarning` tells so.
"""  # noqa: E501

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import warn

import numpy as np
from PIL import Image

from pvzoo.data.files import image_cell, read_json, read_text, whole
from pvzoo.data.maps import areas_of, open_map, values_of
from pvzoo.data.schema import SEMANTIC_VOID, VOID, VOID_NAMES
from pvzoo.data.store import write
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.inputs.encoded import opened
from pvzoo.results.ids_as_colours import ids_of

_NAMES_FILES = (
    "classes.txt",
    "labels.txt",
    "class_names.txt",
    "id2label.json",
    "label_map.json",
    "labels.json",
    "classes.json",
    "classes.csv",
    "class_dict.csv",
    "labels.csv",
    "labelmap.txt",
)
_HOW = "Write a classes.csv beside the folders, with the columns name,r,g,b."

_WHITE = frozenset({SEMANTIC_VOID, 65535})
_GREY = int(ids_of((1, 1, 1)))
"""The value of an RGB pixel whose grey is 1."""

BIT = -1
"""Stands for white of one-bit images among the values of maps; other images have 255 for white."""


@dataclass(frozen=True)
class MapClasses:
    """The names of the values of semantic maps, including void values."""

    names: Mapping[int, str]

    @property
    def labels(self) -> list[str]:
        """The classes, each once, without void."""
        return list(dict.fromkeys(n for n in self.names.values() if not _is_void(n)))

    def segments(self) -> dict[str, list[int]]:
        """The column `segments` of `pvzoo.data.schema`."""
        index = {name: number for number, name in enumerate(self.labels)}
        return {
            "id": list(self.names),
            "category": [index.get(name, VOID) for name in self.names.values()],
        }


def _is_void(name: str) -> bool:
    return name.lower() in VOID_NAMES


# --- black and white ------------------------------------------------------------------------------


def seen_in(image: Image.Image, values: np.ndarray) -> set[int]:
    """The values of a map, with `BIT` for the 1 of an image of one bit."""
    found = set(areas_of(values))
    return {BIT if v == 1 else v for v in found} if image.mode == "1" else found


def is_grey_scale(seen: set[int]) -> bool:
    """Whether some value is neither black nor white; then no more maps need to be read."""
    return bool(seen - {0, BIT} - _WHITE)


def with_white(names: Mapping[int, str], seen: set[int], source: str) -> dict[int, str]:
    """Add a name for white if white is a class but is not listed.

    Args:
        names: The names of values, from a file or the caller.
        seen: The values in all maps (see `seen_in`); if some value is neither black nor white,
            the values up to the first such one are enough.
        source: What a message calls the source of the names.

    Raises:
        DataError: The maps hold only black and white, and the names are not for two classes.
    """
    white = seen & _WHITE - names.keys()
    if not white or is_grey_scale(seen):
        return dict(names)
    if names.keys() == {0, 1}:
        return {**names, **dict.fromkeys(sorted(white), names[1])}
    count = f"{len(names)} class" + "es" * (len(names) != 1)
    raise DataError(
        f"The maps hold only 0 and {min(white)}, and {source} names {count}, so it is not clear "
        f"whether {min(white)} is void or a class.",
        f"Name two classes, the class of 0 first. Or replace the list by an id2label.json with the "
        f'values, such as {{"0": "background", "{min(white)}": "lesion"}} ("void" for a value '
        "without a class).",
    )


def named_by_value(seen: set[int]) -> dict[int, str]:
    """Name the values in maps by their numbers; white is one of two classes, or void."""
    if {*_WHITE} & seen and not is_grey_scale(seen):
        white = str(max(seen))
        return {v: str(v) for v in sorted(seen - {BIT})} | ({1: white} if BIT in seen else {})
    values = {1 if value == BIT else value for value in seen} - {SEMANTIC_VOID}
    return {value: str(value) for value in sorted(values)}


# --- maps in folders ------------------------------------------------------------------------------


def find_map_classes(root: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses | None:
    """The names that a file in the root gives to the values of maps; None without such a file.

    Args:
        root: The folder to look in.
        maps: All maps; the first shows whether they are in RGB.
        reduce_labels: Whether 0 is void and the first name in the file is for the value 1.

    Raises:
        DataError: The file is damaged, the maps are in colours but the file has no colours, or it
            is not clear what 255 means.
    """
    file = next((root / name for name in _NAMES_FILES if (root / name).is_file()), None)
    if file is None:
        return None
    names, colours = _read_names(file)
    step = _step(maps)
    if step != 1 and colours:
        return MapClasses(colours)
    if step == 0:
        raise DataError(f"{maps[0]} is in RGB, but {file} has no colours for the classes.", _HOW)
    if reduce_labels:
        names = {0: "void"} | {value + 1: name for value, name in names.items()}
    return classes_of(names, maps, str(file))


def classes_of(names: Mapping[int, str], maps: Sequence[Path], source: str) -> MapClasses:
    """The classes of maps whose values have names; each state of the maps is read once.

    Raises:
        DataError: It is not clear what 255 means.
    """
    step = _step(maps)
    if SEMANTIC_VOID not in names:
        names = with_white(names, _seen(maps, all_of_them=False), source)
    return MapClasses(_in_steps(names, step))


def unnamed_classes(where: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses:
    """Classes named after the values in the maps; each state of the maps is read once."""
    step = _step(maps)
    if step == 0:
        raise DataError(f"{maps[0]} is in RGB, and no file names the classes of the colours.", _HOW)
    names = named_by_value(_seen(maps, all_of_them=True))
    warn(
        f"{where} has no file with the names of the classes, so the values of the masks are their "
        "names. Write the names into a classes.txt there, one per line, the first for the value 0.",
        PvzooWarning,
        stacklevel=2,
    )
    names = names | {0: "void"} if reduce_labels else names
    return MapClasses(_in_steps(names, step))


def _seen(maps: Sequence[Path], *, all_of_them: bool) -> set[int]:
    """The values in maps; of RGB maps, the values of the red channel.

    Args:
        maps: All maps of a source.
        all_of_them: Whether to read every map. If not, stop after the first value that is neither
            black nor white, and skip maps that cannot be read.
    """
    from datasets import Features, Value

    def rows() -> Iterator[dict[str, int]]:
        seen: set[int] = set()
        for file in maps:
            try:
                image = open_map(image_cell(file), str(file))
                values = values_of(image, str(file))
            except DataError:
                if all_of_them:
                    raise
                continue
            seen |= seen_in(image, values % 256 if image.mode in ("RGB", "RGBA") else values)
            if not all_of_them and is_grey_scale(seen):
                break
        yield from ({"value": value} for value in sorted(seen))

    about = ("values of maps", all_of_them)
    return set(write(rows, Features({"value": Value("int64")}), maps, *about)["value"])


def _step(maps: Sequence[Path]) -> int:
    """The factor from greys to the values of maps: 1, or `_GREY` for grey maps in RGB.

    0 for maps in colours. The first map decides.
    """
    try:
        with opened(maps[0]) as image:
            if image.mode not in ("RGB", "RGBA"):
                return 1
            pixels = np.asarray(image)[..., :3]
    except Exception:  # no maps, or the first is damaged: the check reports it
        return 1
    return _GREY if (pixels == pixels[..., :1]).all() else 0


def _in_steps(names: Mapping[int, str], step: int) -> dict[int, str]:
    """The names with their values multiplied by `step`, see `_step`."""
    if step == 1:
        return dict(names)
    scaled = {step * value: name for value, name in names.items()}
    return scaled if SEMANTIC_VOID in names else scaled | {step * SEMANTIC_VOID: "void"}


# --- files of names -------------------------------------------------------------------------------


def _read_names(file: Path) -> tuple[dict[int, str], dict[int, str]]:
    """The names by value; and by colour, R + 256 G + 65536 B, if the file has colours."""
    if file.suffix == ".json":
        return _json_names(file), {}
    if file.suffix == ".csv":
        rows = csv.DictReader(read_text(file).splitlines(), skipinitialspace=True)
        table = [{str(k).strip().lower(): v for k, v in row.items()} for row in rows]
        items = [(row.get("name"), [row.get(c) for c in "rgb"]) for row in table]
        return _coloured(file, items)
    lines = [line.strip() for line in read_text(file).splitlines()]
    if file.name == "labelmap.txt":
        fields = [line.split(":") for line in lines if line and not line.startswith("#")]
        return _coloured(file, [(f[0], f[1].split(",") if len(f) > 1 else []) for f in fields])
    names = [line for line in lines if line]
    if not names:
        raise DataError(f"{file} is empty.", "Write the name of one class per line.")
    first = -1 if names[0] == "__ignore__" else 0
    return {v: name for v, name in enumerate(names, first) if v >= 0}, {}


def _coloured(
    file: Path, items: Iterable[tuple[str | None, Sequence[Any]]]
) -> tuple[dict[int, str], dict[int, str]]:
    names, colours = {}, {}
    for index, (name, colour) in enumerate(items):
        try:
            red, green, blue = map(int, colour)
        except (TypeError, ValueError):
            red = green = blue = -1
        if not name or not all(0 <= v <= 255 for v in (red, green, blue)):
            raise DataError(
                f"{file}: class number {index + 1} ({str(name)[:100]}) has no colour.",
                "Give it a name and three numbers r, g, b from 0 to 255.",
            )
        names[index] = name.strip()
        colours[int(ids_of((red, green, blue)))] = name.strip()
    if not names:
        raise DataError(f"{file} has no classes.", "Write a line per class: name,r,g,b.")
    return names, colours


def _json_names(file: Path) -> dict[int, str]:
    content = read_json(file)
    if isinstance(content, dict) and isinstance(content.get("id2label"), dict):
        content = content["id2label"]
    if isinstance(content, list):
        content = dict(enumerate(content))
    if isinstance(content, dict) and content:
        pairs = list(content.items())
        if all(whole(value) is not None for _, value in pairs):  # from names to values
            pairs = [(value, name) for name, value in pairs]
        found = [
            (value, name)
            for v, name in pairs
            if (value := _value(v)) is not None and isinstance(name, str)
        ]
        if len(found) == len(pairs):
            return dict(sorted(found))
    raise DataError(
        f"{file} does not give names to values.",
        'Write {"0": "background", "1": "road"}, or a list of names.',
    )


def _value(text: Any) -> int | None:
    """A number that a pixel can be (`pvzoo.data.maps.read_map`); None for anything else."""
    try:
        value = int(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if -(2**31) <= value < 2**31 else None
