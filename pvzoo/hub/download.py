"""Where weights come from: a Hub repo, an installed package or a folder -> files on this disk.

Downloads go through `huggingface_hub` and its cache alone, so ``HF_HOME``, ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_TOKEN`` mean what they mean everywhere. The configuration is fetched
first, so that a repo nobody can drive is refused before its weights are downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download

from pvzoo.adapters.base import Checkpoint
from pvzoo.catalog.cards import WeightsSource
from pvzoo.errors import (
    HubError,
    ModelNotFoundError,
    PvzooError,
    UnsupportedModelError,
    WeightsError,
    error_message,
    nearest_beside,
    short,
)
from pvzoo.export import manifest
from pvzoo.hub.errors import NotCached, Unreachable, explained

# Weights files that adapters can read, the preferred first. Sharded ones are named by their index.
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "open_clip_pytorch_model.bin",
)


@dataclass(frozen=True)
class Found:
    """A source whose configuration is here and whose weights can be had by `fetch`.

    One that holds an exported model has `export` in its place, which gives the folder.
    """

    name: str
    config: dict[str, Any]
    fetch: Callable[[], Checkpoint] = field(repr=False)
    export: Callable[[], Path] | None = field(default=None, repr=False)


def find(
    source: WeightsSource, name: str, config: dict[str, Any], *, trust_remote_code: bool
) -> Found:
    """Locate a source and read its configuration.

    Args:
        source: Where the weights are.
        name: What the user called the model; for messages.
        config: The card's own ``config``; if empty, the source's ``config.json`` is read.
        trust_remote_code: Whether Python files are fetched too.

    Raises:
        HubError: The Hub cannot be reached, or refuses (a gated repo, a wrong token).
        ModelNotFoundError: No such repo, revision or folder.
        WeightsError: The package or a file is missing or damaged.
    """
    if source.hub:
        return _find_on_hub(source.hub, source, name, config, trust_remote_code)
    folder = _local_folder(source, name)
    if not folder.is_dir():
        raise ModelNotFoundError(*no_folder(folder))
    exported = (folder / (source.file or "x")).parent
    if manifest.is_in(exported):
        return Found(name, {}, _no_checkpoint, lambda: exported)
    config = config or _read_config((folder / (source.file or "x")).parent / "config.json", name)
    return Found(name, config, lambda: _checkpoint(source, name, config, folder))


def is_here(source: WeightsSource, config: dict[str, Any]) -> bool:
    """Whether `find` and `fetch` would have a source without asking the Hub.

    Its configuration and every file of its weights are then in an installed package, in a folder,
    or in the cache of `huggingface_hub`. Files are looked for, not read: a damaged one counts too.
    """
    try:
        folder = _cached(source.hub, source, config) if source.hub else _local_folder(source, "")
        if manifest.is_in(folder):
            return True
        weights = _weights(source, "", folder)
    except PvzooError:
        return False
    return bool(source.hub or config) or (weights.parent / "config.json").is_file()


def _no_checkpoint() -> Checkpoint:
    raise UnsupportedModelError("An exported model has no checkpoint.", "Load the original.")


def no_folder(folder: Path) -> tuple[str, str]:
    """What is wrong, and the way out, for a folder that is not there."""
    if folder.exists():
        return f"{folder} is a file, not a folder.", f"Name the folder it is in: {folder.parent}."
    hint = nearest_beside(folder, folders_only=True)
    return f"There is no folder {folder} (here is {Path.cwd()}).", hint


def _checkpoint(
    source: WeightsSource, name: str, config: dict[str, Any], folder: Path
) -> Checkpoint:
    """The checkpoint in a folder, its weights found and, where a digest is stated, verified."""
    weights = _weights(source, name, folder)
    if source.sha256:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != source.sha256:
            raise WeightsError(
                f"{weights} is not the file that the card of {name} describes (SHA-256 {digest}, "
                f"expected {source.sha256}).",
                "Install the package again, in the version the card was made for.",
            )
    return Checkpoint(name, config, weights.parent, weights, source.rename)


def _weights(source: WeightsSource, name: str, folder: Path) -> Path:
    """The file of weights in a folder; of a sharded checkpoint its index, all shards being there.

    Raises:
        _Absent: The weights, or a part of them, are not there.
        WeightsError: The index is damaged.
    """
    weights = next((folder / w for w in _names(source) if (folder / w).is_file()), None)
    if weights is None:
        raise _Absent(
            f"{name}: {folder} has no weights ({' or '.join(_names(source))}).",
            "Weights are safetensors or PyTorch files; other formats cannot be read.",
        )
    lost = [s for s in shards(weights) if not s.is_file()]
    if lost:
        raise _Absent(
            f"{name}: {short(lost[0].name)[1:-1]} is missing, one of the files that {weights} "
            "names.",
            "Fetch it again.",
        )
    return weights


def _names(source: WeightsSource) -> tuple[str, ...]:
    """The weights files that may serve a source, the preferred first."""
    return (source.file,) if source.file else _WEIGHTS


def shards(weights: Path) -> list[Path]:
    """The files that the index of a sharded checkpoint names; the file itself if it is no index.

    Raises:
        WeightsError: The index is damaged.
    """
    if not weights.name.endswith(".index.json"):
        return [weights]
    try:
        names = set(json.loads(weights.read_text(encoding="utf-8"))["weight_map"].values())
        outside = [name for name in names if not re.fullmatch(r"[^/\\:\0]*[^/\\:\0.]", name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(
            f"{weights} cannot be read ({error_message(error)}).", "Fetch it again."
        ) from error
    if outside or not names:
        wrong = f"names {short(outside[0])} as one" if outside else "names none"
        raise WeightsError(
            f"{weights} {wrong} of the files that hold the weights.",
            "It may name only files that lie beside it. Fetch it again from where you trust it.",
        )
    return [weights.parent / name for name in sorted(names)]


def _read_config(file: Path, name: str) -> dict[str, Any]:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UnsupportedModelError(
            f"{name} has no config.json (looked in {file.parent}), so it is not a model folder "
            "that transformers or timm wrote.",
            "Point to a folder with config.json and weights.",
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(
            f"{file} cannot be read ({error_message(error)}).", "Fetch it again."
        ) from error
    if not isinstance(config, dict):
        raise WeightsError(f"{file} is not a JSON object.", "Fetch it again.")
    return config


def _local_folder(source: WeightsSource, name: str) -> Path:
    """The folder of a source that is no Hub repo."""
    if source.package:
        return _package_folder(source.package, name)
    assert source.path is not None  # a source says one of the three
    return source.path


def _package_folder(package: str, name: str) -> Path:
    """The folder of an installed package, located without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsError(
            f"The weights of {name} are in the Python package {package!r}, which is not installed.",
            f"Try: pip install {package.replace('_', '-')}",
        )
    return Path(next(iter(spec.submodule_search_locations)))


