"""Helpers for readers of labelled files: listings, names of splits, sizes, safe parsing."""

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
        name: "train", "validation", "test", or the source's own name; None if the source has no
            splits.
        read: Returns the dataset for a task, or with None for the task that the labels belong to.
            A reader that does not know the task returns the latter.
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
    """The contents of a folder in the order of names, without hidden files.

    Empty if it is not a folder.

    Raises:
        DataError: The folder cannot be read.
    """
    return [folder / entry.name for entry in _entries(folder)]


def folders(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of names, without hidden ones."""
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
    """A folder and all folders below it, with the names of their files, without hidden ones.

    Symbolic links are followed last. Because links may lead back, no folder comes twice, and no
    folder that contains the first one.
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
        except OSError:  # such as lost+found, which only root may read
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
    """The image files below a folder, in the order of paths, without hidden ones."""
    return sorted(here / name for here, names in walk(folder) for name in names if is_image(name))


def has_images(folder: Path) -> bool:
    """Whether there is an image file below a folder."""
    return any(is_image(name) for _, names in walk(folder) for name in names)


def exists(path: Path) -> bool:
    """Whether a file or folder exists; False for a text that cannot be a path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def is_file(path: Path) -> bool:
    """Whether a file exists; False for a text that cannot be a path."""
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
    """Whether it is a pipe, socket or device: reading one may never end."""
    return not (entry.is_file() or entry.is_dir() or entry.is_symlink())


def relative(path: Path, root: Path) -> str:
    """The path relative to a root, with slashes; the whole path if it is not in the root."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.as_posix()


def image_cell(path: Path) -> dict[str, Any]:
    """The cell of a dataset for an image file: its path, to be decoded on access."""
    return {"path": os.path.abspath(path), "bytes": None}


def upright_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image turned upright by its EXIF, read from its header alone.

    (0, 0) for a file that is missing or not an image: the check reports it.
    """
    try:
        return encoded.upright_size(*encoded.header(path))
    except Exception:  # PIL raises many types for damaged files
        return (0, 0)


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, with or without a byte-order mark, or of UTF-16 with one.

    Raises:
        DataError: The file cannot be read or is not text.
    """
    try:
        data = file.read_bytes()
        return data.decode(_encoding(data)).replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} cannot be read ({error}).", "Save it as UTF-8 text, or download it again."
        ) from error


def head(file: Path, size: int = 2000) -> str:
    """The first bytes of any file as text."""
    with file.open("rb") as opened:
        data = opened.read(size)
    return data.decode(_encoding(data), errors="replace")


def is_utf16(file: Path) -> bool:
    """Whether a text file has the byte-order mark of UTF-16."""
    with file.open("rb") as opened:
        return _encoding(opened.read(2)) == "utf-16"


def _encoding(data: bytes) -> str:
    """The encoding of a text, judged by its byte-order mark."""
    return "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"


def read_json(file: Path) -> Any:
    """The contents of a JSON file.

    Raises:
        DataError: The file cannot be read or is not JSON.
    """
    try:
        return json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{file} is not JSON ({error}).", "Export it or download it again."
        ) from error


def read_yaml(file: Path, *, as_written: bool = False) -> Any:
    """The contents of a plain YAML file: with aliases, a few lines can expand to gigabytes.

    Args:
        file: A file of UTF-8 text.
        as_written: Whether numbers, dates and words such as ``no`` stay texts.

    Raises:
        DataError: The file cannot be read, is not YAML, or is not plain.
    """
    try:
        return yaml.load(read_text(file), _TextLoader if as_written else _PlainLoader)
    except _NotPlain as error:
        raise DataError(
            f"{file}: {error}, which pvzoo does not read.",
            "Replace it by plain YAML, or export the file again.",
        ) from error
    except (yaml.YAMLError, ValueError, ArithmeticError) as error:
        raise DataError(f"{file} is not YAML ({error}).", "Fix it or export it again.") from error


class _NotPlain(yaml.YAMLError):
    pass


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases (``*name``), long numbers and deep nesting."""

    _DEEPEST = 50
    _LONGEST_NUMBER = 100
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # stubs have no types
        line = event.start_mark.line + 1
        if self.check_event(yaml.AliasEvent):
            raise _NotPlain(f"line {line} has an alias")
        if self._depth == self._DEEPEST:
            raise _NotPlain(f"line {line} is nested {self._DEEPEST} deep")
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
    """Plain YAML with every scalar as text."""

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        if kind is yaml.ScalarNode:
            return "tag:yaml.org,2002:str"
        return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]  # as above


def number(value: Any) -> float | None:
    """A number as float; None for anything else, such as text and true."""
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
    """A truth value: 0, 1, false, true, also as text; null and empty text are false.

    Args:
        value: The value to read.
        where: What messages call the object that has the value.
        name: The name of the value.

    Raises:
        DataError: It is none of these.
    """
    found = _TRUTHS.get("" if value is None else str(value).strip().lower())
    if found is None:
        raise DataError(f"{where} has {name}: {quoted(value)}.", "Write 0 or 1, false or true.")
    return found


def side(value: Any) -> int:
    """The width or height of an image in pixels; 0 for any other value."""
    value = whole(value)
    return value if value is not None and 0 < value < 2**31 else 0


def listing(names: Iterable[Any], count: int = 5) -> str:
    """The first of some names, for a message: ``a, b, c, ... (12 in all)``."""
    names = [str(name) for name in names]
    shown = ", ".join(name if len(name) <= 100 else f"{name[:100]}..." for name in names[:count])
    return f"{shown}, ... ({len(names)} in all)" if len(names) > count else shown


def quoted(value: Any, most: int = 100) -> str:
    """A value for a message: the beginning of its `repr`."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def objects_of(found: Iterable[Mapping[str, Any]], *, masks: bool) -> dict[str, list[Any]]:
    """Convert objects to the lists of `pvzoo.data.schema`."""
    keys = ["id", "bbox", "category", "area", "iscrowd", "ignore", *["segmentation"] * masks]
    lists: dict[str, list[Any]] = {key: [] for key in keys}
    for thing in found:
        for key in keys:
            lists[key].append(thing[key])
    return lists
