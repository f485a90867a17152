"""``pvzoo predict --save-maps``: write the values of every pixel to files."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pvzoo.data.maps import encode_map
from pvzoo.errors import UsageError

if TYPE_CHECKING:
    from pvzoo.results.base import Result


def write_maps(result: Result, folder: Path, stem: str) -> list[Path]:
    """Write each array of a result that has the size of its image, and return the files.

    Whole numbers below 65,536 become a grey PNG, larger ones COCO's RGB (R + 256 G + 65536 B), and
    fractions a ``.npy`` file. The first file is named `stem`, the others `stem` and their own name.

    Raises:
        UsageError: The result has no such array.
    """
    written: list[Path] = []
    for field in fields(result):
        values = getattr(result, field.name)
        if not isinstance(values, np.ndarray) or values.shape != tuple(result.size):
            continue
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{stem}.{field.name}" if written else stem
        if np.issubdtype(values.dtype, np.integer):
            file = folder / f"{name}.png"
            file.write_bytes(encode_map(values))
        else:
            file = folder / f"{name}.npy"
            np.save(file, values)
        written.append(file)
    if not written:
        raise UsageError(f"Results of {result.task} have no maps.", "Use --save or --json.")
    return written
