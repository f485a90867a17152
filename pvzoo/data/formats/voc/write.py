"""Write Pascal VOC: an XML file for each image in ``Annotations``, and lists of the splits.

Edges count pixels from 1, include the last pixel, and are not rounded. ``ignore`` is written as
``difficult``. A mask is written as one ``<polygon>`` (`pvzoo.data.polygons`) with vertices counted
from 1.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from pvzoo.data.copies import Names, Parts, copy_image
from pvzoo.data.formats.left_out import Lost
from pvzoo.data.polygons import outline
from pvzoo.data.schema import INSTANCE
from pvzoo.data.xml_file import check_text
from pvzoo.errors import DataError

_LISTS = {"train": "train", "validation": "val", "test": "test"}


def write(parts: Parts, folder: Path) -> None:
    """Write ``Annotations/``, ``JPEGImages/`` and ``ImageSets/Main/<split>.txt``."""
    if other := [split for split in parts.splits if split is not None and split not in _LISTS]:
        raise DataError(
            f"Pascal VOC cannot store the split {other[0]!r}.",
            "Name the splits train, validation and test.",
        )
    lost, taken = Lost("Pascal VOC"), Names()
    xmls, images, lists = (folder / f for f in ("Annotations", "JPEGImages", "ImageSets/Main"))
    for index in (xmls, images, lists):
        index.mkdir(parents=True)
    for split in parts.splits:
        stems = []
        for row in parts.rows(split):
            # a list has one name per line, and readers drop what follows a space
            base = os.path.basename((row["file_name"] or "").replace("\\", "/"))
            name = copy_image(row, images, taken, re.sub(r"\s", "_", base))
            stems.append(Path(name).stem)
            text = "\n".join(_lines(row, name, parts, lost))
            (xmls / f"{stems[-1]}.xml").write_text(f"{text}\n", encoding="utf-8")
        if split is not None:
            text = "".join(f"{stem}\n" for stem in stems)
            (lists / f"{_LISTS[split]}.txt").write_text(text, encoding="utf-8")
    lost.warn()


def _lines(row: Mapping[str, Any], name: str, parts: Parts, lost: Lost) -> Iterator[str]:
    check_text(name, "The image")
    objects = row["objects"]
    yield f"<annotation>\n  <filename>{escape(name)}</filename>"
    yield f"  <size><width>{row['width']}</width><height>{row['height']}</height></size>"
    for i, category in enumerate(objects["category"]):
        if objects["iscrowd"][i]:
            lost.count("crowds")
        elif not lost.has_no_class(category, parts.names):
            label = parts.names[category]
            check_text(label, "The class")
            yield f"  <object>\n    <name>{escape(label)}</name>"
            yield f"    <difficult>{int(objects['ignore'][i])}</difficult>"
            left, top, width, height = objects["bbox"][i]
            edges = {"xmin": left + 1, "ymin": top + 1, "xmax": left + width, "ymax": top + height}
            yield f"    <bndbox>{_elements(edges)}</bndbox>"
            if parts.task == INSTANCE:
                corners = outline(objects["segmentation"][i])
                if corners is not None:
                    points = {
                        f"{axis}{number}": value + 1
                        for number, point in enumerate(corners.tolist(), 1)
                        for axis, value in zip("xy", point, strict=True)
                    }
                    yield f"    <polygon>{_elements(points)}</polygon>"
            yield "  </object>"
    yield "</annotation>"


def _elements(values: Mapping[str, float]) -> str:
    return "".join(f"<{tag}>{float(value)!r}</{tag}>" for tag, value in values.items())
