"""docs/plugins.md: its public names are there, plugins need no others, and its examples work."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from PIL import Image
from torch import nn

from pvzoo.adapters.base import Checkpoint
from pvzoo.data.copies import Parts
from pvzoo.data.formats.base import DataSource
from pvzoo.data.paths import Area
from pvzoo.data.schema import class_names
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.networks.base import TargetClasses
from pvzoo.testing import scenes

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")


def public() -> dict[str, set[str]]:
    """The table of public names: module -> names."""
    table = DOCS.partition("## Public names")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(pvzoo[\w.]*)` \| (.*?) \|", table, re.MULTILINE)
    return {module: set(re.findall(r"`(\w+)`", names)) for module, names in rows}


PUBLIC = public()
PACKAGES = [
    *(ROOT / "pvzoo/plugins/scaffold/templates").glob("*/**/*.py"),
    *(f for p in (ROOT / "plugins").glob("*/pvzoo_*") if p.is_dir() for f in p.rglob("*.py")),
    *(ROOT / "plugins").glob("*/training/*.py"),
]


@pytest.mark.parametrize("module", PUBLIC)
def test_a_public_name_is_there(module):
    found = importlib.import_module(module)
    assert PUBLIC[module]
    assert not [name for name in PUBLIC[module] if not hasattr(found, name)]


def test_every_module_of_a_plugin_is_looked_at():
    names = {file.name for file in PACKAGES}
    assert {"network.py", "format.py", "compose.py", "builder.py", "detector.py"} <= names


@pytest.mark.parametrize("file", PACKAGES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_plugins_import_public_names_alone(file):
    used = set(names_of_pvzoo(ast.parse(file.read_text(encoding="utf-8"))))
    assert not {f"{m}.{n}" for m, n in used if n not in PUBLIC.get(m, ())}


def names_of_pvzoo(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(module, name) of all that is imported from pvzoo, or read of a module that is imported."""
    modules = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "pvzoo":
                    modules[alias.asname or alias.name] = alias.name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pvzoo":
            for alias in node.names:
                if (whole := f"{node.module}.{alias.name}") in PUBLIC:
                    modules[alias.asname or alias.name] = whole
                else:
                    yield node.module, alias.name
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        of = modules.get(ast.unparse(node.value))
        if of is not None and f"{of}.{node.attr}" not in PUBLIC:
            yield of, node.attr


# --- the examples ---------------------------------------------------------------------------------


def examples(section: str, **more: Any) -> dict[str, Any]:
    """What the Python of a section defines, with all public names of pvzoo at hand."""
    given: dict[str, Any] = {"np": np, "torch": torch, "Path": Path, **more}
    given |= {"dataclass": importlib.import_module("dataclasses").dataclass}
    given |= {"partial": importlib.import_module("functools").partial}
    for module, names in PUBLIC.items():
        if module not in ("pvzoo", "pvzoo.data", "pvzoo.demo"):  # what users call
            found = importlib.import_module(module)
            given |= {name: getattr(found, name) for name in names}
    given["write"] = importlib.import_module("pvzoo.data.store").write
    text = DOCS.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    classes: dict[str, type] = {}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        if not block.startswith((" ", "config =")):
            exec(compile(block, "docs/plugins.md", "exec"), given)
        for name, value in given.items():  # a class that goes on is one with what it had
            if isinstance(value, type) and value.__module__ == "builtins":
                if (before := classes.get(name)) not in (None, value):
                    given[name] = value = type(name, (value, before), {})
                classes[name] = value
    return given


