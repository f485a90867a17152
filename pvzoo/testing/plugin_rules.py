"""Rules about a distribution: its metadata, its cards and the classes of its entry points."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvzoo.catalog.cards import Card
from pvzoo.catalog.catalogue import catalogue
from pvzoo.data.formats.base import DataSource
from pvzoo.data.paths import Area
from pvzoo.errors import ExportError, PvzooError, UsageError, nearest
from pvzoo.plugins import registry
from pvzoo.plugins.installed import OWN, Group, Part, normalise_dist
from pvzoo.plugins.states import check_in_process, code_not_loaded, list_plugins
from pvzoo.testing.rules import Broken, NotApplicable, error_line, must, rule

HEAVY = ("torch", "torchvision", "timm", "transformers", "datasets", "cv2", "gradio")
"""Libraries that a listing must not import, because that is slow."""


@dataclass(frozen=True)
class InstalledPlugin:
    """An installed distribution with its normalised name; create it with `of`."""

    dist: str

    @classmethod
    def of(cls, name: str) -> InstalledPlugin:
        """The plugin of that name.

        Raises:
            UsageError: No distribution of that name is installed, or it is not a plugin.
        """
        dist = normalise_dist(name)
        known = [plugin.name for plugin in list_plugins()]
        if dist not in known:
            raise UsageError(
                f"No installed plugin is called {name!r}.",
                nearest(dist, known) or f"Installed: {', '.join(known)}. Try: pip install -e .",
            )
        return cls(dist)

    def __str__(self) -> str:
        return self.dist

    @property
    def cards(self) -> list[Card]:
        """The models it brings."""
        return [card for card in catalogue().cards if card.dist == self.dist]

    def parts(self, group: Group) -> list[Part]:
        """The parts of a group that it brings; skips the rule if there are none."""
        found = [part for part in registry.parts(group) if part.dist == self.dist]
        if not found:
            raise NotApplicable(f"It brings no {group}.")
        return found


@rule("Put `contract = 2` at the top of catalog.toml, or an entry point named 2 in pvzoo.contract.")
def contract(plugin: InstalledPlugin) -> None:
    """Its metadata says, without an import, that it was built for this contract version."""
    try:
        registry.require_contract(plugin.dist)
    except PvzooError as error:
        raise Broken(str(error)) from error


@rule("See docs/catalog.md for the keys of a card; write tasks and adapters by their ids.")
def cards(plugin: InstalledPlugin) -> None:
    """Its catalogue is readable, and its cards name tasks and adapters that are installed."""
    plugin.parts("catalogs")
    if (fault := registry.failures("catalogs").get(plugin.dist)) is not None:
        raise Broken(str(fault))
    for card in plugin.cards:
        named: list[tuple[Group, str]] = [("tasks", card.task), ("adapters", card.adapter)]
        for group, name in named:
            dist, bare = registry.split_name(name)
            known = [p.name for p in registry.parts(group) if dist in (None, p.dist)]
            must(bare in known, f"Model {card.name!r}: none of the {group} is called {name!r}.")


@rule("Choose a name that is not taken; `pvzoo list` and `pvzoo plugins` show the names.")
def names(plugin: InstalledPlugin) -> None:
    """It does not use a name that pvzoo or another installed plugin uses."""
    if plugin.dist == OWN:
        raise NotApplicable("These are pvzoo's own names.")
    (shown,) = [p for p in list_plugins() if p.name == plugin.dist]
    must(not shown.warnings, "; ".join(shown.warnings))
    for card in plugin.cards:
        for name in (card.name, *card.aliases):
            try:
                catalogue().find(name)
            except PvzooError as error:
                raise Broken(str(error)) from error


@rule("Do not import the plugin when Python starts (check for a .pth file that does).")
def light_listing(plugin: InstalledPlugin) -> None:
    """Listing models and plugins imports neither the plugin nor a slow library."""
    code = (
        "import sys, json, pvzoo; pvzoo.list_models(); pvzoo.list_plugins(); "
        "sys.stdout.write(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    must(run.returncode == 0, f"Listing failed: {run.stderr.strip()[-300:]}")
    mine = {
        part.entry_point.module.partition(".")[0]
        for group in ("catalogs", "adapters", "tasks", "runtimes", "datasets", "formats")
        for part in registry.parts(group)
        if part.dist == plugin.dist and plugin.dist != OWN
    }
    imported = (mine | set(HEAVY)) & set(json.loads(run.stdout))
    must(not imported, f"Listing imports {', '.join(sorted(imported))}.")


@rule("Let each entry point name a class (or function) in a module that imports without an error.")
def parts_load(plugin: InstalledPlugin) -> None:
    """All its parts load in a new process within the time limit."""
    if not code_not_loaded(plugin.dist):
        raise NotApplicable("It brings no code, or all its code is already loaded.")
    _, errors = check_in_process(plugin.dist)
    if errors:
        raise Broken(" ".join(errors))


@rule("Import torch, transformers and similar libraries only in the module of the network.")
def light_adapters(plugin: InstalledPlugin) -> None:
    """Adapters, tasks and formats can be imported without any network library."""
    modules = {
        part.entry_point.module
        for group in ("adapters", "tasks", "formats")
        for part in registry.parts(group)
        if part.dist == plugin.dist
    }
    if not modules:
        raise NotApplicable("It brings neither adapters nor tasks nor formats.")
    code = (
        f"import sys\nsys.path[:] = {sys.path!r}\n"
        f"sys.modules.update(dict.fromkeys({list(HEAVY)!r}))\n"
        f"import importlib\nfor name in {sorted(modules)!r}: importlib.import_module(name)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    must(
        done.returncode == 0,
        f"Without these libraries the import fails: {done.stderr.strip().splitlines()[-1:]}.",
    )


@rule("See the class attributes of `Adapter`; `matches` must not expect keys to be there.")
def adapter_classes(plugin: InstalledPlugin) -> None:
    """Each adapter names installed tasks, and its `matches` is False for configs of others."""
    for part in plugin.parts("adapters"):
        adapter = registry.load_part(part)
        tasks = getattr(adapter, "tasks", None)
        known = registry.names("tasks")
        must(
            isinstance(tasks, tuple) and tasks and set(tasks) <= set(known),
            f"{adapter.__name__}.tasks is {tasks!r}, not a tuple of installed tasks ({known}).",
        )
        missing = sorted(getattr(adapter, "__abstractmethods__", ()))
        must(not missing, f"{adapter.__name__} does not define {', '.join(missing)}.")
        for config in ({}, {"model_type": None}, {"architectures": None}, {"architecture": 3}):
            try:
                fits = adapter.matches(config)
            except Exception as error:
                raise Broken(f"matches({config}) raised {error_line(error)}.") from error
            must(fits is False, f"matches({config}) is {fits!r}, not False.")


@rule("See the class attributes of `Task` and `Result` in pvzoo/tasks/base.py.")
def task_classes(plugin: InstalledPlugin) -> None:
    """Each task has its id, a frozen dataclass for results, and options with defaults."""
    for part in plugin.parts("tasks"):
        task = registry.load_part(part)
        must(getattr(task, "id", None) == part.name, f"{task.__name__}.id is not {part.name!r}.")
        result: Any = getattr(task, "result", None)
        must(_frozen(result), f"{task.__name__}.result is {result!r}, not a frozen dataclass.")
        must(hasattr(result, "columns"), f"{result.__name__} has no columns.")
        missing = sorted(getattr(result, "__abstractmethods__", ()))
        must(not missing, f"{result.__name__} does not define {', '.join(missing)}.")
        for kind in ("controls", "prompts"):
            options = getattr(task, kind, None)
            must(
                _frozen(options), f"{task.__name__}.{kind} is {options!r}, not a frozen dataclass."
            )
        try:
            task.controls()
        except Exception as error:
            raise Broken(f"{task.controls.__name__}() raised {error_line(error)}.") from error


@rule("See `Format` in pvzoo/data/formats/base.py; return [] for data in other formats.")
def format_classes(plugin: InstalledPlugin) -> None:
    """Each format has its names, layout and tasks, and finds no splits in an empty folder."""
    for part in plugin.parts("formats"):
        form = registry.load_part(part)
        for name in ("name", "title", "layout"):
            text = getattr(form, name, None)
            must(isinstance(text, str) and text, f"{form.__name__}.{name} is {text!r}, not a text.")
        for name in ("reads", "writes"):
            tasks = getattr(form, name, None)
            must(isinstance(tasks, tuple), f"{form.__name__}.{name} is {tasks!r}, not a tuple.")
        missing = sorted(getattr(form, "__abstractmethods__", ()))
        must(not missing, f"{form.__name__} does not define {', '.join(missing)}.")
        with tempfile.TemporaryDirectory() as folder:
            try:
                parts = form.splits(DataSource(Path(folder), Area(Path(folder))))
            except Exception as error:
                raise Broken(f"splits() of an empty folder raised {error_line(error)}.") from error
        must(parts == [], f"splits() of an empty folder is {parts!r}, not [].")


def _frozen(value: Any) -> bool:
    parameters = getattr(value, "__dataclass_params__", None)  # there is no public way to ask
    return isinstance(value, type) and parameters is not None and bool(parameters.frozen)


@rule("`ExportError.stage` names the stage that differs; docs/export.md lists the comparisons.")
def runtimes_answer_as_pytorch(plugin: InstalledPlugin) -> None:
    """A network exported for each of its runtimes passes the same checks as pvzoo's own exports."""
    found = [
        part.name
        for part in plugin.parts("runtimes")
        if registry.get("runtimes", f"{part.dist}:{part.name}").suffixes
    ]
    if not found:
        raise NotApplicable("Its runtimes do not run exported files.")
    try:
        import timm

        from pvzoo.export.write import export
        from pvzoo.networks.timm import TimmNetwork
    except ImportError as error:
        raise NotApplicable(f"A package that exports need is not installed ({error}).") from error
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model("test_resnet", num_classes=30).eval()
    network = TimmNetwork(module, tuple(f"class {n}" for n in range(30)), False)
    task = registry.get("tasks", network.spec.task)()
    for name in found:
        with tempfile.TemporaryDirectory() as folder:
            try:
                export(
                    network,
                    task,
                    Path(folder) / "export",
                    name="a network of timm",
                    license="",
                    runtime=f"{plugin.dist}:{name}",
                )
            except ExportError as error:
                raise Broken(f"{name}, {error.stage or 'export'}: {error}") from error


DISTRIBUTION_RULES = (
    contract,
    cards,
    names,
    light_listing,
    parts_load,
    light_adapters,
    adapter_classes,
    task_classes,
    format_classes,
    runtimes_answer_as_pytorch,
)
