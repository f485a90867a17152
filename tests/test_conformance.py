"""The conformance suite: pvzoo's own adapters keep its rules, and each rule catches its fault."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import broken_adapters
import checkpoints
import detection_families
import pytest
import segmentation_families
import torchvision_detector
from broken_adapters import BROKEN
from plugin_venv import MARK, Dist, PluginVenv

from pvzoo.catalog import catalogue
from pvzoo.errors import UsageError
from pvzoo.model import Model
from pvzoo.plugins import registry
from pvzoo.testing import MODEL_RULES, PLUGIN_RULES, InstalledPlugin, Subject, judge, verify

RULES = {rule.name: rule for rule in (*PLUGIN_RULES, *MODEL_RULES)}

pytestmark = pytest.mark.filterwarnings("ignore::pvzoo.errors.PvzooWarning")


# --- pvzoo's own ----------------------------------------------------------------------------------

FAMILIES = {
    "timm": ("test_resnet", None),
    "classification": ("vit", None),
    "detection": ("yolos", None),
    "detection-in-steps": ("rt_detr_v2", None),
    "semantic": ("segformer", "semantic-segmentation"),
    "instance": ("mask2former_swin", "instance-segmentation"),
    "panoptic": ("maskformer", "panoptic-segmentation"),
}
SLOW = {"detection-in-steps", "instance", "panoptic"}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function: a family's small random checkpoint, loaded once."""
    made: dict[str, Subject] = {}

    def subject_of(kind: str) -> Subject:
        if kind not in made:
            name, task = FAMILIES[kind]
            folder = tmp_path_factory.mktemp(name)
            if kind == "timm":
                small = {"input_size": (3, 64, 64)}
                checkpoints.timm_folder(folder, name, num_classes=7, data_config=small)
            elif kind == "classification":
                checkpoints.transformers_folder(folder, name)
            elif kind.startswith("detection"):
                detection_families.build(name, folder)
            else:
                segmentation_families.build(name, folder)
            made[kind] = Subject(folder, task=task)
        return made[kind]

    return subject_of


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[pytest.mark.slow] if k in SLOW else []) for k in FAMILIES]
)
@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
def test_pvzoos_own_adapters_keep_the_rules(families, kind, rule):
    finding = judge(rule, families(kind))
    assert finding.state != "broken", str(finding)
    if finding.state == "skipped":
        skipped = ("threshold", "empty-result", "device", "kept-classes")
        assert rule.name in skipped, str(finding)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(rule, marks=[pytest.mark.slow] if rule.name == "parts-load" else [])
        for rule in PLUGIN_RULES
    ],
    ids=str,
)
def test_pvzoo_itself_keeps_the_rules_of_plugins(rule):
    finding = judge(rule, InstalledPlugin.of("pvzoo"))
    assert finding.state != "broken", str(finding)


# --- plugins to try them on -----------------------------------------------------------------------


def card(name: str, adapter: str = "timm", **source: str) -> str:
    """A card of a classifier."""
    source = source or {"hub": f"someone/{name}"}
    stated = ", ".join(f'{key} = "{value}"' for key, value in source.items())
    return (
        f'[[models]]\nname = "{name}"\ntask = "image-classification"\nadapter = "{adapter}"\n'
        f"source = {{ {stated} }}\n"
    )


def catalogue_plugin(name: str, *cards: str, contract: int = 2) -> Dist:
    """A plugin of cards, in a package whose __init__ leaves a mark."""
    package = name.replace("-", "_")
    text = f"contract = {contract}\n" + "".join(cards)
    files = {f"{package}/__init__.py": MARK, f"{package}/catalog.toml": text}
    return Dist(name, files, {"pvzoo.catalogs": {name: package}})


# --- adapters with a fault ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Distributions on the path of this process: one of broken adapters, and broken plugins."""
    site = tmp_path_factory.mktemp("site")
    classes = ["Good", *dict.fromkeys(kind.__name__ for kind, _ in BROKEN.values())]
    (site / "weights").mkdir()
    broken_adapters.save_good(site / "weights")
    listed = [
        card(name.lower(), f"broken-zoo:{name}", path=str(site / "weights")) for name in classes
    ]
    adapters = {name: f"broken_adapters:{name}" for name in classes}
    zoo = catalogue_plugin("broken-zoo", *listed)
    zoo = replace(zoo, entry_points={**zoo.entry_points, "pvzoo.adapters": adapters})
    for dist in (zoo, *BROKEN_PLUGINS.values()):
        with zipfile.ZipFile(dist.wheel(site)) as wheel:
            wheel.extractall(site)
    sys.path.append(str(site))
    catalogue.refresh()
    yield
    sys.path.remove(str(site))
    catalogue.refresh()


