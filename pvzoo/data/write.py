"""`write`: canonical datasets as files that other tools read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.data.copies import Parts
from pvzoo.data.formats.base import Format
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
    | voc | detection, instance | `Annotations/`, `JPEGImages/`, `ImageSets/Main/train.txt` | crowds, ids, areas; the order of the classes, which is that of their names; splits but train, validation and test; spaces in names of images |
    | cvat | detection, instance, classification | `annotations.xml`, `labels.json`, `images/train/` | crowds, objects to ignore, ids, areas, a box that is not that of its mask |
    | label-studio | detection, instance, classification | `tasks_train.json`, `label_config.xml`, `images/train/` | the same |
    | folder | classification | `train/<class>/`; with several labels an image `train/metadata.jsonl` | ids; the order of the classes, which is that of their names |
    | folder | semantic | `id2label.json`, `images/train/`, `masks/train/` | ids |

    A `Dataset` has no level of splits: `annotations/instances.json` with `images/`,
    `annotations/panoptic.json` with `data/`, `images/` with `labels/` or `masks/`, `<class>/`.

    Images are copied byte for byte under their file names, without the folders that all of them are
    in; a name that would leave the folder or is taken, with any suffix, is changed. Boxes and masks
    are in the upright image, also where its file says by EXIF that it has to be turned: tools
    that ignore EXIF will not see them in place. Labels with mistakes are written as they are, but
    for objects without a box or class, lists of different lengths and damaged masks: no file has a
    place for those, and they are refused. Labels that are null are none. Predictions, which have
    a column ``scores``, are written with them as coco, cvat and label-studio.

    Args:
        data: Of one task.
        folder: Must not exist or be empty. It appears when all is written, or not at all.
        format: A name of the table, or of a plugin's format.
        progress: Called with the number of images written and that of all.

    Returns:
        The folder.

    Raises:
        DataError: The format has no place for the task or the labels of an image, an image cannot
            be read, or the folder cannot be written.
        UsageError: There is no such format.
    """  # noqa: E501
    from datasets import DatasetDict

    splits: Mapping[str | None, Dataset]
    splits = {**data} if isinstance(data, DatasetDict) else {None: data}
    named(format)
    parts = Parts.of(splits, progress)
    writer = writer_of(format, parts.task)
    target = Path(folder).expanduser()
    with _new_folder(target) as work:
        writer.write(parts, work)
    return target


def named(format: str) -> list[type[Format]]:
    """The formats of a name that can be written, each for other tasks.

    Raises:
        UsageError: There is none.
    """
    indices = [form for form in formats() if form.writes]
    if found := [form for form in indices if form.name == format]:
        return found
    names = sorted({form.name for form in indices})
    raise UsageError(
        f"There is no format {format!r}.", nearest(format, names) or f"Known: {', '.join(names)}."
    )


def writer_of(format: str, task: str) -> type[Format]:
    """The format of a name that labels of a task are written in.

    Raises:
        UsageError: There is no format of that name.
        DataError: It has no place for them.
    """
    writer = next((form for form in named(format) if task in form.writes), None)
    if writer is None:
        fitting = sorted({form.name for form in formats() if task in form.writes})
        raise DataError(
            f"The format {format} has no place for labels of {task}.",
            f"Write them as {' or '.join(fitting)}.",
        )
    return writer


def check_new(target: Path) -> None:
    """Raise a `DataError` if a folder is there and not empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(
            f"{target} exists and is not empty.", "Choose a new folder, or remove that one."
        )


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that takes its place when the block ends, and leaves nothing if it fails."""
    try:
        check_new(target)
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
