"""Read labelled data from a folder, and check it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pvzoo.data.files import Split, folders, image_cell, is_file, read_json, relative, split_name
from pvzoo.data.quality import rules
from pvzoo.data.quality.rules import Rule
from pvzoo.data.quality.tasks.base import LabelCheck, Sample
from pvzoo.data.schema import features
from pvzoo.data.store import write
from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import Dataset

TASK = "my-zoo-cover"
FILE = "cover.json"
SUM = Rule(
    "cover-sum",
    "error",
    "The shares of images do not add up to 1, or one of them is negative.",
    "Correct them.",
)


def splits(folder: Path) -> list[Split]:
    """The splits of a folder: images beside a ``cover.json``; see README.md."""
    named = {split_name(f.name): f for f in folders(folder) if split_name(f.name)}
    places = {name: place for name, place in (named or {None: folder}).items() if _has(place)}
    cover = {name: _read(place / FILE) for name, place in places.items()}
    classes = sorted({name for shares in cover.values() for own in shares.values() for name in own})
    return [
        Split(name, partial(_dataset, folder, place, cover[name], classes))
        for name, place in places.items()
    ]


def _has(place: Path) -> bool:
    return is_file(place / FILE)


def _read(file: Path) -> dict[str, dict[str, float]]:
    """File name -> class -> share."""
    found: dict[str, dict[str, float]] = read_json(file)
    for name, shares in found.items() if isinstance(found, dict) else [("it", None)]:
        if not isinstance(shares, dict) or not all(
            isinstance(share, int | float) for share in shares.values()
        ):
            raise DataError(
                f"{file}: {name} has no shares of classes.", "README.md shows the format."
            )
    return found


def _dataset(
    root: Path,
    place: Path,
    cover: dict[str, dict[str, float]],
    classes: Sequence[str],
    task: str | None,
) -> Dataset:
    """The dataset of the split in `place`; it is written again only if the files change."""

    def rows() -> Iterator[dict[str, Any]]:
        for number, (name, shares) in enumerate(cover.items()):
            yield {
                "image": image_cell(place / name),
                "image_id": number,
                "file_name": relative(place / name, root),
                "cover": {
                    "category": [classes.index(label) for label in shares],
                    "share": [float(share) for share in shares.values()],
                },
            }

    return write(rows, features(TASK, classes), [place / FILE], TASK, str(place))


class CoverCheck(LabelCheck):
    """Checks that shares add up to 1 and that class ids exist."""

    def check(self, sample: Sample) -> None:
        """See the class."""
        cover, names = sample.row["cover"], sample.part.names
        shares = np.array(cover["share"], float)  # null becomes nan
        if not (abs(shares.sum() - 1) < 0.01 and (shares >= 0).all()):
            sample.note(SUM, f": {shares.sum():.3g}")
        for label in cover["category"]:
            if label is None or not 0 <= label < len(names):
                sample.note(rules.OUT_OF_RANGE, f": class id {label} of {len(names)}")
