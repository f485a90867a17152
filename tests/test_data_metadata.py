"""Image folders with a metadata.csv, whose class names are the texts that are written there.

And with a metadata.jsonl whose lists are nested without end.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from labelled_files import image_file

from pvzoo.data import check
from pvzoo.data.load import load
from pvzoo.data.schema import VOID, class_names
from pvzoo.errors import DataError

pytestmark = pytest.mark.usefixtures("own_cache")


def folder(root: Path, *labels: str, split: str = "train", head: str = "file_name,label") -> Path:
    lines = [head]
    for i, label in enumerate(labels):
        image_file(root / split / f"{i}.png", value=10 * i)
        lines.append(f"{i}.png,{label}")
    (root / split / "metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def labels_of(dataset) -> list[str | None]:
    names = class_names(dataset.features)
    return [None if i == VOID else names[i] for i in dataset["label"]]


@pytest.mark.parametrize(
    "labels",
    [
        ("no", "yes"),
        ("NA", "US", "NA"),
        ("None", "cat"),
        ("null", "nan"),
        ("True", "False"),
        ("007", "008", "010"),
        ("1.0", "2.0"),
        ("1e3", "2e3"),
        ("inf", "-inf"),
        ("+1", "-1"),
        ("2024-01-01", "12:30"),
        ('"a,b"', '"c ""d"""'),
        ("N/A", "#N/A", "<NA>", "-"),
    ],
)
def test_classes_are_the_texts_that_are_written(tmp_path, labels):
    root = folder(tmp_path, *labels)
    plain = next(csv.reader([",".join(labels)]))
    assert labels_of(load(root, split="train")) == plain
    assert not check(root).errors


@pytest.mark.parametrize("labels", [("1", "0", "2"), ("1", "", "2"), ("0", "1", "-1")])
def test_a_column_of_whole_numbers_is_one_of_class_ids(tmp_path, labels):
    found = load(folder(tmp_path, *labels), split="train")
    assert found["label"] == [int(label) if label else VOID for label in labels]


def test_an_empty_cell_is_no_class(tmp_path):
    assert labels_of(load(folder(tmp_path, "a", "", "NA"), split="train")) == ["a", None, "NA"]


def test_all_splits_are_read_alike(tmp_path):
    folder(tmp_path, "1", "2")
    folder(tmp_path, "007", "1", split="val")
    loaded = load(tmp_path)
    assert [labels_of(part) for part in loaded.values()] == [["1", "2"], ["007", "1"]]


def test_an_image_with_two_lines_keeps_both(tmp_path):
    root = folder(tmp_path, "NA", "US")
    with (root / "train/metadata.csv").open("a") as file:
        file.write("0.png,007\n")
    assert labels_of(load(root, split="train")) == ["NA", "US", "007"]


def test_measures_are_no_classes(tmp_path):
    root = folder(tmp_path, "0.5,NA", "1.5,US", head="file_name,target,label")
    assert labels_of(load(root, split="train")) == ["NA", "US"]
    with pytest.raises(DataError, match="do not fit any task"):
        load(folder(tmp_path / "other", "0.5", "1.5", head="file_name,target"))


@pytest.mark.parametrize("place", ["", "train", "train/more"])
def test_lists_in_lists_without_end_are_an_error_and_do_not_end_the_process(tmp_path, place):
    """In a process of its own: Arrow would fill the stack of a thread, which ends the process."""
    image_file(tmp_path / "train/1.png")
    if place:
        (tmp_path / "metadata.jsonl").write_text('{"file_name": "train/1.png", "label": 1}\n')
    file = tmp_path / place / "metadata.jsonl"
    image_file(file.parent / "2.png")
    deep = "[" * 30_000 + "]" * 30_000
    file.write_text(f'{{"file_name": "2.png"}}\n{{"file_name": "2.png", "label": {deep}}}\n')
    code = "import sys; from pvzoo.data import load; load(sys.argv[1])"
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1, done.stderr[-500:]
    assert f"{file}, line 2, has lists or objects nested more than 100 deep" in done.stderr


def test_brackets_in_texts_and_beside_each_other_are_not_nested(tmp_path):
    image_file(tmp_path / "1.png")
    row = {"file_name": "1.png", "label": "[" * 1000 + '"' + "{" * 1000, "many": [[[1]]] * 1000}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    assert load(tmp_path, split="train").features["label"].names == [row["label"]]
