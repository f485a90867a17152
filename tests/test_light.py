"""What works where no network library is installed, and what is said of the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from light_site import NETWORK, LightSite
from PIL import Image
from skimage import data as photographs

import pvzoo

TORCH_SIDE = (
    "pvzoo.networks",
    "pvzoo.training",
    "pvzoo.runtimes.torch",
    "pvzoo.postprocess.tensors",
    "pvzoo.export.onnx",
    "pvzoo.export.patches",
)
"""Modules that may import PyTorch."""


@pytest.fixture(scope="module")
def light(tmp_path_factory) -> LightSite:
    """Without networks, without labelled data, without what only converts."""
    absent = (*NETWORK, "datasets", "pandas", "supervision", "gradio", "peft", "av", "trackers")
    return LightSite(tmp_path_factory.mktemp("light") / "site-packages", (*absent, "matplotlib"))


@pytest.fixture(scope="module")
def with_data(tmp_path_factory) -> LightSite:
    """Without networks, with labelled data."""
    return LightSite(tmp_path_factory.mktemp("data") / "site-packages", NETWORK)


@pytest.fixture(scope="module")
def face(tmp_path_factory) -> Path:
    """A photograph with a face."""
    file = tmp_path_factory.mktemp("photographs") / "astronaut.png"
    Image.fromarray(photographs.astronaut()).save(file)
    return file


def test_every_module_of_the_light_half_imports_without_a_network_library(light):
    code = f"""
import importlib, pkgutil, sys
import pvzoo
wrong = []
for module in pkgutil.walk_packages(pvzoo.__path__, "pvzoo."):
    name = module.name
    if name.startswith({TORCH_SIDE!r}) or ".templates" in name or name == "pvzoo.__main__":
        continue
    if name.startswith("pvzoo.demo."):
        continue  # Gradio's
    try:
        importlib.import_module(name)
    except ImportError as error:
        wrong.append(f"{{name}}: {{error}}")
print(wrong)
"""
    done = light.run("-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_nothing_light_imports_a_network_library_where_there_is_one():
    code = f"""
import importlib, pkgutil, sys
import pvzoo
for module in pkgutil.walk_packages(pvzoo.__path__, "pvzoo."):
    if not module.name.startswith({(*TORCH_SIDE, "pvzoo.demo.", "pvzoo.__main__")!r}):
        if ".templates" not in module.name:
            importlib.import_module(module.name)
print(sorted({{*{NETWORK!r}, "datasets"}} & set(sys.modules)))
"""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_face_cascade_does_all_that_predicting_is(with_data, face):
    code = f"""
import json, sys
import pvzoo
from PIL import Image
model = pvzoo.load("face-cascade")
found = model.predict({str(face)!r})
(streamed,) = model.stream([{str(face)!r}])
seen = model.outputs({str(face)!r})
drawn = found.plot()
assert streamed.to_dict() == found.to_dict() == seen.result().to_dict()
assert drawn.size == found.size[::-1] and model.nbytes == 0
heavy = sorted({{*{NETWORK!r}, "datasets"}} & set(sys.modules))
print(json.dumps([found.to_dict()["predictions"], heavy, repr(model)]))
"""
    done = with_data.run("-c", code)
    assert done.returncode == 0, done.stderr
    rows, heavy, shown = json.loads(done.stdout)
    assert rows == pvzoo.load("face-cascade").predict(face).to_dict()["predictions"]
    assert rows[0]["name"] == "face"
    assert heavy == []
    assert "object-detection" in shown


def test_the_command_line_answers_without_a_network_library(with_data, face, tmp_path):
    done = with_data.pvzoo("predict", str(face), "-m", "face-cascade", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["predictions"][0]["name"] == "face"
    done = with_data.pvzoo("predict", str(face), "-m", "face-cascade", "--save", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [file.suffix for file in tmp_path.iterdir()] == [".png"]
    assert "detr-resnet50" in with_data.pvzoo("list").stdout


@pytest.mark.parametrize(
    "task", ["classification", "detection", "instance", "semantic", "panoptic"]
)
def test_a_model_without_a_network_predicts_and_is_measured_for_every_task(
    with_data, tmp_path, task
):
    code = f"""
