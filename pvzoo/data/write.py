"""`write`: write canonical datasets as files that other tools read."""

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
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling

if TYPE_CHECKING:
    from datasets import Dataset


def write(
    data: Dataset | Mapping[str, Dataset],
    folder: str | Path,
    format: str,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a canonical dataset to a new folder, in a format that `pvzoo.data.load` reads too.

    | format | task | files, for a split called train | what it cannot store |
    | --- | --- | --- | --- |
    | coco | detection, instance | `annotations/instances_train.json`, `train/` | |
    | coco | panoptic | `annotations/panoptic_train.json`, PNGs in `annotations/panoptic_train/`, `train/` | |
    | yolo | detection, instance | `data.yaml`, `images/train/`, `labels/train/` | crowds, objects to ignore, ids, areas, and boxes that differ from their masks |
    | voc | detection, instance | `Annotations/`, `JPEGImages/`, `ImageSets/Main/train.txt` | crowds, ids, areas; the order of the classes, which becomes alphabetical; splits other than train, validation and test; spaces in names of images |
    | cvat | detection, instance, classification | `annotations.xml`, `labels.json`, `images/train/` | crowds, objects to ignore, ids, areas, and boxes that differ from their masks |
    | label-studio | detection, instance, classification | `tasks_train.json`, `label_config.xml`, `images/train/` | the same |
    | folder | classification | `train/<class>/`; with several labels per image `train/metadata.jsonl` | ids; the order of the classes, which becomes alphabetical |
    | folder | semantic | `id2label.json`, `images/train/`, `masks/train/` | ids |

    A `Dataset` has no splits and is written as `annotations/instances.json` with `images/`,
    `annotations/panoptic.json` with `data/`, `images/` with `labels/` or `masks/`, or `<class>/`.

    Images are copied byte for byte under their file names, without the folders that they have in
    common. A name is changed if it leads out of the folder, or if it is taken, with any suffix.

    Boxes and masks belong to the upright image, even if the EXIF of its file rotates it; tools that
    ignore EXIF then show them in the wrong place. Labels with mistakes are written as they are,
    with three exceptions that are refused because no file can store them: objects without a box or
    class, lists of different lengths, and damaged masks. Null labels count as no labels. Scores of
    predictions, in a column ``scores``, are written to coco, cvat and label-studio.

    Args:
        data: A dataset of one task, or datasets by the names of their splits.
        folder: A folder that does not exist or is empty. It appears when everything is written, or
            not at all.
        format: A format in the table, or a plugin's format.
        progress: Called with the number of images written, and of all images.

    Returns:
        The folder.

    Raises:
        DataError: The format cannot store the task or the labels of an image, an image cannot be
            read, or the folder cannot be written.
        UsageError: There is no such format, or the data is not a dataset.
    """  # noqa: E501
    from datasets import Dataset

    splits: Mapping[str | None, Dataset] = (
        {**data} if isinstance(data, Mapping) else {None: data}  # type: ignore[dict-item]
    )
    if wrong := [type(one).__name__ for one in splits.values() if not isinstance(one, Dataset)]:
        raise UsageError(
            f"write does not take a {wrong[0]}.",
            "Pass a dataset, or a dict of datasets by split, as pvzoo.data.load returns them.",
        )
    named(format)
    parts = Parts.of(splits, progress)
    writer = writer_of(format, parts.task)
    target = Path(folder).expanduser()
    with _new_folder(target) as work, calling(writer, "write", lets=(OSError,)):
        writer.write(parts, work)
    return target


def named(format: str) -> list[type[Format]]:
    """The formats with this name that can be written, each for other tasks.

    Raises:
        UsageError: There is no such format.
        PluginError: The plugin that brings the format cannot be loaded.
    """
    indices = [form for form in formats() if form.writes]
    if found := [form for form in indices if form.name == format]:
        return found
    for part in registry.parts("formats"):
        if part.name == format or part.dist == format:
            registry.load_part(part)  # its plugin failed to load: this says why
    names = sorted({form.name for form in indices})
    hint = nearest(format, names) or f"Choose one of: {', '.join(names)}."
    for dist, fault in registry.failures("formats").items():
        hint += f" The plugin {dist} may bring others: {fault.what}"
    raise UsageError(f"There is no format {format!r}.", hint)


def writer_of(format: str, task: str) -> type[Format]:
    """The format with this name that can write labels of a task.

    Raises:
        UsageError: There is no format with this name.
        DataError: The format cannot store such labels.
    """
    writer = next((form for form in named(format) if task in form.writes), None)
    if writer is None:
        fitting = sorted({form.name for form in formats() if task in form.writes})
        raise DataError(
            f"The format {format} cannot store labels of {task}.",
            f"Write them as {' or '.join(fitting)}."
            if fitting
            else "No installed format has a place for them: save the data with "
            "datasets' save_to_disk.",
        )
    return writer


def check_new(target: Path) -> None:
    """Raise a `DataError` if a folder exists and is not empty."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(
            f"{target} exists and is not empty.", "Choose a new folder, or remove that one."
        )


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder that is moved to `target` when the block ends; nothing is left if it fails."""
    try:
        check_new(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise DataError(f"{target} cannot be written ({error}).", "Choose another.") from error
    try:
        work = beside / "work"  # only the owner may enter mkdtemp's own folder
        work.mkdir()
        yield work
        if target.exists():
            target.rmdir()
        work.rename(target)
    except OSError as error:
        raise DataError(
            f"{target} cannot be written ({error}).", "Free some space, or choose another folder."
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
