"""`Model.evaluate`: the way from a labelled dataset to figures, whatever the task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import colour_model
import datasets
import numpy as np
import pytest
from evaluate_in_processes import analysed
from PIL import Image

from pvzoo.data import schema
from pvzoo.errors import DataError, ImageError, PvzooWarning, UsageError

FIGURES = {
    schema.CLASSIFICATION: "top1",
    schema.DETECTION: "map",
    schema.INSTANCE: "map",
    schema.SEMANTIC: "miou",
    schema.PANOPTIC: "pq",
}
HERE = Path(__file__).parent


@pytest.mark.parametrize("task", colour_model.TASKS)
def test_every_task_is_measured_and_a_model_that_errs_is_neither_perfect_nor_useless(
    task, tmp_path
):
    data = colour_model.dataset(task, tmp_path, 30)
    found = colour_model.model(task).evaluate(data)
    assert 0.1 < found[FIGURES[task]] < 0.99
    assert found.images == 30
    assert set(found.per_class) <= set(colour_model.NAMES)
    assert json.loads(found.to_json())["metrics"][FIGURES[task]] == found[FIGURES[task]]


@pytest.mark.parametrize("task", colour_model.TASKS)
def test_figures_do_not_depend_on_the_batch_size_or_on_the_order_of_classes(task, tmp_path):
    data = colour_model.dataset(task, tmp_path, 12)
    model = colour_model.model(task)
    expected = dict(model.evaluate(data))
    assert dict(model.evaluate(data, batch_size=1)) == pytest.approx(expected, nan_ok=True)
    turned = _with_names(data, [2, 0, 3, 1])
    assert dict(model.evaluate(turned)) == pytest.approx(expected, nan_ok=True)


def _with_names(data: datasets.Dataset, order: list[int]) -> datasets.Dataset:
    """The same data with its classes numbered in another order."""
    task = schema.task_of(data.features)
    names = [colour_model.NAMES[i] for i in order]
    rows = data.cast_column("image", datasets.Image(decode=False))
    if "annotation" in data.features:
        rows = rows.cast_column("annotation", datasets.Image(decode=False))
    rows = rows.to_list()
    for row in rows:
        if "label" in row:
            row["label"] = order.index(row["label"])
        else:
            part = row.get("objects") or row["segments"]
            part["category"] = [order.index(c) for c in part["category"]]
    return datasets.Dataset.from_list(rows, features=schema.features(task, names))


def test_classes_are_matched_by_name_and_those_that_match_nowhere_are_reported(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 20)
    model = colour_model.model(schema.DETECTION, ("background", "RED", "lime_green", "blue"))
    with pytest.warns(PvzooWarning, match="does not know 1 of the data's 4 classes.*'green'"):
        found = model.evaluate(data)
    assert found.labels.only_in_data == ("green",)
    assert found.labels.only_in_model == ("lime_green",)
    whole = colour_model.model(schema.DETECTION).evaluate(data)
    assert found.per_class["red"] == whole.per_class["red"]
    assert found.per_class["blue"] == whole.per_class["blue"]


def test_data_that_shares_no_class_with_the_model_is_refused(tmp_path):
    data = colour_model.dataset(schema.SEMANTIC, tmp_path, 2)
    model = colour_model.model(schema.SEMANTIC, ("w", "x", "y", "z"))
    with pytest.raises(DataError, match=r"any of the data's classes.*'red'.*'x'.*fine-tune"):
        model.evaluate(data)


def test_of_several_splits_one_must_be_chosen(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 6)
    splits = datasets.DatasetDict(train=data.select(range(4)), test=data.select(range(4, 6)))
    model = colour_model.model(schema.DETECTION)
    with pytest.raises(DataError, match=r"train, test.*split="):
        model.evaluate(splits)
    assert model.evaluate(splits, split="test").images == 2
    assert model.evaluate(datasets.DatasetDict(all=data)).images == 6


def test_empty_data_is_refused(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 1).select([])
    with pytest.raises(DataError, match="no images"):
        colour_model.model(schema.DETECTION).evaluate(data)


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 4)
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"2\.png"):
        colour_model.model(schema.DETECTION).evaluate(data)


def test_progress_is_told(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 5)
    told = []
    colour_model.model(schema.DETECTION).evaluate(data, progress=lambda *now: told.append(now))
    assert told == [(i, 5) for i in range(1, 6)]


def test_options_of_the_task_can_be_given(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path, 20)
    model = colour_model.model(schema.DETECTION)
    with pytest.raises(UsageError, match="overlap"):
        model.evaluate(data, overlap=0.5)


def test_a_classifier_with_real_weights_is_measured_on_a_folder_of_photographs(
    lite0, photographs, tmp_path
):
    for name, photo in (("espresso", "coffee"), ("tripod", "camera"), ("Egyptian_cat", "cat")):
        (tmp_path / name).mkdir()
        Image.open(photographs[photo]).save(tmp_path / name / "photo.png")
    found = lite0.evaluate(tmp_path)
    # Chelsea is a tabby: "tiger cat" comes first, "Egyptian cat" second
    assert found["top1"] == pytest.approx(2 / 3)
    assert found["top5"] == 1
    assert found.per_class["Egyptian_cat"]["recall"] == 0


def test_folders_named_by_imagenets_ids_give_the_figures_of_names(lite0, photographs, tmp_path):
    for name, photo in (("n07920052", "coffee"), ("n04485082-tripod", "camera")):
        (tmp_path / name).mkdir()
        Image.open(photographs[photo]).save(tmp_path / name / "photo.png")
    assert lite0.evaluate(tmp_path)["top1"] == 1


# --- several processes ----------------------------------------------------------------------------


CASES = {  # task, number of images, image to break
    "detection": (schema.DETECTION, 11, -1),
    "panoptic": (schema.PANOPTIC, 11, -1),
    "one image": (schema.CLASSIFICATION, 1, -1),
    "broken": (schema.DETECTION, 8, 6),
}


@pytest.fixture(scope="module")
def in_two_processes(tmp_path_factory):
    """What each of two processes found in each case."""
    folder = tmp_path_factory.mktemp("processes")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", str(HERE / "evaluate_in_processes.py")),
            *(str(folder), json.dumps([(name, *case) for name, case in CASES.items()])),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    assert [a["processes"] for a in answers] == [2, 2]
    return answers


@pytest.mark.parametrize("case", ["detection", "panoptic", "one image"])
def test_two_processes_give_the_figures_of_one_also_when_the_images_do_not_divide(
    case, in_two_processes, tmp_path
):
    task, count, _ = CASES[case]
    data = colour_model.dataset(task, tmp_path, count)
    found = colour_model.model(task).evaluate(data)
    alone = json.loads(json.dumps({**found.to_dict(), **analysed(found)}))
    assert [answers[case] for answers in in_two_processes] == [alone, alone]


def test_when_one_process_fails_all_of_them_say_so_instead_of_waiting(in_two_processes):
    first, second = (answers["broken"]["error"] for answers in in_two_processes)
    assert "6.png" in second
    assert first.startswith("Process 1 failed")
    assert "6.png" in first


# --- memory ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("task", [schema.SEMANTIC, schema.INSTANCE])
def test_memory_does_not_grow_with_the_number_of_images(task, tmp_path):
    peaks = {}
    for count in (500, 5000):
        done = subprocess.run(
            [sys.executable, HERE / "evaluate_memory.py", tmp_path, task, str(count)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks[count] = float(done.stdout.split()[1])
    print(f"{task}: peak of 500 images {peaks[500]:.0f} MB, of 5,000 {peaks[5000]:.0f} MB")
    # 5,000 images held as pixels would be 1,150 MB; ten objects an image are a few MB
    assert peaks[5000] < 1.2 * peaks[500]


def test_random_labels_never_break_the_figures(tmp_path):
    rng = np.random.default_rng(5)
    data = colour_model.dataset(schema.DETECTION, tmp_path, 8)
    rows = data.cast_column("image", datasets.Image(decode=False)).to_list()
    for row in rows:
        count = len(row["objects"]["category"])
        row["objects"]["category"] = rng.integers(0, 4, count).tolist()
        row["objects"]["iscrowd"] = (rng.random(count) < 0.3).tolist()
        row["objects"]["ignore"] = (rng.random(count) < 0.3).tolist()
    found = colour_model.model(schema.DETECTION).evaluate(
        datasets.Dataset.from_list(rows, features=data.features)
    )
    assert all(np.isnan(v) or 0 <= v <= 1 for v in found.values())
