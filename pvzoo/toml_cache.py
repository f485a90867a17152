"""Catalogue files, read faster: what was parsed and checked is kept on disk for later processes.

Reading 5,000 cards of TOML takes seconds, and even as JSON a tenth of one. So what is kept is a
line for each model, parsed when somebody asks for that model, and an index of what listings show.
It counts only while the SHA-256 of the catalogue file is the same, so it cannot be out of date; it
is JSON, which runs nothing; its first line is the SHA-256 of the others; and where that is not so,
or it cannot be written, the TOML is read instead.

The folder is that of ``PVZOO_CACHE``, else ``pvzoo`` in the user's cache folder (on Linux
``~/.cache/pvzoo``); it may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvzoo.errors import CatalogError


@dataclass(frozen=True)
class TomlFile:
    """What a catalogue file holds.

    Attributes:
        head: Its content without the models.
        models: The table of each model, or the JSON of it.
        digest: The SHA-256 of the file's bytes.
        passed: The version of the check that the content is known to have passed; "" for none.
        index: What is at hand of each model without parsing it; empty if nothing was kept.
    """

    head: dict[str, Any]
    models: list[Any]
    digest: str
    passed: str = ""
    index: list[list[Any]] = field(default_factory=list)

    def tables(self) -> dict[str, Any]:
        """The whole content."""
        return {"models": [json.loads(m) if self.passed else m for m in self.models], **self.head}


def read_toml(file: Path) -> TomlFile:
    """Read a TOML file; read again only when its time or size changes.

    Raises:
        CatalogError: The file is missing or is not TOML; the message names it.
    """
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise CatalogError(f"Catalogue {file} cannot be read: {str(error)[:500]}.") from error


@cache
def _read(file: Path, _time: int, _size: int) -> TomlFile:
    content = file.read_bytes()
    digest = sha256(content).hexdigest()
    if kept := _kept(file, digest):
        return kept
    head = tomllib.loads(content.decode("utf-8"))
    models = head.pop("models") if isinstance(head.get("models"), list) else []
    return TomlFile(head, models, digest)


def forget() -> None:
    """Read every file again when it is next asked for."""
    _read.cache_clear()
    _folder.cache_clear()


def _kept(file: Path, digest: str) -> TomlFile | None:
    """What an earlier process kept of a file with these bytes."""
    with suppress(OSError, ValueError, KeyError, TypeError):  # another release has other keys
        seal, _, rest = _place(file).read_bytes().partition(b"\n")
        if seal == _seal(rest):
            first, *models = rest.decode("ascii").split("\n")
            kept = json.loads(first)
            if kept.pop("sha256") == digest:
                return TomlFile(models=models, digest=digest, **kept)
    return None


def _seal(rest: bytes) -> bytes:
    return f'"{sha256(rest).hexdigest()}"'.encode()


def keep(file: Path, read: TomlFile, check: str, index: list[list[Any]]) -> None:
    """Keep what was read of a file, that it passed a version of a check, and its index."""
    part = None
    with suppress(OSError, ValueError, TypeError):  # JSON cannot say dates, which TOML can
        first = {"sha256": read.digest, "passed": check, "head": read.head, "index": index}
        rest = "\n".join(map(json.dumps, [first, *read.tables()["models"]])).encode("ascii")
        place = _place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=place.parent)
        with open(handle, "wb") as stream:
            stream.write(_seal(rest) + b"\n" + rest)
        os.replace(part, place)
        part = None
    if part is not None:
        with suppress(OSError):
            os.unlink(part)


def _place(file: Path) -> Path:
    """One place a file, so that old content does not pile up."""
    path = os.path.abspath(file).encode("utf-8", "surrogateescape")
    return _folder(os.environ.get("PVZOO_CACHE", "")) / f"{sha256(path).hexdigest()[:32]}.jsonl"


@cache
def _folder(named: str) -> Path:
    """Where all is kept; `named` is what ``PVZOO_CACHE`` says, "" for nothing."""
    from platformdirs import user_cache_path

    folder = Path(named).expanduser() if named else user_cache_path("pvzoo", appauthor=False)
    return folder / "catalogs"
