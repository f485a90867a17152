"""Read and check labelled depth."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pvzoo.data.files import Split, folders, image_cell, images, relative, split_name
from pvzoo.data.maps import open_map
from pvzoo.data.quality import rules
from pvzoo.data.quality.rules import Rule
from pvzoo.data.quality.tasks.base import LabelCheck, Sample, size_in_words
from pvzoo.data.schema import features
from pvzoo.data.store import write
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

NO_DEPTH = Rule(
    "no-depth", "error", "No pixel of these images has a known depth.", "Leave them out."
)
UNIT = Rule(
    "depth-unit",
    "warning",
    "Everything in these images is nearer than 0.2 m or farther than 1 km.",
    "Save integers in millimetres, and floats in metres.",
)


def read_depth(cell: Any, name: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """The depth of an image in metres, (height, width) float32; NaN where it is not known.

    Integers (a 16-bit PNG) are millimetres; floats (a TIFF, which `splits` makes of .npy) are
    metres. Zero and NaN mean that the depth is not known.

    Args:
        cell: The value of an Image column, decoded or not.
        name: The name of the image, for messages.
        size: (width, height) to scale the depth to, by nearest neighbour.

    Raises:
        DataError: The depth cannot be read, or has colours.
    """
    image = cell if isinstance(cell, Image.Image) else open_map(cell, f"The depth of {name}")
    values = np.asarray(image if size is None else image.resize(size, Image.Resampling.NEAREST))
    if values.ndim != 2:
        raise DataError(f"The depth of {name} is a colour image.", "Save it as a 16-bit grey PNG.")
    metres = values.astype(np.float32)
    if values.dtype.kind != "f":
        metres *= np.float32(0.001)
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.float32(np.nan))


def depth_cell(metres: np.ndarray) -> dict[str, Any]:
    """An Image cell of a (height, width) array of metres, as a TIFF of float32."""
    file = io.BytesIO()
    Image.fromarray(metres.astype(np.float32)).save(file, "TIFF")
    return {"path": None, "bytes": file.getvalue()}


def splits(folder: Path) -> list[Split]:
    """The splits of a folder with ``images/`` next to ``depth/``, or of folders of splits.

    The depth of ``images/a/1.jpg`` is ``depth/a/1.png``, a 16-bit PNG in millimetres, or
    ``depth/a/1.npy``, an array in metres.
    """
    named = {split_name(f.name): f for f in folders(folder) if split_name(f.name)}
    return [
        Split(name, partial(_read, folder, place))
        for name, place in (named or {None: folder}).items()
        if (place / "images").is_dir() and (place / "depth").is_dir()
    ]


def _read(root: Path, place: Path, task: str | None) -> Dataset:
    pairs = [(image, _depth_of(image, place)) for image in images(place / "images")]

    def rows() -> Iterator[dict[str, Any]]:
        for number, (image, depth) in enumerate(pairs):
            yield {
                "image": image_cell(image),
                "image_id": number,
                "file_name": relative(image, root),
                "depth": depth_cell(_array(depth)) if depth.suffix == ".npy" else image_cell(depth),
            }

    files = [file for pair in pairs for file in pair]
    return write(rows, features("depth-estimation"), files, "depth", str(root))


def _depth_of(image: Path, place: Path) -> Path:
    found = place / "depth" / image.relative_to(place / "images")
    for suffix in (".png", ".npy"):
        if (file := found.with_suffix(suffix)).is_file():
            return file
    raise DataError(
        f"{image} has no depth {found.with_suffix('.png')} or .npy.", "Add one of these files."
    )


def _array(file: Path) -> np.ndarray:
    try:
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file} cannot be read ({error}).", "Save it with numpy.save.") from error
    if not (isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu"):
        raise DataError(
            f"{file} is not an array of numbers.", "Save a (height, width) array of numbers."
        )
    return values


class DepthCheck(LabelCheck):
    """Checks the size of the depth, that some depth is known, and its unit."""

    map = "depth"

    def read_map(self, cell: Any) -> np.ndarray:
        """`read_depth`."""
        return read_depth(cell, "the image")

    def seen_in(self, values: np.ndarray) -> tuple[float, float] | None:
        """The smallest and the largest depth; None if no depth is known."""
        known = values[np.isfinite(values)]
        return (float(known.min()), float(known.max())) if known.size else None

    def check(self, sample: Sample) -> None:
        """See the class."""
        look = sample.look
        if look.map_size != look.upright:
            size = "{} x {}".format(*look.map_size)
            sample.note(rules.MASK_SIZE, f": the depth is {size}, {size_in_words(look.upright)}")
        if look.seen is None:
            sample.note(NO_DEPTH)
        elif look.seen[1] < 0.2 or look.seen[0] > 1000:
            sample.note(UNIT, ": {:.3g} to {:.3g} m".format(*look.seen))
