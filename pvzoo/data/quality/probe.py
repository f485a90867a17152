"""Look at the images and maps of a dataset, one by one; threads decode a few of them ahead."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.quality.report import Size
from pvzoo.data.schema import label_columns
from pvzoo.errors import DataError, ImageError
from pvzoo.inputs.encoded import header
from pvzoo.inputs.images import ImageHandle

if TYPE_CHECKING:
    from datasets import Dataset

    from pvzoo.data.quality.tasks.base import LabelCheck


@dataclass(frozen=True)
class Look:
    """What is known about an image and its map once both are decoded.

    Attributes:
        problem: Why one of them cannot be read; the other attributes then mean nothing.
        raw: Size of the stored pixels.
        upright: Size of the image turned upright.
        orientation: The EXIF orientation, 1 to 8.
        digest: Digest of the upright pixels.
        map_size: Size of the map.
        seen: What the task's check needs from the values of the map (`LabelCheck.seen_in`); for
            classes and segments, the values that occur and how many pixels each has.
        map_digest: Digest of the values of the map.
    """

    problem: str = ""
    raw: Size = (0, 0)
    upright: Size = (0, 0)
    orientation: int = 1
    digest: bytes = b""
    map_size: Size = (0, 0)
    seen: Any = None
    map_digest: bytes = b""


def _look(image: Any, cell: Any, check: LabelCheck) -> Look:
    try:
        handle = ImageHandle.of(image)
        opened = handle.open()
        raw, orientation = header(handle.data, opened.size)
        digest = digest_of(opened.mode, opened.size, np.asarray(opened))
        look = Look(raw=raw, upright=opened.size, orientation=orientation, digest=digest)
        if check.map is None:
            return look
        if cell is None:
            return Look("has no map of its labels")
        values = check.read_map(cell)
    except ImageError as error:
        return Look(error.what.removeprefix(error.source).strip())
    except (DataError, OSError) as error:  # OSError: the file was deleted meanwhile
        return Look(str(getattr(error, "what", error)))
    return replace(
        look,
        map_size=(values.shape[1], values.shape[0]),
        seen=check.seen_in(values),
        map_digest=digest_of(values.shape, values),
    )


def digest_of(*parts: Any) -> bytes:
    """A digest of 16 bytes of arrays, and of anything else by its `repr`."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).data)
        else:
            digest.update(repr(part).encode())
    return digest.digest()


def looks(dataset: Dataset, check: LabelCheck) -> Iterator[tuple[int, dict[str, Any], Look]]:
    """Each row of a canonical dataset: its number, its labels, and the look at image and map."""
    from pvzoo.data.derive import rows

    columns = [*label_columns(dataset.features), "image", *([check.map] if check.map else [])]
    workers = min(8, os.cpu_count() or 1)
    waiting: deque[tuple[int, dict[str, Any], Future[Look]]] = deque()
    with ThreadPoolExecutor(workers, "pvzoo-check") as pool:
        for number, row in enumerate(rows(dataset, columns)):
            image, cell = row.pop("image"), row.pop(check.map or "", None)
            waiting.append((number, row, pool.submit(_look, image, cell, check)))
            if len(waiting) > 4 * workers:
                number, row, look = waiting.popleft()
                yield number, row, look.result()
        for number, row, look in waiting:
            yield number, row, look.result()
