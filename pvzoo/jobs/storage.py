"""Files and folders on a local disk, or on any file system of pyarrow or fsspec.

Nobody ever sees a half-written file: on a local disk a file is written beside its place, synced and
renamed; on an object store one upload is the commit. What a store refuses for a moment (500, a
timeout) is tried again for about a minute.
"""

from __future__ import annotations

import io
import os
import random
import re
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from pyarrow import ArrowInvalid
from pyarrow import fs as arrow

from pvzoo.errors import PvzooError, error_message
from pvzoo.inputs.names import expand, readable

T = TypeVar("T")

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds to wait after each failure of a store."""
WRITING = "_writing"
"""The folder of files that are not finished; readers skip names that begin with ``_``."""

_NATIVE = ("s3", "gs", "gcs", "hdfs", "viewfs", "abfs", "abfss")
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>.*)", re.DOTALL | re.IGNORECASE)
_SETTINGS = re.compile(r"\?(\w+=[^&/]*(?:&\w+=[^&/]*)*)$")
_CHUNK = 2**23
_FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class StorageError(PvzooError):
    """A file system cannot be used, or fails again and again."""


@dataclass(frozen=True)
class Place:
    """A file or folder.

    Attributes:
        path: On its file system. A local path is absolute.
        root: What opens the file system: "" for the local disk, else an address.
        prefix: What comes before `path` in messages, without secrets.
    """

    path: str
    root: str = field(default="", repr=False)
    prefix: str = ""

    @classmethod
    def of(cls, text: str) -> Place:
        """A path, or an address such as ``s3://bucket/folder?region=eu-west-1``.

        Raises:
            StorageError: There is no such file system, or its package is not installed.
        """
        found = _ADDRESS.match(text)
        if found is None:
            return cls(os.path.abspath(expand(Path(text))))
        scheme, rest = found["scheme"].lower(), found["rest"]
        if scheme == "file":
            return cls(os.path.abspath(rest))
        if scheme in ("http", "https"):
            raise StorageError(
                f"{readable(text)[:200]} is a web address, which cannot be listed.",
                "Pass a list file with one address in each line.",
            )
        settings = _SETTINGS.search(rest)
        query = settings[0] if settings else ""
        rest = rest[: len(rest) - len(query)].rstrip("/")
        host, slash, path = rest.partition("/")
        if scheme not in _NATIVE:
            return cls(rest, f"{scheme}://", f"{scheme}://")
        if scheme in ("abfs", "abfss"):
            root = f"{scheme}://{host}{query}"
            start, server = _of_azure(scheme, host, query)
            inner = "/".join(filter(None, (start, path)))
            return cls(inner, root, f"{scheme}://{server}")
        bucket = host.rpartition("@")[2]
        within = bool(bucket) and scheme not in ("hdfs", "viewfs")
        start = bucket.partition("@")[0] if within else ""
        known = bucket if not within else ""
        return cls(f"{start}{slash}{path}", f"{scheme}://{host}{query}", f"{scheme}://{known}")

    @property
    def local(self) -> bool:
        """Whether it is on a local disk."""
        return not self.root

    @property
    def fs(self) -> Any:
        """Its `pyarrow.fs.FileSystem`; for errors see `_opened`."""
        return _opened(self.root)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    def __str__(self) -> str:
        return readable(self.prefix + self.path)

    def __truediv__(self, name: str) -> Place:
        return self.at(f"{self.path.rstrip('/')}/{name}")

    def at(self, path: str) -> Place:
        """Another path on the same file system."""
        return Place(path, self.root, self.prefix)

    @property
    def parent(self) -> Place:
        """The folder it is in."""
        return self.at(self.path.rpartition("/")[0] or "/")

    # --- reading ----------------------------------------------------------------------------------

    def kind(self) -> str:
        """ "file", "folder" or "" if it does not exist."""
        if self.local:
            try:
                return "folder" if os.path.isdir(self.path) else "file" * os.path.isfile(self.path)
            except ValueError:  # a null character
                return ""
        try:
            found = self.patiently(lambda: self.fs.get_file_info(self.path)).type
        except FileNotFoundError:
            return ""
        return {arrow.FileType.File: "file", arrow.FileType.Directory: "folder"}.get(found, "")

    def size(self) -> int:
        """The size of a file in bytes."""
        if self.local:
            return os.path.getsize(self.path)
        return int(self.patiently(lambda: self.fs.get_file_info(self.path)).size or 0)

    def entries(self) -> list[tuple[str, bool]]:
        """(name, whether it is a folder) of all that is in a folder, by name; empty without it."""
        if self.local:
            try:
                with os.scandir(self.path) as found:
                    return sorted((e.name, e.is_dir(follow_symlinks=False)) for e in found)
            except (FileNotFoundError, NotADirectoryError, PermissionError):
                return []
        selector = arrow.FileSelector(self.path, allow_not_found=True)
        try:
            infos = self.patiently(lambda: self.fs.get_file_info(selector))
        except FileNotFoundError:
            return []
        names = {(info.base_name, info.type == arrow.FileType.Directory) for info in infos}
        return sorted((name, folder) for name, folder in names if name)

    def read(self, most: int | None = None) -> bytes:
        """The bytes of a file.

        Args:
            most: Bytes after which reading stops.

        Raises:
            OSError: The file does not exist or cannot be read.
            StorageError: The store fails again and again.
        """
        if self.local:
            with open(self.path, "rb") as file:
                return file.read(-1 if most is None else most)

        def once() -> bytes:
            with self.fs.open_input_file(self.path) as file:
                data: bytes = file.read() if most is None else file.read(most)
                return data

        return self.patiently(once)

    def open(self) -> IO[bytes]:
        """A file to read from anywhere in it."""
        return open(self.path, "rb") if self.local else cast(IO[bytes], _Patient(self))

    def open_stream(self) -> IO[bytes]:
        """A file to read from its beginning to its end."""
        return open(self.path, "rb") if self.local else io.BufferedReader(_Patient(self), _CHUNK)

    # --- writing ----------------------------------------------------------------------------------

    @contextmanager
    def committed(self, scratch: Place) -> Iterator[IO[bytes]]:
        """A new file to write to; it appears, whole, at the end of the block, and only then.

        Args:
            scratch: The folder for unfinished files on the same file system.
        """
        if not self.local:
            with tempfile.TemporaryFile() as file:
                yield file
                self.patiently(lambda: self._upload(file))
            return
        os.makedirs(scratch.path, exist_ok=True)
        beside = os.path.join(scratch.path, f"{self.name}.{uuid.uuid4().hex}")
        try:
            with open(beside, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except BaseException:
            with suppress(OSError):
                os.unlink(beside)
            raise
        folder = os.open(os.path.dirname(self.path), os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def remove_folder(self) -> None:
        """Remove a local folder and all files in it; objects need none."""
        if self.local and os.path.isdir(self.path):
            for name in os.listdir(self.path):
                with suppress(OSError):
                    os.unlink(os.path.join(self.path, name))
            with suppress(OSError):  # another job may have begun to write
                os.rmdir(self.path)

    def _upload(self, file: IO[bytes]) -> None:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        with self.fs.open_output_stream(self.path) as stream:
            while chunk := file.read(_CHUNK):
                stream.write(chunk)
        # a stream that failed may have committed what it had when it was closed
        if self.fs.get_file_info(self.path).size != size:
            raise OSError("the store has not kept all that was sent")

    def patiently(self, call: Callable[[], T]) -> T:
        """The result of a call, which is tried again if the store fails.

        Raises:
            FileNotFoundError: The store cannot have a file of this name, such as ``a//b``.
            StorageError: The store fails again and again.
        """
        for pause in (*PAUSES, None):
            try:
                return call()
            except (*_FINAL, StorageError):
                raise
            except ArrowInvalid as error:
                raise FileNotFoundError(error_message(error)) from error
            except Exception as error:  # one class per file system
                refused = any(word in str(error) for word in ("ACCESS_DENIED", "403"))
                if pause is None or refused or (self.local and isinstance(error, OSError)):
                    raise StorageError(
                        f"{self} cannot be used ({error_message(error)}).",
                        "Check the address, the credentials and the store. The same command "
                        "goes on where it stopped.",
                    ) from error
                time.sleep(pause * random.uniform(0.5, 1.5))
        raise AssertionError


class _Patient(io.RawIOBase):
    """A file of a store; each of its parts is asked for again if the store fails."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._file = place.patiently(lambda: place.fs.open_input_file(place.path))
        self._size = int(self._file.size())
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        count = min(len(buffer), max(0, self._size - self._at))
        data = self._place.patiently(lambda: self._file.read_at(count, self._at)) if count else b""
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