# --- the Hub --------------------------------------------------------------------------------------


def _find_on_hub(
    repo: str, source: WeightsSource, name: str, config: dict[str, Any], trust_remote_code: bool
) -> Found:
    revision = source.revision
    if constants.HF_HUB_OFFLINE:
        return _find_in_cache(repo, source, name, config, "HF_HUB_OFFLINE is on")
    page = f"{constants.ENDPOINT}/{repo}/tree/{revision or 'main'}"
    try:
        with explained(repo, revision):
            info = HfApi().model_info(
                repo, revision=revision, timeout=constants.HF_HUB_ETAG_TIMEOUT
            )
            files = {s.rfilename for s in info.siblings or ()}
            if manifest.NAME in files:
                return Found(name, {}, _no_checkpoint, lambda: _fetch_export(repo, revision, name))
            if not config and "config.json" not in files:
                raise UnsupportedModelError(
                    f"The Hub repo {repo} has no config.json, so it is not a model that "
                    "transformers or timm can open.",
                    f"See {page} for what it holds.",
                )
            if not config:
                file = Path(hf_hub_download(repo, "config.json", revision=info.sha))
                config = _read_config(file, name)
    except Unreachable as error:  # the cache may still have it
        return _find_in_cache(repo, source, name, config, str(error))

    def fetch() -> Checkpoint:
        wanted = _wanted(files, source, trust_remote_code)
        if not wanted:
            raise WeightsError(
                f"The Hub repo {repo} has no weights that PyTorch can read "
                f"({source.file or 'safetensors or .bin'}).",
                f"See {page} for what it holds.",
            )
        reason = ""
        try:
            with explained(repo, revision):
                # by `revision`, not by commit: that notes in the cache what the name meant
                folder = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
        except Unreachable as error:
            reason = f" ({error})"
        if reason or not all((folder / file).is_file() for file in wanted):
            raise HubError(
                f"The download of {repo} stopped before all of it was here{reason}.",
                "Load it again; what has arrived is kept.",
            )
        return _checkpoint(source, name, config, folder)

    return Found(name, config, fetch)


