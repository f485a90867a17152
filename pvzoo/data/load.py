"""`load`: labelled data in any common form -> canonical `datasets`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import coco, files, folders, panoptic, voc, yolo
from pvzoo.data.files import Split, entries, listing, split_name
from pvzoo.data.schema import DETECTION, INSTANCE, PANOPTIC, SEMANTIC, TASKS, VOID, task_of
from pvzoo.errors import DataError, HubError, nearest

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_FORMATS = {
    "COCO": (coco.splits, (DETECTION, INSTANCE)),
    "COCO panoptic": (panoptic.splits, (PANOPTIC, SEMANTIC)),
    "YOLO": (yolo.splits, (DETECTION, INSTANCE)),
    "Pascal VOC": (voc.splits, (DETECTION, INSTANCE, SEMANTIC)),
    "images and masks": (folders.mask_splits, (SEMANTIC,)),
}
"""How each format is recognised, and the tasks that its labels are of."""

_LOOKED_FOR = (
    "Looked for: COCO (a JSON with images, annotations and categories), YOLO (a data.yaml with "
    "names), Pascal VOC (XML files in Annotations/), folders of masks (images/ and masks/), "
    "folders of classes (class/image.jpg), a metadata.csv, and what Dataset.save_to_disk writes."
)


def load(
    source: Any,
    task: str | None = None,
    *,
    split: str | None = None,
    reduce_labels: bool = False,
) -> Dataset | DatasetDict:
    """Labelled data as canonical datasets (see `pvzoo.data.schema`), memory-mapped.

    Args:
        source: One of

            * a file or folder in a format recognised by its contents: COCO (detection, instance,
              panoptic), YOLO, Pascal VOC, folders of images and masks, folders of classes,
              datasets' own ``metadata.csv`` or ``.jsonl`` folders, or what `save_to_disk` wrote;
            * a dataset of the Hub, ``owner/name`` or ``owner/name:config``;
            * a `datasets.Dataset`, `DatasetDict`, `IterableDataset` or `IterableDatasetDict` in
              the Hub's usual columns.
        task: What to read the labels as; by default the one they are of. Masks can be read as
            boxes, panoptic labels as those of any other dense task.
        split: The one split to return.
        reduce_labels: For semantic labels in which 0 is void and the value k stands for the k-th
            class, counted from 1, as in ADE20K.

    Returns:
        A DatasetDict if the source has named splits and `split` is None, else a Dataset. A file
        or folder called val, valid or dev is the split "validation".

    Raises:
        DataError: The source is not found, in no or several of the formats, damaged, or not of
            the task. Labels with impossible *values* are no error here: `pvzoo.data.check` finds
            them.
        HubError: The Hub cannot be reached, or refuses.
    """
    if task is not None and task not in TASKS:
        raise DataError(
            f"There is no task {task!r}.", nearest(task, TASKS) or f"Tasks: {', '.join(TASKS)}."
        )
    parts = _parts(source, task)
    if split is not None:
        parts = [_pick(parts, split, source)]
    read = {part.name: _as_task(part.read(task), task) for part in parts}
    if reduce_labels:
        read = {name: _reduced(dataset) for name, dataset in read.items()}
    if split is not None or set(read) == {None}:
        return next(iter(read.values()))
    from datasets import DatasetDict

    return DatasetDict(read)


def _pick(parts: Sequence[Split], name: str, source: Any) -> Split:
    for part in parts:
        if part.name == name:
            return part
    names = [part.name for part in parts if part.name]
    there = f"It has {', '.join(names)}." if names else "It is not split: leave split out."
    raise DataError(f"{_short(source)} has no split {name!r}.", there)


def _as_task(dataset: Dataset, task: str | None) -> Dataset:
    if task is None or task_of(dataset.features) == task:
        return dataset
    from pvzoo.data.retask import retask

    return retask(dataset, task)


def _parts(source: Any, task: str | None) -> list[Split]:
    """The splits of any source, not read yet."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(source).expanduser()
        if path.exists():
            return _path_parts(path, task)
        return _dataset_parts(_from_hub(str(source)))
    return _dataset_parts(source)


# --- datasets -------------------------------------------------------------------------------------


def _dataset_parts(source: Any) -> list[Split]:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(source, (DatasetDict, IterableDatasetDict)):
        if not source:
            raise DataError("The DatasetDict is empty.", "Give it at least one split.")
        named: dict[str | None, Any] = {**source}
    elif isinstance(source, (Dataset, IterableDataset)):
        named = {None: source}
    else:
        kind = type(source).__name__
        raise DataError(
            f"A {kind} is no labelled data that pvzoo knows.",
            "Make it a dataset first, with datasets.Dataset.from_list or from_dict."
            if isinstance(source, (list, tuple, dict))
            else "Pass a path, the id of a dataset on the Hub, or a datasets.Dataset.",
        )
    from pvzoo.data.columns import canonical

    return [Split(name, partial(canonical, dataset)) for name, dataset in named.items()]


def _reduced(dataset: Dataset) -> Dataset:
    """The semantic dataset with each class one value higher in the map, and 0 void."""
    if task_of(dataset.features) != SEMANTIC:
        raise DataError("reduce_labels is for semantic masks.", "Leave it out.")
    from datasets import Image

    def shift(segments: dict[str, list[int]]) -> dict[str, Any]:
        ids, categories = segments["id"], segments["category"]
        return {
            "segments": {"id": [0, *(i + 1 for i in ids)], "category": [VOID, *categories]},
        }

    columns = dataset.features
    for name in ("image", "annotation"):  # or map would decode them
        dataset = dataset.cast_column(name, Image(decode=False))
    return dataset.map(shift, input_columns=["segments"]).cast(columns)


