"""Plugins, good and hostile, all installed at once in a virtual environment of their own."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from plugin_venv import MARK, Dist, PluginVenv

import pvzoo
from pvzoo.errors import PvzooWarning, UsageError
from pvzoo.plugins import registry
from pvzoo.plugins.installed import CONTRACT, catalog_file, normalise_dist

CARD = """
[[models]]
name = "{name}"
task = "image-classification"
adapter = "timm"
source = {{ hub = "someone/{name}" }}
"""

NET = MARK + "from pvzoo.adapters.base import Adapter\nclass Net(Adapter): pass\n"

TASK = "from pvzoo.tasks.base import Task\nclass It(Task): pass\n"
OWN_TASK = "image-classification"


def catalogue(*names: str, contract: str = "2") -> str:
    return f"contract = {contract}\n" + "".join(CARD.format(name=name) for name in names)


def cards_only(name: str, catalog: str, value: str | None = None) -> Dist:
    """A plugin that is a catalogue in a package whose __init__ tells when it is imported."""
    package = name.replace("-", "_")
    files = {f"{package}/__init__.py": MARK, f"{package}/catalog.toml": catalog}
    return Dist(name, files, {"pvzoo.catalogs": {name: value or package}})


def adapter(
    name: str,
    code: str,
    contract: str | None = "2",
    value: str = "{package}.net:Net",
    adapter: str = "{name}-net",
    group: str = "adapters",
) -> Dist:
    """A plugin that is one adapter (or another class), with its contract as an entry point."""
    package = name.replace("-", "_")
    points = {f"pvzoo.{group}": {adapter.format(name=name): value.format(package=package)}}
    if contract is not None:
        points["pvzoo.contract"] = {contract: package}
    files = {f"{package}/__init__.py": MARK, f"{package}/net.py": MARK + code}
    return Dist(name, files, points)


GOOD = Dist(
    "pvz-good",
    {
        "pvz_good/__init__.py": MARK,
        "pvz_good/net.py": NET,
        "pvz_good/catalog.toml": catalogue("good-model", "shared-model"),
    },
    {
        "pvzoo.catalogs": {"good": "pvz_good"},
        "pvzoo.adapters": {"good-net": "pvz_good.net:Net", "shared-net": "pvz_good.net:Net"},
    },
)

# What each of these does wrong, and what its error must say.
FAIL_WHEN_LOADED = {
    "pvz-raises": (adapter("pvz-raises", "raise RuntimeError('kaboom')"), "RuntimeError: kaboom"),
    "pvz-exits": (adapter("pvz-exits", "import sys; sys.exit('bye')"), "SystemExit: bye"),
    "pvz-panics": (
        adapter("pvz-panics", "class Panic(BaseException): pass\nraise Panic('rusty')"),
        "Panic: rusty",
    ),
    "pvz-needs": (
        adapter("pvz-needs", "import no_such_module_anywhere"),
        "needs the module 'no_such_module_anywhere', which is not installed. "
        "Try: pip install no-such-module-anywhere",
    ),
    "pvz-extra": (
        replace(
            adapter("pvz-extra", "import no_such_module_anywhere"),
            requires=("numpy", "No_Such.Module-Anywhere>=2; extra == 'fast'"),
        ),
        "needs the module 'no_such_module_anywhere', which is not installed. "
        "Try: pip install 'pvz-extra[fast]'",
    ),
    "pvz-says": (
        adapter("pvz-says", "import pvzoo\nraise pvzoo.PvzooError('No camera.', 'Buy one.')"),
        "cannot be loaded: No camera. Buy one.",
    ),
    "pvz-nowhere": (
        adapter("pvz-nowhere", NET, value="{package}.nowhere:Net"),
        "needs the module 'pvz_nowhere.nowhere', which is not installed. Report this",
    ),
    "pvz-unpacked": (
        adapter("pvz-unpacked", NET, value="{package}_net:Net"),
        "needs the module 'pvz_unpacked_net', which is not installed. Report this",
    ),
    "pvz-nothing": (
        adapter("pvz-nothing", NET, value="{package}.net:Nothing"),
        "has no attribute 'Nothing'",
    ),
    "pvz-function": (
        adapter("pvz-function", "def Net(): pass"),
        "not a subclass of pvzoo.adapters.base.Adapter",
    ),
    "pvz-task": (
        adapter("pvz-task", NET, group="tasks"),
        "not a subclass of pvzoo.tasks.base.Task",
    ),
}
NEEDY = """
from pvzoo.adapters.base import Adapter
class Net(Adapter):
    tasks = ("image-classification",)
    @classmethod
    def matches(cls, config):
        raise KeyError("model_type")
    @classmethod
    def open(cls, *_, **__):
        import no_such_module_anywhere
