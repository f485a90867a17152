"""`Model.fine_tune`: what it learns, what it keeps, what it survives, what it refuses."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest import mock

import checkpoints
import colour_model
import datasets
import detection_families
import fine_tune_run
import forked
import numpy as np
import pytest
import segmentation_families
import torch
import yaml
from fine_tune_run import KINDS
from huggingface_hub import ModelCard
from PIL import Image

import pvzoo
from pvzoo.cli.training import fine_tune as fine_tune_command
from pvzoo.data import schema
from pvzoo.data.load import load
from pvzoo.errors import DataError, PvzooError, PvzooWarning, TrainingError, UsageError
from pvzoo.hub.model_card import model_card
from pvzoo.hub.publish import save
from pvzoo.training import checkpoints as kept
from pvzoo.training import run
from pvzoo.training.ema import Average
from pvzoo.training.identity import of_data, of_weights
from pvzoo.training.options import Options
from pvzoo.training.report import TrainingReport
from pvzoo.training.run import parameter_groups

HERE = Path(__file__).parent

# the tiny checkpoints are untrained, and say nothing of stuff
pytestmark = pytest.mark.filterwarnings(
    "ignore:Nothing says which classes:pvzoo.errors.PvzooWarning",
    "ignore:Classes (do not|that) occur:pvzoo.errors.PvzooWarning",
)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A classifier tuned for two epochs, and the model and folder it comes from."""
    folder = tmp_path_factory.mktemp("tuned")
    fine_tune_run.tune("classifier", folder / "rehearsal", epochs=1)  # imports draw lots too
    fine_tune_run.untrained("classifier", folder / "untrained-classifier")
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    found = fine_tune_run.tune("classifier", folder, epochs=2)
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0]), "fine_tune drew on the caller's torch generator"
    assert before[1:] == after[1:], "fine_tune drew on the caller's generators"
    return found, folder


def test_the_folder_holds_the_tuned_model_its_curves_and_the_first_batch(tuned):
    model, folder = tuned
    names = {p.name for p in (folder / "classifier").iterdir()}
    assert {"model.safetensors", "config.json", "preprocessor_config.json"} <= names
    assert {"curves.csv", "curves.png", "report.json", "first-batch.png"} <= names
    weights, config = (folder / "classifier" / n for n in ("model.safetensors", "config.json"))
    assert weights.stat().st_mode == config.stat().st_mode
    assert model.labels == colour_model.NAMES
    assert model.report.metrics["top1"] == max(
        row["top1"] for row in model.report.history if "top1" in row
    )
    lines = (folder / "classifier" / "curves.csv").read_text().splitlines()
    assert len(lines) == 1 + len(model.report.history)


def test_the_tuned_model_opens_by_its_folder_and_predicts_the_same(tuned, tmp_path):
    model, folder = tuned
    again = pvzoo.load(folder / "classifier", device="cpu")
    image = folder / "images" / "0.png"
    ours, theirs = model.predict(image), again.predict(image)
    assert ours.names == theirs.names
    assert np.array_equal(ours.scores, theirs.scores)


def test_the_model_that_was_tuned_stays_as_it_was(tmp_path):
    model = pvzoo.load(fine_tune_run.untrained("classifier", tmp_path / "start"), device="cpu")
    data = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 6)
    before, labels = of_weights(model.network.module), model.labels
    model.fine_tune(data, epochs=1, output_dir=tmp_path / "run")
    assert of_weights(model.network.module) == before
    assert model.labels == labels