import json, sys
from pathlib import Path
import colour_model
from pvzoo.plugins.registry import task_id
task = task_id({task!r})
model = colour_model.model(task)
data = colour_model.dataset(task, Path({str(tmp_path)!r}), 6)
result = model.predict(data[0]["image"])
figures = model.evaluate(data)
heavy = sorted({set(NETWORK)!r} & set(sys.modules))
print(json.dumps([result.to_dict()["task"], dict(figures), heavy]))
"""
    done = with_data.run("-c", code)
    assert done.returncode == 0, done.stderr
    found, figures, heavy = json.loads(done.stdout)
    assert task in found
    assert figures
    assert heavy == []


REFUSALS = {
    "a model of PyTorch": ("pvzoo.load('efficientnet-lite0-pip')", "torch"),
    "a detector of PyTorch": ("pvzoo.load('shapes-detector')", "torch"),
    "a model of PyTorch that is not downloaded yet": ("pvzoo.load('detr-resnet50')", "torch"),
    "its repo": ("pvzoo.load('facebook/detr-resnet-50')", "torch"),
    "labelled data": ("from pvzoo import data; data.load('.')", "data"),
    "a check": ("from pvzoo import data; data.check('.')", "data"),
    "evaluation": ("pvzoo.load('face-cascade').evaluate('.')", "data"),
    "fine-tuning": (
        "pvzoo.load('face-cascade').fine_tune('.', epochs=1, output_dir='run')",
        "torch",
    ),
    "a table": ("result.to_pandas()", "data"),
    "supervision": ("result.to_supervision()", "supervision"),
    "a video": ("list(pvzoo.load('face-cascade').stream('rtsp://127.0.0.1:1/a'))", "video"),
    "tracking": ("pvzoo.load('face-cascade').stream([], track=True)", "video"),
    "a demo": ("pvzoo.load('face-cascade').demo()", "demo"),
}


@pytest.mark.parametrize(("code", "extra"), REFUSALS.values(), ids=REFUSALS)
def test_what_is_not_installed_is_one_sentence_with_the_extra(light, code, extra):
    program = f"""
import numpy as np, pvzoo
from pvzoo.results.detections import Detections
none = np.zeros(0, np.int64)
result = Detections(size=(4, 4), boxes=np.zeros((0, 4)), scores=none * 1.0, labels=none, names=())
try:
    {code}
except pvzoo.PvzooError as error:
    print(type(error).__name__, error, sep="|")
"""
    done = light.run("-c", program)
    kind, _, said = done.stdout.strip().partition("|")
    assert kind == "MissingExtraError", done.stdout + done.stderr
    assert said.endswith(f'which is not installed. Run: pip install "pvzoo[{extra}]"')


def test_the_command_line_says_which_extra_is_missing(light, face):
    done = light.pvzoo("predict", str(face), "-m", "shapes-detector")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert 'pip install "pvzoo[torch]"' in done.stderr


def test_figures_do_not_ask_accelerate_where_nobody_launched(with_data):
    code = """
import sys
from pvzoo.processes import processes
state = processes()
print(state.num_processes, state.is_main_process, "accelerate" in sys.modules)
"""
    done = with_data.run("-c", code)
    assert done.stdout.split() == ["1", "True", "False"], done.stderr


def test_postprocessing_of_a_network_needs_its_spec_alone(light):
    from pvzoo.adapters.base import Spec

    spec = Spec("transformers-detection", "object-detection", ("cat", "dog"), family="rt_detr")
    logits = np.array([[[3.0, -5.0], [-5.0, 2.0]]], np.float32)
    boxes = np.array([[[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]], np.float32)
    code = f"""
import json, numpy as np
from pvzoo.plugins import registry
from pvzoo.adapters.base import Spec
spec = Spec.from_json(json.loads({json.dumps(json.dumps(spec.to_json()))}))
adapter = registry.get("adapters", spec.adapter)(spec)
outputs = {{"logits": np.array({logits.tolist()}, np.float32),
           "pred_boxes": np.array({boxes.tolist()}, np.float32)}}
controls = dict(threshold=0.5, classes=None, nms=None, class_agnostic=False, max_detections=None)
print(json.dumps(adapter.postprocess(outputs, {{"size": (10, 20)}}, **controls).rows()))
"""
    done = light.run("-c", code)
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["name"] for row in rows] == ["cat", "dog"]
    np.testing.assert_allclose(rows[0]["score"], 1 / (1 + np.exp(-3.0)), atol=1e-6)


def test_the_tests_site_has_no_network_library(light):
    done = light.run("-c", "import torch")
    assert "No module named 'torch'" in done.stderr
    assert os.path.islink(next(light.folder.iterdir()))
