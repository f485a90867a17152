"""Which of pvzoo's modules may import which."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "pvzoo").rglob("*.py"))
    if "templates" not in file.parts
}
MODEL = {"pvzoo.loading", "pvzoo.model", "pvzoo.training.run", "pvzoo.training.trainer"}
"""A model's verbs import what does them when they are called, and that returns models."""
LIGHT = (
    *("pvzoo.inputs", "pvzoo.adapters", "pvzoo.tasks", "pvzoo.preprocess", "pvzoo.postprocess"),
    "pvzoo.metrics",
)
TORCH = ("pvzoo.networks", "pvzoo.training", "pvzoo.runtimes.torch", "pvzoo.postprocess.tensors")


def imported(module: str, *, late: bool) -> set[str]:
    """The modules of pvzoo that one imports; with those that its functions import when called."""
    found = set()
    for node in _statements(ast.parse(MODULES[module].read_text(encoding="utf-8")), late):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        else:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & MODULES.keys() or {node.module}
    return found & MODULES.keys() - {module}


def _statements(node: ast.AST, late: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        elif late or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _statements(child, late)


def circles(late: bool) -> list[set[str]]:
    """Sets of modules of which each imports, perhaps through others, each other one."""
    graph = {module: imported(module, late=late) for module in MODULES}
    reached = {module: _reached(graph, module) for module in MODULES}
    found: list[set[str]] = []
    for module, those in reached.items():
        circle = {other for other in those if module in reached[other]}
        if circle and circle not in found:
            found.append(circle)
    return found


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    todo = [start]
    while todo:
        for other in graph[todo.pop()] - found:
            found.add(other)
            todo.append(other)
    return found


def test_no_modules_import_each_other():
    assert circles(late=False) == []


def test_only_the_verbs_of_a_model_import_in_a_circle_when_they_are_called():
    assert circles(late=True) == [MODEL]


def test_the_light_side_imports_no_module_of_networks():
    wrong = {
        f"{module} imports {other}"
        for module in MODULES
        if module.startswith(LIGHT) and not module.startswith(TORCH)
        for other in imported(module, late=False)
        if other.startswith(TORCH)
    }
    assert wrong == set()
