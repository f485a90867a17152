"""What every reader of labelled files needs: listings, names of splits, sizes, damaged files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from pvzoo.errors import DataError
from pvzoo.inputs import encoded
from pvzoo.inputs.sources import SUFFIXES

if TYPE_CHECKING:
    from datasets import Dataset

_SPLITS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}

_TRUTHS = {"": False, "0": False, "0.0": False, "false": False}
_TRUTHS |= {"1": True, "1.0": True, "true": True}


@dataclass(frozen=True)
class Split:
    """One part of a source, not read yet.

    Attributes:
        name: "train", "validation", "test", or a name of the source's own; None if the source is
            not split.
        read: Called with a task, or None for the one that the labels are of; a reader that cannot
            give the task gives its own.
    """

    name: str | None
    read: Callable[[str | None], Dataset]


def split_name(name: str) -> str | None:
    """The split that a whole file or folder name stands for: ``val`` -> ``validation``."""
    return _SPLITS.get(name.lower())


def split_in(name: str) -> str | None:
    """The split that is a part of a file or folder name: ``test_2`` -> ``test``."""
    words = [_SPLITS[w] for w in re.split(r"[^a-z]+", name.lower()) if w in _SPLITS]
    if "test" in words:  # test-dev, test_val
        return "test"
    return words[0] if len(set(words)) == 1 else None


def entries(folder: Path) -> list[Path]:
    """What is in a folder, in the order of names; no hidden files and none if it is no folder.

    Raises:
        DataError: The folder may not be read.
    """
    return [folder / entry.name for entry in _entries(folder)]


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of names; no hidden ones."""
    return [folder / entry.name for entry in _entries(folder) if entry.is_dir()]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    if not folder.is_dir():
        return []
    try:
        with os.scandir(folder) as found:
            shown = [e for e in found if not _is_hidden(e.name) and not _is_special(e)]
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error}).", "Check its permissions.") from error
    return sorted(shown, key=lambda entry: entry.name)


def walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder in a folder, itself included, with the names of its files; no hidden ones.

    Links are followed, after all that is no link, but no folder comes twice, nor one that the
    first is in: links may lead back.
    """
    seen = {_identity(parent) for parent in Path(os.path.realpath(folder)).parents}
    waiting = [folder]
    links: list[Path] = []
    while waiting or links:
        here = waiting.pop() if waiting else links.pop(0)
        if (identity := _identity(here)) is None or identity in seen:
            continue
        seen.add(identity)
        names = []
        try:
            with os.scandir(here) as found:
                for entry in found:
                    if _is_hidden(entry.name) or _is_special(entry):
                        continue
                    if entry.is_dir():
                        (links if entry.is_symlink() else waiting).append(here / entry.name)
                    else:
                        names.append(entry.name)
        except OSError:  # as lost+found, which is not everybody's
            continue
        links.sort()
        yield here, names


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def images(folder: Path) -> list[Path]:
    """The image files below a folder, in the order of paths; no hidden ones."""
    return sorted(here / name for here, names in walk(folder) for name in names if is_image(name))


def has_images(folder: Path) -> bool:
    """Whether there is an image file below a folder."""
    return any(is_image(name) for _, names in walk(folder) for name in names)


def exists(path: Path) -> bool:
    """Whether there is a file or folder; also of a text that can be no path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether there is such a file; as `exists`."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_image(name: str) -> bool:
    """Whether a file of this name is an image, and not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "__MACOSX"))


def _is_special(entry: os.DirEntry[str]) -> bool:
    """Whether it is a pipe, socket or device: to read one may never end."""
    return not (entry.is_file() or entry.is_dir() or entry.is_symlink())


def relative(path: Path, root: Path) -> str:
    """The path from a root, with slashes; the whole path if it leads out of the root."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def image_cell(path: Path) -> dict[str, Any]:
    """An image file as a row of a dataset holds it: by its path, to be decoded on access."""
    return {"path": os.path.abspath(path), "bytes": None}


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image turned upright by its EXIF, from its header alone.

    (0, 0) for a file that is missing or no image: the check names it.
    """
    try:
        return encoded.upright_size(*encoded.header(path))
    except Exception:  # what PIL raises for damaged files knows no bounds
        return (0, 0)


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark, or a UTF-16 one with it.

    Raises:
        DataError: The file cannot be read or is no text.
    """
    try:
        data = file.read_bytes()
        return data.decode(_encoding(data)).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} cannot be read ({error}).", "Save it as UTF-8 text, or fetch it again."
        ) from error