def _fetch_export(repo: str, revision: str | None, name: str) -> Path:
    """The folder of the cache that an export of the Hub is downloaded to: the files it names."""
    try:
        with explained(repo, revision):
            first = snapshot_download(repo, revision=revision, allow_patterns=[manifest.NAME])
            wanted = [manifest.NAME, *manifest.read(Path(first), name).files]
            return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except Unreachable as error:
        raise HubError(
            f"The download of {repo} stopped before all of it was here ({error}).",
            "Load it again; what has arrived is kept.",
        ) from error


def _find_in_cache(
    repo: str, source: WeightsSource, name: str, config: dict[str, Any], reason: str
) -> Found:
    """What is left of a Hub repo when the Hub cannot be asked."""
    called = repo + (f" at {source.revision}" if source.revision else "")
    not_here = NotCached(
        f"{called} is not in the cache ({constants.HF_HUB_CACHE}), and {reason}.",
        "Load it once with the Hub in reach, or name a model whose weights come as a package, "
        "such as efficientnet-lite0-pip.",
    )
    try:
        folder = _cached(repo, source, config)
    except (Unreachable, WeightsError) as error:
        raise not_here from error
    if manifest.is_in(folder):
        return Found(name, {}, _no_checkpoint, lambda: folder)
    config = config or _read_config(folder / "config.json", name)

    def fetch() -> Checkpoint:
        try:
            return _checkpoint(source, name, config, folder)
        except _Absent as error:
            raise not_here from error

    return Found(name, config, fetch)


def _cached(repo: str, source: WeightsSource, config: dict[str, Any]) -> Path:
    """The folder in the cache with the revision of a Hub repo, and its config if there is none.

    Raises:
        Unreachable, WeightsError: It is not in the cache.
    """
    with explained(repo, source.revision):
        folder = Path(
            snapshot_download(
                repo,
                revision=source.revision,
                local_files_only=True,
                allow_patterns=["config.json", manifest.NAME],
            )
        )
    if manifest.is_in(folder):
        return folder
    if not config and not (folder / "config.json").is_file():
        raise _Absent(f"{folder} has no config.json.")
    return folder


def _wanted(files: set[str], source: WeightsSource, trust_remote_code: bool) -> list[str]:
    """The files to download: configuration, one set of weights, and code only if trusted.

    Empty if the repo has no weights.
    """
    chosen = next((w for w in _names(source) if w in files), None)
    if chosen is None:
        return []
    small = {f for f in files if "/" not in f and f.endswith((".json", ".txt", ".model"))}
    wanted = {f for f in small if not f.endswith(".index.json")} | {chosen}
    if chosen.endswith(".index.json"):
        stem, suffix = chosen.removesuffix(".index.json").rsplit(".", 1)
        wanted |= {f for f in files if re.fullmatch(rf"{stem}-\d+-of-\d+\.{suffix}", f)}
    if trust_remote_code:
        wanted |= {f for f in files if f.endswith(".py")}
    return sorted(wanted)


class _Absent(WeightsError):
    """The weights, or a part of them, are not there."""
