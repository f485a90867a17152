"""`write`: canonical datasets as files that other tools read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.data.copies import Parts
from pvzoo.data.formats.recognised import formats
from pvzoo.errors import DataError, UsageError, nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def write(
    data: Dataset | DatasetDict,
    folder: str | Path,
    format: str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a canonical dataset to a new folder, in a form that `pvzoo.data.load` reads too.

    | format | task | files, for a split called train | what it cannot say |
    | --- | --- | --- | --- |
    | coco | detection, instance | `annotations/instances_train.json`, `train/` | |
    | coco | panoptic | `annotations/panoptic_train.json`, PNGs in `annotations/panoptic_train/`, `train/` | |
    | yolo | detection, instance | `data.yaml`, `images/train/`, `labels/train/` | crowds, objects to ignore, ids, areas, and a box that is not that of its mask |
    | folder | classification | `train/<class>/`; with several labels an image `train/metadata.jsonl` | ids; the order of the classes, which is that of their names |
    | folder | semantic | `id2label.json`, `images/train/`, `masks/train/` | ids |

    A `Dataset` has no level of splits: `annotations/instances.json` with `images/`,
    `annotations/panoptic.json` with `data/`, `images/` with `labels/` or `masks/`, `<class>/`.

    Images are copied byte for byte under their file names, without the folders that all of them are
    in; a name that would leave the folder or is taken, with any suffix, is changed. Boxes and masks
    are in the upright picture, also where its file says by EXIF that it has to be turned: tools
    that ignore EXIF will not see them in place. Labels with mistakes are written as they are, but
    for objects without a box or class, lists of different lengths and damaged masks: no file has a
    place for those, and they are refused. Labels that are null are none.

    Args:
        data: Of one task.
        folder: Must not exist or be empty. It appears when all is written, or not at all.
        format: "coco", "yolo" or "folder".
        progress: Called with the number of images written and that of all.

    Returns:
        The folder.

    Raises:
        DataError: The format has no place for the task or the labels of an image, an image cannot
            be read, or the folder cannot be written.
        UsageError: There is no such format.
    """  # noqa: E501
    from datasets import DatasetDict

    places = [form for form in formats() if form.writes]
    names = sorted({form.name for form in places})
    if format not in names:
        raise UsageError(
            f"There is no format {format!r}.", nearest(format, names) or ", ".join(names)
        )
    splits: Mapping[str | None, Dataset]
    splits = {**data} if isinstance(data, DatasetDict) else {None: data}
    parts = Parts.of(splits, progress)
    fitting = {form.name: form for form in places if parts.task in form.writes}
    if format not in fitting:
        raise DataError(
            f"The format {format} has no place for labels of {parts.task}.",
            f"Write them as {' or '.join(fitting)}.",
        )
    target = Path(folder).expanduser()
    with _new_folder(target) as work:
        fitting[format].write(parts, work)
    return target


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that takes its place when the block ends, and leaves nothing if it fails."""
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise DataError(
                f"{target} exists and is not empty.", "Choose a new folder, or remove that one."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error}).", "Choose another.") from error
    try:
        work = beside / "work"  # mkdtemp's own folder may be entered by nobody else
        work.mkdir()
        yield work
        if target.exists():
            target.rmdir()
        work.rename(target)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error}).", "Make room, or choose another folder."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
