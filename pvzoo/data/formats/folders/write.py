"""Write folders of classes, and folders of images and masks."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.files import listing
from pvzoo.data.map_classes import MapClasses
from pvzoo.data.maps import encode_grey, open_map, read_map, replaced
from pvzoo.data.schema import SEMANTIC_VOID, VOID
from pvzoo.data.validated import image_of, sound_rows
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.inputs.images import ImageHandle

# --- classes --------------------------------------------------------------------------------------


def write_classes(parts: Parts, folder: Path) -> None:
    """Write ``<split>/<class>/``, or ``<split>/metadata.jsonl`` for several labels per image."""
    multi_label = any("labels" in part.features for part in parts.splits.values())
    lost = (_write_labels if multi_label else _write_class_folders)(parts, folder)
    if lost:
        warnings.warn(f"{lost} labels without a class are left out.", PvzooWarning, stacklevel=3)


def _write_class_folders(parts: Parts, folder: Path) -> int:
    """Write the folders; returns how many images have no class and are left out."""
    refused = [name for name in parts.names if not _names_folder(name)]
    if refused:
        raise DataError(
            f"Class names that cannot be names of folders: {listing(map(repr, refused))}.",
            "Rename the classes: dataset.cast_column with a ClassLabel of other names.",
        )
    lost = 0
    for split in parts.splits:
        root = folder / (split or ".")
        for name in parts.names:
            (root / name).mkdir(parents=True, exist_ok=True)
        names = {name: Names() for name in parts.names}
        for row in parts.rows(split):
            if not 0 <= (label := row["label"]) < len(parts.names):
                lost += 1
                continue
            name = parts.names[label]
            base = os.path.basename((row["file_name"] or "").replace("\\", "/"))
            copy_image(row, root / name, names[name], base)
    return lost


def _names_folder(name: str) -> bool:
    plain = name.strip() == name and not name.startswith((".", "__MACOSX"))
    return bool(name) and plain and not set(name) & set("/\\\0") and len(name.encode()) < 256


def _write_labels(parts: Parts, folder: Path) -> int:
    """Write ``metadata.jsonl``; returns how many labels have no class and are left out."""
    lost = 0
    for split in parts.splits:
        root, names = folder / (split or "."), Names(parts.file_names(split))
        root.mkdir(exist_ok=True)
        with (root / "metadata.jsonl").open("w", encoding="utf-8") as file:
            for row in parts.rows(split):
                known = [i for i in row["labels"] if 0 <= i < len(parts.names)]
                lost += len(row["labels"]) - len(known)
                entry = {
                    "file_name": copy_image(row, root, names),
                    "image_id": row["image_id"],
                    "labels": [parts.names[i] for i in known],
                }
                file.write(f"{json.dumps(entry, ensure_ascii=False)}\n")
    return lost


# --- images and masks -----------------------------------------------------------------------------


def write_maps(parts: Parts, folder: Path) -> None:
    """Write ``images/<split>/``, ``masks/<split>/`` and ``id2label.json``.

    Maps keep their values if ``id2label.json`` can describe them; PNGs are then copied. Otherwise
    the value of each pixel becomes its class id, and void becomes 255.
    """
    rows = (row for part in parts.splits.values() for row in sound_rows(part, ["segments"]))
    first = next((row for row in rows if row["segments"]["id"]), None)
    if first is not None:
        _check_classes(first, len(parts.names))
    given = _value_names(first["segments"] if first else {"id": [], "category": []}, parts.names)
    void = SEMANTIC_VOID if len(parts.names) <= SEMANTIC_VOID else 65535
    value_names = given or dict(enumerate(parts.names))
    # in a map of only 0 and 255, a reader takes 255 as a class unless it is named void
    value_names.setdefault(SEMANTIC_VOID if given else void, "void")
    if MapClasses(value_names).labels != list(parts.names):
        raise DataError(
            f"A class has a name that means void: {listing(parts.names)}.", "Rename the class."
        )
    for split in parts.splits:
        below = split or "."
        names = Names(parts.file_names(split))
        (folder / "images" / below).mkdir(parents=True)
        (folder / "masks" / below).mkdir(parents=True)
        for row in parts.rows(split):
            _check_classes(row, len(parts.names))
            name = copy_image(row, folder / "images" / below, names)
            change = None if given else _numbered(row["segments"], len(parts.names), void)
            target = folder / "masks" / below / Path(name).with_suffix(".png")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_map(row, change))
    text = json.dumps({str(value): name for value, name in value_names.items()}, indent=2)
    (folder / "id2label.json").write_text(f"{text}\n", encoding="utf-8")


def _check_classes(row: Mapping[str, Any], count: int) -> None:
    """Raise a `DataError` if a segment of an image has a class id that is not below `count`."""
    for value, index in zip(row["segments"]["id"], row["segments"]["category"], strict=True):
        if index != VOID and not 0 <= index < count:
            raise DataError(
                f"{image_of(row)} has a segment {value} of class id {index}, but there are {count} "
                "classes.",
                "Correct the class id, or add the missing name.",
            )


def _value_names(
    segments: Mapping[str, list[int]], names: tuple[str, ...]
) -> dict[int, str] | None:
    """The name of each value, or None if a reader would make other classes of this list."""
    pairs = sorted(zip(segments["id"], segments["category"], strict=True))
    found = {value: "void" if index == VOID else names[index] for value, index in pairs}
    same = MapClasses(found).labels == list(names)
    return found if same and all(0 <= value <= 65535 for value in found) else None


def _numbered(
    segments: Mapping[str, list[int]], count: int, void: int
) -> Callable[[np.ndarray], np.ndarray]:
    """A function that replaces each value by its class id.

    Values that are not listed become a value that is neither a class nor void.
    """
    known = {SEMANTIC_VOID: void}
    known |= {
        value: void if index == VOID else index
        for value, index in zip(segments["id"], segments["category"], strict=True)
    }
    unknown = count if count != void else void + 1

    def change(pixels: np.ndarray) -> np.ndarray:
        return replaced(pixels, known, unknown)

    return change


def _map(row: Mapping[str, Any], change: Callable[[np.ndarray], np.ndarray] | None) -> bytes:
    name = f"The map of the image {row['file_name']}"
    if change is not None:
        return encode_grey(change(read_map(row["annotation"], name)))
    image = open_map(row["annotation"], name)
    if image.format == "PNG" and len(image.getbands()) == 1:
        data = ImageHandle.of(row["annotation"]).data
        return data.read_bytes() if isinstance(data, Path) else data
    return encode_grey(read_map(row["annotation"], name))