CLASSES = """
from pvzoo.adapters.base import Adapter
from pvzoo.tasks.base import Task
class Odd(Adapter):
    tasks = ("image-classification",)
    @classmethod
    def matches(cls, config):
        return config["model_type"] == "odd"
    postprocess = None
class It(Task):
    id = "another"
"""
ONE = {"pvzoo.contract": {"2": "x"}}
BROKEN_PLUGINS = {
    "contract": catalogue_plugin("zoo-contract", card("old-net"), contract=0),
    "cards": catalogue_plugin("zoo-cards", card("net", "tim")),
    "names": catalogue_plugin("zoo-names", card("resnet50")),
    "parts-load": Dist(
        "zoo-parts-load",
        {"zoo_parts_load.py": "1 / 0"},
        {"pvzoo.adapters": {"zoo-net": "zoo_parts_load:Net"}, **ONE},
    ),
    "light-adapters": Dist(
        "zoo-light-adapters",
        {"zoo_light_adapters.py": "import torch" + CLASSES},
        {"pvzoo.adapters": {"heavy-net": "zoo_light_adapters:Odd"}, **ONE},
    ),
    "adapter-classes": Dist(
        "zoo-adapter-classes",
        {"zoo_adapter_classes.py": CLASSES},
        {"pvzoo.adapters": {"odd-net": "zoo_adapter_classes:Odd"}, **ONE},
    ),
    "task-classes": Dist(
        "zoo-task-classes",
        {"zoo_task_classes.py": CLASSES},
        {"pvzoo.tasks": {"odd-task": "zoo_task_classes:It"}, **ONE},
    ),
    **{
        rule: Dist(
            f"zoo-{rule}",
            {"zoo_lines.py": "from format_plugin import Lines"},
            {"pvzoo.formats": {"zoo-lines": "zoo_lines:Lines"}, **ONE},
        )
        for rule in ("formats-round-trip", "formats-refuse-damage")
    },
}
FAULTS = {
    "contract": "contract 0; this pvzoo has 2",
    "cards": "none of the adapters is called 'tim'",
    "names": "pvzoo has its own model 'resnet50'",
    "parts-load": "ZeroDivisionError",
    "light-adapters": "import of torch halted",
    "adapter-classes": "matches({}) raised KeyError",
    "task-classes": "It.id is not 'odd-task'",
    "formats-round-trip": "Lines: [('blue', ",
    "formats-refuse-damage": "boxes.lines cut in the middle: IndexError",
}


@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
def test_the_good_adapter_keeps_the_rules_that_others_break(zoo, rule):
    finding = judge(rule, Subject("broken-zoo:good"))
    assert finding.state == "kept", str(finding)


@pytest.mark.parametrize("rule", MODEL_RULES, ids=str)
def test_an_adapter_with_a_fault_breaks_the_rule_about_it(zoo, rule):
    kind, said = BROKEN[rule.name]
    finding = judge(rule, Subject(f"broken-zoo:{kind.__name__.lower()}"))
    assert finding.state == "broken", str(finding)
    assert said in finding.detail
    assert rule.what in str(finding)
    assert f"To fix: {rule.fix}" in str(finding)


def test_the_rule_on_demos_tells_what_strangers_are_not_told(zoo, monkeypatch):
    subject = Subject("broken-zoo:good")
    result = type(subject.results[0])
    monkeypatch.setattr(result, "plot", lambda self: 1 / 0)
    finding = judge(RULES["opens-in-demo"], subject)
    assert finding.state == "broken"
    assert "Its endpoint raised ZeroDivisionError" in finding.detail


def test_the_rule_on_demos_is_skipped_with_a_word_without_gradio(zoo, monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    finding = judge(RULES["opens-in-demo"], Subject("broken-zoo:good"))
    assert finding.state == "skipped"
    assert 'pip install "pvzoo[demo]"' in finding.detail


@pytest.mark.parametrize("name", FAULTS)
def test_a_plugin_with_a_fault_breaks_the_rule_about_it(zoo, name):
    plugin = InstalledPlugin.of(BROKEN_PLUGINS[name].name)
    finding = judge(RULES[name], plugin)
    assert finding.state == "broken", str(finding)
    assert FAULTS[name] in finding.detail
    assert "To fix: " in str(finding)


class _Loaded(Subject):
    """A model that is here already."""

    def __init__(self, model: Model) -> None:
        super().__init__(model.name)
        self.model = model


@pytest.mark.parametrize(
    ("kind", "state"),
    [("FasterRcnnNetwork", "kept"), ("OnlyItsScores", "broken"), ("SaysNothing", "broken")],
)
def test_the_rule_on_kept_classes_finds_boxes_that_are_mixed_up(kind, state, monkeypatch):
    network = torchvision_detector.network(getattr(torchvision_detector, kind))
    get = registry.get
    monkeypatch.setattr(
        registry,
        "get",
        lambda group, name: (
            torchvision_detector.FasterRcnn if name == "frcnn-zoo:frcnn" else get(group, name)
        ),
    )
    adapter = torchvision_detector.FasterRcnn(network.spec, network.prepare)
    subject = _Loaded(Model("frcnn", adapter, network, device="cpu"))
    finding = judge(RULES["kept-classes"], subject)
    assert finding.state == state, str(finding)


def test_code_that_does_not_load_is_not_run_any_further(zoo):
    found = [finding.rule.name for finding in verify("zoo-parts-load")]
    assert found[-1] == "parts-load"


def test_a_plugin_that_is_not_installed_is_answered_with_those_that_are():
    with pytest.raises(UsageError, match=r"No installed plugin .*'pvzoo-shapes'"):
        InstalledPlugin.of("pvzoo_shape")


def test_the_command_line_tells_a_plugin_that_is_imported_at_every_start(tmp_path):
    made = PluginVenv(tmp_path)
    eager = catalogue_plugin("pvz-eager")
    calm = catalogue_plugin("pvz-calm")
    eager = replace(eager, files={**eager.files, "eager.pth": "import pvz_eager"})
    made.install(eager.wheel(tmp_path), calm.wheel(tmp_path))
    done = made.pvzoo("verify-plugin", "pvz-eager")
    assert done.returncode == 1, done.stderr
    assert "Listing imports pvz_eager." in done.stdout
    assert "To fix: Do not import the plugin when Python starts" in done.stdout
    done = made.pvzoo("verify-plugin", "pvz-calm")
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stderr
    assert "skipped" in done.stdout
