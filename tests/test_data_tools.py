"""Exports of annotation tools in miniature, made by hand to what the tools document.

CVAT: docs.cvat.ai/docs/dataset_management/formats (format-cvat, format-yolo, xml_format). Label
Studio: labelstud.io/guide/task_format and labelstud.io/tags. Roboflow: docs.roboflow.com and
roboflow.com/formats.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as pycoco

from pvzoo import data
from pvzoo.data.formats.label_studio import brush
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")


def image_file(file: Path, width: int = 20, height: int = 10) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    # each of another colour: the check compares pixels
    Image.new("RGB", (width, height), (sum(map(ord, file.stem)) % 256, 0, 0)).save(file)


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def masks_of(row) -> list[np.ndarray]:
    return [pycoco.decode(code).astype(bool) for code in row["objects"]["segmentation"]]


# --- CVAT's YOLO 1.1 ------------------------------------------------------------------------------


def cvat_yolo(root: Path, prefix: str = "") -> None:
    put(root / "obj.names", "cat\ndog\n")
    put(
        root / "obj.data",
        f"classes = 2\nnames = {prefix}obj.names\ntrain = {prefix}train.txt\n"
        f"valid = {prefix}valid.txt\nbackup = backup/\n",
    )
    for split, name in (("train", "a"), ("valid", "b")):
        put(root / f"{split}.txt", f"{prefix}obj_{split}_data/{name}.jpg\n")
        image_file(root / f"obj_{split}_data/{name}.jpg")
        put(root / f"obj_{split}_data/{name}.txt", "1 0.5 0.5 0.2 0.4\n")


@pytest.mark.parametrize("prefix", ["", "data/"])
def test_a_yolo_export_of_cvat_is_read_as_boxes(tmp_path, prefix):
    cvat_yolo(tmp_path, prefix)
    found = data.load(tmp_path)
    assert list(found) == ["train", "validation"]
    for part, name in zip(found.values(), ("train/a", "valid/b"), strict=True):
        (row,) = part
        assert class_names(part.features) == ("cat", "dog")
        split, stem = name.split("/")
        assert row["file_name"] == f"obj_{split}_data/{stem}.jpg"
        assert row["objects"]["category"] == [1]
        assert row["objects"]["bbox"][0] == pytest.approx([8, 3, 4, 4])
    assert not data.check(found).errors


def test_without_its_obj_data_the_folders_of_a_yolo_export_say_the_splits(tmp_path):
    cvat_yolo(tmp_path)
    (tmp_path / "obj.data").unlink()
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).unlink()
    assert {name: len(part) for name, part in data.load(tmp_path).items()} == {
        "train": 1,
        "validation": 1,
    }


def test_a_yolo_export_of_label_studio_needs_no_yaml(tmp_path):
    put(tmp_path / "classes.txt", "cat\ndog\n")
    put(tmp_path / "notes.json", '{"categories": [], "info": {"contributor": "Label Studio"}}')
    image_file(tmp_path / "images/a.jpg")
    put(tmp_path / "labels/a.txt", "0 0.5 0.5 0.2 0.4\n")
    (row,) = (found := data.load(tmp_path))
    assert class_names(found.features) == ("cat", "dog")
    assert row["objects"]["bbox"][0] == pytest.approx([8, 3, 4, 4])


# --- CVAT for images 1.1 --------------------------------------------------------------------------

META = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><{kind}><id>1</id><name>t</name><size>2</size>
<labels><label><name>dog</name><color>#ff6a4d</color><type>any</type><attributes/></label>
<label><name>cat</name><color>#fafa37</color><type>any</type><attributes/></label></labels>
</{kind}><dumped>2024-01-01</dumped></meta>
{images}</annotations>"""
IMAGES = """<image id="0" name="a.jpg" {subset} width="20" height="10">
<box label="cat" source="manual" occluded="0" xtl="2.50" ytl="1.00" xbr="6.00" ybr="4.00" z_order="0">
<attribute name="age">3</attribute></box>{more}</image>
<image id="1" name="b.jpg" {other} width="20" height="10"></image>"""  # noqa: E501
POLYGON = '<polygon label="dog" occluded="0" points="1.00,1.00;5.00,1.00;5.00,5.00" z_order="0"/>'
MASK = '<mask label="cat" rle="1, 3, 2" left="4" top="2" width="3" height="2" z_order="0"/>'