"""
# These are loaded without a fault, and raise when they are used.
FAIL_WHEN_USED = Dist(
    "pvz-needy",
    {
        "pvz_needy/__init__.py": MARK,
        "pvz_needy/net.py": NEEDY,
        "pvz_needy/weights.bin": "",
        "pvz_needy/catalog.toml": catalogue("needy-model")
        .replace('"timm"', '"pvz-needy:net"')
        .replace(
            'hub = "someone/needy-model"',
            f'package = "pvz_needy", file = "weights.bin", sha256 = "{sha256().hexdigest()}"',
        )
        + 'config = { model_type = "needy" }',
    },
    {"pvzoo.catalogs": {"needy": "pvz_needy"}, "pvzoo.adapters": {"net": "pvz_needy.net:Net"}},
)
END_THE_PROCESS = {
    "pvz-kills": (adapter("pvz-kills", "import os; os._exit(7)"), "ended the process", "exit 7"),
    "pvz-hangs": (
        adapter("pvz-hangs", "import time; time.sleep(3600)"),
        "did not finish loading within",
        "8 seconds",
    ),
}
WRONG_CONTRACT = {
    "pvz-old": (
        adapter("pvz-old", NET, contract="0", adapter="good-net"),
        "was built for pvzoo contract 0; this pvzoo has 2. Install a release of pvz-old",
    ),
    "pvz-future": (cards_only("pvz-future", catalogue("future-model", contract="99")), "99; this"),
    "pvz-silent": (adapter("pvz-silent", NET, contract=None), "does not state the pvzoo contract"),
    "pvz-between": (
        Dist(
            "pvz-between",
            {"pvz_between/__init__.py": MARK, "pvz_between/catalog.toml": catalogue("between")},
            {"pvzoo.catalogs": {"between": "pvz_between"}, "pvzoo.contract": {"1": "pvz_between"}},
        ),
        "contract 1 and 2",
    ),
    "pvz-odd": (cards_only("pvz-odd", catalogue("odd", contract="[1]")), "contract [1]"),
}
BROKEN_CATALOGUE = {
    "pvz-broken": (cards_only("pvz-broken", "contract = 1\n[[models"), "cannot be read"),
    "pvz-deep": (cards_only("pvz-deep", "contract = " + "[" * 9999), "cannot be read"),
    "pvz-key": (
        cards_only("pvz-key", catalogue("key-model") + "licence = 'mit'\n"),
        "model 'key-model' has the unknown key 'licence'. Did you mean 'license'",
    ),
    "pvz-leaves": (
        cards_only(
            "pvz-leaves",
            catalogue("leaves").replace(
                'hub = "someone/leaves"',
                f'package = "pvz_leaves", file = "../secret.bin", sha256 = "{"0" * 64}"',
            ),
        ),
        "the key 'file' must be a path inside the package",
    ),
    "pvz-absent": (
        Dist("pvz-absent", {}, {"pvzoo.catalogs": {"a": "pvz_not_there"}}),
        "no catalog.toml in its package 'pvz_not_there' (no such package)",
    ),
    "pvz-empty": (
        Dist("pvz-empty", {"pvz_empty/__init__.py": MARK}, {"pvzoo.catalogs": {"e": "pvz_empty"}}),
        "may be missing from its package data",
    ),
    "pvz-dotted": (
        cards_only("pvz-dotted", catalogue("dotted"), value="pvz_dotted.inner"),
        "which is not a top-level package",
    ),
}
NEIGHBOURS = [
    GOOD,
    Dist(  # not one Python file
        "PVZ_Other",
        {"pvz_other/catalog.toml": catalogue("other-model", "shared-model")},
        {"pvzoo.catalogs": {"other": "pvz_other"}},
    ),
    adapter("pvz-other-net", NET, adapter="shared-net"),
    FAIL_WHEN_USED,
    cards_only("pvz-grabs", catalogue("resnet50", "grabs-model")),
    adapter("pvz-grabs-task", TASK, value="{package}.net:It", group="tasks", adapter=OWN_TASK),
]
QUARANTINED = {**WRONG_CONTRACT, **BROKEN_CATALOGUE}
HOSTILE = {**FAIL_WHEN_LOADED, **END_THE_PROCESS, **QUARANTINED}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> PluginVenv:
    """An environment with every plugin above."""
    folder = tmp_path_factory.mktemp("hostile")
    made = PluginVenv(folder)
    dists = [*NEIGHBOURS, *(case[0] for case in HOSTILE.values())]
    made.install(*(dist.wheel(folder) for dist in dists))
    return made


PLUGINS = """
import dataclasses, pvzoo, warnings
answer = {p.name: dataclasses.asdict(p) for p in pvzoo.list_plugins(check=CHECK, timeout=8)}
"""


@pytest.fixture(scope="module")
def listed(hostile: PluginVenv) -> dict[str, dict[str, Any]]:
    """`list_plugins()` there, by plugin."""
    return hostile.evaluate(PLUGINS.replace("CHECK", "False"))


@pytest.fixture(scope="module")
def checked(hostile: PluginVenv) -> dict[str, dict[str, Any]]:
    """`list_plugins(check=True)` there, by plugin."""
    return hostile.evaluate(PLUGINS.replace("CHECK", "True"))


# --- listing runs no code -------------------------------------------------------------------------


def test_listing_and_resolving_import_no_plugin(hostile):
    hostile.imported()
    answer = hostile.evaluate(
        """
