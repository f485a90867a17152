"""What the values of semantic maps mean.

A file beside the folders names them:

| file | contents |
| --- | --- |
| ``classes.txt``, ``labels.txt``, ``class_names.txt`` | a name a line, the first of the value 0 (-1 if it is ``__ignore__``, as labelme writes it) |
| ``id2label.json``, ``label_map.json``, ``labels.json``, ``classes.json`` | a list of names, or an object from values to names or names to values |
| ``classes.csv``, ``class_dict.csv``, ``labels.csv`` | columns name, r, g, b |
| ``labelmap.txt`` | CVAT's ``name:r,g,b::`` |

Maps in colours need one with colours; in others a file with colours counts the values by its lines.
A map saved in RGB all of whose pixels are grey has these greys as values. A value named void,
unlabeled, unlabelled or ignore is void.

**255** (white, which is 65535 in 16 bit) is void unless the file lists it, or it must be a class:

| all maps of the source hold | and are named | 255 is |
| --- | --- | --- |
| only 0 and 255 | two classes, 0 and 1 | the second class |
| only 0 and 255 | another number of classes | not to be told: a `DataError` |
| only 0 and 255 | not at all | a class of its own |
| other values too | | void |

What an image of one bit has for white is the value 1. Without a file the values are the names,
which is said in a `PvzooWarning`.
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
"""The value in RGB of a grey of 1."""

BIT = -1
"""Among values that were seen: the white of images of one bit, which is 255 in others of them."""


@dataclass(frozen=True)
class MapClasses:
    """The names of the values of semantic maps, void ones included."""

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
    """Whether there is another value than black and white, so that no more need be seen."""
    return bool(seen - {0, BIT} - _WHITE)


def with_white(names: Mapping[int, str], seen: set[int], source: str) -> dict[int, str]:
    """The names of values, with those of white where it is a class and is not listed.

    Args:
        names: As a file or the caller lists them.
        seen: The values in all maps (see `seen_in`), or some that are neither black nor white.
        source: What names them, for a message.

    Raises:
        DataError: There is nothing but black and white, and other names than for two classes.
    """
    white = seen & _WHITE - names.keys()
    if not white or is_grey_scale(seen):
        return dict(names)
    if names.keys() == {0, 1}:
        return {**names, **dict.fromkeys(sorted(white), names[1])}
    count = f"{len(names)} class" + "es" * (len(names) != 1)
    raise DataError(
        f"The maps hold nothing but 0 and {min(white)}, and {source} names {count}: whether "
        f"{min(white)} is void or one of them cannot be told.",
        f'Name two classes, that of 0 first; or list the values, as in {{"0": "background", '
        f'"{min(white)}": "lesion"}} in an id2label.json instead of other lists ("void" names '
        "what is none).",
    )


def named_by_value(seen: set[int]) -> dict[int, str]:
    """The values that were seen as the names of their classes; white is void or one of two."""
    if {*_WHITE} & seen and not is_grey_scale(seen):
        white = str(max(seen))
        return {v: str(v) for v in sorted(seen - {BIT})} | ({1: white} if BIT in seen else {})
    values = {1 if value == BIT else value for value in seen} - {SEMANTIC_VOID}
    return {value: str(value) for value in sorted(values)}


# --- maps in folders ------------------------------------------------------------------------------


def find_map_classes(root: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses | None:
    """What a file in the root says about the values of these maps; None if there is none.

    Args:
        root: Where to look.
        maps: All of them; the first one shows whether they are in RGB.
        reduce_labels: Whether 0 is void, and the first name of the file that of the value 1.

    Raises:
        DataError: The file is damaged, has no colours while the maps have, or what 255 stands for
            cannot be told.
    """
    file = next((root / name for name in _NAMES_FILES if (root / name).is_file()), None)
    if file is None:
        return None
    names, colours = _read_names(file)
    step = _step(maps)
    if step != 1 and colours:
        return MapClasses(colours)
    if step == 0:
        raise DataError(f"{maps[0]} is in RGB, and {file} says no colours for the classes.", _HOW)
    if reduce_labels:
        names = {0: "void"} | {value + 1: name for value, name in names.items()}
    return classes_of(names, maps, str(file))


def classes_of(names: Mapping[int, str], maps: Sequence[Path], source: str) -> MapClasses:
    """The classes of maps whose values are named; each state of the maps is looked at once.

    Raises:
        DataError: What 255 stands for cannot be told.
    """
    step = _step(maps)
    if SEMANTIC_VOID not in names:
        names = with_white(names, _seen(maps, all_of_them=False), source)
    return MapClasses(_in_steps(names, step))


def unnamed_classes(where: Path, maps: Sequence[Path], *, reduce_labels: bool) -> MapClasses:
    """Classes named after the values that are in the maps; each state of these is read once."""
    step = _step(maps)
    if step == 0:
        raise DataError(
            f"{maps[0]} is in RGB, and nothing says which class a colour stands for.", _HOW
        )
    names = named_by_value(_seen(maps, all_of_them=True))
    warn(
        f"{where} does not name the classes of its masks; they are called by their values. Write "
        "the names into a classes.txt there, a line each, beginning with that of the value 0.",
        PvzooWarning,
        stacklevel=2,
    )
    names = names | {0: "void"} if reduce_labels else names
    return MapClasses(_in_steps(names, step))


def _seen(maps: Sequence[Path], *, all_of_them: bool) -> set[int]:
    """The values in maps; in colours, those of their reds.

    Args:
        maps: All of a source.
        all_of_them: Else only until one is seen that is neither black nor white, and maps that
            cannot be read say nothing.
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
    """What a grey is multiplied by in the values of maps, by the first: 1, `_GREY` in RGB.

    0 if it is in colours.
    """
    try:
        with opened(maps[0]) as image:
            if image.mode not in ("RGB", "RGBA"):
                return 1
            pixels = np.asarray(image)[..., :3]
    except Exception:  # there is none, or it is damaged, which the check names
        return 1
    return _GREY if (pixels == pixels[..., :1]).all() else 0


def _in_steps(names: Mapping[int, str], step: int) -> dict[int, str]:
    """The names of the values of maps whose greys are multiplied."""
    if step == 1:
        return dict(names)
    scaled = {step * value: name for value, name in names.items()}
    return scaled if SEMANTIC_VOID in names else scaled | {step * SEMANTIC_VOID: "void"}


# --- files of names -------------------------------------------------------------------------------


def _read_names(file: Path) -> tuple[dict[int, str], dict[int, str]]:
    """The names by values, and by colours as R + 256 G + 65536 B where the file has them."""
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
        raise DataError(f"{file} is empty.", "Write the name of a class a line.")
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
                f"{file}: the class number {index + 1} ({str(name)[:100]}) has no colour.",
                "It has a name and three numbers r, g, b from 0 to 255.",
            )
        names[index] = name.strip()
        colours[int(ids_of((red, green, blue)))] = name.strip()
    if not names:
        raise DataError(f"{file} has no classes.", "Its columns are name,r,g,b.")
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
        f"{file} does not name values.",
        'Write {"0": "background", "1": "road"}, or a list of names.',
    )


def _value(text: Any) -> int | None:
    """A number that a pixel can be (`pvzoo.data.maps.read_map`); None for anything else."""
    try:
        value = int(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return value if -(2**31) <= value < 2**31 else None
