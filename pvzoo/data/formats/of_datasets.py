"""What `datasets` itself writes or reads: a folder of `save_to_disk`, images with metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pvzoo.data import files
from pvzoo.data.files import entries, split_name
from pvzoo.data.metadata import check_depth, with_texts
from pvzoo.data.paths import Area
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset


def opened(path: Path, area: Area) -> Any:
    """A folder that `save_to_disk` wrote, or an imagefolder with metadata; None for others."""
    dataset = _opened(path)
    if dataset is not None and not area.allow_outside:
        for part in dataset.values() if isinstance(dataset, Mapping) else [dataset]:
            _refuse_outside(part, path, area)
    return dataset


def _refuse_outside(dataset: Dataset, path: Path, area: Area) -> None:
    """Raise a `DataError` if a dataset names an image that is out of the area."""
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
        except Exception as error:  # whatever Arrow, JSON and the disk raise
            raise DataError(
                f"{path} was written by save_to_disk but cannot be read ({error}).",
                "Write it again.",
            ) from error
    if not any(map(_is_metadata, _metadata_files(path))):
        return None
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