def test_it_learns(tmp_path):
    """Images of one colour each, told apart after a few steps by a network that knew nothing."""
    checkpoints.timm_folder(tmp_path / "start", num_classes=3)
    folder = tmp_path / "images"
    rng = np.random.default_rng(0)
    for i in range(24):
        name, colour = list(colour_model.COLOURS.items())[1 + i % 3]
        (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = np.array(colour) * 0.8 + rng.integers(0, 40, (48, 48, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    model = pvzoo.load(tmp_path / "start", device="cpu")
    found = model.fine_tune(
        folder, epochs=8, batch_size=6, learning_rate=2e-3, output_dir=tmp_path / "run"
    )
    assert found.evaluate(folder)["top1"] == 1


# --- going on after a kill ------------------------------------------------------------------------


def _start(folder: Path, kinds: list[str]) -> BaseProcess:
    """A run in a process of its own."""
    return forked.start(fine_tune_run.main, str(folder), *kinds)


def _killed_at_random(folder: Path, kinds: list[str], kills: int, seed: int) -> dict[str, str]:
    """The weights in the end of runs that were killed so often; and of runs that were not."""
    rng = random.Random(seed)
    whole, broken = folder / "whole", folder / "broken"
    for place in (whole, broken):
        for kind in kinds:
            fine_tune_run.untrained(kind, place / f"untrained-{kind}")
    forked.start(int).join()  # what all are forked from is there now, and is not measured
    start = time.monotonic()
    process = _start(whole, kinds)
    process.join()
    assert process.exitcode == 0
    length = time.monotonic() - start
    done = 0
    while done < kills:
        process = _start(broken, kinds)
        process.join(timeout=rng.uniform(0.1, 0.8) * length)
        if process.is_alive():
            process.kill()
            process.join()
            assert process.exitcode == -signal.SIGKILL
            done += 1
        else:  # it got through, having less to do than the whole run: once more from the beginning
            assert process.exitcode == 0
            for kind in kinds:
                shutil.rmtree(broken / kind)
    process = _start(broken, kinds)
    process.join()
    assert process.exitcode == 0
    return {
        place.name: {kind: (place / f"{kind}.sha256").read_text() for kind in kinds}
        for place in (whole, broken)
    }


def test_runs_killed_at_random_moments_end_with_the_same_weights(tmp_path):
    found = _killed_at_random(tmp_path, ["classifier"], kills=2, seed=int(time.time()))
    assert found["broken"] == found["whole"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_runs_killed_twenty_times_end_with_the_same_weights(kind, tmp_path):
    found = _killed_at_random(tmp_path, [kind], kills=20, seed=int(time.time()))
    assert found["broken"] == found["whole"]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(tmp_path):
    fine_tune_run.stopped(tmp_path, step=10)
    home = tmp_path / "classifier"
    assert kept.steps(home) == [4, 8]
    file = home / "checkpoint-8" / "optimizer.pt"
    file.write_bytes(file.read_bytes()[:-7] + b"damaged")
    with pytest.warns(PvzooWarning, match=r"checkpoint-8 is not a complete.*optimizer\.pt"):
        found = fine_tune_run.tune("classifier", tmp_path)
    whole = fine_tune_run.tune("classifier", tmp_path / "whole")
    assert of_weights(found.network.module) == of_weights(whole.network.module)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 99_999])
def test_a_damaged_manifest_makes_no_checkpoint(tmp_path, text):
    part = kept.part(tmp_path, 5)
    part.mkdir()
    kept.seal(tmp_path, 5)
    (tmp_path / "checkpoint-5" / "manifest.json").write_text(text)
    with pytest.warns(PvzooWarning, match="its manifest"):
        assert kept.latest(tmp_path, 1) is None


@pytest.mark.parametrize(
    "name", ["optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "manifest.json"]
)
def test_what_lacks_a_part_is_no_checkpoint(name, tmp_path):
    for file in (*kept.REQUIRED, "rng_state.pth"):
        part = kept.part(tmp_path, 5)
        part.mkdir(exist_ok=True)
        (part / file).write_text(file)
    kept.seal(tmp_path, 5)
    assert kept.latest(tmp_path, 1) == tmp_path / "checkpoint-5"
    (tmp_path / "checkpoint-5" / name).unlink()
    with pytest.warns(PvzooWarning, match="not a complete checkpoint"):
        assert kept.latest(tmp_path, 1) is None


def test_a_checkpoint_of_fewer_processes_is_not_taken(tmp_path):
    part = kept.part(tmp_path, 5)
    part.mkdir()
    for file in (*kept.REQUIRED, "rng_state.pth"):
        (part / file).write_text(file)
    kept.seal(tmp_path, 5)
    with pytest.warns(PvzooWarning, match="rng_state_0"):
        assert kept.latest(tmp_path, 2) is None


def _on_a_full_disk(folder: Path, largest: int, said: Path) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then a write past the limit is an OSError
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
    try:
        fine_tune_run.tune("classifier", folder)
    except TrainingError as error:
        said.write_text(str(error), encoding="utf-8")


@pytest.mark.parametrize("room", [-1000, 1000], ids=["weights", "optimizer"])
def test_a_full_disk_is_said_and_costs_nothing_but_the_time(room, tmp_path):
    """One on which a checkpoint's weights, or what is written after them, have no room."""
    fine_tune_run.untrained("classifier", tmp_path / "untrained-classifier")
    size = (tmp_path / "untrained-classifier" / "model.safetensors").stat().st_size
    said = tmp_path / "said.txt"
    forked.start(_on_a_full_disk, tmp_path, size + room, said).join()
    assert said.read_text().startswith("The checkpoint of step 4 cannot be written")
    found = fine_tune_run.tune("classifier", tmp_path)
    whole = fine_tune_run.tune("classifier", tmp_path / "whole")
    assert of_weights(found.network.module) == of_weights(whole.network.module)


@pytest.mark.slow
def test_a_disk_that_is_full_in_the_end_is_said_and_nothing_is_trained_again(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(TrainingReport, "_draw", full)
        with pytest.raises(TrainingError, match=r"tuned model cannot be written.*No space left"):
            fine_tune_run.tune("classifier", tmp_path)
    found = fine_tune_run.tune("classifier", tmp_path)
    whole = fine_tune_run.tune("classifier", tmp_path / "whole")
    assert of_weights(found.network.module) == of_weights(whole.network.module)
    assert found.report.history == whole.report.history


def test_a_folder_that_was_moved_keeps_its_best_weights(tmp_path):
    """At this rate no epoch is better than the first, whose weights are kept."""
    fine_tune_run.stopped(tmp_path, step=10, learning_rate=1e-9)
    (tmp_path / "classifier").rename(tmp_path / "moved")
    moved = {"learning_rate": 1e-9, "output_dir": tmp_path / "moved"}
    found = fine_tune_run.tune("classifier", tmp_path, **moved)
    whole = fine_tune_run.tune("classifier", tmp_path / "whole", learning_rate=1e-9)
    assert kept.steps(tmp_path / "moved") == [4, 8, 12]
    assert of_weights(found.network.module) == of_weights(whole.network.module)


@pytest.mark.slow
def test_a_missing_best_checkpoint_is_reported(tmp_path):
    fine_tune_run.stopped(tmp_path, step=10, learning_rate=1e-9)
    shutil.rmtree(tmp_path / "classifier" / "checkpoint-4")
    with pytest.warns(PvzooWarning, match="checkpoint-4, the best checkpoint so far, is missing"):
        found = fine_tune_run.tune("classifier", tmp_path, learning_rate=1e-9)
    last = found.report.history[-1]
    assert found.report.metrics["top1"] == last["top1"]
    assert last["step"] == 12


def test_a_run_that_had_stopped_early_trains_no_more(tmp_path, monkeypatch):
    def killed(_):
        raise KeyboardInterrupt

    options = {"learning_rate": 1e-9, "epochs": 9, "early_stopping": 1}
    with monkeypatch.context() as patch:
        patch.setattr(TrainingReport, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            fine_tune_run.tune("classifier", tmp_path, **options)
    found = fine_tune_run.tune("classifier", tmp_path, **options)
    assert kept.steps(tmp_path / "classifier") == [4, 8]
    assert found.report.history[-1]["step"] == 8


# --- what output_dir may hold ---------------------------------------------------------------------


def test_the_same_call_again_gives_the_finished_model(tuned):
    model, folder = tuned
    start = time.monotonic()
    again = fine_tune_run.tune("classifier", folder, epochs=2)
    assert of_weights(again.network.module) == of_weights(model.network.module)
    assert again.report == model.report
    assert time.monotonic() - start < 20


@pytest.mark.parametrize(
    ("change", "said"),
    [({"epochs": 3}, "epochs was 2, now 3"), ({"seed": 4}, "seed was 3, now 4")],
)
def test_a_folder_of_other_settings_is_refused(change, said, tuned):
    _, folder = tuned
    with pytest.raises(TrainingError, match=f"belongs to another run: {said}"):
        fine_tune_run.tune("classifier", folder, **{"epochs": 2, **change})


def test_a_folder_of_other_data_is_refused_by_content_and_not_by_place(tuned, tmp_path):
    model, folder = tuned
    start = pvzoo.load(folder / "untrained-classifier", device="cpu")
    same = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "elsewhere", 12, size=(64, 64))
    settings = {"epochs": 2, "batch_size": 2, "seed": 3, "learning_rate": 1e-3}
    home = folder / "classifier"
    again = start.fine_tune(
        same.select(range(8)), same.select(range(8, 12)), output_dir=home, **settings
    )
    assert of_weights(again.network.module) == of_weights(model.network.module)
    with pytest.raises(TrainingError, match="belongs to another run: train was"):
        start.fine_tune(
            same.select(range(7)), same.select(range(8, 12)), output_dir=home, **settings
        )


@pytest.mark.parametrize("name", ["run.json", "report.json", "config.json"])
@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_finished_run_whose_files_are_damaged_is_told(tuned, tmp_path, name, text):
    _, folder = tuned
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "classifier" / name).write_text(text)
    with pytest.raises(PvzooError, match=r"damaged|belongs to another run|cannot be loaded"):
        fine_tune_run.tune("classifier", tmp_path, epochs=2)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "classifier").mkdir()
    (tmp_path / "classifier" / "thesis.tex").write_text("years of work")
    with pytest.raises(TrainingError, match="not empty"):
        fine_tune_run.tune("classifier", tmp_path)
    assert (tmp_path / "classifier" / "thesis.tex").read_text() == "years of work"


def test_the_digest_of_data_minds_pixels_and_labels(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path / "a", 3)
    assert of_data(data) == of_data(colour_model.dataset(schema.DETECTION, tmp_path / "b", 3))
    moved = data.cast_column("image", datasets.Image(decode=False)).to_list()
    moved[1]["objects"]["bbox"][0][0] += 0.5
    assert of_data(data) != of_data(datasets.Dataset.from_list(moved, features=data.features))
    (tmp_path / "a" / "1.png").write_bytes((tmp_path / "a" / "2.png").read_bytes())
    assert of_data(data) != of_data(colour_model.dataset(schema.DETECTION, tmp_path / "b", 3))


# --- what it is stopped by ------------------------------------------------------------------------


def _detector(tmp_path: Path) -> pvzoo.Model:
    return pvzoo.load(fine_tune_run.untrained("detector", tmp_path / "start"), device="cpu")


def _changed(data: datasets.Dataset, change) -> datasets.Dataset:
    rows = data.cast_column("image", datasets.Image(decode=False)).to_list()
    for row in rows:
        change(row["objects"])
    import pyarrow as pa

    table = pa.Table.from_pylist(rows, schema=data.features.arrow_schema)
    return datasets.Dataset(table)


def test_boxes_given_as_corners_are_stopped_before_the_first_step(tmp_path):
    def corners(objects):
        objects["bbox"] = [[x, y, x + w, y + h] for x, y, w, h in objects["bbox"]]

    data = _changed(colour_model.dataset(schema.DETECTION, tmp_path / "p", 40), corners)
    with pytest.raises(DataError, match="xyxy"):
        _detector(tmp_path).fine_tune(data, epochs=1, output_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_class_ids_that_begin_at_one_are_stopped_before_the_first_step(tmp_path):
    def shifted(objects):
        objects["category"] = [c + 1 for c in objects["category"]]

    data = _changed(colour_model.dataset(schema.DETECTION, tmp_path / "p", 40), shifted)
    with pytest.raises(DataError, match="off-by-one"):
        _detector(tmp_path).fine_tune(data, epochs=1, output_dir=tmp_path / "run")


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_a_learning_rate_that_makes_nan_is_stopped_with_the_step_and_the_images(kind, tmp_path):
    with pytest.raises(TrainingError, match=r"Step \d+: .* not finite.*\.png.*learning_rate"):
        fine_tune_run.tune(kind, tmp_path, learning_rate=1e25, augment=False)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": "huge"}, "batch_size is 'huge'"),
        ({"freeze": "head"}, "freeze is 'head'"),
        ({"learning_rate": {"head": 1.0}}, "'backbone' and 'rest'"),
        ({"learning_rate": {"backbone": 0, "rest": 1e-4}}, "freeze='backbone'"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"lora": "high"}, "lora is 'high'"),
        ({"trainer_args": {"warm_up": 3}}, "trainer_args is {'warm_up': 3}, which"),
        ({"trainer_args": ["max_grad_norm"]}, r"trainer_args is \['max_grad_norm'\]"),
        ({"trainer_args": {"num_train_epochs": 3}}, "Use the argument epochs"),
        ({"trainer_args": {"label_smoothing_factor": 0.1}}, "it has no effect here"),
    ],
)
def test_impossible_arguments_are_named(wrong, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        fine_tune_run.tune("classifier", tmp_path, **wrong)


def test_early_stopping_needs_evaluation_data(tmp_path):
    data = colour_model.dataset(schema.DETECTION, tmp_path / "images", 4)
    with pytest.raises(UsageError, match="early_stopping needs"):
        _detector(tmp_path).fine_tune(data, epochs=1, early_stopping=2, output_dir=tmp_path / "run")


# --- what is trained, and how ---------------------------------------------------------------------


def test_a_frozen_backbone_stays_as_it_is_and_the_rest_does_not(tmp_path):
    found = fine_tune_run.tune("detector", tmp_path, freeze="backbone", epochs=1)
    start = pvzoo.load(tmp_path / "untrained-detector", device="cpu")
    before, after = (m.network.module.state_dict() for m in (start, found))
    for name, value in after.items():
        if ".backbone." in name:
            assert torch.equal(value, before[name]), name
    assert not torch.equal(
        before["model.decoder.bbox_embed.0.layers.0.weight"],
        after["model.decoder.bbox_embed.0.layers.0.weight"],
    )


def test_parameters_are_in_the_groups_that_the_recipe_says(tmp_path):
    network = _detector(tmp_path).network
    rates = {"backbone": 1e-5, "rest": 1e-4}
    groups = parameter_groups(network, rates, 0.05, frozen=set())
    where = {id(p): g for g in groups for p in g["params"]}
    for name, parameter in network.module.named_parameters():
        group = where[id(parameter)]
        assert group["lr"] == (1e-5 if ".backbone." in name else 1e-4), name
        plain = name.endswith("bias") or parameter.ndim < 2
        assert group["weight_decay"] == (0.0 if plain else 0.05), name
    assert sum(len(g["params"]) for g in groups) == len(list(network.module.parameters()))


def test_what_trainer_args_say_of_adamw_counts(tmp_path):
    told = {"weight_decay": 0.3, "adam_beta2": 0.95, "adam_epsilon": 1e-6}
    fine_tune_run.tune("classifier", tmp_path, epochs=1, trainer_args=told)
    groups = torch.load(tmp_path / "classifier" / "checkpoint-4" / "optimizer.pt")["param_groups"]
    assert {group["weight_decay"] for group in groups} == {0.0, 0.3}
    assert {(group["betas"], group["eps"]) for group in groups} == {((0.9, 0.95), 1e-6)}


@pytest.mark.parametrize(
    ("architecture", "alone"),
    [("test_vit", True), ("resnetv2_18", True), ("crossvit_tiny_240", False)],
)
def test_features_are_cached_where_the_head_alone_decides(architecture, alone, tmp_path):
    """A linear head, one that is a convolution, and two whose answers are averaged."""
    checkpoints.timm_folder(tmp_path / "start", architecture, num_classes=3)
    model = pvzoo.load(tmp_path / "start", device="cpu")
    data = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 4)
    options = {"epochs": 1, "freeze": "backbone", "augment": False, "batch_size": 2}
    with mock.patch.object(run, "Features", wraps=run.Features) as cached:
        tuned = model.fine_tune(data, output_dir=tmp_path / "run", **options)
    assert cached.called == alone
    assert np.isfinite(tuned.report.history[-1]["loss"])


