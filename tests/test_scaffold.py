"""A plugin as `pvzoo new-plugin` writes it: installed, its own tests pass, its model answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from plugin_venv import PluginVenv
from safetensors.numpy import load_file

import pvzoo.plugins.scaffold
from pvzoo import data
from pvzoo.errors import UsageError
from pvzoo.plugins.scaffold import KINDS, write_plugin
from pvzoo.testing import scenes

ANSWERS = {"adapter": "green", "detector": "green", "task": "green", "catalogue": None}
TEMPLATES = Path(pvzoo.plugins.scaffold.__file__).parent / "templates"

OPEN = """
from pvzoo.demo import build
app = build([{name!r}], examples=[])
(ask,) = [fn for fn in app.fns.values() if fn.api_name == "predict"]
values = [component.value for component in ask.inputs[1:]]
import base64, pathlib
data = base64.b64encode(pathlib.Path({image!r}).read_bytes()).decode()
answer, _ = ask.fn({{"url": "data:image/png;base64," + data}}, *values)
"""
"""What a demo of a model answers, with its controls as they are at first."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["detector", "adapter", "task", "catalogue"])
def test_a_written_plugin_passes_its_own_tests_and_its_model_predicts(
    tmp_path_factory, green, kind
):
    made, dist = written(tmp_path_factory, kind)
    done = made.pvzoo("predict", str(green), "-m", f"{dist}-example", "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert answer["predictions"]
    if ANSWERS[kind]:
        assert answer["predictions"][0]["name"] == ANSWERS[kind]
    shown = made.evaluate(OPEN.format(name=f"{dist}-example", image=str(green)))
    for row, again in zip(answer["predictions"], shown["predictions"], strict=True):
        assert row.keys() == again.keys()
        for key, value in row.items():  # another process rounds anew
            rounded = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            assert again[key] == rounded


def test_a_written_format_passes_its_own_tests_and_converts_data(tmp_path_factory):
    made, dist = written(tmp_path_factory, "format")
    data.write(scenes(6), made.folder / "coco", "coco")
    for source, target, form in (("coco", "lines", dist), ("lines", "yolo", "yolo")):
        done = made.pvzoo("convert", source, target, "--to", form)
        assert done.returncode == 0, done.stderr
    assert (made.folder / "lines" / f"{dist}.jsonl").is_file()
    done = made.pvzoo("check", "lines")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 images" in done.stdout
    before, (after,) = data.load(made.folder / "coco"), data.load(made.folder / "yolo").values()
    for row, again in zip(before, after, strict=True):
        assert row["objects"]["category"] == again["objects"]["category"]
        np.testing.assert_allclose(row["objects"]["bbox"], again["objects"]["bbox"], atol=1e-3)


def written(tmp_path_factory, kind: str) -> tuple[PluginVenv, str]:
    """A new plugin, installed, whose own tests pass; and its name."""
    made = PluginVenv(tmp_path_factory.mktemp(kind))
    name = f"My_{kind}.zoo"
    done = made.pvzoo("new-plugin", name, "--kind", kind)
    assert done.returncode == 0, done.stderr
    dist = f"my-{kind}-zoo"
    folder = made.folder / dist
    assert f"pvzoo verify-plugin {dist}" in done.stdout
    assert (folder / ".github" / "workflows" / "test.yml").is_file()
    texts = [f.read_text() for f in folder.rglob("*") if f.suffix in (".py", ".toml", ".md")]
    assert not any("my_zoo" in text or "my-zoo" in text for text in texts)

    made.install("-e", folder)
    tests = made.call("-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout
    return made, dist


def test_the_weights_of_the_detector_say_how_much_a_channel_exceeds_the_others():
    found = load_file(TEMPLATES / "detector" / "my_zoo" / "weights" / "colours.safetensors")
    pixels = np.random.default_rng(0).random((1000, 3), np.float32)
    hidden = np.maximum(pixels @ found["stem.weight"][..., 0, 0].T, 0)
    logits = hidden @ found["head.weight"][..., 0, 0].T + found["head.bias"]
    greatest = np.sort(pixels, axis=1)
    own, others = pixels.argmax(axis=1), greatest[:, -1] - greatest[:, -2]
    expected = 80 * others - 20
    np.testing.assert_allclose(logits[np.arange(1000), own], expected, atol=1e-3)
    logits[np.arange(1000), own] = -20
    assert (logits < -19.99).all()


def test_the_weights_of_the_task_say_which_named_colour_is_nearest():
    found = load_file(TEMPLATES / "task" / "my_zoo" / "weights" / "colours.safetensors")
    colours = found["head.weight"][..., 0, 0] / 200
    pixels = np.random.default_rng(0).random((1000, 3), np.float32)
    logits = pixels @ found["head.weight"][..., 0, 0].T + found["head.bias"]
    distances = ((pixels[:, None] - colours) ** 2).sum(axis=2)
    np.testing.assert_array_equal(logits.argmax(axis=1), distances.argmin(axis=1))
    np.testing.assert_array_equal(found["stem.weight"][..., 0, 0], np.eye(3))


@pytest.fixture(scope="module")
def green(tmp_path_factory) -> Path:
    """A green image."""
    from PIL import Image

    file = tmp_path_factory.mktemp("green") / "green.png"
    Image.new("RGB", (60, 40), (40, 170, 60)).save(file)
    return file


@pytest.mark.parametrize("name", ["", "1zoo", "a", "my zoo", "../zoo", "zoo!", "class"])
def test_a_name_that_no_plugin_can_have_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be the name of a plugin"):
        write_plugin(name, "adapter", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_plugin_takes_the_place_of_no_folder_and_no_package(tmp_path):
    (tmp_path / "my-new-zoo").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_plugin("my-new-zoo", "task", tmp_path)
    with pytest.raises(UsageError, match="'numpy' is already installed"):
        write_plugin("numpy", "task", tmp_path)
    with pytest.raises(UsageError, match="not a kind of plugin"):
        write_plugin("my-zoo", "backend", tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        write_plugin("my-other-zoo", "task", tmp_path / "nowhere")


def test_written_plugins_pass_the_checks_of_types_that_pvzoo_passes(tmp_path):
    """`mypy --strict` on plugins of all kinds, as their authors would run it."""
    root = Path(__file__).parents[1]
    packages = [write_plugin(f"typed-{kind}", kind, tmp_path) / f"typed_{kind}" for kind in KINDS]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(root / ".mypy_cache"), *packages],
        cwd=root,  # whose settings know which libraries have no types
        env={**os.environ, "MYPYPATH": str(root)},
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