# --- the Hub --------------------------------------------------------------------------------------

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(:[\w.-]+)?")


def _from_hub(name: str) -> Any:
    if not _HUB_ID.fullmatch(name):
        raise DataError(
            f"{name!r} is neither a file or folder here nor the id of a dataset on the Hub.",
            f"Check the path (here is {Path.cwd()}); a Hub id reads owner/name or "
            "owner/name:config.",
        )
    from datasets import load_dataset

    repo, _, config = name.partition(":")
    with _explained(repo):
        return load_dataset(repo, config or None)


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn what `datasets` raises about a Hub dataset into a `PvzooError` with the way out."""
    from datasets.exceptions import (
        DataFilesNotFoundError,
        DatasetBuildError,
        DatasetNotFoundError,
        DatasetsError,
    )
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError, HTTPError

    page = f"{constants.ENDPOINT}/datasets/{repo}"
    try:
        yield
    except DataFilesNotFoundError as error:
        raise DataError(
            f"The Hub dataset {repo} has no files that datasets can read.",
            f"See {page}/tree/main for what it holds; download it and load the folder.",
        ) from error
    except DatasetNotFoundError as error:
        if "gated" in str(error):
            raise HubError(
                f"The Hub dataset {repo} is gated: its authors want to be asked first.",
                f"Ask for access at {page}, then log in with 'hf auth login' or set HF_TOKEN.",
            ) from error
        raise DataError(
            f"There is no file or folder {repo} here (in {Path.cwd()}), and the Hub has no dataset "
            "of that name, or it is private and you are not logged in.",
            "Check the spelling; for a private dataset run 'hf auth login' or set HF_TOKEN.",
        ) from error
    except DatasetBuildError as error:
        raise DataError(
            f"The Hub dataset {repo} cannot be read ({error.__cause__ or error}).",
            f"See {page} for whether its files are sound.",
        ) from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        refused = status in (401, 403)
        raise HubError(
            f"The Hub answered {status} while asked for the dataset {repo}.",
            "Mend or unset HF_TOKEN, or log in again with 'hf auth login'."
            if refused
            else "Try again later.",
        ) from error
    except (HTTPError, ConnectionError, TimeoutError) as error:
        raise HubError(
            f"{repo} is no file or folder here, and the Hub ({constants.ENDPOINT}) cannot be "
            f"reached to look for a dataset of that name ({error}).",
            "Check the path, or load it once with the Hub in reach: then the cache has it.",
        ) from error
    except ValueError as error:  # an unknown config, or none named where there are several
        if "onfig" not in str(error):
            raise
        raise DataError(
            f"The Hub dataset {repo}: {str(error).splitlines()[0]}", f"Write {repo}:config."
        ) from error
    except (DatasetsError, OSError, RuntimeError) as error:  # loading scripts; a full disk
        raise DataError(
            f"The Hub dataset {repo} cannot be loaded ({error}).", f"See {page}."
        ) from error


# --- files and folders ----------------------------------------------------------------------------


def _path_parts(path: Path, task: str | None) -> list[Split]:
    """The splits of a file or folder, in the format that its contents are of."""
    dataset = _written_by_datasets(path)
    if dataset is not None:
        return _dataset_parts(dataset)
    found = {name: parts for name, (splits, _) in _FORMATS.items() if (parts := splits(path))}
    if len(found) > 1:  # COCO's own folder has instances beside panoptic labels
        found = {name: found[name] for name in found if task in _FORMATS[name][1]} or found
    if len(found) > 1:
        raise DataError(
            f"{path} has labels in several formats: {', '.join(found)}.",
            "Say the task, or point at the labels you mean: the JSON, the data.yaml or the "
            "Annotations folder.",
        )
    parts = next(iter(found.values()), None) or folders.class_splits(path)
    if not parts:
        inside = [p.name + "/" * p.is_dir() for p in entries(path)]
        what = f"{path} is in no format that pvzoo reads"
        if path.is_dir():
            what += f"; it holds {listing(inside, 8)}" if inside else "; it is empty"
        raise DataError(f"{what}.", _LOOKED_FOR)
    return parts


def _written_by_datasets(path: Path) -> Any:
    """A folder that `save_to_disk` wrote, or an imagefolder with metadata; None for others."""
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        from datasets import load_from_disk

        try:
            return load_from_disk(str(path))
        except Exception as error:  # whatever Arrow, JSON and the disk raise
            raise DataError(
                f"{path} was written by save_to_disk but cannot be read ({error}).",
                "Write it again.",
            ) from error
    if not any(map(_is_metadata, _metadata_files(path))):
        return None
    from datasets import load_dataset

    try:
        return load_dataset("imagefolder", data_dir=str(path))
    except Exception as error:  # a row without its image, columns that differ, ...
        raise DataError(
            f"{path} has metadata of images that datasets cannot read "
            f"({error.__cause__ or error}).",
            "Each row of the metadata names an image in file_name, relative to it.",
        ) from error


def _metadata_files(path: Path) -> list[Path]:
    places = [path, *(f for f in files.folders(path) if split_name(f.name))]
    return [p for place in places for p in entries(place) if p.stem == "metadata"]


def _is_metadata(file: Path) -> bool:
    if file.suffix not in (".csv", ".jsonl"):
        return False
    with file.open(encoding="utf-8", errors="replace") as opened:
        return "file_name" in opened.readline()


def _short(source: Any) -> str:
    return str(source) if isinstance(source, (str, os.PathLike)) else type(source).__name__
