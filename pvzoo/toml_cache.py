"""Catalogue files, read faster: what was parsed and checked is kept on disk for later processes.

Reading 5,000 cards of TOML takes seconds, the same as JSON a few hundredths of one. What is kept
of a file counts only while the SHA-256 of the file is the same, so it cannot be out of date; it is
JSON, which runs nothing; and where it is damaged, or cannot be written, the TOML is read instead.

The folder is that of ``PVZOO_CACHE``, else ``pvzoo`` in the user's cache folder (on Linux
``~/.cache/pvzoo``); it may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvzoo.errors import CatalogError


@dataclass(frozen=True)
class TomlFile:
    """What a TOML file holds.

    Attributes:
        tables: Its content.
        digest: The SHA-256 of its bytes.
        passed: The version of the check that the content is known to have passed; "" for none.
    """

    tables: dict[str, Any]
    digest: str
    passed: str = ""


def read_toml(file: Path) -> TomlFile:
    """Read a TOML file; read again only when its time or size changes.

    Raises:
        CatalogError: The file is missing or is not TOML; the message names it.
    """
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise CatalogError(f"Catalogue {file} cannot be read: {error}.") from error


@cache
def _read(file: Path, _time: int, _size: int) -> TomlFile:
    content = file.read_bytes()
    digest = sha256(content).hexdigest()
    return _kept(file, digest) or TomlFile(tomllib.loads(content.decode("utf-8")), digest)


def forget() -> None:
    """Read every file again when it is next asked for."""
    _read.cache_clear()


def _kept(file: Path, digest: str) -> TomlFile | None:
    """What an earlier process kept of a file with these bytes."""
    with suppress(OSError, ValueError, RecursionError, KeyError, TypeError):
        kept = json.loads(_place(file).read_bytes())
        if kept["sha256"] == digest and isinstance(kept["tables"], dict):
            return TomlFile(kept["tables"], digest, str(kept["passed"]))
    return None


def keep(file: Path, read: TomlFile, check: str) -> None:
    """Keep what was read of a file, and that it passed a version of a check."""
    if read.passed == check:
        return
    part = None
    with suppress(OSError, ValueError, TypeError):  # JSON cannot say dates, which TOML can
        text = json.dumps({"sha256": read.digest, "passed": check, "tables": read.tables})
        place = _place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=place.parent)
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(part, place)
        part = None
    if part is not None:
        with suppress(OSError):
            os.unlink(part)


def _place(file: Path) -> Path:
    """One place a file, so that old content does not pile up."""
    from platformdirs import user_cache_path

    named = os.environ.get("PVZOO_CACHE")
    folder = Path(named).expanduser() if named else user_cache_path("pvzoo", appauthor=False)
    name = sha256(str(file.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return folder / "catalogs" / f"{name}.json"
