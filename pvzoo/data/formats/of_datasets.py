"""Read the files that `datasets` itself writes or reads.

These are folders written by `save_to_disk`; images with ``metadata.csv``, ``.jsonl`` or
``.parquet`` beside them; and Parquet files in the folder or in ``data/``, as in a download of a
Hub dataset. The names of Parquet files contain their split (``train-00000-of-00002.parquet``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import files
from pvzoo.data.files import entries, head, is_utf16, listing, split_in, split_name
from pvzoo.data.metadata import check_depth, with_texts
from pvzoo.data.paths import Area
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def opened(path: Path, area: Area) -> Any:
    """A file or folder opened by `datasets`; None if it is not in a form of `datasets`."""
    dataset = _opened(path)
    if dataset is not None and not area.allow_outside:
        for part in dataset.values() if isinstance(dataset, Mapping) else [dataset]:
            _refuse_outside(part, path, area)
    return dataset


def _refuse_outside(dataset: Dataset, path: Path, area: Area) -> None:
    """Raise a `DataError` if a dataset names an image outside the area."""
    from pvzoo.data.columns.source import paths_apart

    for name, text in paths_apart(dataset):
        if text.startswith(("http://", "https://", "hf://")):
            continue
        if "://" in text or not area.allows(text):
            raise area.leads_out(text, f"The column {name!r} of {path}")


def _opened(path: Path) -> Any:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        from datasets import load_from_disk

        try:
            return load_from_disk(str(path))
        except Exception as error:  # Arrow, JSON and the disk raise many types
            raise DataError(
                f"{path} was written by save_to_disk but cannot be read ({error}).",
                "Write it again.",
            ) from error
    if not any(map(_is_metadata, _metadata_files(path))):
        shards = _shards(path)
        return _of_parquet(path, shards) if shards else None
    from datasets import load_dataset

    for folder, names in files.walk(path):
        if "metadata.jsonl" in names:
            check_depth(folder / "metadata.jsonl")
    tables = [file for file in _metadata_files(path) if file.suffix == ".csv"]
    try:
        return with_texts(load_dataset("imagefolder", data_dir=str(path)), tables)
    except DataError:
        raise
    except Exception as error:  # a row without its image, columns that differ, ...
        raise DataError(
            f"{path} has metadata of images that datasets cannot read "
            f"({str(error.__cause__ or error)[:300]}).",
            "Give each row of the metadata a file_name: the path of an image relative to it.",
        ) from error


def _metadata_files(path: Path) -> list[Path]:
    places = [path, *(f for f in files.folders(path) if split_name(f.name))]
    return [p for place in places for p in entries(place) if p.stem == "metadata"]


def _is_metadata(file: Path) -> bool:
    if file.suffix == ".parquet":
        return True
    if file.suffix not in (".csv", ".jsonl"):
        return False
    first = head(file, 10_000).partition("\n")[0]
    if "file_name" in first and is_utf16(file):
        raise DataError(f"{file} is UTF-16 text, which datasets cannot read.", "Save it as UTF-8.")
    return "file_name" in first


def _shards(path: Path) -> list[Path]:
    """The Parquet files of a dataset.

    Raises:
        DataError: Several folders contain datasets.
    """
    if path.is_file():
        return [path] if path.suffix == ".parquet" else []
    places = [path, path / "data", *files.folders(path)]
    found = {place: [f for f in entries(place) if f.suffix == ".parquet"] for place in places}
    found = {place: shards for place, shards in found.items() if shards}
    several = [place.name for place in found if place not in (path, path / "data")]
    if len(several) > 1 and len(several) == len(found):
        raise DataError(
            f"{path} holds Parquet files of several configurations: {listing(several)}.",
            "Point at one of the folders.",
        )
    return next(iter(found.values()), [])


def _of_parquet(path: Path, shards: list[Path]) -> Any:
    from datasets import load_dataset

    parts = defaultdict(list)
    for file in shards:
        name = re.sub(r"-\d{5}-of-\d{5}$", "", file.stem)
        parts[split_in(name) or (name if name != file.stem else "")].append(str(file))
    try:
        data = load_dataset("parquet", data_files={name or "train": f for name, f in parts.items()})
    except Exception as error:  # Arrow raises many types; columns may differ
        raise DataError(
            f"{path} has Parquet files that datasets cannot read "
            f"({str(error.__cause__ or error)[:300]}).",
            "Download them again, or keep the files of only one dataset.",
        ) from error
    return data["train"] if [*parts] == [""] else data