import pvzoo, sys
from pvzoo.plugins import registry
pvzoo.list_plugins()
names = [card.name for card in pvzoo.list_models()]
where = pvzoo.info("good-model").dist, pvzoo.info("pvz-other:shared-model").dist
adapters = registry.names("adapters")
heavy = {"torch", "timm", "transformers", "datasets", "gradio"} & set(sys.modules)
answer = names, where, adapters, sorted(heavy)
"""
    )
    names, where, adapters, heavy = answer
    assert {"good-model", "other-model", "detr-resnet50"} <= set(names)
    assert where == ["pvz-good", "pvz-other"]
    assert {"good-net", "pvz-raises-net", "pvz-hangs-net", "timm"} <= set(adapters)
    assert heavy == []
    assert hostile.imported() == set()


def test_an_import_would_have_been_seen(hostile):
    hostile.evaluate("import pvz_good.net; answer = 1")
    assert hostile.imported() == {"pvz_good", "pvz_good.net"}


def test_the_command_line_lists_models_beside_hostile_plugins(hostile):
    hostile.imported()
    done = hostile.pvzoo("list", "model")
    assert done.returncode == 0, done.stderr
    assert "good-model" in done.stdout
    assert "future-model" not in done.stdout
    assert hostile.imported() == set()


def test_the_command_line_predicts_beside_hostile_plugins(hostile, photographs):
    hostile.imported()
    done = hostile.pvzoo("predict", str(photographs["coffee"]), "-m", "efficientnet-lite0-pip")
    assert done.returncode == 0, done.stderr
    assert "espresso" in done.stdout
    assert hostile.imported() == set()


def test_the_command_line_reports_hostile_plugins(hostile):
    done = hostile.pvzoo("plugins")
    assert done.returncode == 0, done.stderr
    assert "pvz-future 1.0, contract 99, failed" in done.stdout
    assert "pvz-silent 1.0, contract unknown, failed" in done.stdout
    assert "pvz-raises 1.0, contract 2, not loaded" in done.stdout


# --- states ---------------------------------------------------------------------------------------


def test_pvzoo_comes_first_and_knows_what_it_brings(listed):
    own = next(iter(listed.values()))
    assert own["name"] == "pvzoo"
    assert own["contract"] == CONTRACT
    assert "timm" in own["provides"]["adapters"]
    assert "detr-resnet50" in own["provides"]["models"]
    assert own["state"] == "not loaded"


def test_a_plugin_of_cards_alone_is_ready_and_one_with_code_not_loaded(listed):
    assert listed["pvz-other"]["state"] == "ready"
    assert listed["pvz-good"]["state"] == "not loaded"
    assert listed["pvz-good"]["provides"]["models"] == ["good-model", "shared-model"]


@pytest.mark.parametrize("name", QUARANTINED)
def test_a_plugin_in_quarantine_is_shown_with_its_fault(listed, name):
    (error,) = listed[name]["errors"]
    assert listed[name]["state"] == "failed"
    assert QUARANTINED[name][1] in error
    assert "models" not in listed[name]["provides"]


@pytest.mark.parametrize("name", [*FAIL_WHEN_LOADED, *END_THE_PROCESS])
def test_a_plugin_nobody_has_loaded_has_not_failed(listed, name):
    assert listed[name]["state"] == "not loaded"
    assert listed[name]["errors"] == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_check_finds_what_is_wrong_with_each_plugin(checked, name):
    _, *texts = HOSTILE[name]
    (error,) = checked[name]["errors"]
    assert checked[name]["state"] == ("timed out" if name == "pvz-hangs" else "failed")
    assert all(text in error for text in texts), error


@pytest.mark.parametrize("name", ["pvz-good", "pvz-other", "pvz-other-net", "pvz-grabs"])
def test_a_check_calls_a_good_plugin_ready(checked, name):
    assert checked[name]["state"] == "ready"
    assert checked[name]["errors"] == []


def test_the_command_line_says_that_a_plugin_timed_out(tmp_path):
    made = PluginVenv(tmp_path)
    hangs = adapter("pvz-hangs", "import time; time.sleep(3600)")
    made.install(hangs.wheel(tmp_path), adapter("pvz-fine", NET).wheel(tmp_path))
    done = made.pvzoo("plugins", "--check", "--timeout", "9")
    assert done.returncode == 0, done.stderr
    assert "pvz-hangs 1.0, contract 2, timed out" in done.stdout
    assert "did not finish loading within 9 seconds" in done.stdout
    assert "pvz-fine 1.0, contract 2, ready" in done.stdout
    done = made.pvzoo("plugins", "--check", "--timeout", "0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "above 0" in done.stderr


# --- asking for what a plugin should have brought -------------------------------------------------


@pytest.fixture(scope="module")
def asked(hostile: PluginVenv) -> dict[str, Any]:
    """What asking for each part raised in one process, and what worked after all of it."""
    parts = {f"{name}:{name}-net": "adapters" for name in FAIL_WHEN_LOADED}
    parts["pvz-task:pvz-task-net"] = "tasks"
    parts["pvz-old:good-net"] = parts["pvz-silent:pvz-silent-net"] = "adapters"
    parts["shared-net"] = parts["timmm"] = parts["nobody:timm"] = "adapters"
    models = [*(f"{name}:any" for name in QUARANTINED if name not in ("pvz-old", "pvz-silent"))]
    models += ["shared-model", "future-model", "nobody:model", "pvz-good:nothing"]
    return hostile.evaluate(
        f"""
