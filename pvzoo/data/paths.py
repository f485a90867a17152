"""Paths that stand in label files: which file each means, and which may be opened at all.

Label files come from strangers and from other machines. A path in one may lead into the folder that
the user named and into folders beside it (``../images``), hidden ones excepted; with
``allow_outside`` anywhere. What is on the disk is the user's own doing: symbolic links are
followed, and only the text of a path is judged.

A path that leads nowhere as it is written means what the longest end of it leads to:
``/content/ds/images/train/1.jpg`` is ``images/train/1.jpg``, else ``train/1.jpg``, else ``1.jpg``.
Windows' paths are read likewise.
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
"""Folders of a path that count: no data has more, and each is looked for."""


@dataclass(frozen=True)
class Located:
    """A file that a label file names.

    Attributes:
        path: Where it is; where it should be if it is not there.
        name: What the label file calls it, with slashes.
        found: Whether it is there.
    """

    path: Path
    name: str
    found: bool

    def file_name(self, root: Path) -> str:
        """Its path from a root; of a file that is not there, what the label file says."""
        return relative(self.path, root) if self.found else self.name


@dataclass(frozen=True)
class Area:
    """Where the files of a source may be.

    Attributes:
        root: The folder that the user named, or the one with the file that was named.
        allow_outside: Whether paths in label files may lead anywhere.
    """

    root: Path
    allow_outside: bool = False

    @classmethod
    def of(cls, source: Path, *, allow_outside: bool = False) -> Area:
        """That of a file or folder."""
        return cls(source if source.is_dir() else source.parent, allow_outside)

    @cached_property
    def _roots(self) -> tuple[str, ...]:
        """The root as it was named, and where it is if links lead there."""
        return (os.path.abspath(self.root), os.path.realpath(self.root))

    def holds(self, path: Path) -> bool:
        """Whether a path leads into the root."""
        text = os.path.abspath(path)
        return any(_inside(text, root) is not None for root in self._roots)

    def allows(self, path: str | Path) -> bool:
        """Whether a label file may point there."""
        if self.allow_outside or self.holds(Path(path)):
            return True
        for parent in map(os.path.dirname, self._roots):
            if os.path.dirname(parent) == parent:  # beside it is all of the disk
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
        """The files that paths mean.

        A file is taken for one path only: for that which it has in full, else for that whose
        beginning the others share (of ``/ds/1.jpg`` and ``/ds/a/1.jpg`` the first). The others, or
        all of them if there is no such path, count as missing, which a `PvzooWarning` says.

        Args:
            texts: As they are written.
            bases: What they may be relative to, the likeliest first.
            where: What says them, in a message.
            expected: Where missing files should be if none is found; by default the first base.
            folders: Whether they may be folders. Of these a relative path is not shortened: there
                is an ``images`` in most data.

        Raises:
            DataError: One leads out of the area.
        """
        texts = list(texts)
        there = _path_exists if folders else _Listings().have
        found: list[str | None] = []
        cuts: list[tuple[str, ...]] = []  # what is left out before the end that is there
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
            (unclear, "are not there as they are written, and their ends are those of others"),
            (elsewhere, "lead out of the data's folder; what their ends fit in it is taken"),
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
        """What a path leads to out of the area, if that is there."""
        if is_plain(text) or _slashed(text).startswith("//"):  # another computer would be asked
            return None
        paths = (p for p in _exact(text, bases) if not self.allows(p))
        return next(filter(_path_exists, paths), None)

    def leads_out(self, text: str, where: str) -> DataError:
        """The error of a path that may not be followed."""
        return DataError(
            f"{where} names {quoted(text)}, which leads out of the data's folder {self.root}.",
            "Put the files into that folder, or a folder beside it. If you trust the labels: "
            "pvzoo.data.load(..., allow_outside=True), or --allow-outside on the command line.",
        )


class _Listings:
    """Which files there are; each folder is read once."""

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
    """The way from a folder to what is in it, "" for itself; None for what is not in it."""
    if path == folder:
        return ""
    folder = folder.rstrip(os.sep) + os.sep
    return path[len(folder) :] if path.startswith(folder) else None


def _slashed(text: str) -> str:
    return text.replace("\\", "/")


def is_plain(text: str) -> bool:
    """Whether a path stays in whatever folder it is relative to."""
    path = os.path.normpath(_slashed(text))
    return not os.path.isabs(path) and path.split(os.sep, 1)[0] != os.pardir


def _exact(text: str, bases: Iterable[Path]) -> Iterator[str]:
    """What a path is in each of the bases, as it is written."""
    plain, text = is_plain(text), _slashed(text)
    for base in bases:
        # a base is left as it is: links in it may make its own ".." mean something
        yield (
            os.path.join(base, os.path.normpath(text))
            if plain
            else os.path.normpath(os.path.join(base, text))
        )


def _parts(text: str) -> list[str]:
    """The folders and the name in a path, without what makes it absolute or leads upwards."""
    path = os.path.normpath(re.sub(r"^[A-Za-z]:", "", _slashed(text)))
    return [p for p in _slashed(path).split("/") if p not in ("", ".", "..")][-_DEEPEST:]


def _is_absolute(text: str) -> bool:
    return re.match(r"[\\/]|[A-Za-z]:", text) is not None


def _ends(
    text: str, bases: Sequence[Path], *, whole: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ends of a path in each of the bases, the longest first or only, and what is before it."""
    parts = _parts(text)
    if not parts:
        return
    root = os.path.normpath(_slashed(text)).partition(parts[0])[0]  # "/", "C:/" or "../"
    for start in range(1 if whole else len(parts)):
        for base in bases:
            yield os.path.join(base, *parts[start:]), (root, *parts[:start])


def _is_first(cut: tuple[str, ...], others: Iterable[tuple[str, ...]]) -> bool:
    """Whether all others begin with it."""
    return all(other[: len(cut)] == cut for other in others)


def _path_exists(path: str) -> bool:
    return exists(Path(path))
