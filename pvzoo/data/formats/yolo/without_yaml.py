"""Read YOLO data without a data.yaml: other files contain what a data.yaml would.

CVAT's YOLO 1.1, which is Darknet's layout
(docs.cvat.ai/docs/dataset_management/formats/format-yolo): ``obj.names`` has one class per line,
``obj.data`` names lists of images, which are in ``obj_train_data/`` with the labels beside them.

Label Studio's YOLO export (labelstud.io/guide/export): ``classes.txt`` beside ``images/`` and
``labels/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pvzoo.data.files import entries, folders, is_file, quoted, read_text, split_name, walk, whole
from pvzoo.data.paths import is_plain
from pvzoo.errors import DataError


def without_yaml(path: Path) -> tuple[Path, dict[str, Any]] | None:
    """The file that names the classes, and the contents of a data.yaml; None for other data."""
    root = path.parent if path.is_file() else path
    if path.is_file():
        return _darknet(root) if path.name in ("obj.data", "obj.names") else None
    if is_file(root / "obj.names") or is_file(root / "obj.data"):
        return _darknet(root)
    names = root / "classes.txt"
    if is_file(names) and (root / "images").is_dir() and _has_texts(root / "labels"):
        return names, {"names": _names(names)}
    return None


def _darknet(root: Path) -> tuple[Path, dict[str, Any]]:
    file, settings = root / "obj.data", {}
    if is_file(file):
        lines = [line.partition("=") for line in read_text(file).splitlines() if line.strip()]
        settings = {key.strip(): value.strip() for key, _, value in lines}
    names = _beside(root, settings.get("names") or "obj.names")
    if not is_file(names):
        raise DataError(
            f"{root} has no {names.name}.", "Write it, with the name of one class per line."
        )
    content: dict[str, Any] = {"names": _names(names)}
    if "classes" in settings:
        count = settings["classes"]
        if not count.isascii() or not count.isdecimal() or whole(int(count[:18])) is None:
            raise DataError(f"{file} has classes = {quoted(count)}.", "Write a whole number.")
        content["nc"] = int(count[:18])
    lists = {key: _beside(root, text) for key, text in settings.items() if split_name(key)}
    lists = lists or {f.stem: f for f in entries(root) if f.suffix == ".txt"}
    for key, place in lists.items():
        if split_name(key) and (is_file(place) or key in settings):
            content[key] = place.relative_to(root).as_posix()
    if len(content.keys() & {"train", "val", "valid", "validation", "test"}) == 0:
        inner = {f.name.removeprefix("obj_").removesuffix("_data"): f.name for f in folders(root)}
        content |= {key: name for key, name in inner.items() if split_name(key)}
    return (file if settings else names), content


def _beside(root: Path, text: str) -> Path:
    """A file that obj.data names, always in the folder: by its path, else by its name alone."""
    text = text.replace("\\", "/")
    whole_path = root / text
    return whole_path if is_plain(text) and is_file(whole_path) else root / text.split("/")[-1]


def _names(file: Path) -> list[str]:
    return [line.strip() for line in read_text(file).rstrip().splitlines()]


def _has_texts(folder: Path) -> bool:
    return any(name.endswith(".txt") for _, names in walk(folder) for name in names)
