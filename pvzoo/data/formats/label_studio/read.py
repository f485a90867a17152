"""Read Label Studio's JSON export: a list of tasks with their annotations.

The layout is described in labelstud.io/guide/task_format and on the pages of the tags
RectangleLabels, PolygonLabels, BrushLabels and Choices. Positions are in per cent of the image. If
a task has several annotations, the one marked as ground truth is used, else the last one that was
not cancelled (with a `PvzooWarning`). Tasks without annotations are left out. Classes are in
alphabetical order, or in the order of the project's labelling interface if it is beside the JSON as
``label_config.xml``.

Images are looked for beside the JSON and in ``images/``, by the end of their path or URL, with and
without the eight digits that an upload puts before the name. Rotated boxes and images, ellipses,
key points and labels of videos are refused, and so is JSON-MIN, which lacks the kinds of shapes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from warnings import warn

from pvzoo.data.files import (
    Split,
    entries,
    head,
    is_file,
    is_image,
    number,
    quoted,
    read_json,
    side,
    split_in,
)
from pvzoo.data.formats.annotated import Annotated, Annotations, Shape
from pvzoo.data.formats.base import DataSource
from pvzoo.data.formats.label_studio import brush
from pvzoo.data.rle import empty_code
from pvzoo.data.xml_file import read_xml
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.results.masks import encode

TITLE = "Label Studio"

_TASKS = re.compile(r'\s*\[\s*\{.*"(annotations|predictions|completions)"\s*:', re.DOTALL)
_MIN = re.compile(r'\s*\[\s*\{.*"(annotator|annotation_id)"\s*:', re.DOTALL)
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
_AGAIN = "Export it again."
_HEAD = 100_000
_OTHER = {
    "ellipse": "ellipses",
    "ellipselabels": "ellipses",
    "keypoint": "key points",
    "keypointlabels": "key points",
    "videorectangle": "boxes of videos",
    "timelinelabels": "parts of videos",
    "vectorlabels": "vectors",
    "vector": "vectors",
}


def splits(source: DataSource) -> list[Split]:
    """The splits of a JSON file or of a folder with some; none if it is not Label Studio's."""
    path = source.path
    indices = [path] if path.is_file() else entries(path)
    files = [f for f in indices if f.suffix == ".json" and f.is_file() and _is_tasks(f)]
    if not files:
        return []
    images = [image for file in files for image in _images(file)]
    if not images:
        raise DataError(
            f"{path} is an export of Label Studio without annotations.",
            "Annotate its tasks, or submit the predictions, and export it again.",
        )
    root = files[0].parent
    config = root / "label_config.xml"
    names = _declared(config, images) if is_file(config) else ()
    found = Annotations(
        TITLE, path, [*files, config], root, _named(images, root), names, source.area
    )
    parts = dict.fromkeys(image.split for image in images)
    return found.splits({name: _folders(root, name) for name in parts})


def _declared(config: Path, images: Sequence[Annotated]) -> list[str]:
    """The classes of a project's labelling interface, then any other classes in use."""
    names = [e.get("value") for e in read_xml(config).iter() if e.tag in ("Label", "Choice")]
    used = {s.label for p in images for s in p.shapes} | {tag for p in images for tag in p.tags}
    return list(dict.fromkeys([*(name for name in names if name), *sorted(used)]))


def _is_tasks(file: Path) -> bool:
    text = head(file, _HEAD)
    if re.match(r"\s*\[\s*\{", text) is None:
        return False
    if _TASKS.match(text) and '"data"' in text:
        return True
    if _MIN.match(text) and '"annotator"' in text:
        raise DataError(
            f"{file} is in Label Studio's format JSON-MIN, which pvzoo does not read.",
            "Export the project as JSON.",
        )
    return False


def _folders(root: Path, split: str | None) -> list[Path]:
    inner = [root / "images" / split, root / split] if split else []
    return [f for f in (*inner, root / "images", root) if f.is_dir()]


def _named(images: Sequence[Annotated], root: Path) -> list[Annotated]:
    """The images; upload digits are removed from a name if only the name without them exists."""
    there = {f.name for folder in (root, *_inner(root)) for f in entries(folder)}
    named = []
    for image in images:
        *before, last = image.name.split("/")
        if last not in there and (bare := _UPLOAD.sub("", last)) in there:
            last = bare
        name = "/".join([*before, last])
        rest = (image.size, image.shapes, image.tags, image.split, image.other)
        named.append(Annotated(name, *rest))
    return named


def _inner(root: Path) -> list[Path]:
    return [root / "images", *(f for f in entries(root / "images") if f.is_dir())]


