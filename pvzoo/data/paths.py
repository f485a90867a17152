"""Paths in label files: find the file that each path means, and refuse paths that are not safe.

Label files come from strangers and from other machines. A path in a label file may lead into the
folder that the user named and into folders beside it (``../images``), but not into hidden ones;
with ``allow_outside`` it may lead anywhere. Only the text of a path is checked: symbolic links are
followed, because the user put them on the disk.

If there is no file at a path, the longest end of the path that leads to a file is used:
``/content/ds/images/train/1.jpg`` is ``images/train/1.jpg``, else ``train/1.jpg``, else ``1.jpg``.
Paths of Windows are read in the same way.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from warnings import warn

from pvzoo.data.files import exists, listing, quoted, relative
from pvzoo.errors import DataError, PvzooWarning

_DEEPEST = 32
"""How many parts of a path, from its end, are looked for. No data has deeper folders."""


@dataclass(frozen=True)
class Located:
    """A file that a label file names.

    Attributes:
        path: Where the file is, or where it should be if it is missing.
        name: The path in the label file, with slashes.
        found: Whether the file exists.
    """

    path: Path
    name: str
    found: bool

    def file_name(self, root: Path) -> str:
        """The path relative to `root`; for a missing file, the path in the label file."""
        return relative(self.path, root) if self.found else self.name


@dataclass(frozen=True)
class Area:
    """Where the files of a source may be.

    Attributes:
        root: The folder that the user named, or the folder of the file that the user named.
        allow_outside: Whether paths in label files may lead anywhere.
    """

    root: Path
    allow_outside: bool = False

    @classmethod
    def of(cls, source: Path, *, allow_outside: bool = False) -> Area:
        """The area of a file or folder."""
        return cls(source if source.is_dir() else source.parent, allow_outside)

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        """The root as the user named it, and with symbolic links resolved."""
        return (os.path.abspath(self.root), os.path.realpath(self.root))

    def holds(self, path: Path) -> bool:
        """Whether a path is the root or in it."""
        text = os.path.abspath(path)
        return any(_inside(text, root) is not None for root in self._roots)

    def allows(self, path: str | Path) -> bool:
        """Whether a label file may point there."""
        if self.allow_outside or self.holds(Path(path)):
            return True
        for parent in map(os.path.dirname, self._roots):
            if os.path.dirname(parent) == parent:  # the parent is the whole disk
                continue
            inside = _inside(os.path.abspath(path), parent)
            if inside and not any(part.startswith(".") for part in inside.split(os.sep)):
                return True
        return False

    def locate(
        self,
        texts: Iterable[str],
        bases: Sequence[Path],
        where: str,
        *,
        expected: Path | None = None,
        folders: bool = False,
    ) -> list[Located]:
        """Find the files that paths mean.

        If several paths lead to one file, only one path gets it: the path that matches in full,
        else the path whose folders all the other paths begin with (``/ds/1.jpg`` rather than
        ``/ds/a/1.jpg``). The other paths, or all if there is no such path, count as missing; a
        `PvzooWarning` names them.

        Args:
            texts: The paths as they are written.
            bases: Folders that the paths may be relative to, the likeliest first.
            where: What a message calls the label file.
            expected: The folder where missing files should be if no file is found; by default the
                first base.
            folders: Whether the paths may lead to folders. Then relative paths are not shortened,
                because most data has a folder ``images``.

        Raises:
            DataError: A path leads out of the area.
        """
        texts = list(texts)
        there = _path_exists if folders else _Listings().have
        found: list[str | None] = []
        cuts: list[tuple[str, ...]] = []  # the part before the end that was found
        claims: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        used: Counter[Path] = Counter()
        for text in texts:
            plain, path = is_plain(text), None
            cut: tuple[str, ...] = ()
            for base, exact in zip(bases, _exact(text, bases), strict=True):
                if (plain or self.allows(exact)) and there(exact):
                    path = exact
                    used[base] += 1
                    break
            if path is None:
                ends = _ends(text, bases, whole=folders and not _is_absolute(text))
                path, cut = next((end for end in ends if there(end[0])), (None, ()))
            if path is not None:
                claims[path].add(cut)
            found.append(path)
            cuts.append(cut)
        usual = used.most_common(1)[0][0] if used else expected or bases[0]
        located: list[Located] = []
        unclear: list[str] = []
        elsewhere: list[str] = []
        for text, path, cut in zip(texts, found, cuts, strict=True):
            if path is not None and not _is_first(cut, claims[path]):
                unclear.append(text)
                path = None
            elif (path is None or cut) and (outside := self._outside(text, bases)) is not None:
                if path is None:
                    raise self.leads_out(text, where)
                if not os.path.samefile(outside, path):
                    elsewhere.append(text)
            here = path if path is not None else self._should_be(text, usual)
            located.append(Located(Path(here), _slashed(text), path is not None))
        for lost, why in (
            (unclear, "lead to no file, and other paths end in the same way"),
            (elsewhere, "lead out of the data's folder; files in it with the same ends are used"),
        ):
            if lost:
                shown = listing(map(quoted, dict.fromkeys(lost)), 3)
                warn(f"{where}: {len(lost)} paths {why} ({shown}).", PvzooWarning, stacklevel=2)
        return located

    def _should_be(self, text: str, base: Path) -> str:
        path = next(_exact(text, [base]))
        if is_plain(text) or self.allows(path):
            return path
        return os.path.join(base, *_parts(text))

    def _outside(self, text: str, bases: Sequence[Path]) -> str | None:
        """The existing file outside the area that a path leads to, if there is one."""
        if is_plain(text) or _slashed(text).startswith("//"):  # this would ask another computer
            return None
        paths = (p for p in _exact(text, bases) if not self.allows(p))
        return next(filter(_path_exists, paths), None)

    def leads_out(self, text: str, where: str) -> DataError:
        """The error for a path that leads out of the area."""
        return DataError(
            f"{where} names {quoted(text)}, which leads out of the data's folder {self.root}.",
            "Put the files into that folder, or a folder beside it. If you trust the labels: "
            "pvzoo.data.load(..., allow_outside=True), or --allow-outside on the command line.",
        )


class _Listings:
    """The files in folders; each folder is read once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str]] = {}

    def have(self, path: str) -> bool:
        folder, name = os.path.split(path)
        if folder not in self._names:
            try:
                with os.scandir(folder) as found:
                    self._names[folder] = frozenset(e.name for e in found if e.is_file())
            except (OSError, ValueError):  # not there, too long, or with a null character
                self._names[folder] = frozenset()
        return name in self._names[folder]


