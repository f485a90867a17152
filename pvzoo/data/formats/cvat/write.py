"""Write CVAT for images 1.1: ``annotations.xml`` with boxes, masks or tags, and ``images/``.

CVAT imports the XML into a task or project that has these images and labels; ``labels.json`` is
for the raw editor of a new project's labels. Scores are written as the attribute "score" of a
shape; CVAT keeps it if the label has this attribute.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

import numpy as np

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.formats.left_out import Lost
from pvzoo.data.schema import CLASSIFICATION, INSTANCE
from pvzoo.data.xml_file import check_text
from pvzoo.inputs.images import ImageHandle
from pvzoo.results.drawing import class_colour
from pvzoo.results.masks import Masks

Element = tuple[str, dict[str, str]]


def write(parts: Parts, folder: Path) -> None:
    """Write ``annotations.xml``, ``labels.json`` and ``images/<split>/``."""
    kind = {CLASSIFICATION: "tag", INSTANCE: "mask"}.get(parts.task, "rectangle")
    labels = [
        {
            "name": name,
            "color": "#" + bytes(class_colour(i)).hex(),
            "type": kind,
            "attributes": [_SCORE] if parts.scored else [],
        }
        for i, name in enumerate(parts.names)
    ]
    for name in parts.names:
        check_text(name, "The class")
    text = json.dumps(labels, indent=2, ensure_ascii=False)
    (folder / "labels.json").write_text(f"{text}\n", encoding="utf-8")
    lost = Lost("CVAT")
    with (folder / "annotations.xml").open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        _start(xml, "annotations")
        _text(xml, "version", "1.1")
        _meta(xml, labels)
        number = 0
        for split in parts.splits:
            images, names = folder / "images" / (split or "."), Names(parts.file_names(split))
            images.mkdir(parents=True)
            for row in parts.rows(split):
                name = copy_image(row, images, names)
                check_text(name, "The image")
                head = {"id": str(number), "name": name} | ({"subset": split} if split else {})
                _start(xml, "image", head | _size(row, images / name))
                for score, (tag, given) in _elements(row, parts, lost):
                    _start(xml, tag, given)
                    if score is not None:
                        _text(xml, "attribute", f"{score:.4f}", {"name": "score"})
                    xml.endElement(tag)
                xml.endElement("image")
                xml.characters("\n")
                number += 1
        xml.endElement("annotations")
        xml.endDocument()
    lost.warn()


_SCORE = {
    "name": "score",
    "mutable": False,
    "input_type": "text",
    "default_value": "",
    "values": [],
}


def _meta(xml: XMLGenerator, labels: list[dict[str, Any]]) -> None:
    for tag in ("meta", "task", "labels"):
        _start(xml, tag)
    for label in labels:
        _start(xml, "label")
        for key in ("name", "color", "type"):
            _text(xml, key, label[key])
        _start(xml, "attributes")
        for attribute in label["attributes"]:
            _start(xml, "attribute")
            for key in ("name", "mutable", "input_type", "default_value", "values"):
                _text(xml, key, str(attribute[key] or ""))
            xml.endElement("attribute")
        xml.endElement("attributes")
        xml.endElement("label")
    for tag in ("labels", "task", "meta"):
        xml.endElement(tag)
    xml.characters("\n")


def _start(xml: XMLGenerator, tag: str, given: Mapping[str, str] | None = None) -> None:
    xml.startElement(tag, AttributesImpl(given or {}))


def _text(xml: XMLGenerator, tag: str, text: str, given: Mapping[str, str] | None = None) -> None:
    _start(xml, tag, given)
    xml.characters(text)
    xml.endElement(tag)


def _size(row: Mapping[str, Any], file: Path) -> dict[str, str]:
    if "width" in row:
        return {"width": str(row["width"]), "height": str(row["height"])}
    width, height = ImageHandle.of(file).open_as_is().size
    return {"width": str(width), "height": str(height)}


def _elements(
    row: Mapping[str, Any], parts: Parts, lost: Lost
) -> Iterator[tuple[float | None, Element]]:
    """The elements of an image, each with its score if there is one."""
    source = {"source": "auto" if parts.scored else "manual"}
    scores = row.get("scores") or []
    if parts.task == CLASSIFICATION:
        given = row["labels"] if "labels" in row else [row["label"]]
        for i, label in enumerate(given):
            if not lost.has_no_class(label, parts.names):
                score = scores[i] if scores else None
                yield score, ("tag", {"label": parts.names[label]} | source)
        return
    objects = row["objects"]
    for i, category in enumerate(objects["category"]):
        if lost.is_flagged(objects, i) or lost.has_no_class(category, parts.names):
            continue
        head = {"label": parts.names[category]} | source | {"occluded": "0", "z_order": "0"}
        if parts.task == INSTANCE:
            index = _mask(objects["segmentation"][i])
            if index is None:
                lost.count("objects without pixels")
                continue
            element = ("mask", head | index)
        else:
            left, top, width, height = objects["bbox"][i]
            sides = {"xtl": left, "ytl": top, "xbr": left + width, "ybr": top + height}
            element = ("box", head | {key: repr(float(side)) for key, side in sides.items()})
        yield (scores[i] if scores else None), element


def _mask(code: Mapping[str, Any]) -> dict[str, str] | None:
    """A mask as run lengths in the box around it, row by row; None for one without pixels."""
    height, width = code["size"]
    masks = Masks((height, width), (code["counts"].encode("ascii"),))
    left, top, right, bottom = masks.boxes[0].astype(int).tolist()
    cut = masks[0][top:bottom, left:right].reshape(-1)
    if not cut.any():
        return None
    bounds = np.flatnonzero(np.diff(np.concatenate([[False], cut]).astype(np.int8))).tolist()
    runs = np.diff([0, *bounds, cut.size]).tolist()
    index = {"left": left, "top": top, "width": right - left, "height": bottom - top}
    return {"rle": ", ".join(map(str, runs))} | {key: str(side) for key, side in index.items()}
