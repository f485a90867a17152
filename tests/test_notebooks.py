"""The notebooks of demos/notebooks run from top to bottom, without a network, and open in Colab."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import nbclient
import nbformat
import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "demos" / "notebooks").glob("*.ipynb"))
SHOWN = {
    "predict": ["espresso", "tiger cat", "-> ", "rtdetr-r18"],
    "fine_tune": ["72 images", "hourglass", "map_50"],
    "export": ["certified", "True", "model.onnx"],
}
"""Words that the outputs of a notebook have."""


def read(file: Path) -> nbformat.NotebookNode:
    return nbformat.read(file, as_version=4)


def words(notebook: nbformat.NotebookNode) -> str:
    """All text that a notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    data = [output.get("data", {}) for output in outputs]
    texts = [output.get("text", "") for output in outputs]
    return "\n".join([*texts, *(d.get("text/plain", "") + d.get("text/html", "") for d in data)])


def test_there_are_three_notebooks():
    assert {file.stem for file in NOTEBOOKS} == SHOWN.keys()


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs_without_a_network(file, tmp_path, monkeypatch):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name, value in {
        "PATH": path,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hub"),
        "JUPYTER_PLATFORM_DIRS": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }.items():
        monkeypatch.setenv(name, value)
    notebook = read(file)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    shown = words(notebook)
    for word in SHOWN[file.stem]:
        assert word in shown, f"{word!r} is not in\n{shown}"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_opens_in_colab_and_installs_there(file):
    notebook = read(file)
    nbformat.validate(notebook)
    head, install = notebook.cells[:2]
    inside = file.relative_to(ROOT).as_posix()
    (link,) = [part[:-1] for part in head.source.split("](") if "colab.research" in part][1:]
    assert urlsplit(link.split(")")[0]).path == f"/github/pvzoo/pvzoo/blob/main/{inside}"
    assert 'if "google.colab" in sys.modules' in install.source
    for line in install.source.splitlines():  # the plugins that it installs exist
        if "#subdirectory=" in line:
            assert (ROOT / line.partition("#subdirectory=")[2].strip(' ",')).is_dir(), line


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_is_kept_without_outputs(file):
    code = [cell for cell in read(file).cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