def cvat(root: Path, *more: str, kind: str = "task", subset: str = "", other: str = "") -> None:
    images = IMAGES.format(more="".join(more), subset=subset, other=other)
    put(root / "annotations.xml", META.format(kind=kind, images=images))
    if not subset:
        image_file(root / "images/a.jpg")
        image_file(root / "images/b.jpg")


@pytest.mark.parametrize("kind", ["task", "job", "project"])
def test_an_export_of_cvat_has_boxes_and_images_without_any(tmp_path, kind):
    cvat(tmp_path, kind=kind)
    found = data.load(tmp_path)
    assert task_of(found.features) == "object-detection"
    assert class_names(found.features) == ("dog", "cat")
    first, second = found
    assert first["file_name"] == "images/a.jpg"
    assert (first["width"], first["height"]) == (20, 10)
    assert first["objects"]["bbox"] == [[2.5, 1, 3.5, 3]]
    assert first["objects"]["category"] == [1]
    assert second["objects"]["id"] == []
    assert len(data.load(tmp_path / "annotations.xml")) == 2


def test_polygons_and_masks_of_cvat_are_masks(tmp_path):
    cvat(tmp_path, POLYGON, MASK)
    found = data.load(tmp_path)
    assert task_of(found.features) == "instance-segmentation"
    box, polygon, mask = masks_of(found[0])
    assert box[1:4, 3:6].all()
    assert polygon.sum() == pycoco.area(
        pycoco.frPyObjects([[1.0, 1, 5, 1, 5, 5]], 10, 20)
    ).sum()  # fmt: skip
    wanted = np.zeros((10, 20), bool)
    wanted[2:4, 4:7] = [[False, True, True], [True, False, False]]
    assert (mask == wanted).all()
    assert found[0]["objects"]["bbox"][2] == [4, 2, 3, 2]


def test_subsets_of_cvat_are_splits_in_folders_of_their_own(tmp_path):
    cvat(tmp_path, kind="project", subset='subset="Train"', other='subset="Validation"')
    image_file(tmp_path / "images/Train/a.jpg")
    image_file(tmp_path / "images/Validation/b.jpg")
    found = data.load(tmp_path)
    assert list(found) == ["train", "validation"]
    assert found["train"][0]["file_name"] == "images/Train/a.jpg"
    assert found["validation"][0]["file_name"] == "images/Validation/b.jpg"


def test_boxes_of_images_that_also_have_several_tags_are_objects(tmp_path):
    box = '<box label="cat" xtl="1" ytl="1" xbr="9" ybr="9" z_order="0"/>'
    tags = '<tag label="cat" source="manual"/><tag label="dog" source="manual"/>'
    images = f'<image id="0" name="a.jpg" width="20" height="10">{box}{tags}</image>'
    put(tmp_path / "annotations.xml", META.format(kind="task", images=images))
    image_file(tmp_path / "images/a.jpg")
    for kind in (None, "object-detection"):
        (row,) = data.load(tmp_path, kind)
        assert len(row["objects"]["category"]) == 1