class Little(nn.Module):
    """Finds one object in each image; its class is that of the greatest logit."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Linear(3, 4)
        self.head = nn.Linear(4, classes)

    def forward(self, pixels):
        scores, labels = self.head(self.stem(pixels.mean((2, 3)))).softmax(1).max(1, keepdim=True)
        boxes = torch.tensor([1.0, 2, 3, 4]).expand(len(pixels), 1, 4)
        return boxes, scores, labels


def test_the_example_of_an_adapter_predicts_and_learns(tmp_path):
    own = {"MyModule": Little, "my_loss": lambda found, targets: found[1].mean()}
    found = examples("An adapter and its network", **own)
    config = {"model_type": "my-type", "labels": ["cat", "dog"]}
    network = found["MyNetwork"](found["MyNetwork"].build(config), config)
    network.save(tmp_path)
    checkpoint = Checkpoint("first", config, tmp_path, tmp_path / "model.safetensors")
    options = {"task": None, "dtype": torch.float32, "trust_remote_code": False}
    network = found["MyNetwork"].load(checkpoint, **options)
    adapter = found["MyAdapter"](network.spec, network.prepare)
    assert adapter.matches(config)
    assert adapter.family.recipe.rate == 1e-4
    inputs, meta = adapter.preprocess(Image.new("RGB", (40, 30), "red"))
    outputs = network.forward({k: torch.from_numpy(v) for k, v in inputs.items()})
    controls = {"threshold": 0.0, "classes": None, "nms": None, "max_detections": None}
    arrays = {name: value.detach().numpy() for name, value in outputs.items()}
    result = adapter.postprocess(arrays, meta, **controls)
    assert (result.size, result.boxes.tolist()) == ((30, 40), [[1, 2, 3, 4]])
    assert result.names[0] in ("cat", "dog")
    tuned = network.retarget(TargetClasses(("dog", "cow"), (1, None)), image_size=None, seed=0)
    targets = [{"boxes": torch.ones(1, 4), "categories": torch.tensor([1])}]
    batch = tuned.batch([Image.new("RGB", (40, 30))], targets)
    assert tuned.loss(tuned.module, batch).ndim == 0


def test_the_example_of_a_head_with_anchors_keeps_the_right_entries():
    text = DOCS.partition("all classes for the second:")[2]
    block = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    found: dict[str, Any] = {}
    exec(f"class It:\n{block}", found)
    it = found["It"]()
    it.spec = SimpleNamespace(labels=("a", "b", "c"))
    old, new = torch.arange(6.0), torch.full((4,), -1.0)
    it.keep_classes("head", old, new, (2, None))
    assert new.tolist() == [2, -1, 5, -1]


def test_the_example_of_a_task_is_read_checked_drawn_measured_and_trained(tmp_path):
    found = examples("A task")
    task = found["CoverTask"]()
    (tmp_path / "1.png").write_bytes(b"")
    (tmp_path / "cover.json").write_text('{"1.png": {"grass": 0.75, "sky": 0.25}}')
    features = {"image": None, **task.columns(["grass", "sky"])}
    row = {"file_name": "1.png", "cover": {"category": [0, 1], "share": [0.75, 0.25]}}
    assert set(features) == {"image", "cover"}
    rows: list[Any] = []
    found["splits"].__globals__["write"] = lambda made, *about: rows.extend(made())
    found["splits"].__globals__["features"] = lambda task, classes: classes
    (split,) = found["splits"](tmp_path)
    split.read(None)
    assert rows[0]["cover"] == row["cover"]
    result = found["Cover"](
        size=(10, 20), labels=np.array([0, 1]), shares=np.array([0.5, 0.5]), names=("grass", "sky")
    )
    assert result.rows()[1] == {"label": 1, "name": "sky", "share": 0.5}
    image = Image.new("RGB", (20, 10))
    assert result.draw(image).height > 10
    assert task.draw_labels(image, row, ["grass", "sky"], (20, 10)).height > 10
    noted: list[Any] = []
    sample = type("Sample", (), {"row": row, "note": lambda self, *what: noted.append(what)})()
    found["CoverCheck"]([], None).check(sample)
    assert not noted
    row_wrong = {**row, "cover": {"category": [0], "share": [0.5]}}
    sample.row = row_wrong
    found["CoverCheck"]([], None).check(sample)
    assert [rule.name for rule, _ in noted] == ["cover-sum"]
    metric = found["CoverMetric"](LabelMatch.of(["grass", "sky"], ["grass", "sky"]))
    metric.update(0, result, row)
    metric.merge([metric.state()])
    assert metric.compute()["overlap"] == 0.75
    training = found["CoverTraining"]()
    target = training.target(row, image, 2)
    assert training.row(target, (20, 10), 2)["cover"] == row["cover"]


def test_the_example_of_a_format_reads_what_it_writes(tmp_path):
    lines = examples("A format")["Lines"]
    data = Dataset.from_list([row for row in scenes(6) if row["objects"]["id"]], scenes(6).features)
    lines.write(Parts.of({None: data}, None), tmp_path)
    (split,) = lines.splits(DataSource(tmp_path, Area(tmp_path)))
    read = split.read(None)
    assert class_names(read.features) == ("blue", "green", "red")  # in the order of the alphabet
    for before, after in zip(data, read, strict=True):
        assert before["objects"]["bbox"] == after["objects"]["bbox"]
        assert before["objects"]["category"] == [2 - i for i in after["objects"]["category"]]