def test_the_moving_average_looks_back_over_a_part_of_the_run():
    average = Average(torch.nn.Linear(3, 2), decay=0.9999, warm_up=2000)
    average.fit_to(200)
    assert (average._decay, average._warm_up) == (0.9, 20)


def test_the_moving_average_follows_its_formula():
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    average = Average(module, decay=0.9, warm_up=4)
    expected = module.weight.detach().clone()
    for step in range(1, 6):
        with torch.no_grad():
            module.weight.add_(torch.randn(2, 3))
        average.update(step)
        d = 0.9 * (1 - np.exp(-step / 4))
        expected = d * expected + (1 - d) * module.weight.detach()
    assert torch.allclose(average.state()["weight"], expected, atol=1e-6)
    own = module.weight.detach().clone()
    with average.swapped_in():
        assert torch.allclose(module.weight, expected, atol=1e-6)
    assert torch.equal(module.weight, own)


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_tunes_the_offline_default_and_the_result_predicts(tmp_path, photographs):
    for name, photo in (("cup", "coffee"), ("pet", "cat")):
        (tmp_path / "data" / name).mkdir(parents=True)
        with Image.open(photographs[photo]) as image:
            for i in range(3):
                side = 150 + 40 * i
                image.crop((i, i, side, side)).save(tmp_path / "data" / name / f"{i}.png")
    told = ["--epochs", "20", "--freeze", "backbone", "--no-augment"]
    told += ["--learning-rate", '{"backbone": 0.001, "rest": 0.01}']
    run = tmp_path / "run"
    for args in (
        ["fine-tune", tmp_path / "data", "--output-dir", run, *told],
        ["predict", photographs["coffee"], "--model", run, "--json"],
    ):
        done = forked.run_command(*args)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["name"] == "cup"
    assert json.loads((run / "run.json").read_text())["learning_rate"]["backbone"] == 0.001