def test_tags_of_cvat_are_classes_of_images(tmp_path):
    tagged = '<image id="{}" name="{}.jpg" width="20" height="10">{}</image>'
    one, two = '<tag label="cat" source="manual"/>', '<tag label="dog" source="manual"/>'
    for name, tags, wanted in (
        ("one", (one, two), [1, 0]),
        ("many", (one + two, ""), [[1, 0], []]),
    ):
        root = tmp_path / name
        images = "".join(tagged.format(i, "ab"[i], tag) for i, tag in enumerate(tags))
        put(root / "annotations.xml", META.format(kind="task", images=images))
        for stem in "ab":
            image_file(root / f"images/{stem}.jpg")
        found = data.load(root)
        assert found["labels" if name == "many" else "label"] == wanted


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('<ellipse label="cat" cx="3" cy="3" rx="1" ry="1"/>', "ellipses"),
        ('<points label="cat" points="1,1"/>', "points"),
        ('<polyline label="cat" points="1,1;2,2"/>', "polylines"),
        ('<cuboid label="cat" xtl1="1"/>', "cuboids"),
        ('<skeleton label="cat"><points label="1" points="1,1"/></skeleton>', "skeletons"),
        ('<box label="cat" xtl="1" ytl="1" xbr="3" ybr="3" rotation="30.00"/>', "rotated boxes"),
    ],
)
def test_what_cvat_draws_beside_boxes_and_masks_is_refused_by_name(tmp_path, more, said):
    cvat(tmp_path, more)
    with pytest.raises(DataError, match=f"CVAT for images.* has {said}"):
        data.load(tmp_path)
    assert len(data.load(tmp_path, "object-detection")[0]["objects"]["id"]) == 1


def test_videos_of_cvat_are_refused_by_name(tmp_path):
    track = '<track id="0" label="cat"><box frame="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'
    put(tmp_path / "annotations.xml", META.format(kind="task", images=track))
    with pytest.raises(DataError, match="CVAT for video"):
        data.load(tmp_path)


@pytest.mark.parametrize(
    "mask",
    [
        MASK.replace("1, 3, 2", "1, 3"),
        MASK.replace('width="3"', 'width="30"'),
        MASK.replace("1, 3, 2", "-1, 5, 2"),
        MASK.replace("1, 3, 2", ""),
        MASK.replace('left="4"', 'left="19"'),
        MASK.replace('height="2"', 'height="99999999999999999999"'),
    ],
)
def test_a_mask_of_cvat_that_is_damaged_is_an_error_of_its_image(tmp_path, mask):
    cvat(tmp_path, mask)
    with pytest.raises(DataError, match=r"image 'a.jpg', mask 2"):
        data.load(tmp_path)


# --- Label Studio ---------------------------------------------------------------------------------


def task(results: list[dict], image: str = "/data/upload/1/0a1b2c3d-a.jpg", **more) -> dict:
    return {
        "id": 1,
        "annotations": [{"id": 1, "result": results, "was_cancelled": False}],
        "predictions": [],
        "data": {"image": image},
    } | more


def region(kind: str, value: dict, label: str = "cat", **more) -> dict:
    head = {"original_width": 20, "original_height": 10, "image_rotation": 0, "id": "x"}
    names = {"from_name": "label", "to_name": "image", "type": kind}
    return head | names | {"value": value | {kind: [label]}} | more


BOX = {"x": 10, "y": 20, "width": 50, "height": 30.0, "rotation": 0}
POINTS = {"points": [[5, 10], [25, 10], [25, 50]], "closed": True}


def label_studio(root: Path, *tasks: dict, name: str = "project-1.json") -> None:
    put(root / name, json.dumps(tasks))


def test_boxes_of_label_studio_are_per_cents_and_uploads_lose_their_prefix(tmp_path):
    label_studio(tmp_path, task([region("rectanglelabels", BOX)]), task([], "s3://b/x/b%20c.jpg"))
    image_file(tmp_path / "images/a.jpg")
    image_file(tmp_path / "images/b c.jpg", 30, 40)
    first, second = (found := data.load(tmp_path))
    assert task_of(found.features) == "object-detection"
    assert first["objects"]["bbox"] == [[2, 2, 10, 3]]
    assert first["file_name"] == "images/a.jpg"
    assert second["objects"]["id"] == []
    assert (second["file_name"], second["width"]) == ("images/b c.jpg", 30)
    assert not data.check(found).errors