import pvzoo, warnings
from pvzoo.plugins import registry
answer = {{}}
def ask(name, call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = call()
        except pvzoo.PvzooError as error:
            answer[name] = [type(error).__name__, str(error)]
        else:
            value = value.__module__ if isinstance(value, type) else value.qualified_name
            answer[name] = [value, *(str(w.message) for w in caught)]
for name, group in {parts!r}.items():
    ask(name, lambda: registry.get(group, name))
for name in {models!r}:
    ask(name, lambda: pvzoo.load(name))
for name in ["good-net", "pvz-good:shared-net"]:
    ask(name, lambda: registry.get("adapters", name))
for name in [{OWN_TASK!r}, "pvz-grabs-task:" + {OWN_TASK!r}]:
    ask(name, lambda: registry.get("tasks", name))
for name in ["good-model", "PVZ_Other:shared-model", "resnet50", "pvz-grabs:ResNet50"]:
    ask(name, lambda: pvzoo.info(name))
answer["states"] = {{p.name: p.state for p in pvzoo.list_plugins()}}
"""
    )


@pytest.mark.parametrize("name", FAIL_WHEN_LOADED)
def test_asking_for_a_part_that_fails_raises_its_error(asked, name):
    kind, message = asked[f"{name}:{name}-net"]
    assert kind == "PluginError"
    assert FAIL_WHEN_LOADED[name][1] in message
    assert asked["states"][name] == "failed"


@pytest.mark.parametrize(("name", "part"), [("pvz-old", "good-net"), ("pvz-silent", None)])
def test_asking_for_a_part_built_for_another_contract_raises_that(asked, name, part):
    kind, message = asked[f"{name}:{part or name + '-net'}"]
    assert kind == "PluginError"
    assert WRONG_CONTRACT[name][1] in message


@pytest.mark.parametrize("name", [n for n in QUARANTINED if n not in ("pvz-old", "pvz-silent")])
def test_asking_for_a_model_of_a_plugin_in_quarantine_raises_its_fault(asked, name):
    kind, message = asked[f"{name}:any"]
    assert kind == "PluginError"
    assert QUARANTINED[name][1] in message


def test_a_name_nobody_knows_points_to_the_catalogues_that_could_not_be_used(asked):
    kind, message = asked["future-model"]
    assert kind == "ModelNotFoundError"
    assert "pvz-future" in message
    assert "pvzoo plugins says why" in message


def test_two_plugins_that_claim_one_name_are_both_named(asked):
    assert asked["shared-model"] == [
        "NameClashError",
        "The model 'shared-model' is ambiguous: it is in pvz-good and in pvz-other. Write "
        "'pvz-good:shared-model' or 'pvz-other:shared-model' to choose one.",
    ]
    kind, message = asked["shared-net"]
    assert kind == "NameClashError"
    assert "pvz-good and in pvz-other-net" in message


def test_the_distribution_before_a_colon_picks_one_however_it_is_spelt(asked):
    assert asked["PVZ_Other:shared-model"] == ["pvz-other:shared-model"]
    assert asked["pvz-good:shared-net"] == ["pvz_good.net"]


def test_a_plugin_for_another_contract_takes_no_name_from_a_good_one(asked):
    assert asked["good-net"] == ["pvz_good.net"]


def test_a_name_that_pvzoo_brings_means_pvzoos_with_a_warning(asked, listed):
    value, warning = asked["resnet50"]
    assert value == "pvzoo:resnet50"
    assert "pvz-grabs also uses this name. Write 'pvz-grabs:resnet50'" in warning
    value, warning = asked[OWN_TASK]
    assert value == "pvzoo.tasks.image_classification"
    assert "pvz-grabs-task also uses this name" in warning
    assert asked[f"pvz-grabs-task:{OWN_TASK}"] == ["pvz_grabs_task.net"]
    assert listed["pvz-grabs"]["warnings"] == [
        "pvzoo has its own model 'resnet50' and uses that one"
    ]
    assert listed["pvz-grabs-task"]["warnings"] == [
        "pvzoo has its own task 'image-classification' and uses that one"
    ]


def test_a_name_taken_from_a_plugin_is_still_its_own_when_qualified(asked):
    assert asked["pvz-grabs:ResNet50"] == ["pvz-grabs:resnet50"]
    assert asked["good-model"] == ["pvz-good:good-model"]


def test_a_wrong_name_or_distribution_is_answered_with_help(asked):
    assert asked["timmm"][0] == "UsageError"
    assert "'timm'" in asked["timmm"][1]
    assert asked["nobody:timm"][0] == "UsageError"
    assert "No installed plugin 'nobody'" in asked["nobody:model"][1]
    assert asked["pvz-good:nothing"][0] == "ModelNotFoundError"


# --- turned off -----------------------------------------------------------------------------------


def test_plugins_that_are_turned_off_claim_nothing_and_say_so(hostile):
    hostile.imported()
    states, errors, names, kind, message, whose = hostile.evaluate(
        """
import pvzoo
from pvzoo.plugins import registry
plugins = {p.name: p for p in pvzoo.list_plugins()}
names = [card.name for card in pvzoo.list_models()]
try:
    pvzoo.info("pvz-good:good-model")
except pvzoo.PvzooError as error:
    kind, message = type(error).__name__, str(error)
states = {name: plugin.state for name, plugin in plugins.items()}
whose = pvzoo.info("shared-model").dist
answer = states, plugins["pvz-good"].errors, names, kind, message, whose
""",
        PVZOO_DISABLE_PLUGINS=" PVZ_Good,pvz-old, not-installed,pvzoo",
    )
    assert {n for n, state in states.items() if state == "disabled"} == {"pvz-good", "pvz-old"}
    assert errors == []
    assert "good-model" not in names
    assert {"other-model", "detr-resnet50"} <= set(names)
    assert kind == "DisabledError"
    assert "'pvz-good' is turned off by PVZOO_DISABLE_PLUGINS" in message
    assert whose == "pvz-other"  # no clash is left
    assert hostile.imported() == set()


@pytest.mark.parametrize("everything", ["all", "*"])
def test_all_plugins_can_be_turned_off_which_leaves_pvzoos_own(hostile, everything):
    done = hostile.pvzoo("plugins", "--json", PVZOO_DISABLE_PLUGINS=everything)
    plugins = [json.loads(line) for line in done.stdout.splitlines()]
    assert [p["name"] for p in plugins if p["state"] != "disabled"] == ["pvzoo"]
    assert "detr-resnet50" in plugins[0]["provides"]["models"]


# --- failing in use -------------------------------------------------------------------------------


def test_an_adapter_that_fails_on_a_config_is_named_and_passed_over(hostile, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nobodys"}')
    kind, message, warned = hostile.evaluate(
        f"""
import pvzoo, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        pvzoo.load({str(tmp_path)!r})
    except pvzoo.PvzooError as error:
        answer = type(error).__name__, str(error), [str(w.message) for w in caught]
""",
        PVZOO_DISABLE_PLUGINS="pvz-hangs,pvz-kills",
    )
    assert kind == "UnsupportedModelError"
    assert "No installed adapter can run" in message
    (own,) = [w for w in warned if "pvz-needy" in w]
    assert "KeyError: 'model_type'" in own
    assert {n for n in FAIL_WHEN_LOADED if any(n in w for w in warned)} >= {"pvz-raises"}
    assert not any("pvz-hangs" in w for w in warned)


def test_a_module_that_loading_a_model_needs_is_named_with_what_installs_it(hostile):
    done = hostile.pvzoo("predict", "x.png", "-m", "needy-model")
    assert done.returncode == 1
    assert "needs the module 'no_such_module_anywhere'" in done.stderr
    assert "pip install no-such-module-anywhere" in done.stderr


# --- ways to install ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def layouts(tmp_path_factory: pytest.TempPathFactory) -> PluginVenv:
    """Two catalogues each, one in a folder without a Python file, installed in every way."""
    folder = tmp_path_factory.mktemp("layouts")
    made = PluginVenv(folder)
    arguments: list[Any] = []
    for way in ("wheel", "flat", "src"):
        package = f"pvz_{way}"
        files = {
            f"{package}/__init__.py": MARK,
            f"{package}/catalog.toml": catalogue(f"{way}-model"),
            f"{package}_bare/catalog.toml": catalogue(f"{way}-bare-model"),
        }
        points = {"pvzoo.catalogs": {way: package, f"{way}-bare": f"{package}_bare"}}
        project = Dist(f"pvz-{way}", files, points).project(folder, src=way == "src")
        arguments += [project] if way == "wheel" else ["-e", project]
    made.install(*arguments)
    # what an interrupted removal leaves, and a package that is no plugin but has broken metadata
    for name, text in {
        "half": "[pvzoo.catalogs]\nhalf = half\n",
        "odd": "[x]\nno entry point\n",
    }.items():
        left = made.site_packages / f"{name}-1.0.dist-info"
        left.mkdir()
        (left / "entry_points.txt").write_text(text)
    return made


@pytest.fixture(scope="module")
def found(layouts: PluginVenv) -> dict[str, Any]:
    layouts.imported()
    return layouts.evaluate(
        """
import pvzoo
answer = {p.name: [p.state, p.provides.get("models"), p.errors] for p in pvzoo.list_plugins()}
"""
    )


@pytest.mark.parametrize("way", ["wheel", "flat", "src"])
def test_a_catalogue_is_found_without_an_import_in_every_kind_of_install(layouts, found, way):
    assert found[f"pvz-{way}"] == ["ready", [f"{way}-model", f"{way}-bare-model"], []]
    assert layouts.imported() == set()


def test_damaged_metadata_of_other_distributions_does_no_harm(layouts, found):
    assert (layouts.site_packages / "odd-1.0.dist-info").is_dir()
    assert {"half", "odd"} & set(found) == set()


def test_a_plugin_installed_while_python_runs_is_seen_after_refresh(layouts):
    wheel = cards_only("pvz-late", catalogue("late-model")).wheel(layouts.folder)
    answer = layouts.evaluate(
        f"""
import pvzoo, zipfile
from pvzoo.plugins import registry
from pvzoo.catalog import catalogue
before = [c.name for c in pvzoo.list_models("late-model")]
zipfile.ZipFile({str(wheel)!r}).extractall({str(layouts.site_packages)!r})
catalogue.refresh()
answer = before, [c.name for c in pvzoo.list_models("late-model")]
"""
    )
    assert answer == [[], ["late-model"]]


# --- pvzoo's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["tasks", "adapters", "runtimes"])
def test_pvzoos_own_parts_come_from_its_entry_points_and_load(group):
    own = [part for part in registry.parts(group) if part.dist == "pvzoo"]
    assert own
    for part in own:
        loaded = registry.get(group, part.name)
        module, _, attribute = part.entry_point.value.partition(":")
        assert (loaded.__module__, loaded.__name__) == (module, attribute)


def test_pvzoos_own_catalogue_comes_from_its_entry_point():
    (part,) = [part for part in registry.parts("catalogs") if part.dist == "pvzoo"]
    assert part.entry_point.value == "pvzoo"
    assert catalog_file(part).name == "catalog.toml"


def test_every_own_card_names_an_adapter_and_a_task_by_a_plain_name():
    for card in pvzoo.list_models():
        assert card.dist != "pvzoo" or ":" not in card.adapter + card.task


def test_an_unknown_part_is_answered_with_the_known_ones():
    with pytest.raises(UsageError, match=r"Known: .*timm"):
        registry.get("adapters", "zzz")
    with pytest.raises(UsageError, match="Did you mean 'image-classification'"):
        registry.get("tasks", "image-clasification")


def test_a_name_is_split_at_its_colon_and_the_distribution_normalised():
    assert registry.split_name("My_Zoo.models:net") == ("my-zoo-models", "net")
    assert registry.split_name("net") == (None, "net")
    assert normalise_dist("a-_.b") == "a-b"


def test_a_clash_with_pvzoo_warns_once():
    name = "warned-once"
    claims = [("pvzoo", 1), ("other", 2)]
    with pytest.warns(PvzooWarning, match="other also uses this name"):
        assert registry.pick("model", name, claims) == 1
    assert registry.pick("model", name, claims) == 1  # a second warning would be an error here


def test_a_task_can_be_named_by_one_of_its_words():
    assert registry.task_id("panoptic") == "panoptic-segmentation"
    assert registry.task_id("object-detection") == "object-detection"
    assert registry.task_id("detection") == "object-detection"  # also beside a plugin's
    assert registry.task_id("Zero Shot_detection") == "zero-shot-object-detection"


def test_a_task_that_is_unknown_or_ambiguous_names_the_choices():
    with pytest.raises(UsageError, match="several tasks") as error:
        registry.task_id("segmentation")
    named = re.findall(r"\w+-segmentation", error.value.hint)
    assert named == ["instance-segmentation", "panoptic-segmentation", "semantic-segmentation"]
    for word in ("object-detektion", "", "-", 3):
        with pytest.raises(UsageError, match="No task is called") as error:
            registry.task_id(word)
        assert all(name in error.value.hint for name in registry.names("tasks"))


def test_a_task_of_cards_alone_is_one_of_the_choices():
    assert registry.task_id("keypoint", ["keypoint-detection"]) == "keypoint-detection"
    with pytest.raises(UsageError, match="keypoint-detection"):
        registry.task_id("pose", ["keypoint-detection"])