def _images(file: Path) -> list[Annotated]:
    tasks = read_json(file)
    split = split_in(file.stem)
    found, several, without = [], 0, 0
    for index, task in enumerate(tasks):
        where = f"{file}: task {index}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise DataError(f"{where} has no data.", "Export the project as JSON.")
        given = task.get("annotations", task.get("completions")) or []
        if not isinstance(given, list) or not all(isinstance(a, dict) for a in given):
            raise DataError(f"{where} has annotations that are not a list of objects.", _AGAIN)
        given = [a for a in given if not a.get("was_cancelled")]
        if not given:
            without += 1
            continue
        truths = [a for a in given if a.get("ground_truth")]
        several += len(given) > 1 and len(truths) != 1
        results = (truths or given)[-1].get("result")
        found.append(_annotated(_image(task["data"], where), results, where, split))
    for count, what in (
        (several, "have several annotations; the last one is used"),
        (without, "have no annotation and are left out"),
    ):
        if count:
            warn(f"{file}: {count} tasks {what}.", PvzooWarning, stacklevel=2)
    return found


def _image(data: Mapping[str, Any], where: str) -> str:
    """The path of the image of a task, without the address of the server."""
    texts = {key: text for key, text in data.items() if isinstance(text, str)}
    named = [texts[key] for key in ("image", "img") if key in texts] or [
        text for text in texts.values() if is_image(_path(text))
    ]
    if not named or not _path(named[0]):
        raise DataError(f"{where} names no image.", 'Put its path into data, as "image".')
    return _path(named[0])


def _path(text: str) -> str:
    try:
        url = urlsplit(text)
        local = parse_qs(url.query).get("d")
    except ValueError:
        return text
    if url.path.endswith("/local-files/") and local:
        return local[0].lstrip("/")
    if url.scheme in ("http", "https", "s3", "gs", "azure-blob") or text.startswith("/data/"):
        return unquote(url.path).lstrip("/")
    return text


def _annotated(name: str, results: Any, where: str, split: str | None) -> Annotated:
    if not isinstance(results, list) or not all(isinstance(r, dict) for r in results):
        raise DataError(f"{where} has a result that is not a list of objects.", _AGAIN)
    shapes, tags, other, size = [], [], [], (0, 0)
    for index, result in enumerate(results):
        what, kind = f"{where}, result {index}", str(result.get("type")).lower()
        value = result.get("value")
        if kind in _OTHER:
            other.append(_OTHER[kind])
        if kind in _OTHER or not isinstance(value, dict):
            continue
        if kind == "choices":
            tags += _labels(value, "choices", what)
            continue
        if kind not in ("rectanglelabels", "polygonlabels", "brushlabels", "labels"):
            continue  # text or a choice about a region, or a region without a label
        labels = _labels(value, kind, what)
        if not labels:
            continue
        if len(labels) > 1:
            raise DataError(f"{what} has several labels: {quoted(labels)}.", "Keep one of them.")
        if number(result.get("image_rotation") or 0) != 0:
            other.append("rotated images")
        elif number(value.get("rotation") or 0) != 0:
            other.append("rotated boxes")
        else:
            size = (side(result.get("original_height")), side(result.get("original_width")))
            if 0 in size:
                raise DataError(f"{what} has no original_width and original_height.", _AGAIN)
            shapes.append(_shape(value, labels[0], size, what))
    return Annotated(name, size, tuple(shapes), tuple(tags), split, tuple(other))


def _labels(value: Mapping[str, Any], key: str, where: str) -> list[str]:
    labels = value.get(key) or []
    if not isinstance(labels, list) or not all(isinstance(name, str) for name in labels):
        raise DataError(f"{where} has {key} that are not a list of strings.", _AGAIN)
    return labels


def _shape(value: Mapping[str, Any], label: str, size: tuple[int, int], where: str) -> Shape:
    height, width = size
    if "rle" in value:
        return Shape(label, where, code=_code(value["rle"], size, where))
    if "points" in value:
        pairs: list[Any] = value["points"] if isinstance(value["points"], list) else [None]
        if not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise DataError(f"{where} has points that are not pairs.", _AGAIN)
        outline = [
            _share(v, where) * s
            for pair in pairs
            for v, s in zip(pair, (width, height), strict=True)
        ]
        return Shape(label, where, polygon=tuple(outline))
    left, top, across, down = (_share(value.get(k), where) for k in ("x", "y", "width", "height"))
    return Shape(label, where, box=(left * width, top * height, across * width, down * height))


def _share(value: Any, where: str) -> float:
    """Convert per cent to a fraction."""
    found = number(value)
    if found is None or not math.isfinite(found):
        raise DataError(f"{where} has {quoted(value)} instead of a number.", _AGAIN)
    return found / 100


def _code(rle: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    empty = empty_code(size, where)
    try:
        given = bytes(rle) if isinstance(rle, list) else b""
    except (TypeError, ValueError):
        given = b""
    mask = brush.decode(given, size, where)
    return empty | {"counts": encode(mask, 0, 0, size).decode("ascii")} if mask.any() else empty
