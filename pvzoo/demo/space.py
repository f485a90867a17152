"""A folder that Hugging Face hosts as a Space: a demo of one's own models, or of the catalogue."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import gradio
from huggingface_hub import HfApi, SpaceCardData

import pvzoo
from pvzoo import registry
from pvzoo.cards import USER, Card, catalogue
from pvzoo.demo.cards import title as short
from pvzoo.errors import HubError, UsageError
from pvzoo.hub import Unreachable, explained

_APP = '''\
"""A demo made by ``pvzoo space``; `pvzoo.demo` has what it does."""

from pathlib import Path

from pvzoo.demo import serve

HERE = Path(__file__).parent
MODELS = {models}
EXAMPLES = {examples}

if __name__ == "__main__":
    serve(MODELS, examples=EXAMPLES, mcp_server=True)
'''


@dataclass
class _Needs:
    """What the models of a Space take along.

    Attributes:
        sources: A line of Python for each: what `serve` is given.
        folders: Those that are copied, by the name they get.
        distributions: Python packages beside pvzoo.
        repos: Hub repos whose page links to the Space.
    """

    sources: list[str] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    distributions: set[str] = field(default_factory=set)
    repos: list[str] = field(default_factory=list)


def write_space(
    folder: str | Path,
    models: Sequence[str | Path] = (),
    *,
    title: str | None = None,
    examples: Sequence[str | Path] = (),
) -> Path:
    """Write ``README.md`` with the Space's settings, ``app.py`` and ``requirements.txt``.

    Args:
        folder: A new or empty one.
        models: Catalogue names, Hub repo ids or folders, which are copied. Without any, all of the
            catalogue, with the plugins that are installed here.
        title: Of the Space.
        examples: Picture files to begin with, which are copied; those of pvzoo unless given.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
        PvzooError: A model is not known, or its folder cannot be loaded.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty.", "Choose a new folder.")
    for example in examples:
        pvzoo.open_image(Path(example))
    needs = _needs(models)
    title = title or (", ".join(short(str(m)) for m in models) if models else "pvzoo")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in needs.folders.items():
            shutil.copytree(source, folder / "models" / name)
        copied = []
        for example in map(Path, examples):
            (folder / "examples").mkdir(exist_ok=True)
            copied.append(f'HERE / "examples" / "{example.name}"')
            shutil.copy(example, folder / "examples" / example.name)
        app = _APP.format(
            models=_listed(needs.sources), examples=_listed(copied) if copied else None
        )
        (folder / "app.py").write_text(app, encoding="utf-8")
        lines = [f"pvzoo[demo]=={pvzoo.__version__}"]
        lines += [f"{dist}=={version(dist)}" for dist in sorted(needs.distributions)]
        (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(title, needs), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error}).", "Choose another.") from error
    return folder


def push_space(folder: str | Path, repo_id: str, *, private: bool = False) -> str:
    """Upload such a folder to a Space of the Hub, made if there is none; its address.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
    """
    try:
        with explained(repo_id):
            api = HfApi()
            made = api.create_repo(
                repo_id,
                repo_type="space",
                space_sdk="gradio",
                private=private or None,
                exist_ok=True,
            )
            api.upload_folder(
                repo_id=repo_id,
                folder_path=Path(folder),
                repo_type="space",
                commit_message="Upload with pvzoo",
            )
            return str(made)
    except Unreachable as error:
        raise HubError(
            f"{repo_id} was not uploaded: {error}.", "Try again; the folder stays as it is."
        ) from error


def _needs(models: Sequence[str | Path]) -> _Needs:
    needs = _Needs()
    if not models:
        for plugin in pvzoo.list_plugins():
            if plugin.name != registry.OWN:
                needs.distributions.add(plugin.name)
        return needs
    for model in models:
        card = None if isinstance(model, Path) else catalogue().find(str(model))
        if card is not None and card.source.path is None:
            _need_card(needs, card)
        elif card is not None or isinstance(model, Path) or Path(model).expanduser().is_dir():
            _need_folder(needs, Path(card.source.path if card else model).expanduser())
        elif "/" in str(model):
            needs.sources.append(repr(str(model)))
            needs.repos.append(str(model))
        else:
            raise catalogue().not_found(str(model))
    return needs


def _need_card(needs: _Needs, card: Card) -> None:
    own = card.dist == USER  # a catalogue file of this machine, which the Space does not have
    needs.sources.append(f'"{card.source.hub if own else card.name}"')
    if card.source.hub:
        needs.repos.append(card.source.hub)
    if card.source.package:
        needs.distributions.update(packages_distributions().get(card.source.package, ()))
    for part in registry.parts("adapters"):
        if part.name == card.adapter:
            needs.distributions.add(part.dist)
    needs.distributions.add(card.dist)
    needs.distributions -= {USER, registry.OWN}


def _need_folder(needs: _Needs, folder: Path) -> None:
    """A folder is loaded, which shows that it is whole, and which plugin it needs."""
    adapter = pvzoo.load(folder, device="cpu")._adapter
    part = registry.part_of(type(adapter))
    if part is not None and part.dist != registry.OWN:
        needs.distributions.add(part.dist)
    name, number = folder.resolve().name, 1
    while name in needs.folders:
        number += 1
        name = f"{folder.resolve().name}-{number}"
    needs.folders[name] = folder
    needs.sources.append(f'HERE / "models" / "{name}"')


def _listed(lines: Sequence[str]) -> str:
    return "[" + ", ".join(lines) + "]"


def _readme(title: str, needs: _Needs) -> str:
    settings: dict[str, Any] = {
        "title": title,
        "emoji": "👁️",
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": gradio.__version__,
        "python_version": "3.11",
        "app_file": "app.py",
        "models": needs.repos or None,
        "tags": ["pvzoo", "mcp-server"],
    }
    front = SpaceCardData(**{k: v for k, v in settings.items() if v is not None}).to_yaml()
    return (
        f"---\n{front}\n---\n\n# {title}\n\n"
        "Drop a picture, look, move the threshold. Pictures are deleted after half an hour.\n\n"
        "Here too:\n\n    pip install -r requirements.txt\n    python app.py\n"
    )