def test_polygons_and_brushes_of_label_studio_are_masks(tmp_path):
    mask = np.zeros((10, 20), bool)
    mask[3:6, 4:9] = mask[4, 0] = True
    brushed = region("brushlabels", {"format": "rle", "rle": brush.encode(mask)}, "dog")
    label_studio(
        tmp_path,
        task([region("polygonlabels", POINTS), brushed], "/data/local-files/?d=images/a.jpg"),
    )
    image_file(tmp_path / "images/a.jpg")
    (row,) = (found := data.load(tmp_path))
    assert task_of(found.features) == "instance-segmentation"
    assert class_names(found.features) == ("cat", "dog")
    polygon, brushed = masks_of(row)
    wanted = pycoco.decode(pycoco.frPyObjects([[1.0, 1, 5, 1, 5, 5]], 10, 20))[..., 0]
    assert (polygon == wanted).all()
    assert (brushed == mask).all()


def test_choices_of_label_studio_are_classes_of_images(tmp_path):
    def chosen(*names: str) -> dict:
        value = {"choices": [*names]}
        return {"type": "choices", "from_name": "c", "to_name": "image", "value": value}

    label_studio(tmp_path / "one", task([chosen("cat")], "a.jpg"), task([chosen("ape")], "b.jpg"))
    label_studio(tmp_path / "two", task([chosen("cat", "ape")], "a.jpg"), task([], "b.jpg"))
    assert data.load(tmp_path / "one")["label"] == [1, 0]
    assert data.load(tmp_path / "two")["labels"] == [[1, 0], []]


def test_of_several_annotations_one_counts_and_tasks_without_one_are_left_out(tmp_path):
    other = {"id": 2, "result": [region("rectanglelabels", BOX, "dog")]}
    cancelled = {"id": 3, "result": [], "was_cancelled": True}
    first = task([region("rectanglelabels", BOX)], "a.jpg")
    first["annotations"] += [other, cancelled]
    label_studio(tmp_path, first, task([], "b.jpg") | {"annotations": [cancelled]})
    with (
        pytest.warns(PvzooWarning, match="1 tasks have several annotations"),
        pytest.warns(PvzooWarning, match="1 tasks have no annotation"),
    ):
        found = data.load(tmp_path)
    assert len(found) == 1
    assert class_names(found.features) == ("dog",)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (region("rectanglelabels", BOX | {"rotation": 30}), "rotated boxes"),
        (region("rectanglelabels", BOX, image_rotation=90), "rotated images"),
        (region("ellipselabels", {"x": 1, "y": 1, "radiusX": 1, "radiusY": 1}), "ellipses"),
        (region("keypointlabels", {"x": 1, "y": 1, "width": 1}), "key points"),
    ],
)
def test_what_label_studio_draws_beside_boxes_and_masks_is_refused_by_name(tmp_path, result, said):
    label_studio(tmp_path, task([result, region("rectanglelabels", BOX)], "a.jpg"))
    image_file(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=f"Label Studio.* has {said}"):
        data.load(tmp_path)
    assert len(data.load(tmp_path, "object-detection")[0]["objects"]["id"]) == 1


def test_the_short_json_of_label_studio_is_refused_by_name(tmp_path):
    rows = [{"image": "a.jpg", "id": 1, "label": [BOX], "annotator": 1, "annotation_id": 1}]
    put(tmp_path / "short.json", json.dumps(rows))
    with pytest.raises(DataError, match="JSON-MIN"):
        data.load(tmp_path)


def test_a_brush_is_read_as_label_studio_itself_reads_it():
    rng = np.random.default_rng(1)
    for _ in range(50):
        height, width = rng.integers(1, 40, 2).tolist()
        mask = rng.random((height, width)) < rng.random()
        coded = bytes(brush.encode(mask))
        assert (brush.decode(coded, (height, width), "it") == mask).all()
        assert (
            reference_brush(coded).reshape(height, width, 4)[..., 3] > 0
        ).tolist() == mask.tolist()