def head(file: Path, size: int = 2000) -> str:
    """The first bytes of a file as text, whatever it is."""
    with file.open("rb") as opened:
        data = opened.read(size)
    return data.decode(_encoding(data), errors="replace")


def is_utf16(file: Path) -> bool:
    """Whether a text has the byte-order mark of UTF-16."""
    with file.open("rb") as opened:
        return _encoding(opened.read(2)) == "utf-16"


def _encoding(data: bytes) -> str:
    """How a text is encoded, by its byte-order mark."""
    return "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def read_json(file: Path) -> Any:
    """What a JSON file holds.

    Raises:
        DataError: The file cannot be read or is no JSON.
    """
    try:
        return json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} is not JSON ({error}).", "Export or fetch it again.") from error


def read_yaml(file: Path, *, as_written: bool = False) -> Any:
    """What a YAML file holds, if it is plain: a few lines of YAML can stand for gigabytes.

    Args:
        file: Of UTF-8 text.
        as_written: Whether numbers, dates and words such as ``no`` stay the texts they are.

    Raises:
        DataError: The file cannot be read, is no YAML or not plain.
    """
    try:
        return yaml.load(read_text(file), _TextLoader if as_written else _PlainLoader)
    except _NotPlain as error:
        raise DataError(
            f"{file}: {error}, which is not read.", "Write out what is meant, or export it again."
        ) from error
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise DataError(f"{file} is not YAML ({error}).", "Fix or export it again.") from error


class _NotPlain(yaml.YAMLError):
    pass


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases (``*name``), long numbers, or lists in lists in lists without end."""

    _DEEPEST = 50
    _LONGEST_NUMBER = 100
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # stubs have no types
        line = event.start_mark.line + 1
        if self.check_event(yaml.AliasEvent):
            raise _NotPlain(f"line {line} has an alias")
        if self._depth == self._DEEPEST:
            raise _NotPlain(f"line {line} has lists in lists, {self._DEEPEST} deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_scalar(self, node: Any) -> Any:
        is_number = node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
        if is_number and len(node.value) > self._LONGEST_NUMBER:
            line = node.start_mark.line + 1
            raise _NotPlain(f"line {line} has a number of {len(node.value)} characters")
        return super().construct_scalar(node)


class _TextLoader(_PlainLoader):
    """The same, with every scalar as a text."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            return "tag:yaml.org,2002:str"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # likewise


def number(value: Any) -> float | None:
    """A number as float; None for what is no number, such as text and true."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def whole(value: Any) -> int | None:
    """A whole number of 64 bits as int (2.0 too); None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    plain = isinstance(value, int) and not isinstance(value, bool)
    return value if plain and -(2**63) <= value < 2**63 else None


def truth(value: Any, where: str, name: str) -> bool:
    """A yes or no: 0, 1, false, true, as text too; null and empty text are no.

    Args:
        value: As it was found.
        where: What has it, in a message.
        name: What it is called there.

    Raises:
        DataError: It is none of these.
    """
    found = _TRUTHS.get("" if value is None else str(value).strip().lower())
    if found is None:
        raise DataError(f"{where} has {name}: {quoted(value)}.", "Write 0 or 1, false or true.")
    return found


def side(value: Any) -> int:
    """The width or height of an image in pixels; 0 for what can be none."""
    value = whole(value)
    return value if value is not None and 0 < value < 2**31 else 0


def listing(names: Iterable[Any], count: int = 5) -> str:
    """The first of some names, for a message: ``a, b, c, ... (12 in all)``."""
    names = [str(name) for name in names]
    shown = ", ".join(name if len(name) <= 100 else f"{name[:100]}..." for name in names[:count])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > count else shown


def quoted(value: Any, most: int = 100) -> str:
    """A value of a file as a message shows it: the beginning of its `repr`."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def objects_of(found: Iterable[Mapping[str, Any]], *, masks: bool) -> dict[str, list[Any]]:
    """Objects one by one -> the lists of `pvzoo.data.schema`."""
    keys = ["id", "bbox", "category", "area", "iscrowd", "ignore", *["segmentation"] * masks]
    lists: dict[str, list[Any]] = {key: [] for key in keys}
    for thing in found:
        for key in keys:
            lists[key].append(thing[key])
    return lists
