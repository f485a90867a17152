"""Damaged files of labels: reading them gives data or a `PvzooError`, in seconds and in the memory.

Each format is read, checked and gone through row by row, as before anything else is done with it.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
import pytest
from mutations import mutated, obeys_the_rule, until
from PIL import Image

from pvzoo import data
from pvzoo.data.derive import rows
from pvzoo.data.formats.label_studio import brush
from pvzoo.data.labels import splits
from pvzoo.data.maps import encode_colour, encode_grey
from pvzoo.data.rle import empty_code

MOST_ROWS = 50


@dataclass(frozen=True)
class Format:
    """A small source in one format.

    Attributes:
        write: Writes it into a folder.
        damaged: The files to damage: a path in it -> what `mutations.mutated` calls their kind.
        tasks: What to read it as.
        source: What to read of it.
    """

    write: Callable[[Path], None]
    damaged: dict[str, str]
    tasks: tuple[str | None, ...] = (None,)
    source: str = "."


def _image(file: Path, seed: int = 0) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8)).save(file)


def _text(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


# --- the formats ----------------------------------------------------------------------------------


def _coco(root: Path) -> None:
    masks = [
        [[2, 2, 20, 2, 20, 12, 2, 12]],
        {"size": [24, 32], "counts": [100, 68, 600]},
        empty_code((24, 32), ""),
    ]
    annotations = [
        {
            "id": i,
            "image_id": 1 + i % 2,
            "category_id": 1 + i % 3,
            "bbox": [2.5, 2, 18, 10],
            "area": 180,
            "iscrowd": i % 2,
            "segmentation": mask,
        }
        for i, mask in enumerate(masks, 1)
    ]
    content = {
        "info": {"year": 2024},
        "images": [
            {"id": i, "file_name": f"images/{i}.png", "width": 32, "height": 24} for i in (1, 2)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in enumerate(("cat", "dog", "hen"), 1)],
    }
    _text(root / "labels.json", json.dumps(content))
    for i in (1, 2):
        _image(root / f"images/{i}.png", i)


def _panoptic(root: Path) -> None:
    content = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 32, "height": 24} for i in (1, 2)],
        "annotations": [
            {
                "image_id": i,
                "file_name": f"{i}.png",
                "segments_info": [
                    {"id": 7, "category_id": 1, "area": 384, "bbox": [0, 0, 16, 24], "iscrowd": 0},
                    {"id": 300, "category_id": 2, "area": 384, "iscrowd": 1},
                ],
            }
            for i in (1, 2)
        ],
        "categories": [
            {"id": 1, "name": "cat", "isthing": 1, "supercategory": "animal"},
            {"id": 2, "name": "sky", "isthing": 0},
        ],
    }
    _text(root / "annotations/panoptic_val2017.json", json.dumps(content))
    values = np.full((24, 32), 300)
    values[:, :16] = 7
    for i in (1, 2):
        _image(root / f"val2017/{i}.jpg", i)
        (root / "annotations/panoptic_val2017").mkdir(exist_ok=True)
        (root / f"annotations/panoptic_val2017/{i}.png").write_bytes(encode_colour(values))


def _yolo(root: Path) -> None:
    _text(
        root / "data.yaml", "path: .\ntrain: images/train\nval: val.txt\nnc: 2\nnames: [cat, dog]\n"
    )
    _text(root / "val.txt", "images/val/3.png\n")
    for name in ("train/1", "train/2", "val/3"):
        _image(root / f"images/{name}.png", len(name))
        _text(
            root / f"labels/{name}.txt", "0 0.5 0.5 0.25 0.25\n1 0.1 0.1 0.5 0.1 0.5 0.5 0.1 0.4\n"
        )


_XML = """<annotation><folder>x</folder><filename>1.jpg</filename>
<size><width>32</width><height>24</height><depth>3</depth></size><segmented>0</segmented>
<object><name>cat</name><difficult>0</difficult>
<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>16</xmax><ymax>15</ymax></bndbox></object>
<object><name>dog</name><polygon><x1>3</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>9</x3><y3>6</y3></polygon>
<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>9</xmax><ymax>6</ymax></bndbox></object></annotation>"""


def _voc(root: Path) -> None:
    for i in (1, 2):
        _text(root / f"Annotations/{i}.xml", _XML.replace("1.jpg", f"{i}.jpg"))
        _image(root / f"JPEGImages/{i}.jpg", i)
    _text(root / "ImageSets/Main/train.txt", "1\n2\n")


def _masks(root: Path) -> None:
    values = np.zeros((24, 32), int)
    values[:, :16] = 1
    for i in (1, 2):
        _image(root / f"images/{i}.png", i)
        (root / "masks").mkdir(exist_ok=True)
        (root / f"masks/{i}.png").write_bytes(encode_grey(values))
    _text(root / "id2label.json", '{"0": "sky", "1": "road", "255": "void"}')


def _mask_lists(root: Path) -> None:
    _masks(root)
    (root / "id2label.json").unlink()
    _text(root / "classes.csv", "name,r,g,b\nsky,0,0,0\nroad,255,0,0\n")


def _csv(root: Path) -> None:
    _text(
        root / "metadata.csv", 'file_name,label,width\n1.png,cat,32\n2.png,"a, b",32\n3.png,007,1\n'
    )
    for i in (1, 2, 3):
        _image(root / f"{i}.png", i)


def _jsonl(root: Path) -> None:
    objects = {"bbox": [[2, 2, 9, 9], [1, 1, 5, 5]], "category": [0, 1], "id": [1, 2]}
    masks = [[[2, 2, 9, 2, 9, 9]], [[1, 1, 5, 1, 5, 5]]]
    lines = [
        {"file_name": f"{i}.png", "image_id": i, "objects": {**objects, "segmentation": masks}}
        for i in (1, 2)
    ]
    _text(root / "metadata.jsonl", "\n".join(map(json.dumps, lines)))
    for i in (1, 2):
        _image(root / f"{i}.png", i)


def _darknet(root: Path) -> None:
    _text(root / "obj.data", "classes = 2\nnames = obj.names\ntrain = train.txt\n")
    _text(root / "obj.names", "cat\ndog\n")
    _text(root / "train.txt", "data/obj_train_data/1.png\n")
    _image(root / "obj_train_data/1.png")
    _text(root / "obj_train_data/1.txt", "0 0.5 0.5 0.25 0.25\n1 0.5 0.5 0.1 0.1\n")


_CVAT = """<annotations><version>1.1</version><meta><task><labels><label><name>cat</name><color>#fff
</color></label></labels></task></meta><image id="0" name="1.png" width="32" height="24" subset="Train">
<box label="cat" occluded="0" xtl="2.5" ytl="2" xbr="9" ybr="9" rotation="0" z_order="0"/>
<polygon label="dog" points="1,1;9.5,1;9,9" z_order="0"><attribute name="a">1</attribute></polygon>
<mask label="cat" rle="1, 3, 2" left="4" top="2" width="3" height="2"/><tag label="hen"/></image>
<image id="1" name="2.png" width="32" height="24"/></annotations>"""  # noqa: E501


def _cvat(root: Path) -> None:
    _text(root / "annotations.xml", _CVAT)
    for i in (1, 2):
        _image(root / f"images/{i}.png", i)


def _label_studio(root: Path) -> None:
    def result(kind: str, value: dict) -> dict:
        size = {"original_width": 32, "original_height": 24, "image_rotation": 0}
        return size | {"id": "a", "type": kind, "value": value | {kind: ["cat"]}}

    mask = np.zeros((24, 32), bool)
    mask[2:9, 4:9] = True
    results = [
        result("rectanglelabels", {"x": 1, "y": 2.5, "width": 50, "height": 20, "rotation": 0}),
        result("polygonlabels", {"points": [[1, 2], [30, 2.5], [30, 60]]}),
        result("brushlabels", {"format": "rle", "rle": brush.encode(mask)}),
        {"id": "b", "type": "choices", "value": {"choices": ["hen"]}},
    ]
    tasks = [
        {
            "id": i,
            "data": {"image": f"/data/upload/1/0a1b2c3d-{i}.png"},
            "annotations": [{"result": results, "was_cancelled": False, "ground_truth": True}],
        }
        for i in (1, 2)
    ]
    _text(root / "export.json", json.dumps(tasks))
    _text(root / "label_config.xml", '<View><Labels><Label value="cat"/></Labels></View>')
    for i in (1, 2):
        _image(root / f"images/{i}.png", i)


def _classes_csv(root: Path) -> None:
    _text(root / "train/_classes.csv", "filename, cat, dog\n1.png, 1, 0\n2.png, 0, 1\n")
    for i in (1, 2):
        _image(root / f"train/{i}.png", i)


def _zip(root: Path) -> None:
    _cvat(root / "in")
    with zipfile.ZipFile(root / "data.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for file in sorted((root / "in").rglob("*.*")):
            packed.write(file, file.relative_to(root / "in"))


def _parquet(root: Path) -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    cells = [{"bytes": file.getvalue(), "path": None}] * 2
    data = datasets.Dataset.from_dict({"image": cells, "label": ["cat", "dog"]})
    data = data.cast_column("image", datasets.Image())
    (root / "data").mkdir()
    data.to_parquet(root / "data/train-00000-of-00001.parquet")


FORMATS = {
    "coco": Format(_coco, {"labels.json": "json"}, (None, "object-detection")),
    "panoptic": Format(
        _panoptic,
        {
            "annotations/panoptic_val2017.json": "json",
            "annotations/panoptic_val2017/1.png": "bytes",
        },
        (None, "instance-segmentation", "semantic-segmentation"),
    ),
    "yolo": Format(
        _yolo,
        {"data.yaml": "yaml", "labels/train/1.txt": "lines", "val.txt": "lines"},
        (None, "object-detection"),
    ),
    "voc": Format(
        _voc,
        {"Annotations/1.xml": "xml", "ImageSets/Main/train.txt": "lines"},
        (None, "object-detection"),
    ),
    "masks": Format(_masks, {"id2label.json": "json", "masks/1.png": "bytes"}),
    "lists of masks": Format(_mask_lists, {"classes.csv": "csv", "masks/1.png": "bytes"}),
    "metadata.csv": Format(_csv, {"metadata.csv": "csv"}),
    "YOLO 1.1": Format(
        _darknet, {"obj.data": "lines", "obj.names": "lines", "obj_train_data/1.txt": "lines"}
    ),
    "cvat": Format(
        _cvat,
        {"annotations.xml": "xml"},
        (None, "object-detection", "image-classification"),
    ),
    "label studio": Format(
        _label_studio,
        {"export.json": "json", "label_config.xml": "xml"},
        (None, "object-detection", "image-classification"),
    ),
    "_classes.csv": Format(_classes_csv, {"train/_classes.csv": "csv"}),
    "zip": Format(_zip, {"data.zip": "bytes"}, source="data.zip"),
    "parquet": Format(_parquet, {"data/train-00000-of-00001.parquet": "bytes"}),
    "metadata.jsonl": Format(_jsonl, {"metadata.jsonl": "jsonl"}, (None, "object-detection")),
}


# --- reading them ---------------------------------------------------------------------------------


@pytest.fixture
def quiet(own_cache: Path) -> Iterator[Path]:
    """The cache of `datasets`, without its bars; what readers warn of is no error here."""
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield own_cache
    if shown:
        datasets.enable_progress_bars()


def _read(source: Path, task: str | None) -> None:
    loaded = data.load(source, task)
    for part in splits(loaded).values():
        for _ in zip(range(MOST_ROWS), rows(part, list(part.features)), strict=False):
            pass
    str(data.check(loaded, task))


def attempts(form: Format, root: Path, cache: Path) -> Callable[[random.Random], None]:
    """What damages one of the files, reads the source and fixes the file again."""
    form.write(root)
    source = root / form.source
    whole = {name: (root / name).read_bytes() for name in form.damaged}
    for task in form.tasks:  # imports are not what is measured
        assert obeys_the_rule(lambda task=task: _read(source, task), "the undamaged source")

    def attempt(rng: random.Random) -> None:
        name = rng.choice(list(whole))
        task = rng.choice(form.tasks)
        damaged = mutated(whole[name], form.damaged[name], rng)
        (root / name).write_bytes(damaged)
        said = io.StringIO()
        try:
            with redirect_stderr(said):
                obeys_the_rule(lambda: _read(source, task), f"{name} {damaged[:3000]!r}")
        finally:
            (root / name).write_bytes(whole[name])
            shutil.rmtree(cache)
            cache.mkdir()

    return attempt


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_gives_data_or_an_error_that_says_so(name, tmp_path, quiet):
    assert until(2, attempts(FORMATS[name], tmp_path, quiet), 10) >= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_do_so_for_a_minute(name, tmp_path, quiet):
    assert until(60, attempts(FORMATS[name], tmp_path, quiet)) >= 50