@pytest.mark.parametrize("option", ["--learning-rate", "--lora", "--trainer-args"])
def test_an_option_that_takes_json_says_so(option, tmp_path):
    told = ["fine-tune", str(tmp_path), "--output-dir", str(tmp_path / "run"), "--epochs", "1"]
    done = forked.run_command(*told, option, "{high")
    assert done.returncode != 0
    assert f"{option} is '{{high', which is not JSON" in " ".join(done.stderr.split())


def test_the_command_has_the_names_of_the_call_and_its_defaults():
    call = dict(inspect.signature(pvzoo.Model.fine_tune).parameters)
    command = inspect.signature(fine_tune_command).parameters
    del call["self"], call["callbacks"]  # these are objects
    assert call.keys() <= command.keys()
    assert {name: said.default for name, said in call.items()} == {
        name: command[name].default for name in call
    }


def test_an_option_of_a_run_is_an_argument_of_the_call_with_the_same_type_and_default():
    call = inspect.signature(pvzoo.Model.fine_tune).parameters
    for option in dataclasses.fields(Options):
        argument = call[option.name]
        required = option.default is dataclasses.MISSING
        assert argument.default == (argument.empty if required else option.default), option.name
        if option.name != "output_dir":  # a text becomes a Path
            assert argument.annotation == option.type, option.name
    beside = {"self", "train", "eval", "push_to_hub", "callbacks"}
    assert call.keys() - beside == {option.name for option in dataclasses.fields(Options)}


