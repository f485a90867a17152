"""What `Model.stream` accepts -> an iterable of images."""

from __future__ import annotations

import glob
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pvzoo.errors import UsageError
from pvzoo.images import SUFFIXES


def images_of(source: Any) -> Iterable[Any]:
    """The images of a folder, a glob pattern, a dataset or any other iterable.

    Raises:
        UsageError: It is none of these, or a folder or pattern without any image.
    """
    if isinstance(source, Path):
        return _folder(source)
    if isinstance(source, str):
        path = Path(source).expanduser()
        return _folder(path) if path.is_dir() or not _has_magic(source) else _glob(str(path))
    if _is_dataset(source):
        return _image_column(source)
    if isinstance(source, bytes | dict) or not isinstance(source, Iterable):
        raise UsageError(
            f"stream does not take a single {type(source).__name__}.",
            "Use model.predict for one image, or pass a folder, a pattern or an iterable.",
        )
    return source


def _has_magic(pattern: str) -> bool:
    return any(c in pattern for c in "*?[")


def _folder(folder: Path) -> list[Path]:
    folder = folder.expanduser()
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", f"Check the path (here is {Path.cwd()}).")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not files:
        raise UsageError(
            f"{folder} holds no image files ({', '.join(sorted(SUFFIXES))}).", "Check the path."
        )
    return files


def _glob(pattern: str) -> list[Path]:
    files = sorted(Path(p) for p in glob.glob(pattern, recursive=True) if Path(p).is_file())
    if not files:
        raise UsageError(f"No file matches {pattern!r}.", f"Here is {Path.cwd()}.")
    return files


def _is_dataset(source: Any) -> bool:
    """Whether it is a whole `datasets` table, asked without importing `datasets`."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(source, datasets.Dataset | datasets.IterableDataset)


def _image_column(dataset: Any) -> Iterable[Any]:
    import datasets

    features = dataset.features or {}
    columns = [n for n, f in features.items() if isinstance(f, datasets.Image)]
    if len(columns) != 1:
        found = ", ".join(columns) or "none"
        raise UsageError(
            f"The dataset has {len(columns)} image columns ({found}); stream needs exactly one.",
            "Pass the column itself: dataset['image'].",
        )
    return dataset[columns[0]]
