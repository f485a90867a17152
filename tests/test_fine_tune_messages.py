"""What `Model.fine_tune` says and shows: data, first batch, what is kept, figures; callbacks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from unittest import mock

import colour_model
import datasets
import fine_tune_run
import numpy as np
import pytest
import segmentation_families
import torch
from PIL import Image
from transformers import TrainerCallback

import pvzoo
from pvzoo import data as labelled
from pvzoo.data import schema
from pvzoo.errors import DataError, UsageError
from pvzoo.training import checkpoints as kept
from pvzoo.training import sample_grid
from pvzoo.training.identity import of_weights
from pvzoo.training.report import TrainingReport

# the tiny checkpoints are untrained, and say nothing of stuff
pytestmark = pytest.mark.filterwarnings(
    "ignore:Nothing says which classes:pvzoo.errors.PvzooWarning",
    "ignore:Classes (do not|that) occur:pvzoo.errors.PvzooWarning",
)


@pytest.fixture
def classifier(tmp_path) -> pvzoo.Model:
    return pvzoo.load(fine_tune_run.untrained("classifier", tmp_path / "start"), device="cpu")


@pytest.fixture
def data(tmp_path) -> datasets.Dataset:
    return colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 12)


# --- what is kept ---------------------------------------------------------------------------------


def test_without_data_to_evaluate_it_says_so_once_and_keeps_the_last_epoch(
    classifier, data, tmp_path, capsys
):
    found = classifier.fine_tune(data, epochs=2, output_dir=tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count("nothing is evaluated, so the weights of the last epoch are kept") == 1
    assert "fine_tune(train, eval)" in said
    assert "--eval" in said
    assert re.search(r"trained in .*; the weights of the last epoch are kept\n", said)
    assert "not evaluated" in repr(found.report)


def test_the_last_line_names_the_epoch_whose_weights_are_kept(tmp_path, capsys):
    """At this rate no epoch is better than the first."""
    found = fine_tune_run.tune("classifier", tmp_path, learning_rate=1e-9, epochs=2)
    said = capsys.readouterr().err
    assert "nothing is evaluated" not in said
    top1 = found.report.metrics["top1"]
    assert said.splitlines()[-1].endswith(f"the weights of epoch 1.0 (top1 {top1:.4f}) are kept")


def test_data_of_one_split_called_validation_is_trained_on_and_not_evaluated(
    classifier, data, tmp_path, capsys
):
    one = datasets.DatasetDict(validation=data)
    found = classifier.fine_tune(one, epochs=1, output_dir=tmp_path / "run")
    assert "nothing is evaluated" in capsys.readouterr().err
    assert found.report.metrics == {}


def test_a_report_shows_its_figures():
    history = ({"step": 8, "epoch": 2.0, "loss": 0.1}, {"step": 12, "epoch": 3.0, "map_50": 0.25})
    metrics = {"map_50": 0.25, "map_large": float("nan")}
    report = TrainingReport(Path("runs/<cells>"), {}, history, metrics, 4.2)
    title, *rows = str(report).splitlines()
    assert title == "TrainingReport: runs/<cells>, 3 epochs, 12 steps"
    assert [row.split() for row in rows] == [["map_50", "0.2500"], ["map_large", "-"]]
    html = report._repr_html_()
    assert "runs/&lt;cells&gt;" in html
    assert re.search(r"map_50</td><td[^>]*>0\.2500</td>", html)


# --- images in both sets --------------------------------------------------------------------------


def test_images_in_both_splits_of_one_source_are_named_with_the_way_out(classifier, data, tmp_path):
    both = datasets.DatasetDict(train=data.select(range(8)), validation=data.select(range(1, 12)))
    with pytest.raises(DataError) as error:
        classifier.fine_tune(both, epochs=1, output_dir=tmp_path / "run")
    said = str(error.value)
    assert said.startswith("7 images are in the training data and in the validation data: ")
    named = [f"train: {i}.png is validation: {i}.png" for i in range(1, 6)]
    assert "; ".join([*named, "and 2 more"]) in said
    assert "pvzoo.data.fix(data)" in said
    assert not (tmp_path / "run").exists()
    found = classifier.fine_tune(labelled.fix(both), epochs=1, output_dir=tmp_path / "run")
    assert found.report.settings["train"]["images"] == 1
    assert found.report.settings["eval"]["images"] == 11


def test_images_in_two_sources_are_named_by_the_names_they_have_in_each(classifier, tmp_path):
    train = colour_model.dataset(schema.CLASSIFICATION, tmp_path / "images", 6)
    for name in ("background", "red"):
        (tmp_path / "other" / name).mkdir(parents=True)
        own = Image.new("RGB", (48, 64), colour_model.COLOURS[name])
        own.save(tmp_path / "other" / name / "own.png")
    shutil.copy(tmp_path / "images" / "3.png", tmp_path / "other" / "red" / "copy.png")
    names = colour_model.NAMES
    other = labelled.load(tmp_path / "other")
    index = {old: names.index(name) for old, name in enumerate(schema.class_names(other.features))}
    held_out = other.map(lambda row: {"label": index[row["label"]]}, features=train.features)
    with pytest.raises(DataError) as error:
        classifier.fine_tune(train, held_out, epochs=1, output_dir=tmp_path / "run")
    said = str(error.value)
    assert said.startswith("1 image is in the training data and in the validation data: ")
    assert re.search(r"train: 3\.png is validation: \S*copy\.png", said)
    assert "pvzoo.data.fix(datasets.DatasetDict(train=train, validation=eval))" in said
    fixed = labelled.fix(datasets.DatasetDict(train=train, validation=held_out))
    found = classifier.fine_tune(
        fixed["train"], fixed["validation"], epochs=1, output_dir=tmp_path / "run"
    )
    assert found.report.settings["train"]["images"] == 5


# --- the first batch ------------------------------------------------------------------------------


class FirstInput(TrainerCallback):
    """Keeps what the network is given first when it is trained."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def on_train_begin(self, args, state, control, model=None, **_):
        def keep(module, inputs, named):
            if module.training and not self.seen:
                self.seen.append(named["pixel_values"].clone())

        model.register_forward_pre_hook(keep, with_kwargs=True)


