"""What a network is about to be trained on, as a picture: samples after their augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, Features

from pvzoo.data.contact_sheet import sheet_of
from pvzoo.data.schema import class_names
from pvzoo.training.targets.base import Training


def draw_batch(samples: Sequence[Any], training: Training, columns: Features, path: Path) -> None:
    """Write a contact sheet of (picture, target, place) samples of a dataset with `columns`."""
    classes = len(class_names(columns))
    rows = [
        {
            "image": picture,
            "image_id": i,
            "file_name": f"sample {i}",
            **training.row(target, picture.size, classes),
        }
        for i, (picture, target, _) in enumerate(samples)
    ]
    dataset = Dataset.from_list(rows, features=columns)
    sheet_of([(dataset, "", i) for i in range(len(rows))], path)
