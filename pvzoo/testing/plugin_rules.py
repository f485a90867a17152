"""Rules on a distribution: its metadata, its cards, and the classes behind its entry points."""

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
from pvzoo.testing.rules import Broken, NotApplicable, must, rule, said

HEAVY = ("torch", "torchvision", "timm", "transformers", "datasets", "cv2", "gradio")
"""What is too slow to import for a listing."""


@dataclass(frozen=True)
class InstalledPlugin:
    """An installed distribution, by its normalised name; `of` makes one."""

    dist: str

    @classmethod
    def of(cls, name: str) -> InstalledPlugin:
        """The plugin of that name.

        Raises:
            UsageError: No distribution of that name is installed, or it is no plugin.
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
        """What it brings of a group; skips the rule if that is nothing."""
        found = [part for part in registry.parts(group) if part.dist == self.dist]
        if not found:
            raise NotApplicable(f"It brings no {group}.")
        return found


@rule("Put `contract = 2` at the top of catalog.toml, or an entry point named 2 in pvzoo.contract.")
def contract(plugin: InstalledPlugin) -> None:
    """It says, without being imported, that it was built for this version of the contract."""
    try:
        registry.require_contract(plugin.dist)
    except PvzooError as error:
        raise Broken(str(error)) from error


@rule("docs/catalog.md has the keys of a card; tasks and adapters are named by their ids.")
def cards(plugin: InstalledPlugin) -> None:
    """Its catalogue can be read, and its cards name tasks and adapters that are installed."""
    plugin.parts("catalogs")
    if (fault := registry.failures("catalogs").get(plugin.dist)) is not None:
        raise Broken(str(fault))
    for card in plugin.cards:
        named: list[tuple[Group, str]] = [("tasks", card.task), ("adapters", card.adapter)]
        for group, name in named:
            dist, bare = registry.split_name(name)
            known = [p.name for p in registry.parts(group) if dist in (None, p.dist)]
            must(bare in known, f"Model {card.name!r}: none of the {group} is called {name!r}.")


@rule("Rename what has a name that is taken; `pvzoo list` and `pvzoo plugins` show the names.")
def names(plugin: InstalledPlugin) -> None:
    """It claims no name that pvzoo or another installed plugin brings."""
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


@rule("Import nothing of the plugin when Python starts (no .pth file that does).")
def light_listing(plugin: InstalledPlugin) -> None:
    """Listing models and plugins imports neither the plugin nor anything heavy."""
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


@rule("Let each entry point name a class (or function) in a module that imports without a fault.")
def parts_load(plugin: InstalledPlugin) -> None:
    """All it brings loads, in a process of its own, in good time."""
    if not code_not_loaded(plugin.dist):
        raise NotApplicable("It brings no code, or all of it is loaded.")
    _, errors = check_in_process(plugin.dist)
    if errors:
        raise Broken(" ".join(errors))


@rule("Import torch, transformers and the like in the module of the network alone.")
def light_adapters(plugin: InstalledPlugin) -> None:
    """Adapters, tasks and formats import without any network library."""
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
    must(done.returncode == 0, f"Without them: {done.stderr.strip().splitlines()[-1:]}.")


@rule("See the class attributes of `Adapter`; `matches` must only look at keys it finds.")
def adapter_classes(plugin: InstalledPlugin) -> None:
    """Each adapter names tasks that are installed, and knows configs of others as not its own."""
    for part in plugin.parts("adapters"):
        adapter = registry.load_part(part)
        tasks = getattr(adapter, "tasks", None)
        known = registry.names("tasks")
        must(
            isinstance(tasks, tuple) and tasks and set(tasks) <= set(known),
            f"{adapter.__name__}.tasks is {tasks!r}; it is a tuple of some of {known}.",
        )
        missing = sorted(getattr(adapter, "__abstractmethods__", ()))
        must(not missing, f"{adapter.__name__} lacks {', '.join(missing)}.")
        for config in ({}, {"model_type": None}, {"architectures": None}, {"architecture": 3}):
            try:
                fits = adapter.matches(config)
            except Exception as error:
                raise Broken(f"matches({config}) raised {said(error)}.") from error
            must(fits is False, f"matches({config}) is {fits!r}.")


@rule("See the class attributes of `Task` and `Result` in pvzoo/tasks/base.py.")
def task_classes(plugin: InstalledPlugin) -> None:
    """Each task has its id, a frozen dataclass of results, and options with defaults."""
    for part in plugin.parts("tasks"):
        task = registry.load_part(part)
        must(getattr(task, "id", None) == part.name, f"{task.__name__}.id is not {part.name!r}.")
        result: Any = getattr(task, "result", None)
        must(_frozen(result), f"{task.__name__}.result is {result!r}, no frozen dataclass.")
        must(hasattr(result, "columns"), f"{result.__name__} has no columns.")
        missing = sorted(getattr(result, "__abstractmethods__", ()))
        must(not missing, f"{result.__name__} lacks {', '.join(missing)}.")
        for kind in ("controls", "prompts"):
            options = getattr(task, kind, None)
            must(_frozen(options), f"{task.__name__}.{kind} is {options!r}, no frozen dataclass.")
        try:
            task.controls()
        except Exception as error:
            raise Broken(f"{task.controls.__name__}() raised {said(error)}.") from error


@rule("See `Format` in pvzoo/data/formats/base.py; what is not of the format has no splits.")
def format_classes(plugin: InstalledPlugin) -> None:
    """Each format says what it is called and reads, and finds nothing in an empty folder."""
    for part in plugin.parts("formats"):
        form = registry.load_part(part)
        for name in ("name", "title", "layout"):
            text = getattr(form, name, None)
            must(isinstance(text, str) and text, f"{form.__name__}.{name} is {text!r}, no text.")
        for name in ("reads", "writes"):
            tasks = getattr(form, name, None)
            must(isinstance(tasks, tuple), f"{form.__name__}.{name} is {tasks!r}, no tuple.")
        missing = sorted(getattr(form, "__abstractmethods__", ()))
        must(not missing, f"{form.__name__} lacks {', '.join(missing)}.")
        with tempfile.TemporaryDirectory() as folder:
            try:
                parts = form.splits(DataSource(Path(folder), Area(Path(folder))))
            except Exception as error:
                raise Broken(f"splits() of an empty folder raised {said(error)}.") from error
        must(parts == [], f"splits() of an empty folder is {parts!r}.")


def _frozen(value: Any) -> bool:
    parameters = getattr(value, "__dataclass_params__", None)  # dataclasses tell it nowhere else
    return isinstance(value, type) and parameters is not None and bool(parameters.frozen)


@rule("`ExportError.stage` says where it differs; docs/export.md has what is compared.")
def runtimes_answer_as_pytorch(plugin: InstalledPlugin) -> None:
    """A network exported for each of its runtimes earns the certificate of pvzoo's own."""
    found = [
        part.name
        for part in plugin.parts("runtimes")
        if registry.get("runtimes", f"{part.dist}:{part.name}").suffixes
    ]
    if not found:
        raise NotApplicable("Its runtimes run no exported files.")
    try:
        import timm

        from pvzoo.export.write import export
        from pvzoo.networks.timm import TimmNetwork
    except ImportError as error:
        raise NotApplicable(f"An export needs what is not installed ({error}).") from error
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


PLUGIN_RULES = (
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
