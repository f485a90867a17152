"""The inputs of a shard, read ahead: a local path, or bytes, or the error of an input."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from pvzoo.errors import ImageError
from pvzoo.inputs import limits
from pvzoo.inputs.images import ImageHandle
from pvzoo.inputs.names import readable, shown
from pvzoo.jobs import tables, tars
from pvzoo.jobs.entries import Entry
from pvzoo.jobs.plan import Plan
from pvzoo.jobs.storage import Place, StorageError

AHEAD = 32
"""How many files of an object store are asked for at once: each takes tens of milliseconds."""

Item = tuple[str, ImageHandle | ImageError]
"""The name of an input, and what is known of it."""

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_WEB = ("http://", "https://")


def items(plan: Plan, entries: Iterable[Entry], *, allow_outside: bool = False) -> Iterator[Item]:
    """All inputs of a shard in their order, each exactly once.

    Args:
        plan: Of the job.
        entries: Of the shard.
        allow_outside: Whether paths in a table may lead out of its folder.
    """
    if plan.kind == "tars":
        for entry in entries:
            for name, found in tars.images(plan.base.at(entry.path)):
                yield name, found if isinstance(found, ImageError) else ImageHandle(found, name)
    elif plan.kind == "table":
        for entry in entries:
            yield from _rows(plan, entry, allow_outside)
    elif plan.kind == "files" and plan.base.local:
        for entry in entries:
            yield readable(entry.path), _of_path(entry.path)
    else:
        yield from _read_ahead(plan, entries, allow_outside)


def _rows(plan: Plan, entry: Entry, allow_outside: bool) -> Iterator[Item]:
    place = plan.base.at(entry.path)
    assert plan.column is not None
    for name, value in tables.images(place, plan.column, entry.start or 0, entry.stop or 0):
        if isinstance(value, ImageError):
            yield name, value
            continue
        row = value if isinstance(value, dict) else {"bytes": value}
        data, path = row.get("bytes"), row.get("path")
        if data is None and isinstance(path, bytes) and path:
            # a row of `datasets` that only names its file
            path = os.fsdecode(path)
            name = f"{name} {shown(path)}"
            yield name, _listed(place.parent, path, True, allow_outside)
        elif data is None and path:
            yield (
                name,
                _error(name, f"has the path {path!r:.40}, which is not text.", "Write text."),
            )
        elif data is None:
            yield name, _error(name, "is empty.", "Leave the row out.")
        else:
            yield name, ImageHandle(data, name)


def _read_ahead(plan: Plan, entries: Iterable[Entry], allow_outside: bool) -> Iterator[Item]:
    def read(path: str) -> Item:
        if plan.kind == "files":
            place = plan.base.at(path)
            return str(place), _of_place(place)
        return readable(path), _listed(plan.base, path, plan.foreign, allow_outside)

    waiting: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(AHEAD, thread_name_prefix="pvzoo-fetch") as pool:
        try:
            for entry in entries:
                waiting.append(pool.submit(read, entry.path))
                if len(waiting) >= AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _listed(base: Place, path: str, foreign: bool, allow_outside: bool) -> ImageHandle | ImageError:
    """What a path means that somebody wrote into a list or a table.

    A list is the user's own, so its paths may lead anywhere. A table may be a stranger's: its paths
    stay in the folder of the table.
    """
    name = shown(path)
    if not path.strip():
        return _error("the row", "has no path.", "Leave it out.")
    if foreign and not allow_outside and not _is_inside(path):
        return _error(
            name,
            "leads out of the folder of its table.",
            "If you trust the table, pass allow_outside=True, or --allow-outside.",
        )
    if path.lower().startswith(_WEB):
        return _handle(path, name)
    try:
        if _ADDRESS.match(path):
            return _of_address(path, name)
        if base.local:
            return _of_path(os.path.join(base.path, path), path)
        return _of_place(base / path, path)
    except ImageError as error:
        return error


def _of_address(path: str, name: str) -> ImageHandle | ImageError:
    try:
        place = Place.of(path)
        with suppress(OSError):  # of a store that fails; reading tries again
            _ = place.fs
    except StorageError as error:  # nothing can ever be read there
        return ImageError(f"{name}: {error.what}", error.hint, source=name)
    return _of_place(place, path)


def _is_inside(path: str) -> bool:
    parts = path.replace("\\", "/").split("/")
    return not (_ADDRESS.match(path) or parts[0] in ("", "~") or ".." in parts or ":" in parts[0])


def _of_path(path: str, name: str | None = None) -> ImageHandle:
    """A local file, which the threads that decode images read."""
    return ImageHandle(Path(path), readable(name or path))


def _of_place(place: Place, name: str | None = None) -> ImageHandle | ImageError:
    """A file of any file system; an object store's is read here, a local one where it is decoded.

    Raises:
        StorageError: The store fails again and again: no image is to blame for that.
    """
    if place.local:
        return _of_path(place.path, name)
    called = shown(name or str(place))
    try:
        data = place.read(limits.MAX_BYTES + 1)
    except FileNotFoundError:
        return _error(called, "does not exist.", "Check the path.")
    except OSError as error:
        return _error(called, f"cannot be read ({shown(str(error))}).", "Check the path.")
    return ImageHandle(data, called)


def _handle(source: Any, name: str) -> ImageHandle | ImageError:
    try:
        return ImageHandle.of(source)
    except ImageError as error:
        return ImageError(error.what, error.hint, source=name)


def _error(name: str, what: str, hint: str) -> ImageError:
    return ImageError(f"{name} {what}", hint, source=name)