def test_the_card_of_a_tuned_model_lists_the_options_that_decided(tuned):
    model, _ = tuned
    card = model_card(model.network, "mine", model.task, model.report, loaded=model.name)
    assert "* epochs: 2\n* batch_size: 2\n* learning_rate: 0.001\n" in card
    assert "* seed: 3" in card
    assert "freeze" not in card
    assert "resume" not in card


def test_the_metadata_of_its_card_states_where_it_comes_from_and_what_was_measured(tuned):
    model, _ = tuned
    report = dataclasses.replace(
        model.report,
        settings={**model.report.settings, "model": "org/vit"},
        data={"train": "org/ants", "eval": "org/bees"},
    )
    text = model_card(model.network, "me/mine", model.task, report, loaded="org/vit", license="mit")
    data = ModelCard(text).data
    assert (data.license, data.base_model) == ("mit", "org/vit")
    assert data.datasets == ["org/ants", "org/bees"]
    assert data.pipeline_tag == "image-classification"
    measured = {r.metric_type: r.metric_value for r in data.eval_results}
    assert measured["top1"] == model.report.metrics["top1"]
    assert {(r.dataset_type, r.task_type) for r in data.eval_results} == {
        ("org/bees", "image-classification")
    }


def test_figures_on_data_of_the_hub_are_written_as_its_results(tuned, tmp_path):
    model, _ = tuned
    on_hub = dataclasses.replace(model.report, data={"eval": "org/bees"})
    folder = save(model.network, tmp_path / "a", name="x", task=model.task, report=on_hub)
    (entry,) = yaml.safe_load((folder / ".eval_results" / "pvzoo.yaml").read_text())
    assert entry["dataset"]["id"] == "org/bees"
    assert entry["value"] == model.report.metrics["top1"]
    local = dataclasses.replace(model.report, data={"eval": "bees/"})
    folder = save(model.network, tmp_path / "b", name="x", task=model.task, report=local)
    assert not (folder / ".eval_results").exists()
    (entry, *_) = ModelCard.load(folder / "README.md").data.eval_results
    assert (entry.dataset_type, entry.dataset_name) == ("imagefolder", "bees")


