"""Write a new plugin from a template: a complete distribution with tests that pass.

The templates are working plugins called my-zoo. Writing a plugin copies one under another name.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
import shutil
import tempfile
from pathlib import Path

from pvzoo.errors import UsageError
from pvzoo.plugins.installed import normalise_dist

KINDS = {
    "catalogue": ("catalogue",),
    "adapter": ("network", "adapter"),
    "detector": ("network", "detector"),
    "task": ("task",),
    "format": ("format",),
}
"""The kinds of plugins, each with its template folders; `common` is added to all of them."""

_TEMPLATES = Path(__file__).parent / "templates"
_DATA = {".safetensors"}  # copied unchanged: the SHA-256 is on a card


def write_plugin(name: str, kind: str, parent: Path) -> Path:
    """Write a complete plugin into a new folder with its name; on an error, write nothing.

    Args:
        name: The name of the distribution, such as "my-zoo".
        kind: One of `KINDS`: what the plugin adds to pvzoo.
        parent: The folder in which the new folder is made.

    Returns:
        The new folder.

    Raises:
        UsageError: The name is not allowed, or the folder exists already or cannot be made.
    """
    if kind not in KINDS:
        raise UsageError(f"{kind!r} is not a kind of plugin.", f"Kinds: {', '.join(KINDS)}.")
    dist = normalise_dist(name)
    package = dist.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", dist) or keyword.iskeyword(package):
        raise UsageError(
            f"{name!r} cannot be the name of a plugin.",
            "Use letters, digits and '-', such as my-zoo.",
        )
    folder = parent / dist
    if folder.exists():
        raise UsageError(f"{folder} exists already.", "Choose another name, or remove it.")
    if importlib.util.find_spec(package) is not None:
        raise UsageError(f"A package {package!r} is already installed.", "Choose another name.")
    names = {"my-zoo": dist, "my_zoo": package}
    try:
        with tempfile.TemporaryDirectory(dir=parent) as temporary:
            part = Path(temporary) / dist
            for template in ("common", *KINDS[kind]):
                _copy(_TEMPLATES / template, part, names)
            part.rename(folder)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error}).", "Change to another folder."
        ) from error
    return folder


def _copy(template: Path, folder: Path, names: dict[str, str]) -> None:
    for file in sorted(template.rglob("*")):
        if not file.is_file() or "__pycache__" in file.parts:
            continue
        index = _renamed(file.relative_to(template).as_posix(), names)
        target = folder / re.sub("^github/", ".github/", index)  # builds leave out hidden files
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix in _DATA:
            shutil.copyfile(file, target)
        else:
            text = file.read_text(encoding="utf-8")
            target.write_text(_renamed(text, names), encoding="utf-8")


def _renamed(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(old, new)
    return text
