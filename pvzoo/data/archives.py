"""Unpack zip and tar files into the cache, once for each state of the file.

Archives come from strangers. Nothing is written outside the folder of the cache: members whose path
leads out of it, links, devices and encrypted files are refused. An archive may hold at most a
million files and 200 times its own size, because labels are text, which compresses well.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pvzoo.data.files import quoted
from pvzoo.data.paths import is_plain
from pvzoo.errors import DataError

MOST_MEMBERS = 1_000_000
MOST_TIMES = 200
"""The contents may have `LITTLE` bytes plus this many times the size of the archive."""
LITTLE = 2**26
_CHUNK = 2**20
_ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


def is_archive(path: Path) -> bool:
    """Whether a file has the suffix of a zip or tar file."""
    return path.name.lower().endswith(_ENDINGS) and path.is_file()


def unpacked(path: Path) -> Path:
    """The folder with the contents of a zip or tar file, from the cache if it is there.

    Raises:
        DataError: The archive is damaged, too large or leads out of its folder.
    """
    from datasets import config

    state = path.stat()
    about = (os.path.abspath(path), state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    key = hashlib.sha256(repr(about).encode()).hexdigest()[:32]
    folder = Path(config.HF_DATASETS_CACHE) / "pvzoo" / "unpacked"
    target = folder / key
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder, suffix=".part"))
    try:
        _unpack(path, work, MOST_TIMES * state.st_size + LITTLE)
        if not target.is_dir():  # another process may have been faster
            os.replace(work, target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _unpack(path: Path, folder: Path, room: int) -> None:
    count = 0
    with _members(path) as members:
        for name, opened in members:
            count += 1
            if count > MOST_MEMBERS:
                raise DataError(
                    f"{path} holds more than {MOST_MEMBERS:,} files.",
                    "Unpack it and load the folder.",
                )
            if not is_plain(name) or "\0" in name or ":" in name.split("/")[0]:
                raise DataError(
                    f"{path} holds {quoted(name)}, which leads out of its folder.",
                    "Do not trust this archive; make a new one.",
                )
            target = folder / name.replace("\\", "/")
            if opened is None:
                target.mkdir(parents=True, exist_ok=True)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with opened, target.open("wb") as file:
                while chunk := opened.read(_CHUNK):
                    room -= len(chunk)
                    if room < 0:
                        raise DataError(
                            f"{path} holds more than {MOST_TIMES} times its own size.",
                            "If you trust it, unpack it and load the folder.",
                        )
                    file.write(chunk)


@contextmanager
def _members(path: Path) -> Iterator[Iterator[tuple[str, IO[bytes] | None]]]:
    """The names of the members and their contents, None for folders."""
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as packed:
                yield _of_zip(path, packed)
        else:
            with tarfile.open(path, "r:*") as archive:
                yield _of_tar(path, archive)
    except DataError:
        raise
    except Exception as error:  # zlib, lzma, struct and the two modules raise many types
        reason = str(error)[:200] or type(error).__name__
        raise DataError(
            f"{path} cannot be unpacked ({reason}).", "Download or copy it again."
        ) from error


def _of_zip(path: Path, packed: zipfile.ZipFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    for member in packed.infolist():
        mode = member.external_attr >> 16  # Unix mode; 0 if made on another system
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _no_file(path, member.filename)
        if member.flag_bits & 1:
            raise DataError(f"{path} needs a password.", "Unpack it and load the folder.")
        yield member.filename, None if member.is_dir() else packed.open(member)


def _of_tar(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes] | None]]:
    while (member := archive.next()) is not None:
        # tarfile keeps all members in memory and has no public way to drop them
        archive.members = []  # type: ignore[attr-defined]
        if not (member.isreg() or member.isdir()):
            raise _no_file(path, member.name)
        yield member.name, archive.extractfile(member)


def _no_file(path: Path, name: str) -> DataError:
    return DataError(
        f"{path} holds {quoted(name)}, which is a link or another special file.",
        "Put the file itself into the archive, or unpack it and load the folder.",
    )