def test_its_predictions_are_drawn_and_travel_with_it(tuned, tmp_path):
    model, _ = tuned
    drawn = model.report.folder / "predictions.png"
    with Image.open(drawn) as image:
        assert image.size > (480, 300)
    again = pvzoo.load(model.report.folder, device="cpu")
    assert again.report == model.report
    saved = again.save(tmp_path / "mine")
    assert (saved / "predictions.png").read_bytes() == drawn.read_bytes()
    assert "](predictions.png)" in (saved / "README.md").read_text()


# --- the data is loaded once ----------------------------------------------------------------------


@contextlib.contextmanager
def _calls_of(function) -> Iterator[list[int]]:
    """Grows by an entry for each call."""
    calls: list[int] = []

    def seen(frame, event, _):
        if event == "call" and frame.f_code is function.__code__:
            calls.append(frame.f_lineno)

    sys.setprofile(seen)
    try:
        yield calls
    finally:
        sys.setprofile(None)


def test_a_source_is_loaded_once_in_a_run_that_checks_draws_and_evaluates_it(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "validation"):
        for name in ("ant", "bee"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(2):
                pixels = rng.integers(0, 256, (48, 48, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / name / f"{i}.png")
    model = pvzoo.load(fine_tune_run.untrained("classifier", tmp_path / "start"), device="cpu")
    options = {"epochs": 2, "batch_size": 2, "early_stopping": 2}
    with _calls_of(load) as calls:
        tuned = model.fine_tune(tmp_path / "data", output_dir=tmp_path / "run", **options)
    assert len(calls) == 1
    assert (tmp_path / "run" / "first-batch.png").is_file()
    assert len([row for row in tuned.report.history if "top1" in row]) == 2
    train, held_out = tmp_path / "data" / "train", tmp_path / "data" / "validation"
    with _calls_of(load) as calls:
        model.fine_tune(train, held_out, output_dir=tmp_path / "second", **options)
    assert len(calls) == 2
    with _calls_of(load) as calls:
        tuned.evaluate(held_out)
    assert len(calls) == 1


# --- several processes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds", [["classifier"], pytest.param([*KINDS], marks=pytest.mark.slow)], ids=["one", "all"]
)
def test_two_processes_train_one_model_of_each_kind(tmp_path, kinds):
    for kind in kinds:
        fine_tune_run.untrained(kind, tmp_path / f"untrained-{kind}")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc_per_node", "2", str(HERE / "fine_tune_run.py"), str(tmp_path), *kinds),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for kind in kinds:
        digest, processes = (tmp_path / f"{kind}.sha256").read_text().split()
        assert processes == "2"
        assert (tmp_path / f"{kind}.sha256.1").read_text() == f"{digest} 2"
        again = pvzoo.load(tmp_path / kind, device="cpu")
        assert of_weights(again.network.module) == digest
        report = json.loads((tmp_path / kind / "report.json").read_text())
        assert report["settings"]["processes"] == 2
        assert report["history"][-1]["step"] == 6  # 8 images, 2 processes, batches of 2, 3 epochs


@pytest.mark.slow
def test_the_loss_of_processes_is_the_loss_of_all_their_images(tmp_path):
    """Boxes and masks weigh as much as in one process: their part is divided by all objects."""
    (tmp_path / "start" / "detr_resnet").mkdir(parents=True)
    detection_families.build("detr_resnet", tmp_path / "start" / "detr_resnet")
    segmentation_families.build("maskformer", tmp_path / "start" / "maskformer")
    found = {}
    for count in (1, 2):
        answer = tmp_path / str(count)
        answer.mkdir()
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}"]
        subprocess.run(
            [sys.executable, *launcher, HERE / "loss_in_processes.py", tmp_path / "start", answer],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)},
            check=True,
            capture_output=True,
        )
        parts = [json.loads(file.read_text()) for file in sorted(answer.glob("*.json"))]
        assert [part.pop("processes") for part in parts] == [count] * count
        found[count] = {name: np.mean([part[name] for part in parts]) for name in parts[0]}
    # the weights of classes differ between images, so that the means agree roughly only
    assert found[2] == pytest.approx(found[1], rel=0.15)