@lru_cache(maxsize=64)
def _of_azure(scheme: str, host: str, query: str) -> tuple[str, str]:
    """(container that is in the host or "", what messages have before the path) of an address.

    The container may be at three points (``container@account.domain/``,
    ``account.domain/container``, ``account:key@container``); pyarrow knows at which it is.
    """
    try:
        found: str = arrow.FileSystem.from_uri(f"{scheme}://{host}/x{query}")[1]
    except (ValueError, NotImplementedError) as error:
        raise _cannot_open(scheme, error) from error
    container = found.removesuffix("x").strip("/")
    server = host.rpartition("@")[2]
    return container, "" if server == container else f"{server}/"


@lru_cache(maxsize=64)
def _opened(root: str) -> Any:
    """The file system of an address; each process opens it once.

    Raises:
        StorageError: There is no such file system, or its package is not installed.
        OSError: The store fails.
    """
    if not root:
        return arrow.LocalFileSystem()
    scheme = root.partition("://")[0]
    try:
        if scheme in _NATIVE:
            return arrow.FileSystem.from_uri(root)[0]
        import fsspec

        return arrow.PyFileSystem(arrow.FSSpecHandler(fsspec.filesystem(scheme)))
    except (ImportError, ValueError, TypeError, NotImplementedError) as error:
        raise _cannot_open(scheme, error) from error


def _cannot_open(scheme: str, error: Exception) -> StorageError:
    return StorageError(
        f"{scheme}:// cannot be opened ({error_message(error)}).",
        "Check the address, and install the package of this file system if it names one.",
    )
