"""Pascal VOC folders, held against supervision and against maps drawn here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from labelled_files import (
    NAMES,
    assert_same_but_for_the_border,
    corners,
    decoded,
    image_file,
    rotated_image,
    some_detections,
)
from PIL import Image

from pvzoo.data.formats.voc import read as voc
from pvzoo.data.load import load
from pvzoo.data.schema import class_names, task_of
from pvzoo.errors import DataError, PvzooWarning

pytestmark = pytest.mark.usefixtures("own_cache")

BOX = "<bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax><ymax>5</ymax></bndbox>"


def xml(*objects: str, name: str = "a.jpg", size: str = "<width>20</width><height>10</height>"):
    things = "".join(f"<object>{inner}</object>" for inner in objects)
    return f"<annotation><filename>{name}</filename><size>{size}</size>{things}</annotation>"


def put(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def devkit(root: Path, **texts: str) -> Path:
    """Annotations and JPEGImages of these names."""
    for name, text in texts.items():
        put(root / f"Annotations/{name}.xml", text)
        image_file(root / f"JPEGImages/{name}.jpg", 20, 10)
    return root


def rows(dataset) -> list[dict]:
    return list(dataset.remove_columns("image"))


@pytest.mark.parametrize("masks", [False, True])
def test_what_supervision_writes_is_read(tmp_path, masks):
    source = some_detections(tmp_path / "drawn", 8, masks=masks)
    root = tmp_path / "voc"
    source.as_pascal_voc(str(root / "images"), str(root / "annotations"))
    dataset = load(root)
    names = class_names(dataset.features)
    assert names == tuple(sorted(NAMES))
    assert task_of(dataset.features) == ("instance-segmentation" if masks else "object-detection")
    assert len(dataset) == len(source)
    for row, (path, pixels, wanted) in zip(dataset, source, strict=True):
        assert row["file_name"] == f"images/{Path(path).name}"
        assert row["image"].size == (row["width"], row["height"]) == pixels.shape[1::-1]
        objects = row["objects"]
        assert [names[c] for c in objects["category"]] == [NAMES[c] for c in wanted.class_id]
        assert np.array_equal(corners(objects), wanted.xyxy)
        if masks:
            for code, mask in zip(objects["segmentation"], wanted.mask, strict=True):
                assert_same_but_for_the_border(decoded(code), mask)


VERTICES = {
    "in turn": "<x1>3</x1><y1>2</y1><x2>9</x2><y2>2</y2><x3>9</x3><y3>6</y3>",
    "axis by axis": "<x1>3</x1><x2>9</x2><x3>9</x3><y1>2</y1><y2>2</y2><y3>6</y3>",
    "y first": "<y1>2</y1><x1>3</x1><y2>2</y2><x2>9</x2><y3>6</y3><x3>9</x3>",
    "without numbers": "<x>3</x><y>2</y><x>9</x><y>2</y><x>9</x><y>6</y>",
    "points": "<pt><x>3</x><y>2</y></pt><pt><y>2</y><x>9</x></pt><pt><x>9</x><y>6</y></pt>",
}


@pytest.mark.parametrize("form", VERTICES)
def test_the_vertices_of_a_polygon_go_by_their_names(tmp_path, form):
    thing = f"<name>x</name><polygon>{VERTICES[form]}</polygon>"
    (row,) = rows(load(devkit(tmp_path / "x", a=xml(thing))))
    assert row["objects"]["bbox"] == [[2, 1, 6, 4]]


def test_edges_count_from_one_and_difficult_objects_are_ignored_not_dropped(tmp_path):
    hard = f"<name>dog</name><difficult>1</difficult>{BOX}"
    part = "<name>cat</name><part><name>head</name><bndbox><xmin>9</xmin></bndbox></part>" + BOX
    root = devkit(tmp_path / "x", a=xml(hard, part), b=xml(name="b.jpg"))
    dataset = load(root)
    assert class_names(dataset.features) == ("cat", "dog")
    first, second = rows(dataset)
    assert first["objects"] == {
        "id": [1, 2],
        "bbox": [[2, 1, 4, 4]] * 2,
        "category": [1, 0],
        "area": [16, 16],
        "iscrowd": [False, False],
        "ignore": [True, False],
    }
    assert second["objects"]["id"] == []
    assert load(root / "Annotations").to_dict() == dataset.to_dict()


def test_difficult_may_be_said_in_numbers_or_words(tmp_path):
    said = ["0", "1", "False", "True", "true", " 1 ", ""]
    things = [f"<name>x</name><difficult>{value}</difficult>{BOX}" for value in said]
    (row,) = rows(load(devkit(tmp_path, a=xml(f"<name>x</name>{BOX}", *things))))
    assert row["objects"]["ignore"] == [False, False, True, False, True, True, True, False]


def test_the_lists_of_imagesets_are_the_splits(tmp_path):
    texts = {n: xml(f"<name>{n}</name>{BOX}", name=f"{n}.jpg") for n in "abc"}
    root = devkit(tmp_path / "VOCdevkit/VOC2007", **texts)
    sets = {"train": "c\na\n", "val": "b 1\n", "trainval": "a\nb\nc\n", "cat_train": "a -1\n"}
    for name, text in sets.items():
        put(root / f"ImageSets/Main/{name}.txt", text)
    loaded = load(tmp_path / "VOCdevkit")
    assert {k: v["file_name"] for k, v in loaded.items()} == {
        "train": ["JPEGImages/c.jpg", "JPEGImages/a.jpg"],
        "validation": ["JPEGImages/b.jpg"],
    }
    assert all(class_names(part.features) == ("a", "b", "c") for part in loaded.values())
    for name in ("train", "val"):
        (root / f"ImageSets/Main/{name}.txt").unlink()
    assert {k: len(v) for k, v in load(root).items()} == {"train": 3}
    put(root / "ImageSets/Main/test.txt", "d\n")
    with pytest.warns(PvzooWarning, match=r"1 images of the split test .*XML in .* \(d\)"):
        assert len(load(root, split="test")) == 0
    devkit(tmp_path / "VOCdevkit/VOC2012", **texts)
    with pytest.raises(DataError, match="several VOC datasets: VOC2007, VOC2012"):
        load(tmp_path / "VOCdevkit")


def test_roboflows_folders_with_xml_beside_the_images_are_splits(tmp_path):
    for split in ("train", "valid"):
        put(tmp_path / split / "a.xml", xml(f"<name>cat</name>{BOX}"))
        image_file(tmp_path / split / "a.jpg")
    loaded = load(tmp_path)
    assert {k: v["file_name"] for k, v in loaded.items()} == {
        "train": ["train/a.jpg"],
        "validation": ["valid/a.jpg"],
    }


@pytest.mark.parametrize(
    "layout", ["Annotations/{0} JPEGImages/{0}", "{0}/Annotations {0}/JPEGImages"]
)
def test_folders_called_after_splits_may_be_in_the_devkits_or_around_them(tmp_path, layout):
    for split, name in (("train", "cat"), ("val", "dog")):
        labels, images = layout.format(split).split()
        put(tmp_path / labels / "a.xml", xml(f"<name>{name}</name>{BOX}"))
        image_file(tmp_path / images / "a.jpg", 20, 10)
    loaded = load(tmp_path)
    assert list(loaded) == ["train", "validation"]
    for part, split, name in zip(loaded.values(), ("train", "val"), ("cat", "dog"), strict=True):
        (row,) = rows(part)
        assert row["file_name"] == f"{layout.format(split).split()[1]}/a.jpg"
        names = class_names(part.features)
        assert [names[i] for i in row["objects"]["category"]] == [name]


def test_images_are_found_by_the_name_in_the_file_or_of_the_file(tmp_path):
    put(tmp_path / "Annotations/1.xml", xml(f"<name>x</name>{BOX}", name="C:\\shots\\one.png"))
    put(tmp_path / "Annotations/2.xml", xml(f"<name>x</name>{BOX}", name="renamed.jpg"))
    put(tmp_path / "Annotations/3.xml", xml(f"<name>x</name>{BOX}", name="gone.jpg"))
    image_file(tmp_path / "images/one.png")
    image_file(tmp_path / "images/2.JPG")
    put(tmp_path / "Annotations/4.xml", xml(f"<name>x</name>{BOX}", name="4.png"))
    image_file(tmp_path / "images/4.png")
    image_file(tmp_path / "images/4.jpg", value=10)
    with pytest.warns(PvzooWarning, match=r"1 images are left out.*images/4\.jpg"):
        dataset = load(tmp_path)
    names = ("one.png", "2.JPG", "gone.jpg", "4.png")
    assert dataset["file_name"] == [f"images/{name}" for name in names]


def test_the_name_of_the_xml_goes_before_a_stale_filename_which_is_said(tmp_path):
    texts = {
        name: xml(f"<name>{name}</name>{BOX}", name=f"{other}.jpg")
        for name, other in ("ab", "ba", "cc")
    }
    with pytest.warns(PvzooWarning) as caught:
        dataset = load(devkit(tmp_path, **texts))
    (said,) = [str(w.message) for w in caught if "another image" in str(w.message)]
    assert "2 XML files" in said
    assert "a.xml names b.jpg" in said
    names = class_names(dataset.features)
    found = {row["file_name"]: names[row["objects"]["category"][0]] for row in rows(dataset)}
    assert found == {f"JPEGImages/{name}.jpg": name for name in "abc"}


def test_the_size_is_that_of_the_upright_image_where_the_file_does_not_say_it(tmp_path):
    root = devkit(tmp_path, a=xml(f"<name>x</name>{BOX}", size=""))
    rotated_image(root / "JPEGImages/a.jpg", 40, 30)
    assert [(r["width"], r["height"]) for r in rows(load(root))] == [(40, 30)]


def test_values_that_mean_nothing_are_kept(tmp_path):
    odd = BOX.replace("<xmin>3", "<xmin>90").replace("<ymax>5", "<ymax>-5.5")
    (row,) = rows(load(devkit(tmp_path, a=xml(f"<name>x</name>{odd}"))))
    assert row["objects"]["bbox"] == [[89, 1, -83, -6.5]]


def test_images_without_xml_are_left_out_and_said(tmp_path):
    root = devkit(tmp_path, a=xml(f"<name>x</name>{BOX}"))
    image_file(root / "JPEGImages/b.jpg")
    with pytest.warns(PvzooWarning, match=r"1 images are left out.*JPEGImages/b\.jpg"):
        assert len(load(root)) == 1


BROKEN = {
    "no xml": ("<annotation><object>", "is not XML .*line 1"),
    "no name": (xml(BOX), "object 1 has no name"),
    "no box": (xml(f"<name>x</name>{BOX}", "<name>y</name>"), r"object 2 \(y\) has no bndbox"),
    "three edges": (xml("<name>x</name>" + BOX.replace("<ymax>5</ymax>", "")), "not four numbers"),
    "a word": (xml("<name>x</name>" + BOX.replace(">5<", ">five<")), "not four numbers"),
    "hard to say": (
        xml(f"<name>x</name><difficult>maybe</difficult>{BOX}"),
        r"object 1 \(x\) has difficult: 'maybe'",
    ),
    "odd polygon": (
        xml(f"<name>x</name>{BOX}<polygon><x1>1</x1><y1>2</y1><x2>3</x2></polygon>"),
        "not pairs of numbers",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_file_is_named_with_the_place(tmp_path, name):
    text, match = BROKEN[name]
    root = devkit(tmp_path, a=text)
    with pytest.raises(DataError, match=match) as caught:
        load(root)
    assert caught.value.what.startswith(f"{root}/Annotations/a.xml")
    assert caught.value.hint


# --- maps -----------------------------------------------------------------------------------------


def maps(root: Path, rng: np.random.Generator, count: int = 5) -> dict[str, tuple]:
    """Palette maps of classes and objects as VOC has them: a void line around each object."""
    drawn = {}
    for index in range(count):
        width, height = (int(n) for n in rng.integers(30, 60, 2))
        kinds, told = np.zeros((2, height, width), np.uint8)
        for number in range(1, 4):
            top, left = rng.integers(0, height - 12), rng.integers(0, width - 12)
            box = np.s_[top : top + 12, left : left + 12]
            inner = np.s_[top + 1 : top + 11, left + 1 : left + 11]
            kinds[box], told[box] = 255, 255
            kinds[inner], told[inner] = rng.integers(1, 21), number
        drawn[f"{index:03}"] = kinds, told
        for kind, values in (("Class", kinds), ("Object", told)):
            (root / f"Segmentation{kind}").mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(values, "P")
            image.putpalette(rng.integers(0, 256, 768, dtype=np.uint8).tobytes())
            image.save(root / f"Segmentation{kind}/{index:03}.png")
        image_file(root / f"JPEGImages/{index:03}.jpg", width, height)
    return drawn


@pytest.fixture
def segmented(tmp_path) -> tuple[Path, dict[str, tuple]]:
    root = tmp_path / "VOC2012"
    drawn = maps(root, np.random.default_rng(0))
    for name in drawn:
        put(root / f"Annotations/{name}.xml", xml(f"<name>dog</name>{BOX}", name=f"{name}.jpg"))
    put(root / "ImageSets/Main/train.txt", "\n".join(drawn))
    put(root / "ImageSets/Main/val.txt", "000\n")
    put(root / "ImageSets/Segmentation/train.txt", "003\n001\n")
    put(root / "ImageSets/Segmentation/val.txt", "000\n")
    return root, drawn


def test_maps_of_classes_are_semantic_data(segmented):
    root, drawn = segmented
    loaded = load(root, "semantic-segmentation")
    names = class_names(loaded["train"].features)
    assert names == ("background", *voc.CLASSES)
    assert loaded["train"]["file_name"] == ["JPEGImages/003.jpg", "JPEGImages/001.jpg"]
    for part, of in (("train", ["003", "001"]), ("validation", ["000"])):
        for row, name in zip(loaded[part], of, strict=True):
            assert row["segments"] == {"id": list(range(21)), "category": list(range(21))}
            assert np.array_equal(np.asarray(row["annotation"]), drawn[name][0])
    assert {k: len(v) for k, v in load(root).items()} == {"train": 5, "validation": 1}


def test_maps_of_objects_are_instances(segmented):
    root, drawn = segmented
    loaded = load(root, "instance-segmentation")
    assert class_names(loaded["train"].features) == voc.CLASSES
    for row, name in zip(loaded["train"], ("003", "001"), strict=True):
        kinds, told = drawn[name]
        objects = row["objects"]
        wanted = [n for n in (1, 2, 3) if (told == n).any()]
        assert len(objects["id"]) == len(wanted)
        for index, number in enumerate(wanted):
            mask = told == number
            assert np.array_equal(decoded(objects["segmentation"][index]), mask)
            y, x = np.nonzero(mask)
            box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert objects["bbox"][index] == box
            assert objects["area"][index] == mask.sum()
            assert objects["category"][index] == np.bincount(kinds[mask]).argmax() - 1
        assert (row["width"], row["height"]) == row["image"].size
    ids = [i for o in loaded["train"]["objects"] for i in o["id"]]
    assert len(set(ids)) == len(ids)


def test_a_mask_is_as_difficult_as_the_object_of_its_class_whose_box_fits_it_best(tmp_path):
    kinds, told = np.zeros((2, 30, 40), np.uint8)
    for number, (kind, left) in enumerate([(15, 2), (15, 14), (8, 26)], 1):
        kinds[5:15, left : left + 10], told[5:15, left : left + 10] = kind, number
    for kind, values in (("Class", kinds), ("Object", told)):
        (tmp_path / f"Segmentation{kind}").mkdir()
        Image.fromarray(values).save(tmp_path / f"Segmentation{kind}/a.png")
    image_file(tmp_path / "JPEGImages/a.jpg", 40, 30)

    def thing(name: str, left: int, difficult: int) -> str:
        edges = {"xmin": left + 1, "ymin": 6, "xmax": left + 10, "ymax": 15}
        box = "".join(f"<{k}>{v}</{k}>" for k, v in edges.items())
        return f"<name>{name}</name><difficult>{difficult}</difficult><bndbox>{box}</bndbox>"

    # the second person also overlaps the first mask; the dog is of another class than the cat
    things = [thing("person", 13, 1), thing("person", 3, 0), thing("dog", 26, 1)]
    put(tmp_path / "Annotations/a.xml", xml(*things))
    (row,) = rows(load(tmp_path, "instance-segmentation"))
    assert row["objects"]["ignore"] == [False, True, False]
    put(tmp_path / "Annotations/a.xml", xml(*things, thing("cat", 27, 1)))
    (row,) = rows(load(tmp_path, "instance-segmentation"))
    assert row["objects"]["ignore"] == [False, True, True]


def test_a_list_of_names_beside_the_maps_names_their_values(tmp_path):
    maps(tmp_path, np.random.default_rng(1))
    names = ["_background_", *(f"class {i}" for i in range(1, 21))]
    put(tmp_path / "class_names.txt", "\n".join(["__ignore__", *names]))
    dataset = load(tmp_path)  # without XML the maps of objects are what there is
    assert task_of(dataset.features) == "instance-segmentation"
    assert class_names(dataset.features) == tuple(names[1:])
    assert class_names(load(tmp_path, "semantic-segmentation").features) == tuple(names)


def test_maps_that_nothing_names_are_named_by_their_values(tmp_path):
    drawn = maps(tmp_path, np.random.default_rng(2))
    values = {v for kinds, _ in drawn.values() for v in np.unique(kinds)} - {255}
    with pytest.warns(PvzooWarning, match="has no file with the names of the classes"):
        dataset = load(tmp_path, "semantic-segmentation")
    assert class_names(dataset.features) == tuple(str(v) for v in sorted(values))


def test_colour_maps_are_read_by_cvats_labelmap(tmp_path):
    colours = {"background": (0, 0, 0), "road": (128, 0, 255), "sky": (255, 255, 0)}
    lines = [f"{name}:{','.join(map(str, rgb))}::" for name, rgb in colours.items()]
    put(tmp_path / "labelmap.txt", "# label:color_rgb:parts:actions\n" + "\n".join(lines))
    values = np.random.default_rng(0).integers(0, 3, (10, 12))
    pixels = np.array(list(colours.values()), np.uint8)[values]
    (tmp_path / "SegmentationClass").mkdir()
    Image.fromarray(pixels).save(tmp_path / "SegmentationClass/a.png")
    image_file(tmp_path / "JPEGImages/a.jpg", 12, 10)
    (row,) = load(tmp_path)
    rgb = np.asarray(row["annotation"]).astype(int)
    found = rgb[..., 0] + 256 * rgb[..., 1] + 65536 * rgb[..., 2]
    index = dict(zip(row["segments"]["id"], row["segments"]["category"], strict=True))
    assert np.array_equal(np.vectorize(index.get)(found), values)


def test_tasks_that_the_folder_has_no_labels_for_are_refused(tmp_path):
    root = devkit(tmp_path, a=xml(f"<name>x</name>{BOX}"))
    for task, lack in (("semantic", "SegmentationClass"), ("instance", "no masks of objects")):
        with pytest.raises(DataError, match=lack):
            load(root, f"{task}-segmentation")


def test_an_object_without_class_is_named(tmp_path):
    drawn = maps(tmp_path, np.random.default_rng(3), count=1)
    Image.fromarray(np.zeros_like(drawn["000"][0])).save(tmp_path / "SegmentationClass/000.png")
    put(tmp_path / "class_names.txt", "background\nthing")
    with pytest.raises(DataError, match=r"SegmentationObject/000.png: the object 1 has no class"):
        load(tmp_path, "instance-segmentation")


def test_xml_and_maps_in_folders_of_the_annotations_are_told_apart_by_the_task(tmp_path):
    put(tmp_path / "annotations/xmls/cat_1.xml", xml(f"<name>cat</name>{BOX}", name="cat_1.jpg"))
    image_file(tmp_path / "images/cat_1.jpg", 20, 10)
    (tmp_path / "annotations/trimaps").mkdir()
    trimap = np.arange(200, dtype=np.uint8).reshape(10, 20) % 3 + 1
    Image.fromarray(trimap).save(tmp_path / "annotations/trimaps/cat_1.png")
    with pytest.raises(DataError, match="several formats: images and masks, Pascal VOC"):
        load(tmp_path)
    (row,) = load(tmp_path, "object-detection")
    assert row["file_name"] == "images/cat_1.jpg"
    assert row["objects"]["bbox"] == [[2, 1, 4, 4]]
    with pytest.warns(PvzooWarning, match="has no file with the names of the classes"):
        dataset = load(tmp_path, "semantic-segmentation")
    assert class_names(dataset.features) == ("1", "2", "3")
    assert np.array_equal(np.asarray(dataset[0]["annotation"]), trimap)
