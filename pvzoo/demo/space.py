"""Write and push a Space, which Hugging Face hosts: a demo of your models or the catalogue."""

from __future__ import annotations

import re
import shutil
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from importlib.metadata import packages_distributions, requires, version
from pathlib import Path
from typing import Any

import gradio
from huggingface_hub import HfApi, SpaceCardData

import pvzoo
from pvzoo.catalog.cards import USER, Card, WeightsSource
from pvzoo.catalog.resolve import choose_adapter, resolve
from pvzoo.errors import HubError, UsageError
from pvzoo.hub import download as hub
from pvzoo.hub.errors import Unreachable, explained
from pvzoo.plugins import registry
from pvzoo.plugins.installed import OWN, Group, normalise_dist

_APP = '''\
"""A demo written by ``pvzoo space``; `pvzoo.demo` has the code."""

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
    """What the models of a Space need.

    Attributes:
        names: The name of each model, for the title.
        sources: A Python expression for each model: the argument of `serve`.
        folders: The folders to copy, by their name in the Space.
        distributions: Python packages beside pvzoo.
        repos: Hub repos whose page links to the Space.
    """

    names: list[str] = field(default_factory=list)
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
        folder: A new or empty folder.
        models: Catalogue names, Hub repo ids or folders, which are copied. Without models, the
            Space offers the whole catalogue, with the plugins that are installed here.
        title: The title of the Space; by default the names of the models.
        examples: Example image files, which are copied; by default those of pvzoo.

    Raises:
        UsageError: The folder is not empty, or cannot be written; or a card of the user's own
            catalogue has a key that the Space would not know.
        PvzooError: A model is not known, or its folder cannot be loaded.
    """
    folder = Path(folder).expanduser()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty.", "Choose a new folder.")
    for example in examples:
        pvzoo.open_image(Path(example))
    needs = _needs(models)
    for source in needs.folders.values():
        if folder.resolve().is_relative_to(source.resolve()):  # it would be copied into itself
            raise UsageError(
                f"{folder} is inside {source}, which is copied into it.",
                "Choose another folder.",
            )
    title = title or ", ".join(needs.names) or "pvzoo"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, source in needs.folders.items():
            shutil.copytree(source, folder / "models" / name, ignore=_leading_back)
        copied: dict[str, str] = {}
        for example in map(Path, examples):
            (folder / "examples").mkdir(exist_ok=True)
            name = _unused(example.stem, copied, example.suffix)
            copied[name] = f'HERE / "examples" / {name!r}'
            shutil.copy(example, folder / "examples" / name)
        app = _APP.format(
            models=_listed(needs.sources), examples=_listed([*copied.values()]) if copied else None
        )
        (folder / "app.py").write_text(app, encoding="utf-8")
        lines = [f"pvzoo[demo,torch]=={pvzoo.__version__}"]
        lines += [f"{dist}=={version(dist)}" for dist in sorted(needs.distributions)]
        (folder / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(_readme(title, needs), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error}).", "Choose another folder."
        ) from error
    return folder


def push_space(folder: str | Path, repo_id: str, *, private: bool = False) -> str:
    """Upload a folder of `write_space` to a Space, creating it if necessary. Returns its address.

    Raises:
        UsageError: The folder does not exist.
        HubError: The Hub cannot be reached, or refuses.
    """
    if not Path(folder).is_dir():  # else an empty Space would be created
        raise UsageError(f"There is no folder {folder}.", "Write it first: pvzoo space FOLDER.")
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
                repo_id=made.repo_id,  # with its owner, which repo_id may leave out
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
            if plugin.name != OWN:
                needs.distributions.add(plugin.name)
        return needs
    for model in models:
        card, source, config = resolve(model, None)
        if card is not None and card.dist != USER:
            _need_card(needs, card, str(model))
        elif source.path is not None:
            _need_folder(needs, source.path.expanduser(), card)
        else:
            _need_repo(needs, str(model), card, source, config)
    needs.distributions.discard(OWN)
    return needs


def _need_card(needs: _Needs, card: Card, asked: str) -> None:
    """Add a model with a card of pvzoo or a plugin: the Space has the same card."""
    name = card.name
    if ":" in asked:  # the bare name may mean a card of another distribution
        name = card.qualified_name
    elif "/" in asked:
        name = asked
    needs.names.append(card.name)
    needs.sources.append(repr(name))
    if card.source.hub:
        needs.repos.append(card.source.hub)
    needs.distributions |= {card.dist, _bringer("tasks", card.task)}
    needs.distributions.add(_bringer("adapters", card.adapter))
    if card.source.package:
        weights = map(normalise_dist, packages_distributions().get(card.source.package, ()))
        needs.distributions.update(set(weights) - _required_by(card.dist))


def _need_folder(needs: _Needs, folder: Path, card: Card | None) -> None:
    """Add a folder; loading it shows that it is complete, and which plugin it needs."""
    model = pvzoo.load(folder, device="cpu")
    if card is not None:
        _check_plain(card, type(model.adapter))
        if card.task != model.task:
            raise _not_plain(card, "task")
    task = registry.get("tasks", model.adapter.task)
    needs.distributions |= {_dist(type(model.adapter)), _dist(task)}
    name = _unused(folder.resolve().name, needs.folders)
    needs.folders[name] = folder
    needs.names.append(card.name if card else name)
    needs.sources.append(f'HERE / "models" / {name!r}')


def _need_repo(
    needs: _Needs, asked: str, card: Card | None, source: WeightsSource, config: dict[str, Any]
) -> None:
    """Add a Hub repo, without downloading it: its configuration says which plugin it needs."""
    if card is not None and card.source.package:
        raise _not_plain(card, "package")
    found = hub.find(source, asked, config, trust_remote_code=False)
    adapter = choose_adapter(found.config, asked, None, False)
    if card is not None:
        _check_plain(card, adapter)
    needs.distributions.add(_dist(adapter))
    assert source.hub is not None  # the source is neither a package nor a folder
    repo = source.hub if card else asked
    needs.names.append(card.name if card else asked)
    needs.sources.append(repr(repo))
    needs.repos.append(source.hub)


def _check_plain(card: Card, adapter: type) -> None:
    """Refuse a card of the user's own catalogue with facts that its weights alone do not have."""
    for key in ("revision", "file", "rename"):
        if getattr(card.source, key):
            raise _not_plain(card, key)
    for key in ("config", "stuff"):
        if getattr(card, key):
            raise _not_plain(card, key)
    if registry.get("adapters", card.adapter) is not adapter:
        raise _not_plain(card, "adapter")


def _not_plain(card: Card, key: str) -> UsageError:
    return UsageError(
        f"{card.name} is in your own catalogue, and a Space cannot know {key!r} of its card.",
        f"Save the model, pvzoo.load({card.name!r}).save(FOLDER), and name that folder.",
    )


def _bringer(group: Group, name: str) -> str:
    """The distribution that has the part that a card names."""
    dist, bare = registry.split_name(name)
    dists = [p.dist for p in registry.parts(group) if p.name == bare and dist in (None, p.dist)]
    return registry.pick(group, bare, ((dist, dist) for dist in dists)) or OWN


def _dist(loaded: type) -> str:
    part = registry.part_of(loaded)
    return part.dist if part else OWN


def _required_by(dist: str) -> set[str]:
    """The distributions that pip installs together with a distribution."""
    always = [line for line in requires(dist) or () if "extra ==" not in line]
    return {normalise_dist(name[0]) for line in always if (name := re.match(r"[\w.-]+", line))}


def _leading_back(folder: str, names: list[str]) -> list[str]:
    """The names of links to a folder that contains them: copying them would never end."""
    here = Path(folder).resolve()
    links = (name for name in names if Path(folder, name).is_symlink())
    return [name for name in links if here.is_relative_to(Path(folder, name).resolve())]


def _unused(stem: str, used: Container[str], suffix: str = "") -> str:
    number, name = 1, f"{stem}{suffix}"
    while name in used:
        number += 1
        name = f"{stem}-{number}{suffix}"
    return name


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
        "Drop an image, look, move the threshold. Images are deleted after half an hour.\n\n"
        "To run it on your own machine:\n\n    pip install -r requirements.txt\n    python app.py\n"
    )
