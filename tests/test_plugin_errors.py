"""Mistakes in the code of plugins: errors name the plugin and the part, and keep the cause."""

from __future__ import annotations

import sys
import traceback
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from plugin_venv import Dist

import pvzoo
from pvzoo import about
from pvzoo.adapters.base import Adapter, Spec
from pvzoo.catalog import catalogue
from pvzoo.catalog.cards import in_millions
from pvzoo.cli.app import app
from pvzoo.errors import (
    DataError,
    ImageError,
    PluginError,
    PvzooError,
    PvzooWarning,
    UnsupportedModelError,
    UsageError,
    let_go,
)
from pvzoo.loading import network_of
from pvzoo.metrics.base import Metric
from pvzoo.metrics.evaluate import measure
from pvzoo.model import Model
from pvzoo.networks.from_torch import TorchNetwork
from pvzoo.pipeline import trial
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling
from pvzoo.plugins.installed import Part
from pvzoo.preprocess.steps import Rescale, Resize
from pvzoo.results.classification import Classification
from pvzoo.tasks.base import Task
from pvzoo.tasks.image_classification import ImageClassification
from pvzoo.testing import scenes
from pvzoo.training.targets.base import training_of
from pvzoo.training.trainer import FineTuner

IMAGE = Image.new("RGB", (20, 10), "red")
HEAD = ("image", "image_id", "file_name")

FORMATS = """
from pvzoo.data.files import is_file
from pvzoo.data.formats.base import Format

class Zero(Format):
    name, title, layout = "zero", "Zero", "a zero.txt"
    reads = writes = ("object-detection",)
    @staticmethod
    def splits(source):
        return 1 // len([p for p in source.path.iterdir() if p.name == "no such file"])
    @staticmethod
    def write(parts, folder):
        raise KeyError("side")

class Paths(Zero):
    name, title, layout = "paths", "Paths", "a paths.txt"
    @staticmethod
    def splits(source):
        return [source.path]
"""
TASKS = """
from pathlib import Path
from pvzoo.data.files import Split
from pvzoo.results.classification import Classification
from pvzoo.tasks.base import Task

class Grid(Task):
    id = "zoo-grid"
    result = Classification
    def columns(self, names):
        return {"grid": 7}
    def fits(self, columns, names):
        raise AttributeError("no grid")
    def find_files(self, folder):
        return [Split(None, self.read)] if (folder / "grid.json").is_file() else []
    def read(self, task):
        raise KeyError("mean")
"""
CONTRACT = {"pvzoo.contract": {"2": "x"}}
PLUGINS = (
    Dist(
        "zoo-formats",
        {"zoo_formats.py": FORMATS},
        {
            "pvzoo.formats": {"zero": "zoo_formats:Zero", "paths": "zoo_formats:Paths"},
            **CONTRACT,
        },
    ),
    Dist(
        "zoo-absent",
        {"zoo_absent.py": "1 / 0"},
        {"pvzoo.formats": {"absent-boxes": "zoo_absent:Boxes"}, **CONTRACT},
    ),
    Dist(
        "zoo-tasks",
        {"zoo_tasks.py": TASKS},
        {"pvzoo.tasks": {"zoo-grid": "zoo_tasks:Grid"}, **CONTRACT},
    ),
)


