"""Small files that ask for endless time or memory, and values that no column holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from label_layouts import coco, panoptic, voc, yolo_list
from labelled_files import image_file
from PIL import Image

from pvzoo import data
from pvzoo.data.files import has_images, images, read_yaml
from pvzoo.data.load import load
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.inputs.sources import images_of

pytestmark = pytest.mark.usefixtures("own_cache")

LONG = "a" * 5000 + ".jpg"


def bounded(source: Path, cache: Path) -> tuple[str, float, int]:
    """What `load` says in a process of its own, in how many seconds and bytes more than before."""
    code = (
        "import resource, sys, time, datasets\n"
        "from pvzoo import data, PvzooError\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "resource.setrlimit(resource.RLIMIT_AS, (8 * 2**30,) * 2)\n"
        "before, start = peak(), time.monotonic()\n"
        "try: said = str(data.check(sys.argv[1]))\n"
        "except PvzooError as error: said = str(error)\n"
        "print(time.monotonic() - start, peak() - before, said)\n"
    )
    env = {**os.environ, "HF_DATASETS_CACHE": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(source)],
        capture_output=True,
        text=True,
        timeout=60,
        env=env,
    )
    assert done.returncode == 0, done.stderr
    seconds, memory, said = done.stdout.split(" ", 2)
    return said, float(seconds), int(memory)


# --- YAML -----------------------------------------------------------------------------------------

ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
HANGING = {
    "aliases": (f"{ALIASES}names: *a9\n", "line 2 has an alias"),
    "aliases that nobody needs": (f"{ALIASES}names: [cat]\n", "line 2 has an alias"),
    "a counted class": ("nc: 100000000\n", "has 100000000 classes but names only 0"),
    "a numbered class": (
        "names: {0: a, 100000000: b}\n",
        "has 100000001 classes but names only 2",
    ),
    "both": ("nc: 100000001\nnames: {100000000: b}\n", "has 100000001 classes"),
}
STRANGE = {
    "lists in lists": ("names: " + "[" * 100_000, "is nested 50 deep"),
    "mappings in mappings": ("names: " + "{a: " * 5000, "is nested 50 deep"),
    "a long number": ("nc: " + "9" * 5000, "a number of 5000 characters"),
    "a long number to the base 16": ("nc: 0x" + "f" * 5000, "a number of 5002 characters"),
    "a long time": ("nc: " + "1:" * 5000 + "1", "a number of 10001 characters"),
    "a long time with a fraction": ("nc: " + "1:" * 5000 + "1.5", "a number of"),
    "a day that is none": ("nc: 2001-99-99", "is not YAML"),
    "a mapping as a key": ("names: {{a: b}: c}", "is not YAML"),
    "code": ("names: !!python/object/apply:os.system [ls]", "is not YAML"),
    "a control character": ("names: \x07", "is not YAML"),
}


@pytest.mark.parametrize("name", HANGING)
def test_a_few_lines_of_yaml_cost_neither_time_nor_memory(tmp_path, own_cache, name):
    text, match = HANGING[name]
    root = yolo_list(tmp_path / "set", "images/train/1.jpg")
    image_file(root / "images/train/1.jpg")
    (root / "data.yaml").write_text(f"{text}train: train.txt\n")
    said, seconds, memory = bounded(root, own_cache)
    assert match in said
    assert seconds < 5
    assert memory < 500 * 2**20


@pytest.mark.parametrize("name", STRANGE)
def test_strange_yaml_is_an_error_of_one_sentence(tmp_path, name):
    text, match = STRANGE[name]
    (tmp_path / "data.yaml").write_text(text)
    start = time.monotonic()
    with pytest.raises(DataError, match=match) as caught:
        read_yaml(tmp_path / "data.yaml")
    assert time.monotonic() - start < 2
    assert len(str(caught.value)) < 500
    assert caught.value.hint


def test_plain_yaml_means_what_it_means_elsewhere(tmp_path):
    import yaml

    text = "names: {0: a, 1: 'no', 2: 0x10}\ntrain: [a, b]\nnc: 3\nx: 1.5\ny: null\nz: &n [[[1]]]\n"
    (tmp_path / "data.yaml").write_text(text)
    assert read_yaml(tmp_path / "data.yaml") == yaml.safe_load(text)


def test_classes_without_names_are_counted_up_to_a_bound(tmp_path):
    root = yolo_list(tmp_path / "set", "images/train/1.jpg")
    image_file(root / "images/train/1.jpg")
    (root / "data.yaml").write_text("nc: 80\ntrain: train.txt\n")
    assert len(load(root, split="train").features["objects"]["category"].feature.names) == 80


def test_a_class_of_a_huge_number_is_a_mistake_for_the_check(tmp_path):
    root = yolo_list(tmp_path / "set", "images/train/1.jpg")
    image_file(root / "images/train/1.jpg", 20, 10)
    (root / "labels/train/1.txt").write_text("100000000 .5 .5 .5 .5\n")
    start = time.monotonic()
    (found,) = (f for f in data.check(load(root)).errors)
    assert found.rule == "class-id-out-of-range"
    assert time.monotonic() - start < 5


# --- XML ------------------------------------------------------------------------------------------


def test_entities_of_xml_cost_neither_time_nor_memory(tmp_path, own_cache):
    lines = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    root = voc(tmp_path / "set", "1.jpg")
    (root / "Annotations/a.xml").write_text(
        f'<!DOCTYPE x [<!ENTITY e0 "x">{lines}]><annotation><filename>&e11;</filename></annotation>'
    )
    said, seconds, memory = bounded(root, own_cache)
    assert "a.xml is not XML" in said
    assert seconds < 5
    assert memory < 500 * 2**20


def test_xml_reads_no_other_file(tmp_path):
    (tmp_path / "secret").write_text("hidden")
    root = voc(tmp_path / "set", "1.jpg")
    (root / "Annotations/a.xml").write_text(
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "{tmp_path}/secret">]>'
        "<annotation><object><name>&e;</name></object></annotation>"
    )
    with pytest.raises(DataError, match=r"a\.xml is not XML"):
        load(root)


# --- folders --------------------------------------------------------------------------------------


def test_links_that_lead_back_are_followed_once(tmp_path):
    root = tmp_path / "photos"
    kept = [image_file(root / "cat/1.jpg"), image_file(root / "cat/deep/2.jpg")]
    image_file(root / "dog/3.jpg")
    for name in ("x", "y"):
        (root / f"cat/{name}").symlink_to(root)
        (root / f"cat/deep/{name}").symlink_to(root / "cat")
    start = time.monotonic()
    assert images(root / "cat") == kept
    dataset = load(root)
    assert sorted(dataset["file_name"]) == ["cat/1.jpg", "cat/deep/2.jpg", "dog/3.jpg"]
    names = dataset.features["label"].names
    found = {f: names[c] for f, c in zip(dataset["file_name"], dataset["label"], strict=True)}
    assert all(name.startswith(f"{label}/") for name, label in found.items())
    assert sorted(images_of(root)) == images(root)
    pattern = [str(p) for p in images_of(str(root / "**/*.jpg"))]
    assert len({os.path.realpath(p) for p in pattern}) == len(pattern) == 3
    assert time.monotonic() - start < 5


def test_patterns_find_what_glob_finds_where_no_link_leads_back(tmp_path, monkeypatch):
    import glob

    for name in ("1.jpg", "a/1.jpg", "a/b/2.jpg", ".c/3.jpg", "a/.d.jpg", "e[1]/f/1.jpg"):
        image_file(tmp_path / "in" / name)
    image_file(tmp_path / "other/4.jpg")
    (tmp_path / "in/link").symlink_to(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "in")
    for pattern in ("**/*.jpg", "a/**/*.jpg", "*/**/1.jpg", "**/f/**/*.jpg", "**", "**/b/*"):
        for here in ("", f"{tmp_path}/in/"):
            wanted = {Path(p) for p in glob.glob(here + pattern, recursive=True)}
            wanted = sorted(p for p in wanted if p.is_file())
            assert list(images_of(here + pattern)) == wanted, pattern


def test_a_linked_folder_is_read(tmp_path):
    image_file(tmp_path / "disk/1.jpg")
    (tmp_path / "data/cat").mkdir(parents=True)
    (tmp_path / "data/cat/more").symlink_to(tmp_path / "disk")
    image_file(tmp_path / "data/dog/2.jpg")
    assert load(tmp_path / "data")["file_name"] == ["cat/more/1.jpg", "dog/2.jpg"]


def test_xml_is_found_behind_links_once(tmp_path):
    root = voc(tmp_path / "set", "1.jpg")
    image_file(root / "JPEGImages/a.jpg", 20, 10)
    (root / "Annotations/x").symlink_to(root)
    (root / "Annotations/y").symlink_to(root / "Annotations")
    assert len(load(root)) == 1


def test_a_pipe_called_like_an_image_does_not_stop_the_reader(tmp_path):
    image_file(tmp_path / "cat/1.jpg")
    os.mkfifo(tmp_path / "cat/2.jpg")
    assert images(tmp_path) == [tmp_path / "cat/1.jpg"]
    (tmp_path / "dog").mkdir()
    os.mkfifo(tmp_path / "dog/3.jpg")
    assert not has_images(tmp_path / "dog")
    for name in ("a.xml", "a.json", "a.yaml", "metadata.csv", "classes.txt"):
        os.mkfifo(tmp_path / name)
    assert load(tmp_path)["file_name"] == ["cat/1.jpg"]


# --- names and numbers ----------------------------------------------------------------------------


def loaded(root: Path) -> Any:
    """A dataset, or what the error says."""
    try:
        return load(root)
    except DataError as error:
        return str(error)


NAMES = [LONG, "a/" * 2500 + "1.png", "null\0character.jpg", "..", ".", "/", "~nobody/1.jpg"]


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
@pytest.mark.parametrize("write", [coco, panoptic, voc, yolo_list])
def test_names_that_no_file_has_are_missing_images(tmp_path, write, name):
    if write is voc and "\0" in name:
        pytest.skip("no XML holds a null character")
    dataset = loaded(write(tmp_path / "set", name))
    if isinstance(dataset, str):
        assert len(dataset) < 1000
        return
    assert "unreadable-image" in {f.rule for f in data.check(dataset).errors}
    with pytest.raises(DataError):
        data.write(dataset, tmp_path / "new", "yolo" if write is not panoptic else "coco")
    assert not (tmp_path / "new").exists()


def test_a_source_of_a_long_name_is_not_there():
    with pytest.raises(DataError, match="neither a file or folder here"):
        load(LONG)


def test_half_a_character_in_a_name_is_named(tmp_path):
    root = coco(tmp_path / "set", "\ud800.jpg")
    with pytest.raises(DataError, match=r"'\\ud800\.jpg' cannot be stored"):
        load(root)


NUMBERS = [2**63, -(2**63), 2**63 - 1, -(2**63) - 1, 10**300, 1e308, 2**31]
PLACES = ["images.id", "annotations.id", "image_id", "category_id", "categories.id", "width"]


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")
def test_numbers_of_any_size_give_rows_or_an_error(tmp_path, place, value):
    root = coco(tmp_path / "set", "1.jpg")
    image_file(root / "train/1.jpg", 20, 10)
    file = root / "annotations/instances_train.json"
    content = json.loads(file.read_text())
    image, thing = content["images"][0], content["annotations"][0]
    if place == "images.id":
        image["id"] = thing["image_id"] = value
    elif place == "categories.id":
        content["categories"][0]["id"] = thing["category_id"] = value
    else:
        target = image if place == "width" else thing
        target[place.removeprefix("annotations.")] = value
    file.write_text(json.dumps(content))
    dataset = loaded(root)
    if isinstance(dataset, str):
        assert len(dataset) < 1000
        return
    (row,) = (row for part in dataset.values() for row in part.remove_columns("image"))
    assert len(row["objects"]["id"]) == 1
    rules = {f.rule for f in data.check(dataset).errors}
    assert rules <= {"class-id-out-of-range", "size-mismatch"}


@pytest.mark.parametrize("value", [2**63, -(2**63), 2**31, 10**300, -(2**31) - 1])
@pytest.mark.parametrize("order", ["values", "names"])
def test_values_that_no_pixel_has_name_nothing(tmp_path, value, order):
    image_file(tmp_path / "images/1.png")
    (tmp_path / "masks").mkdir()
    Image.new("L", (8, 6)).save(tmp_path / "masks/1.png")
    names = {"0": "road", str(value): "sky"} if order == "values" else {"road": 0, "sky": value}
    (tmp_path / "id2label.json").write_text(json.dumps(names))
    with pytest.raises(DataError, match="does not give names to values"):
        load(tmp_path)


def test_too_little_memory_is_an_error_that_names_the_data(tmp_path, monkeypatch):
    root = coco(tmp_path / "set", "1.jpg")

    def read(file: Path) -> str:
        raise MemoryError

    monkeypatch.setattr("pvzoo.data.files.read_text", read)
    with pytest.raises(DataError, match=r"set cannot be read: there is not enough memory"):
        load(root)


def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (tmp_path / "set").mkdir(mode=0)
    with pytest.raises(DataError, match="set cannot be read"):
        load(tmp_path / "set")


def test_an_alias_is_refused_with_the_file_and_the_line(tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat]\ntrain: &t images\nval: *t\n")
    image_file(tmp_path / "images/1.jpg")
    with pytest.raises(
        DataError, match=r"data\.yaml: line 3 has an alias, which pvzoo does not read"
    ):
        load(tmp_path)


def test_warnings_stay_short(tmp_path):
    root = yolo_list(tmp_path / "set", "/x/" + LONG, "/y/" + LONG, "/x/1.jpg", "/y/1.jpg")
    image_file(root / "1.jpg")
    with pytest.warns(PvzooWarning) as caught:
        load(root)
    assert all(len(str(w.message)) < 1000 for w in caught)
