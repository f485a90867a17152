"""``pvzoo check``, ``convert`` and ``evaluate``, in processes of their own."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from forked import run_command as run
from PIL import Image

import pvzoo.data
from pvzoo.errors import DataError, UsageError

NAMES = ["circle", "square", "star"]
SPLITS = {"train": 40, "val": 10}


@pytest.fixture(scope="module")
def coco(tmp_path_factory) -> Path:
    """A COCO folder with four mistakes, each of which can be fixed in one way only."""
    root = tmp_path_factory.mktemp("coco")
    rng = np.random.default_rng(3)
    (root / "annotations").mkdir()
    for split, count in SPLITS.items():
        (root / split).mkdir()
        images, annotations = [], []
        for number in range(1, count + 1):
            name = f"{number:03d}.jpg"
            pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / split / name)
            images.append({"id": number, "file_name": name, "width": 64, "height": 48})
            for category in (1, 2, 3):
                left, top, width, height = rng.integers(2, 24, 4).tolist()
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": number,
                        "category_id": category,
                        "bbox": [left, top, width, height],
                        "area": width * height,
                        "iscrowd": 0,
                    }
                )
        if split == "train":
            (root / split / "007.jpg").write_text("no image")
            annotations[0]["bbox"] = [50, 10, 30, 20]
            annotations[3]["bbox"] = [30, 30, -10, 10]
            annotations[6]["bbox"] = [100, 100, 10, 10]
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)],
        }
        (root / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return root


@pytest.fixture(scope="module")
def fixed(coco, tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """What ``check --fix`` says, and the folder it writes."""
    folder = tmp_path_factory.mktemp("fixed") / "new"
    return run("check", coco, "--json", "--fix", folder), folder


def run_on_terminal(*args: object) -> tuple[subprocess.CompletedProcess[str], str]:
    """A run with standard error on a terminal, and all that was shown there, bars at once."""
    at_once = "import pvzoo.progress, pvzoo.cli; pvzoo.progress.SOON = 0; pvzoo.cli.main()"
    ours, theirs = pty.openpty()
    shown = bytearray()

    def read() -> None:
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other side is closed
                return
            if not part:
                return
            shown.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [sys.executable, "-c", at_once, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        timeout=120,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    reader.join()
    os.close(ours)
    return done, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())


def test_check_says_what_is_wrong_where_and_how_often_and_shows_how_far_it_is(coco, tmp_path):
    sheet = tmp_path / "images" / "sheet.png"
    done, shown = run_on_terminal("check", coco, "--sheet", sheet)
    assert done.returncode == 1
    assert done.stdout.startswith("50 images with 150 objects: errors: 3, warnings: 1.\n")
    assert re.search(r"error: unreadable-image \(1\).*\n    train: train/007.jpg", done.stdout)
    assert re.search(r"error: inverted-box \(1\).*\n    train: train/002.jpg", done.stdout)
    assert re.search(r"warning: box-out-of-frame \(1\)", done.stdout)
    assert "(fixing does that)" in done.stdout
    total = sum(SPLITS.values())
    counts = [int(n) for n in re.findall(rf"images.*?(\d+)/{total}", shown)]
    assert counts == sorted(counts)
    assert counts[-1] == total
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert min(image.size) > 480
    assert f"wrote {sheet}" in shown


def test_check_with_json_prints_one_object_and_fixes_what_can_be_fixed(fixed):
    done, folder = fixed
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert {(f["rule"], f["severity"], f["count"]) for f in report["findings"]} == {
        ("unreadable-image", "error", 1),
        ("inverted-box", "error", 1),
        ("box-out-of-frame", "error", 1),
        ("box-out-of-frame", "warning", 1),
    }
    assert all(f["fixable"] for f in report["findings"])
    assert f"wrote {folder}" in done.stderr
    assert report["fixed"] == {
        "unreadable-image": 1,
        "inverted-box": 1,
        "box-out-of-frame": 2,
    }
    assert report["remaining"]["findings"] == []
    assert (report["remaining"]["images"], report["remaining"]["objects"]) == (49, 146)


def test_mending_says_what_it_fixed_and_what_is_still_wrong(coco, tmp_path):
    shutil.copytree(coco, tmp_path / "data")
    file = tmp_path / "data/annotations/instances_val.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["category_id"] = 9
    content["annotations"][4]["bbox"][2] *= -1
    file.write_text(json.dumps(content))
    folder = tmp_path / "new"
    done = run("check", tmp_path / "data", "--fix", folder)
    assert done.returncode == 1
    found, after = done.stdout.split("\n\nFixed: ")
    assert "error: inverted-box (2)" in found
    said, now = after.split("\n", 1)
    assert set(said.rstrip(".").split(", ")) == {
        "unreadable-image (1)",
        "inverted-box (2)",
        "box-out-of-frame (2)",
    }
    assert now.startswith(f"What is in {folder} now: 49 images with 146 objects: errors: 1")
    assert re.findall(r"^(?:error|warning): (\S+)", now, re.MULTILINE) == ["class-id-out-of-range"]
    assert "validation: validation/001.jpg, object 1" in now  # as the copy calls it


def test_mending_of_what_needs_none_says_so(coco, tmp_path):
    done = run("check", coco, "--split", "validation", "--fix", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert "\n\nFixed: nothing.\n" in done.stdout
    assert done.stdout.endswith("now: 10 images with 30 objects: nothing wrong was found.\n")


def test_mending_that_leaves_no_image_says_so(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_text("no image")
    done = run("check", tmp_path / "data", "--fix", tmp_path / "new")
    assert done.returncode == 1
    assert "Fixed: unreadable-image (2)." in done.stdout
    assert "now: 0 images: errors: 1" in done.stdout


@pytest.fixture
def elsewhere(coco, tmp_path) -> Path:
    """Data whose images are not in its folder, and that names them by their whole paths."""
    root = tmp_path / "home" / "me" / "labels"
    root.mkdir(parents=True)
    content = json.loads((coco / "annotations/instances_val.json").read_text())
    for image in content["images"]:
        image["file_name"] = str(coco / "val" / image["file_name"])
    (root / "val.json").write_text(json.dumps(content))
    return root


@pytest.mark.parametrize(
    "command",
    [
        ("check",),
        ("check", "--fix", "new"),
        ("convert", "new", "--to", "yolo"),
        ("evaluate", "--model", "shapes-detector", "--split", "validation"),
        ("evaluate", "--split", "validation"),
    ],
    ids=" ".join,
)
def test_images_elsewhere_are_used_only_when_that_is_allowed(elsewhere, tmp_path, command):
    name, *rest = (str(tmp_path / word) if word == "new" else word for word in command)
    done = run(name, elsewhere, *rest)
    assert done.returncode == 1
    assert "leads out of the data's folder" in done.stderr
    assert "--allow-outside" in done.stderr
    assert not (tmp_path / "new").exists()
    done = run(name, elsewhere, *rest, "--allow-outside")
    assert "leads out" not in done.stderr
    if name == "evaluate":
        assert "none of the classes" in done.stderr or done.returncode == 0, done.stderr
    else:
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "new").exists() == ("new" in command)


def test_fine_tuning_on_images_elsewhere_is_done_only_when_that_is_allowed(elsewhere, tmp_path):
    content = json.loads((elsewhere / "val.json").read_text())
    (elsewhere / "val.json").unlink()
    for name, half in (("train", content["images"][:5]), ("held", content["images"][5:])):
        ids = {image["id"] for image in half}
        own = [a for a in content["annotations"] if a["image_id"] in ids]
        text = json.dumps({**content, "images": half, "annotations": own})
        (elsewhere / f"{name}.json").write_text(text)
    words = (elsewhere / "train.json", "--eval", elsewhere / "held.json", "--epochs", 1)
    words += ("--model", "shapes-detector", "--output-dir", tmp_path / "run")
    done = run("fine-tune", *words)
    assert done.returncode == 1
    assert "leads out of the data's folder" in done.stderr
    done = run("fine-tune", *words, "--allow-outside")
    assert done.returncode == 0, done.stderr
    assert "the tuned model is in" in done.stderr


def test_fixed_data_checks_clean(fixed):
    done = run("check", fixed[1], "--json")
    assert done.returncode == 0, done.stdout
    report = json.loads(done.stdout)
    assert report["findings"] == []
    assert (report["images"], report["objects"]) == (49, 146)


def test_convert_to_yolo_and_back_loses_nothing(fixed, tmp_path):
    there = run("convert", fixed[1], tmp_path / "yolo", "--to", "yolo")
    assert (there.returncode, there.stdout) == (0, "")
    back = run("convert", tmp_path / "yolo", tmp_path / "coco", "--to", "coco")
    assert (back.returncode, back.stdout) == (0, "")
    assert f"wrote {tmp_path / 'coco'}" in back.stderr
    before, after = pvzoo.data.load(fixed[1]), pvzoo.data.load(tmp_path / "coco")
    assert list(before) == list(after) == ["train", "validation"]
    for split in before:
        assert before[split].features == after[split].features
        for one, other in zip(before[split], after[split], strict=True):
            assert Path(one["file_name"]).name == Path(other["file_name"]).name
            assert one["image"].tobytes() == other["image"].tobytes()
            assert one["objects"]["category"] == other["objects"]["category"]
            boxes = [np.reshape(row["objects"]["bbox"], (-1, 4)) for row in (one, other)]
            np.testing.assert_allclose(*boxes, atol=1e-9)


def test_convert_to_a_folder_that_is_in_use_writes_nothing(coco, tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    done = run("convert", coco, tmp_path, "--to", "coco")
    assert done.returncode == 1
    assert f"{tmp_path} exists and is not empty" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


@pytest.fixture(scope="module")
def folder_of_classes(photographs, tmp_path_factory) -> Path:
    """Three photographs of ImageNet's classes, and one of a class that ImageNet does not have."""
    root = tmp_path_factory.mktemp("classes")
    classes = {"espresso": "coffee", "tripod": "camera", "Egyptian_cat": "cat"}
    for split, held in (("train", {}), ("val", {"spaceman": "astronaut"})):
        for name, photo in (classes | held).items():
            (root / split / name).mkdir(parents=True)
            Image.open(photographs[photo]).save(root / split / name / f"{photo}.png")
    return root


