"""Write Label Studio's JSON of tasks: boxes, brush masks or choices, and the label configuration.

``label_config.xml`` is for the project's labelling interface. The JSON names images as files of a
local storage whose root is the folder (labelstud.io/guide/storage, "Local storage"). Labels become
annotations; predictions with scores become what Label Studio calls predictions.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from pvzoo.data.copies import Names, Parts, check_size, copy_image
from pvzoo.data.files import upright_size
from pvzoo.data.formats.label_studio import brush
from pvzoo.data.formats.left_out import Lost
from pvzoo.data.schema import CLASSIFICATION, INSTANCE
from pvzoo.results.drawing import class_colour
from pvzoo.results.masks import Masks


def write(parts: Parts, folder: Path) -> None:
    """Write ``tasks_<split>.json``, ``images/<split>/`` and ``label_config.xml``."""
    (folder / "label_config.xml").write_text(_config(parts), encoding="utf-8")
    lost, number = Lost("Label Studio"), 0
    for split in parts.splits:
        images, names = folder / "images" / (split or "."), Names(parts.file_names(split))
        images.mkdir(parents=True)
        with (folder / f"tasks{f'_{split}' if split else ''}.json").open("w") as file:
            comma = "["
            for row in parts.rows(split):
                name = copy_image(row, images, names)
                if "objects" in row and row["objects"]["id"]:
                    check_size(row, upright_size(images / name))
                index = f"images/{split}/{name}" if split else f"images/{name}"
                data = {"image": f"/data/local-files/?d={quote(index)}"}
                results = []
                for score, result in _results(row, parts, lost):
                    number += 1
                    results.append({"id": f"r{number}", "to_name": "image"} | result)
                    if score is not None:
                        results[-1]["score"] = score
                entry: dict[str, Any] = {"result": results}
                if scores := row.get("scores"):
                    entry["score"] = sum(scores) / len(scores)
                task = {"data": data, "predictions" if parts.scored else "annotations": [entry]}
                file.write(f"{comma}\n{json.dumps(task)}")
                comma = ","
            file.write("[]\n" if comma == "[" else "\n]\n")
    lost.warn()


def _config(parts: Parts) -> str:
    several = any("labels" in part.features for part in parts.splits.values())
    if parts.task == CLASSIFICATION:
        kind, one = "Choices", "Choice"
        more = ' choice="multiple"' if several else ' choice="single"'
    else:
        kind, one = ("BrushLabels" if parts.task == INSTANCE else "RectangleLabels"), "Label"
        more = ""
    lines = [
        f'    <{one} value={quoteattr(name)} background="#{bytes(class_colour(i)).hex()}"/>'
        if one == "Label"
        else f"    <{one} value={quoteattr(name)}/>"
        for i, name in enumerate(parts.names)
    ]
    return "\n".join(
        [
            "<View>",
            '  <Image name="image" value="$image"/>',
            f'  <{kind} name="label" toName="image"{more}>',
            *lines,
            f"  </{kind}>",
            "</View>\n",
        ]
    )


def _results(
    row: Mapping[str, Any], parts: Parts, lost: Lost
) -> Iterator[tuple[float | None, dict[str, Any]]]:
    """The results of an image, each with its score if there is one."""
    scores = row.get("scores") or []
    if parts.task == CLASSIFICATION:
        given = row["labels"] if "labels" in row else [row["label"]]
        kept = [i for i in given if not lost.has_no_class(i, parts.names)]
        if kept:
            chosen = {"choices": [parts.names[i] for i in kept]}
            yield (
                (max(scores) if scores else None),
                {"from_name": "label", "type": "choices", "value": chosen},
            )
        return
    objects, size = row["objects"], (row["width"], row["height"])
    for i, category in enumerate(objects["category"]):
        if lost.is_flagged(objects, i) or lost.has_no_class(category, parts.names):
            continue
        value = _value(objects, i, row, masks=parts.task == INSTANCE)
        if value is None:
            lost.count("objects without pixels")
            continue
        kind = "brushlabels" if parts.task == INSTANCE else "rectanglelabels"
        result = {"from_name": "label", "type": kind, "image_rotation": 0}
        result |= {"original_width": size[0], "original_height": size[1]}
        result["value"] = value | {kind: [parts.names[category]]}
        yield (scores[i] if scores else None), result


def _value(
    objects: Mapping[str, Any], i: int, row: Mapping[str, Any], *, masks: bool
) -> dict[str, Any] | None:
    """The box or mask of an object; None for a mask without pixels."""
    if masks:
        code = objects["segmentation"][i]
        mask = Masks(tuple(code["size"]), (code["counts"].encode("ascii"),))[0]
        return {"format": "rle", "rle": brush.encode(mask)} if mask.any() else None
    sides = zip(objects["bbox"][i], (row["width"], row["height"]) * 2, strict=True)
    left, top, across, down = (100 * value / whole for value, whole in sides)
    return {"x": left, "y": top, "width": across, "height": down, "rotation": 0}