def reference_brush(rle: bytes) -> np.ndarray:
    """The values of an image, by the description of the format, value for value."""
    bits = "".join(f"{byte:08b}" for byte in rle)
    index = 0

    def read(count: int) -> int:
        nonlocal index
        index += count
        return int(bits[index - count : index], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated, length = read(1), 1 + read(sizes[read(2)])
        values += [read(word)] * length if repeated else [read(word) for _ in range(length)]
    return np.array(values)


# --- Roboflow -------------------------------------------------------------------------------------


def test_the_exports_of_roboflow_are_read(tmp_path):
    for split in ("train", "valid"):
        for name in ("coco", "voc"):
            image_file(tmp_path / f"{name}/{split}/{split}_jpg.rf.0a1b.jpg")
        image_file(tmp_path / f"yolo/{split}/images/{split}.jpg")
        put(tmp_path / f"yolo/{split}/labels/{split}.txt", "0 0.5 0.5 0.2 0.4\n")
        image_file(tmp_path / f"classes/{split}/cat/{split}.jpg")
        image = {"id": 0, "file_name": f"{split}_jpg.rf.0a1b.jpg", "width": 20, "height": 10}
        box = {"id": 0, "image_id": 0, "category_id": 1, "bbox": [8, 3, 4, 4], "area": 16}
        names = [{"id": 0, "name": "cats"}, {"id": 1, "name": "cat", "supercategory": "cats"}]
        content = {"images": [image], "annotations": [box], "categories": names}
        put(tmp_path / f"coco/{split}/_annotations.coco.json", json.dumps(content))
        put(
            tmp_path / f"voc/{split}/{split}_jpg.rf.0a1b.xml",
            "<annotation><object><name>cat</name><bndbox><xmin>9</xmin><ymin>4</ymin>"
            "<xmax>12</xmax><ymax>7</ymax></bndbox></object></annotation>",
        )
    put(
        tmp_path / "yolo/data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\nnc: 1\n"
        "names: ['cat']\nroboflow:\n  workspace: w\n  version: 1\n",
    )
    with pytest.warns(PvzooWarning, match="test"):
        found = {"yolo": data.load(tmp_path / "yolo")}
    found |= {name: data.load(tmp_path / name) for name in ("coco", "voc", "classes")}
    for name, parts in found.items():
        assert list(parts) == ["train", "validation"]
        for part in parts.values():
            if name == "classes":
                assert part["label"] == [0]
            else:
                assert part[0]["objects"]["bbox"][0] == pytest.approx([8, 3, 4, 4])


def test_several_classes_an_image_of_roboflow(tmp_path):
    for split in ("train", "valid"):
        image_file(tmp_path / f"{split}/{split}1.jpg")
        image_file(tmp_path / f"{split}/{split}2.jpg")
        lines = [f"{split}1.jpg, 1, 0, 1", f"{split}2.jpg, 0, 0, 0"]
        put(tmp_path / f"{split}/_classes.csv", "\n".join(["filename, cat, dog, hen", *lines]))
    found = data.load(tmp_path)
    assert list(found) == ["train", "validation"]
    assert class_names(found["train"].features) == ("cat", "dog", "hen")
    assert found["validation"]["labels"] == [[0, 2], []]
    assert not data.check(found).errors
    put(tmp_path / "train/_classes.csv", "filename, cat\ntrain1.jpg, yes\n")
    with pytest.raises(DataError, match=r"_classes.csv:2 has 'yes'"):
        data.load(tmp_path)


def test_the_masks_of_roboflow_lie_beside_their_images(tmp_path):
    image_file(tmp_path / "train/a_jpg.rf.0a.jpg")
    mask = np.zeros((10, 20), np.uint8)
    mask[2:5] = 1
    Image.fromarray(mask).save(tmp_path / "train/a_jpg.rf.0a_mask.png")
    put(tmp_path / "train/_classes.csv", "Pixel Value, Class\n0, background\n1, road\n")
    (row,) = (found := data.load(tmp_path)["train"])
    assert class_names(found.features) == ("background", "road")
    assert (np.asarray(row["annotation"]) == mask).all()