def _inside(path: str, folder: str) -> str | None:
    """The path relative to a folder; "" for the folder itself, None if the path is not in it."""
    if path == folder:
        return ""
    folder = folder.rstrip(os.sep) + os.sep
    return path[len(folder) :] if path.startswith(folder) else None


def _slashed(text: str) -> str:
    return text.replace("\\", "/")


def is_plain(text: str) -> bool:
    """Whether a path stays in the folder that it is relative to."""
    path = os.path.normpath(_slashed(text))
    return not os.path.isabs(path) and path.split(os.sep, 1)[0] != os.pardir


def _exact(text: str, bases: Iterable[Path]) -> Iterator[str]:
    """The path in each of the bases, not shortened."""
    plain, text = is_plain(text), _slashed(text)
    for base in bases:
        # the base is not normalised: after a symbolic link, ".." leads elsewhere
        yield (
            os.path.join(base, os.path.normpath(text))
            if plain
            else os.path.normpath(os.path.join(base, text))
        )


def _parts(text: str) -> list[str]:
    """The folders and the name in a path, without a drive, a leading slash, "." and ".."."""
    path = os.path.normpath(re.sub(r"^[A-Za-z]:", "", _slashed(text)))
    return [p for p in _slashed(path).split("/") if p not in ("", ".", "..")][-_DEEPEST:]


def _is_absolute(text: str) -> bool:
    return re.match(r"[\\/]|[A-Za-z]:", text) is not None


def _ends(
    text: str, bases: Sequence[Path], *, whole: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ends of a path in each base, the longest first, each with the part before it.

    With `whole`, only the longest end.
    """
    parts = _parts(text)
    if not parts:
        return
    root = os.path.normpath(_slashed(text)).partition(parts[0])[0]  # "/", "C:/" or "../"
    for start in range(1 if whole else len(parts)):
        for base in bases:
            yield os.path.join(base, *parts[start:]), (root, *parts[:start])


def _is_first(cut: tuple[str, ...], others: Iterable[tuple[str, ...]]) -> bool:
    """Whether all others begin with `cut`."""
    return all(other[: len(cut)] == cut for other in others)


def _path_exists(path: str) -> bool:
    return exists(Path(path))
