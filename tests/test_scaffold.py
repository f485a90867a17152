"""A plugin as `pvzoo new-plugin` writes it: installed, its own tests pass, its model answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugin_venv import PluginVenv

from pvzoo.errors import UsageError
from pvzoo.plugins.scaffold import KINDS, write_plugin

ANSWERS = {"adapter": "green", "task": "green", "catalogue": None}

OPEN = """
from pvzoo.demo import build
app = build([{name!r}], examples=[])
(ask,) = [fn for fn in app.fns.values() if fn.api_name == "predict"]
values = [component.value for component in ask.inputs[1:]]
import base64, pathlib
data = base64.b64encode(pathlib.Path({picture!r}).read_bytes()).decode()
answer, _ = ask.fn({{"url": "data:image/png;base64," + data}}, *values)
"""
"""What a demo of a model answers, with its controls as they are at first."""


@pytest.mark.parametrize(
    "kind",
    ["adapter", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("task", "catalogue"))],
)
def test_a_written_plugin_passes_its_own_tests_and_its_model_predicts(
    tmp_path_factory, green, kind
):
    made = PluginVenv(tmp_path_factory.mktemp(kind))
    name = f"My_{kind}.zoo"
    done = made.pvzoo("new-plugin", name, "--kind", kind)
    assert done.returncode == 0, done.stderr
    dist = f"my-{kind}-zoo"
    folder = made.folder / dist
    assert f"pvzoo verify-plugin {dist}" in done.stdout
    assert (folder / ".github" / "workflows" / "test.yml").is_file()
    written = [f.read_text() for f in folder.rglob("*") if f.suffix in (".py", ".toml", ".md")]
    assert not any("my_zoo" in text or "my-zoo" in text for text in written)

    made.install("-e", folder)
    tests = made.call("-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder))
    assert tests.returncode == 0, tests.stdout
    assert "passed" in tests.stdout
    done = made.pvzoo("predict", str(green), "-m", f"{dist}-example", "--json")
    assert done.returncode == 0, done.stderr
    (answer,) = map(json.loads, done.stdout.splitlines())
    assert answer["predictions"]
    if ANSWERS[kind]:
        assert answer["predictions"][0]["name"] == ANSWERS[kind]
    shown = made.evaluate(OPEN.format(name=f"{dist}-example", picture=str(green)))
    for row, again in zip(answer["predictions"], shown["predictions"], strict=True):
        assert row.keys() == again.keys()
        for key, value in row.items():  # another process rounds anew
            rounded = pytest.approx(value, rel=1e-4) if isinstance(value, float) else value
            assert again[key] == rounded


@pytest.fixture(scope="module")
def green(tmp_path_factory) -> Path:
    """A green picture."""
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
    with pytest.raises(UsageError, match="is there already"):
        write_plugin("my-new-zoo", "task", tmp_path)
    with pytest.raises(UsageError, match="'numpy' is installed"):
        write_plugin("numpy", "task", tmp_path)
    with pytest.raises(UsageError, match="no kind of plugin"):
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
