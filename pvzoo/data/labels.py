"""Read the labels of canonical datasets, split by split and row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.schema import label_columns

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


def label_rows(dataset: Dataset) -> Iterator[dict[str, Any]]:
    """The labels of a canonical dataset without its images and maps, row by row."""
    from pvzoo.data.derive import rows

    return rows(dataset, label_columns(dataset.features))


def fingerprint(dataset: Dataset) -> str:
    """A digest of the labels of a dataset; it shows whether a report belongs to the dataset."""
    digest = hashlib.blake2b(digest_size=16)
    for row in label_rows(dataset):
        digest.update(repr(row).encode())
    return digest.hexdigest()


def splits(data: Dataset | DatasetDict) -> dict[str, Dataset]:
    """The splits of data from `pvzoo.data.load`, by name; "" for data without splits."""
    return dict(data) if isinstance(data, Mapping) else {"": data}


def box_array(objects: Mapping[str, Any]) -> np.ndarray:
    """The boxes of a row, (n, 4) float64; nan for missing values."""
    found = [b if b is not None else [None] * 4 for b in objects.get("bbox") or []]
    return np.array(found, dtype=float).reshape(-1, 4)


def repeated(objects: Mapping[str, Any], boxes: np.ndarray) -> list[int]:
    """The indices of objects in a row that are the same as an earlier one."""
    seen: set[Any] = set()
    found = []
    for i, numbers in enumerate(boxes.tolist()):
        flags = [objects[k][i] for k in ("category", "iscrowd", "ignore") if objects.get(k)]
        code = objects["segmentation"][i] if objects.get("segmentation") else None
        key = (*numbers, *flags, code["counts"] if code else None)
        if key in seen and np.isfinite(numbers).all():
            found.append(i)
        seen.add(key)
    return found


def is_uneven(lists: Mapping[str, Any]) -> bool:
    """Whether the lists of a row differ in length; a missing list counts as empty."""
    return len({len(v or []) for v in lists.values()}) > 1
