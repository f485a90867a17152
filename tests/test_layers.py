"""Which of pvzoo's modules may import which."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pvzoo

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted((ROOT / "pvzoo").rglob("*.py"))
    if "templates" not in file.parts
}
TREES = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in MODULES.items()}
PUBLIC = {*pvzoo.__all__} - {"PvzooError", "PvzooWarning"}
"""Names that `pvzoo` looks up when they are used, so that its own imports do not show them."""
ON_TOP = ("pvzoo.cli", "pvzoo.demo", "pvzoo.serve", "pvzoo.testing", "pvzoo.web")
"""What is built of the public names; a model's verb `demo` leads there."""
LIGHT = (
    *("pvzoo.inputs", "pvzoo.adapters", "pvzoo.tasks", "pvzoo.preprocess", "pvzoo.postprocess"),
    *("pvzoo.metrics", "pvzoo.families", "pvzoo.results", "pvzoo.tiles"),
)
TORCH = (
    *("pvzoo.networks", "pvzoo.training", "pvzoo.runtimes.torch", "pvzoo.postprocess.tensors"),
    *("pvzoo.export.onnx", "pvzoo.export.patches"),
)


def imported(module: str, *, late: bool) -> set[str]:
    """The modules of pvzoo that one imports; with those that its functions import when called."""
    found = set()
    for node in _statements(TREES[module], late):
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


def test_no_modules_import_each_other_not_even_when_their_functions_are_called():
    """What a model's verbs call knows `Model` for its types only, which are not followed here."""
    assert circles(late=False) == []
    assert circles(late=True) == []


def test_only_what_loads_models_makes_them():
    makers = {module for module in MODULES if "pvzoo.model" in imported(module, late=True)}
    assert makers == {"pvzoo.loading"}


def test_only_what_is_built_on_top_uses_the_public_names():
    """Else a verb could load models by them, and no import would show it."""
    names = {f"pvzoo.{name}" for name in PUBLIC}
    users = {
        module
        for module, tree in TREES.items()
        if names & {*_imported_names(tree), *map(ast.unparse, _attributes(tree))}
    }
    assert {module for module in users if not module.startswith(ON_TOP)} == set()


def test_a_private_name_is_imported_only_where_it_is_made():
    """That of a module within its package."""
    wrong = {
        f"{module} imports {name}"
        for module, tree in TREES.items()
        for name in _imported_names(tree)
        if name.startswith("pvzoo.")
        and (private := name.find("._")) > 0
        and not f"{module}.".startswith(name[: private + 1])
    }
    assert wrong == set()


def test_private_attributes_are_read_only_where_they_are_made():
    """Those that other libraries make are not looked at."""
    made = {module: _made_attributes(tree) for module, tree in TREES.items()}
    wrong = {
        f"{module} reads {node.attr} of {other}"
        for module, tree in TREES.items()
        for node in _attributes(tree)
        if re.match("_[^_]", node.attr) and not _is_own(node) and node.attr not in made[module]
        for other in MODULES
        if node.attr in made[other]
    }
    assert wrong == set()


def _imported_names(tree: ast.Module) -> set[str]:
    """All that a module imports from others, with the name of the other."""
    return {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def _attributes(tree: ast.AST) -> list[ast.Attribute]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]


def _is_own(node: ast.Attribute) -> bool:
    return ast.unparse(node.value) in ("self", "cls", "super()")


def _made_attributes(tree: ast.Module) -> set[str]:
    """The attributes that a module's classes have of their own."""
    made = {n.attr for n in _attributes(tree) if _is_own(n) and isinstance(n.ctx, ast.Store)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            made |= {n.name for n in node.body if isinstance(n, ast.FunctionDef)}
            made |= {n.target.id for n in node.body if isinstance(n, ast.AnnAssign)}
    return made


def test_the_light_side_imports_no_module_of_networks():
    wrong = {
        f"{module} imports {other}"
        for module in MODULES
        if module.startswith(LIGHT) and not module.startswith(TORCH)
        for other in imported(module, late=False)
        if other.startswith(TORCH)
    }
    assert wrong == set()
