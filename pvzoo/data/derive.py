"""Make a dataset with the images of another and new labels; no image is copied or decoded."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import store
from pvzoo.data.files import is_file
from pvzoo.errors import DataError
from pvzoo.inputs.images import ImageHandle

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features, IterableDataset

_ROWS_AT_ONCE = 1000
_IMAGES_AT_ONCE = 16
_ROWS_THAT_SHOW_THE_COLUMNS = 100


def tables(dataset: Dataset, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of a dataset as Arrow tables of a few rows, whatever its format or transform."""
    from datasets import Image

    kinds = [dataset.features[name] for name in columns]
    size = _IMAGES_AT_ONCE if any(isinstance(kind, Image) for kind in kinds) else _ROWS_AT_ONCE
    part = dataset.with_format(None).select_columns(list(columns)).with_format("arrow")
    yield from part.iter(batch_size=size)


def rows(dataset: Dataset, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Some columns of a dataset row by row: images not decoded, classes as numbers."""
    for table in tables(dataset, columns):
        yield from table.to_pylist()


def with_labels(
    dataset: Dataset,
    images: Mapping[str, str],
    columns: Features,
    labels: Callable[[], Iterable[Mapping[str, Any]]],
    *about: Any,
    files: Iterable[Path] = (),
) -> Dataset:
    """A dataset with image columns taken from `dataset` as they are, and new columns of labels.

    The new columns are written once for each state of `dataset`; see `store.write`.

    Args:
        dataset: Where the images are.
        images: The image columns to take: new name -> name in `dataset`.
        columns: All columns of the result.
        labels: Returns the new columns, row by row in the order of `dataset`. Called only if they
            are not written yet.
        about: What else the labels depend on.
        files: Files outside `dataset` that the labels depend on.
    """
    from datasets import Features, concatenate_datasets

    if len(dataset) == 0:
        return store.write(lambda: (), columns, (), "empty")
    own = Features({name: kind for name, kind in columns.items() if name not in images})
    written = write(dataset, labels, own, images, *about, files=files)
    taken = dataset.with_format(None).select_columns(list(images.values()))
    taken = taken.rename_columns({old: new for new, old in images.items() if old != new})
    for name in images:
        taken = taken.cast_column(name, columns[name])
    both = concatenate_datasets([taken, written], axis=1, split=dataset.split)
    return both.select_columns(list(columns))


def write(
    dataset: Dataset,
    rows: Callable[[], Iterable[Mapping[str, Any]]],
    columns: Features,
    *about: Any,
    files: Iterable[Path] = (),
) -> Dataset:
    """Rows computed from a dataset, written once for each state of it; see `store.write`."""
    from datasets import Dataset

    if not _is_held(dataset):
        return store.write(rows, columns, files, dataset._fingerprint, *about)
    path = _folder() / f"{uuid.uuid4().hex}.arrow"
    store.save(path, rows(), columns)
    return Dataset.from_file(str(path))


def image_files(dataset: Dataset, columns: Iterable[str]) -> list[Path]:
    """The image files of a dataset that has only their paths, not their bytes."""
    found = []
    for name in columns:
        for table in tables(dataset, [name]):
            for cells in table[name].chunks:
                paths = cells.field("path").filter(cells.field("bytes").is_null()).to_pylist()
                found += [Path(path) for path in paths if path and is_file(Path(path))]
    return found


# --- streams --------------------------------------------------------------------------------------


def hold(stream: IterableDataset) -> Dataset:
    """Write all rows of a stream to a memory-mapped file that lasts as long as the process.

    Images are not decoded; remote images are downloaded once.

    Raises:
        DataError: The rows have different columns, or do not fit the features of the stream.
    """
    from datasets import Dataset, Image

    stream = stream.with_format(None)
    columns: Any = stream.features
    prepare: Callable[..., Any] = _fetched
    if columns is None:  # after a `map` without `features`
        head = list(stream.take(_ROWS_THAT_SHOW_THE_COLUMNS))
        columns = Dataset.from_list(head).features if head else {}
        prepare = columns.encode_example if head else _fetched
    else:
        for name, kind in columns.items():
            if isinstance(kind, Image):
                stream = stream.cast_column(name, Image(decode=False))
    if not columns:
        raise DataError("The stream has no rows.", "Check how it was filtered.")
    path = _folder() / f"{uuid.uuid4().hex}.arrow"
    try:
        store.save(path, map(prepare, stream), columns)
    except (ValueError, TypeError, KeyError) as error:  # pyarrow's errors are ValueErrors
        raise DataError(
            f"The rows of the stream do not fit its columns ({error}).",
            "Set the types of the columns with stream.cast(datasets.Features(...)).",
        ) from error
    held = Dataset.from_file(str(path), split=stream.split)
    held.info.dataset_name = stream.info.dataset_name
    return held


def _fetched(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the bytes of its remote images."""
    return {name: _fetched_cell(value) for name, value in row.items()}


def _fetched_cell(value: Any) -> Any:
    if isinstance(value, dict) and set(value) == {"path", "bytes"} and value["bytes"] is None:
        path = value["path"]
        if path and "://" in path:
            return {"path": path, "bytes": ImageHandle.of(value).data}
    return value


@cache
def _folder() -> Path:
    """A folder of this process in the cache of `datasets`, where large files are expected."""
    from datasets import config

    Path(config.HF_DATASETS_CACHE).mkdir(parents=True, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="pvzoo-stream-", dir=config.HF_DATASETS_CACHE)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _is_held(dataset: Dataset) -> bool:
    files = [Path(file["filename"]).parent for file in dataset.cache_files]
    return bool(files) and _folder.cache_info().currsize > 0 and _folder() in files