@pytest.mark.parametrize("kind", fine_tune_run.KINDS)
def test_the_image_of_the_first_batch_has_the_pixels_that_the_network_is_given(kind, tmp_path):
    first = FirstInput()
    with mock.patch.object(sample_grid, "sheet_of", wraps=sample_grid.sheet_of) as drawn:
        found = fine_tune_run.tune(kind, tmp_path, epochs=1, callbacks=[first])
    rows = [dataset[i] for dataset, _, i in drawn.call_args.args[0]]
    (given,) = first.seen
    assert len(rows) == len(given) == 2
    for row, planes in zip(rows, given, strict=True):
        name, size = row["file_name"].split(", ")
        assert name in {f"{i}.png" for i in range(8)}
        assert size == f"{planes.shape[2]} x {planes.shape[1]}"
        # the processor's own arithmetic, the other way round
        images = found.network._processor
        pixels = np.asarray(row["image"]) * images.rescale_factor
        if images.do_normalize:
            pixels = (pixels - images.image_mean) / images.image_std
        assert pixels.transpose(2, 0, 1) == pytest.approx(planes.numpy(), abs=0.01)


# --- callbacks ------------------------------------------------------------------------------------


class Steps(TrainerCallback):
    def __init__(self) -> None:
        self.seen: list[int] = []

    def on_step_end(self, args, state, control, **_):
        self.seen.append(state.global_step)


def test_callbacks_are_called_and_a_run_goes_on_with_others(tmp_path):
    fine_tune_run.stopped(tmp_path, step=6)
    assert kept.steps(tmp_path / "classifier") == [4]
    steps = Steps()
    found = fine_tune_run.tune("classifier", tmp_path, callbacks=[steps])
    assert steps.seen == list(range(5, 13))
    whole = fine_tune_run.tune("classifier", tmp_path / "whole")
    assert of_weights(found.network.module) == of_weights(whole.network.module)


@pytest.mark.parametrize("wrong", [Steps(), [Steps], ["tensorboard"], None])
def test_what_is_no_list_of_callbacks_is_refused(wrong, tmp_path):
    with pytest.raises(UsageError, match=r"callbacks is .*transformers\.TrainerCallback"):
        fine_tune_run.tune("classifier", tmp_path, callbacks=wrong)


def test_a_run_of_one_step_ends_whose_rate_falls_as_a_polynomial(tmp_path):
    segmentation_families.build("segformer", tmp_path / "segformer")
    data = colour_model.dataset(schema.SEMANTIC, tmp_path / "images", 2)
    model = pvzoo.load(tmp_path / "segformer", device="cpu")
    tuned = model.fine_tune(data, epochs=1, batch_size=2, output_dir=tmp_path / "run")
    assert tuned.report.history[-1]["step"] == 1
