"""`load`: read labelled data in any common format into canonical `datasets`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data.archives import is_archive, unpacked
from pvzoo.data.files import Split, exists, split_name
from pvzoo.data.formats import of_datasets, recognised
from pvzoo.data.formats.base import DataSource
from pvzoo.data.paths import Area
from pvzoo.data.schema import SEMANTIC, labelled, task_of
from pvzoo.errors import DataError, UsageError, nearest, short
from pvzoo.extras import needs
from pvzoo.inputs.names import expand
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling, fault_of
from pvzoo.tasks.base import Task

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_ORDER = {"train": 1, "validation": 2, "test": 3}


def load(
    source: Any,
    task: str | None = None,
    *,
    split: str | None = None,
    reduce_labels: bool = False,
    allow_outside: bool = False,
) -> Dataset | DatasetDict:
    """Load labelled data as canonical datasets (see `pvzoo.data.schema`), memory-mapped.

    Args:
        source: One of

            * a file or folder in one of the formats of `docs/data.md`, recognised by its contents,
              or in a form of `datasets`: `save_to_disk`, Parquet files, metadata of images;
            * a zip or tar file with any of these;
            * a dataset of the Hub, ``owner/name`` or ``owner/name:config``;
            * the name of a dataset in an installed plugin;
            * a `datasets.Dataset`, `DatasetDict`, `IterableDataset` or `IterableDatasetDict` in
              the Hub's usual columns.
        task: The task to read the labels for, such as "object-detection" or just "detection"; by
            default the task that they belong to. Masks can be read as boxes, and panoptic labels
            as labels of any other dense task.
        split: The one split to return.
        reduce_labels: For semantic labels in which 0 is void and the value k means the k-th class,
            counted from 1, as in ADE20K.
        allow_outside: Whether paths in label files may lead to any file of this computer, not only
            into the folder that is read and the folders beside it. Only for labels that you trust.

    Returns:
        A DatasetDict if the source has named splits and `split` is None, else a Dataset. A file
        or folder called val, valid or dev is the split "validation".

    Raises:
        DataError: The source is not found, is in no known format or in several, is damaged, has
            labels of another task, or names files elsewhere. Labels with impossible *values* are
            not an error here: `pvzoo.data.check` finds them.
        HubError: The Hub cannot be reached, or refuses.
        UsageError: There is no such task or split.
    """
    needs("Labelled data", "datasets")
    own = labelled(task) if task is not None else None
    task = own.id if own else None
    if isinstance(source, (str, os.PathLike)):
        if not str(source):
            raise DataError("The name of the data is empty.", "Pass '.' for the current folder.")
        path = expand(Path(source))
        if _is_of_plugin(str(source)) and not exists(path):
            dataset = registry.get("datasets", str(source))(task, split)
            if not isinstance(dataset, dict):
                split = None  # the plugin returned that split
        elif not exists(path):
            dataset = _from_hub(str(source))
        else:
            with _readable(path):
                path = unpacked(path) if is_archive(path) else path
                area = Area.of(path, allow_outside=allow_outside)
                dataset = of_datasets.opened(path, area)
                if dataset is None:
                    found = _own_files(own, path) if own else []
                    found = found or recognised.splits(DataSource(path, area, reduce_labels), task)
                    found = sorted(found, key=lambda part: _ORDER.get(part.name or "", 0))
                    return _read(found, path, task, split, reduce_labels)
    else:
        _check_type(source)
        dataset = source
    from pvzoo.data.columns import canonical

    if split is not None:
        names = [str(name) for name in dataset] if isinstance(dataset, dict) else []
        split = _named(split, names, source)
    return canonical(dataset, task, split=split, reduce_labels=reduce_labels)


def _check_type(source: Any) -> None:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if not isinstance(source, (Dataset, DatasetDict, IterableDataset, IterableDatasetDict)):
        raise DataError(
            f"A {type(source).__name__} is not labelled data that pvzoo can read.",
            "Make it a dataset first, with datasets.Dataset.from_list or from_dict."
            if isinstance(source, (list, tuple, dict))
            else "Pass a path, the id of a dataset on the Hub, or a datasets.Dataset.",
        )


def _named(split: str, names: Sequence[str], source: Any) -> str:
    """The split with this name; "val" also means "validation", as it does for folders."""
    for name in (split, split_name(split)):
        if name is not None and name in names:
            return name
    raise _no_split(split, names, source)


def _no_split(split: str, names: Sequence[str], source: Any) -> UsageError:
    what = str(source) if isinstance(source, (str, os.PathLike)) else "The dataset"
    hint = f"It has {', '.join(names)}." if names else "It has no splits: leave split out."
    return UsageError(f"{what} has no split {split!r}.", hint)


# --- plugins --------------------------------------------------------------------------------------


def _is_of_plugin(name: str) -> bool:
    return registry.split_name(name)[1] in registry.names("datasets")


# --- the Hub --------------------------------------------------------------------------------------

_HUB_ID = re.compile(r"\w[\w.-]*/\w[\w.-]*(:[\w.-]+)?")


def _from_hub(name: str) -> Any:
    """The Hub dataset ``owner/name`` or ``owner/name:config``, from the cache if it is there."""
    if not _HUB_ID.fullmatch(name):
        raise _no_source(name)
    from datasets import load_dataset

    from pvzoo.hub.errors import NoRepo, explained_dataset

    repo, _, config = name.partition(":")
    try:
        with explained_dataset(repo):
            return load_dataset(repo, config or None)
    except NoRepo as error:
        raise _no_source(repo) from error


def _no_source(name: str) -> DataError:
    hint = (
        f"Check the path (the current folder is {Path.cwd()}). The id of a dataset on the Hub is "
        "owner/name or owner/name:config."
    )
    return DataError(
        f"{name!r} is neither a file or folder here nor the id of a dataset on the Hub.",
        nearest(name, registry.names("datasets")) or hint,
    )


# --- files and folders ----------------------------------------------------------------------------


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn errors of the disk or the memory into a `DataError` that names the data."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}).",
            "Check its permissions, and the free space on the disk.",
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{path} cannot be read: there is not enough memory.",
            "Look for numbers in its labels that are far too large, or read a part of it.",
        ) from error


def _own_files(task: Task, path: Path) -> list[Split]:
    """The splits of a folder in a format of this task only."""
    with calling(task, "find_files"):
        found = [*task.find_files(path)]
    if wrong := [part for part in found if not isinstance(part, Split)]:
        raise fault_of(task, "find_files", f"returned {short(wrong[0])} in place of a Split")
    return [recognised.guarded(task, part) for part in found]


def _read(
    parts: Sequence[Split], path: Path, task: str | None, split: str | None, reduce_labels: bool
) -> Dataset | DatasetDict:
    """The splits of a file or folder as datasets of the task, or the split that is asked for."""
    names = [part.name for part in parts if part.name]
    if split is not None:
        split = _named(split, names, path)
    chosen = [part for part in parts if split in (None, part.name)]
    read = {part.name: part.read(task) for part in chosen}
    found = task_of(next(iter(read.values())).features)
    if reduce_labels and found != SEMANTIC:
        raise DataError(
            f"reduce_labels is only for semantic masks, but {path} has {found} labels.",
            "Leave reduce_labels out.",
        )
    from datasets import DatasetDict

    if task not in (None, found):
        from pvzoo.data.convert_task import convert_task

        # all splits at once, so that the classes are the same
        read |= {part.name: part.read(task) for part in parts if part not in chosen}
        read = convert_task(
            DatasetDict({name or "": dataset for name, dataset in read.items()}), task
        )
        read = {name or None: dataset for name, dataset in read.items()}
    return DatasetDict(read) if split is None and names else read[split]