def test_evaluate_prints_a_table_of_the_split_with_the_offline_default(folder_of_classes):
    done = run("evaluate", folder_of_classes, "--split", "validation")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["efficientnet-lite0-pip", "on", "3", "images"]
    assert lines[1] == ["metric", "value", "95", "%", "interval", "smallest", "difference"]
    assert lines[2][:2] == ["top1", "0.6667"]
    # three of three are right: by Clopper and Pearson, 0.025 ** (1 / 3) may be the true share
    assert lines[3][:5] == ["top5", "1.0000", "0.2924", "to", "1.0000"]
    assert lines[4] == ["class", "precision", "recall", "f1", "support"]
    assert ["Egyptian_cat", "-", "0.0000", "0.0000", "1"] in lines
    assert "does not know 1 of the data's 4 classes" in done.stderr
    assert "'spaceman'" in done.stderr
    assert "Left out: 1 images without a class that the model has" in done.stderr


def test_evaluate_with_json_prints_the_figures_and_nothing_else(folder_of_classes):
    done = run("evaluate", folder_of_classes / "train", "-m", "efficientnet-lite0-pip", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["images"] == 3
    assert found["metrics"] == {"top1": pytest.approx(2 / 3), "top5": 1.0}
    assert found["per_class"]["espresso"]["recall"] == 1
    assert found["unmatched"]["in_data"] == []


def test_a_path_that_leads_nowhere_is_an_error_of_one_line(tmp_path):
    done = run("check", tmp_path / "nowhere")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nowhere" in done.stderr
    assert "is neither a file or folder here nor the id of a dataset on the Hub" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_drawn_shapes_are_data_by_name():
    done = run("check", "shapes", "--split", "validation")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"500 images with [\d,]+ objects: nothing wrong was found\.\n", done.stdout)
    done = run("check", "shapes", "--split", "tset")
    assert done.returncode == 2
    assert "shapes has no split 'tset'. It has train and validation." in done.stderr
    with pytest.raises(DataError, match="Did you mean 'shapes'"):
        pvzoo.data.load("shaped")
    with pytest.raises(UsageError, match="reduce_labels"):
        pvzoo.data.load("shapes", split="validation", reduce_labels=True)
    done = run("plugins")
    assert re.search(r"^pvzoo-shapes .*\n  datasets: shapes$", done.stdout, re.MULTILINE)