@pytest.fixture
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Plugins with mistakes, on the path of this process."""
    site = tmp_path_factory.mktemp("site")
    for dist in PLUGINS:
        with zipfile.ZipFile(dist.wheel(site)) as wheel:
            wheel.extractall(site)
    sys.path.append(str(site))
    catalogue.refresh()
    yield
    sys.path.remove(str(site))
    catalogue.refresh()


# --- formats and tasks ----------------------------------------------------------------------------


def test_a_format_that_fails_is_left_out_and_other_formats_are_read(plugins, tmp_path):
    folder = tmp_path / "coco"
    pvzoo.data.write(scenes(2), folder, "coco")
    with pytest.warns(PvzooWarning) as caught:
        data = pvzoo.data.load(folder)
    assert len(data) == 2
    texts = [str(one.message) for one in caught]
    assert any("splits of Zero (plugin 'zoo-formats') failed (ZeroDiv" in t for t in texts)
    assert any("splits of Paths (plugin 'zoo-formats') returned [" in t for t in texts)


def test_the_mistake_of_a_format_is_an_error_where_no_other_reads_the_data(plugins, tmp_path):
    (tmp_path / "zero.txt").write_text("")
    with pytest.raises(PluginError, match="splits of Paths"):
        pvzoo.data.load(tmp_path)


@pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")
def test_a_format_that_cannot_write_is_named_and_leaves_nothing(plugins, tmp_path):
    with pytest.raises(PluginError, match=r"write of Zero .*KeyError: 'side'"):
        pvzoo.data.write(scenes(1), tmp_path / "out", "zero")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")
def test_a_format_that_cannot_be_loaded_is_not_unknown(plugins, tmp_path):
    with pytest.raises(PluginError, match=r"'absent-boxes' of plugin 'zoo-absent'.*ZeroDiv"):
        pvzoo.data.write(scenes(1), tmp_path / "out", "absent-boxes")
    with pytest.raises(UsageError, match=r"no format 'absent'.*zoo-absent.*ZeroDivision"):
        pvzoo.data.write(scenes(1), tmp_path / "out", "absent")


def test_files_of_a_plugins_task_are_found_if_the_task_is_named(plugins, tmp_path, monkeypatch):
    (tmp_path / "grid.json").write_text("{}")
    monkeypatch.setattr("pvzoo.data.formats.recognised.formats", list)
    with pytest.raises(DataError, match=r"zoo-grid are found only if .*--task"):
        pvzoo.data.load(tmp_path)
    with pytest.raises(PluginError, match=r"reader of Grid .*KeyError: 'mean'"):
        pvzoo.data.load(tmp_path, "zoo-grid")


def test_columns_of_a_wrong_type_are_named(plugins):
    from datasets import Features, Value

    from pvzoo.data.schema import features

    with pytest.raises(PluginError, match="columns of Grid"):
        pvzoo.data.schema.features("zoo-grid", [])
    head = {name: features("object-detection", ["a"])[name] for name in HEAD}
    other = Features({**head, "more": Value("string")})
    with pytest.warns(PvzooWarning, match=r"columns of Grid .*AttributeError.* was left out"):
        assert pvzoo.data.schema.task_of(other) is None


def test_hints_are_whole_sentences_if_there_is_nothing_to_list():
    class Plain(Task):
        id = "plain"
        result = Classification

    with pytest.raises(UsageError, match="It has no options") as caught:
        Plain().options({"threshold": 1}, ())
    assert ": ." not in str(caught.value)


# --- networks and adapters ------------------------------------------------------------------------


class Plain(Adapter):
    tasks = ("image-classification",)

    @classmethod
    def matches(cls, config):
        return False

    def postprocess(self, outputs, meta, **controls):
        scores = outputs["scores"][0]
        return Classification(
            size=meta["size"], labels=np.arange(2), scores=scores, names=self.labels
        )


class Little(TorchNetwork):
    adapter, task = "zoo:plain", "image-classification"

    @classmethod
    def build(cls, config):
        return torch.nn.Linear(3, len(config["labels"]))

    def steps(self):
        return (Resize("exact", (4, 4)), Rescale(255.0, divide=True))

    def forward(self, inputs):
        return {"scores": self.module(inputs["pixel_values"].mean((2, 3))).softmax(1)}


def model_of(adapter: type[Adapter] = Plain, network: type[Little] = Little) -> Model:
    config = {"model_type": "plain", "labels": ["a", "b"]}
    made = network(network.build(config).eval(), config)
    return Model("plain", adapter(made.spec, made.prepare), made, device="cpu")


def test_outputs_that_are_missing_are_reported_once_with_the_part():
    class Other(Plain):
        def postprocess(self, outputs, meta, **controls):
            return super().postprocess({"logits": outputs["scores"]}, meta)

    model = model_of(Other)
    refused: list[ImageError] = []
    for on_error in ("raise", "skip", refused.append):
        with pytest.raises(PluginError, match=r"postprocess of Other failed .*'scores'") as caught:
            list(model.stream([IMAGE] * 3, on_error=on_error))
        assert isinstance(caught.value.__cause__, KeyError)
    assert not refused
    with pytest.raises(PluginError, match="postprocess of Other"):
        model.outputs(IMAGE).result()


def test_a_result_of_another_type_is_named():
    class Dict(Plain):
        def postprocess(self, outputs, meta, **controls):
            return outputs

    with pytest.raises(PluginError, match="of Dict returned a dict, not a Classification"):
        model_of(Dict).predict(IMAGE)


class Misspelt(Little):
    def forward(self, inputs):
        return super().forward({"pixel_values": inputs["pixels"]})


def test_a_mistake_in_forward_is_not_blamed_on_the_preprocessing():
    model = model_of(network=Misspelt)
    with pytest.raises(UnsupportedModelError, match=r"fails on every image.*'pixels'") as caught:
        trial.at_load("plain", model.adapter, model.runtime, model.network)
    assert "code of Plain" in caught.value.hint
    assert not caught.value.hint.startswith("Its preprocessor_config.json")


class Bright(Little):
    def forward(self, inputs):
        if (inputs["pixel_values"] > 0.9).any():
            return {"scores": undefined}  # noqa: F821
        return super().forward(inputs)


def test_the_error_of_an_image_shows_where_forward_failed_and_holds_no_frames():
    model = model_of(network=Bright)
    with pytest.raises(ImageError) as caught:
        model.predict([IMAGE.point(lambda v: v // 2), IMAGE])
    text = "".join(traceback.format_exception(caught.value))
    assert "NameError: name 'undefined' is not defined" in text
    assert 'return {"scores": undefined}' in text
    one: BaseException | None = caught.value.__cause__
    while one is not None:
        assert one.__traceback__ is None
        one = one.__cause__


def test_an_error_that_was_only_made_lets_its_cause_go():
    made = PvzooError("a")
    try:
        raise ValueError("b")
    except ValueError as error:
        made.__cause__ = error
    let_go(made)
    assert made.__cause__ is not None
    assert made.__cause__.__traceback__ is None
    assert "raise ValueError" in made.__cause__.__notes__[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("test_plugin_errors:Litle", r"has no Litle. Did you mean 'Little'"),
        ("test_plugin_errors.Little", r"the form is 'package.module:Class'"),
        ("test_plugin_errors:IMAGE", r"not a Network"),
    ],
)
def test_a_wrong_path_of_a_network_is_named(path, text):
    kind = type("Pathless", (Plain,), {"network": path})
    with pytest.raises(PluginError, match=f"network of Pathless is .*{text}"):
        network_of(kind, "plain")


@pytest.mark.parametrize("path", [None, "test_plugin_errors:Little", "no_such_module:Training"])
def test_a_wrong_training_of_a_task_is_named(path):
    kind = type("Odd", (ImageClassification,), {"training": path})
    with pytest.raises(PluginError, match="training of Odd"):
        training_of(kind())


# --- results, metrics, training -------------------------------------------------------------------


@dataclass(frozen=True, eq=False, kw_only=True)
class Undrawn(Classification):
    def draw(self, image):
        return None

    def rows(self):
        return [{"label": 1}]


def test_results_that_cannot_be_drawn_or_tabled_are_named():
    class Silent(Plain):
        def postprocess(self, outputs, meta, **controls):
            return Undrawn(**vars(super().postprocess(outputs, meta)))

    result = model_of(Silent).predict(IMAGE)
    with pytest.raises(PluginError, match="draw of Undrawn returned a NoneType, not an image"):
        result.plot()
    with pytest.raises(PluginError, match="rows of Undrawn returned a row without '"):
        result.to_pandas()


class Broken(Metric):
    def update(self, index, result, row):
        self.count = row["no such column"]

    def state(self):
        return 0

    def merge(self, states):
        pass

    def compute(self):
        return {"a": 1.0}


class Careless(Broken):
    def update(self, index, result, row):
        pass


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Broken, "update of Broken failed .*no such column"),
        (Careless, "compute of Careless returned a dict, not an Evaluation"),
        (lambda match: 3, "metric of Measured returned a int, not a Metric"),
    ],
)
def test_a_mistake_in_a_metric_is_named(metric, text):
    from datasets import Dataset

    from pvzoo.data.schema import features

    kind = {"metric": lambda self, match: metric(match)}
    task = type("Measured", (ImageClassification,), kind)()
    row = {"image": IMAGE, "image_id": 0, "file_name": "a.png", "label": 0}
    data = Dataset.from_list([row], features=features("image-classification", ["a", "b"]))
    model = model_of()
    with pytest.raises(PluginError, match=text):
        measure(model.stream, task, model.labels, data, {}, batch_size=1)


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        (lambda: torch.zeros(2), r"returned a Tensor of the shape \(2,\)"),
        (lambda: 0.5, "returned a float, not a tensor"),
        (lambda: {}["a"], "failed .KeyError: 'a'"),
    ],
)
def test_a_mistake_in_a_loss_is_named(loss, text):
    class Lossy(Little):
        def loss(self, module, batch):
            return loss()

    trainer: Any = object.__new__(FineTuner)
    trainer._step, trainer._frozen = model_of(network=Lossy).network, []
    with pytest.raises(PluginError, match=f"loss of Lossy {text}"):
        trainer.compute_loss(trainer._step.module, {})


def test_a_lack_of_memory_is_not_a_mistake_of_the_plugin():
    spec = Spec("zoo:plain", "image-classification", ("a", "b"))
    with pytest.raises(MemoryError), calling(Plain(spec), "postprocess"):
        raise MemoryError


def test_a_small_network_has_its_number_of_parameters_in_its_description():
    assert ("size", "8 parameters") in about.lines(model_of())
    assert in_millions(41_500_000) == "41.5M"
    assert in_millions(60_000) == "0.1M"


def test_debugging_on_the_command_line_shows_where_forward_failed(tmp_path, monkeypatch, capsys):
    IMAGE.save(tmp_path / "a.png")
    IMAGE.point(lambda value: value // 2).save(tmp_path / "b.png")
    monkeypatch.setattr(pvzoo, "load", lambda *_, **__: model_of(network=Bright))
    monkeypatch.setattr(sys.modules["pvzoo.cli.app"], "_debug", False)
    with pytest.raises(SystemExit):
        app(["predict", str(tmp_path), "--model", "plain", "--debug"])
    shown = capsys.readouterr().err
    assert "NameError" in shown
    assert 'return {"scores": undefined}' in shown


def test_an_entry_point_with_a_dot_for_a_colon_is_told_apart_from_a_missing_module():
    point = EntryPoint("net", "zoo_tasks.network.Net", "pvzoo.adapters")
    part = Part("adapters", "net", "zoo-tasks", point)
    error = ModuleNotFoundError("No module", name="zoo_tasks.network.Net")
    assert "with a colon" in registry.lacking(part, error).hint
