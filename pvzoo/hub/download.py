"""Find weights in a Hub repo, an installed package or a folder, and download them.

All downloads use `huggingface_hub` and its cache, so ``HF_HOME``, ``HF_HUB_OFFLINE``,
``HF_ENDPOINT`` and ``HF_TOKEN`` work as usual. The configuration is downloaded first, so that an
unsupported repo is refused before its weights are downloaded. `huggingface_hub` is imported only
when the Hub or its cache is used, because the import takes longer than loading an exported model.
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

# The weights files that adapters can read, preferred first. Sharded weights are named by an index.
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
    """A source with its configuration; `fetch` gets its weights.

    For an exported model, `export` gets the folder instead.
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
        source: The source of the weights.
        name: The name that the user gave for the model; for messages.
        config: The card's own ``config``; if empty, the source's ``config.json`` is read.
        trust_remote_code: Whether Python files are downloaded too.

    Raises:
        HubError: The Hub cannot be reached, or refuses (a gated repo, a wrong token).
        ModelNotFoundError: The repo, revision or folder does not exist.
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


def without_weights(source: WeightsSource, name: str, config: dict[str, Any]) -> Checkpoint:
    """A checkpoint without weights: only configuration files are downloaded.

    Args:
        source: The source of the model.
        name: The name of the model, for messages.
        config: The ``config`` of the card; if it is empty, ``config.json`` is read.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
        UnsupportedModelError: There is no ``config.json``.
        WeightsError: ``config.json`` is damaged.
    """
    if source.hub:
        from huggingface_hub import snapshot_download

        small = ["*.json", "*.txt", "*.model"]
        with explained(source.hub, source.revision):
            folder = Path(
                snapshot_download(
                    source.hub,
                    revision=source.revision,
                    allow_patterns=small,
                    ignore_patterns=["*.index.json", "*/*"],
                )
            )
    else:
        folder = (_local_folder(source, name) / (source.file or "x")).parent
    config = config or _read_config(folder / "config.json", name)
    return Checkpoint(name, config, folder, folder / _WEIGHTS[0], untrained=True)


def is_here(source: WeightsSource, config: dict[str, Any]) -> bool:
    """Whether `find` and `fetch` work for a source without the Hub.

    If so, its configuration and all files of its weights are in an installed package, in a folder,
    or in the cache of `huggingface_hub`. The files exist, but are not read: they may be damaged.
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
    """The message and the hint for a path that is not a folder."""
    if folder.exists():
        return f"{folder} is a file, not a folder.", f"Name the folder it is in: {folder.parent}."
    hint = nearest_beside(folder, folders_only=True)
    return f"There is no folder {folder} (here is {Path.cwd()}).", hint


def _checkpoint(
    source: WeightsSource, name: str, config: dict[str, Any], folder: Path
) -> Checkpoint:
    """The checkpoint in a folder; checks the digest of the weights if the source states one."""
    weights = _weights(source, name, folder)
    if source.sha256:
        with weights.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != source.sha256:
            raise WeightsError(
                f"{weights} is not the file that the card of {name} describes (SHA-256 {digest}, "
                f"expected {source.sha256}).",
                "Install the package again, in the version that the card was made for.",
            )
    return Checkpoint(name, config, weights.parent, weights, source.rename)


def _weights(source: WeightsSource, name: str, folder: Path) -> Path:
    """The weights file in a folder; for a sharded checkpoint its index, if all shards are there.

    Raises:
        _Absent: The weights, or a part of them, are missing.
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
            f"{name}: the file {short(lost[0].name)[1:-1]}, which {weights} names, is missing.",
            "Fetch it again.",
        )
    return weights


def _names(source: WeightsSource) -> tuple[str, ...]:
    """The names that the weights file of a source may have, preferred first."""
    return (source.file,) if source.file else _WEIGHTS


def shards(weights: Path) -> list[Path]:
    """The files that the index of a sharded checkpoint names; for other weights, the file itself.

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
        wrong = f"names the file {short(outside[0])}" if outside else "names no files"
        raise WeightsError(
            f"The index {weights} {wrong}.",
            "It must name files in its own folder. Fetch it again from a source that you trust.",
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
    """The folder of a source that is not a Hub repo."""
    if source.package:
        return _package_folder(source.package, name)
    assert source.path is not None  # a source has one of the three
    return source.path


def _package_folder(package: str, name: str) -> Path:
    """The folder of an installed package, found without importing it."""
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
    from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download

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
                # `revision`, not the commit: so the cache records which commit the name means
                folder = Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
        except Unreachable as error:
            reason = f" ({error})"
        if reason or not all((folder / file).is_file() for file in wanted):
            raise HubError(
                f"The download of {repo} stopped before it was complete{reason}.",
                "Load it again; what was downloaded so far is kept.",
            )
        return _checkpoint(source, name, config, folder)

    return Found(name, config, fetch)


def _fetch_export(repo: str, revision: str | None, name: str) -> Path:
    """Download the files of an export from the Hub, and return their folder in the cache."""
    from huggingface_hub import snapshot_download

    try:
        with explained(repo, revision):
            first = snapshot_download(repo, revision=revision, allow_patterns=[manifest.NAME])
            wanted = [manifest.NAME, *manifest.read(Path(first), name).files]
            return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except Unreachable as error:
        raise HubError(
            f"The download of {repo} stopped before it was complete ({error}).",
            "Load it again; what was downloaded so far is kept.",
        ) from error


def _find_in_cache(
    repo: str, source: WeightsSource, name: str, config: dict[str, Any], reason: str
) -> Found:
    """Find a Hub repo in the cache, without the Hub."""
    from huggingface_hub import constants

    called = repo + (f" at {source.revision}" if source.revision else "")
    not_here = NotCached(
        f"{called} is not in the cache ({constants.HF_HUB_CACHE}), and {reason}.",
        "Load it once when the Hub is reachable, or name a model whose weights are in a package, "
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
    """The folder of a Hub repo in the cache. It must have a config if `config` is empty.

    Raises:
        Unreachable, WeightsError: The folder or the config is not in the cache.
    """
    from huggingface_hub import snapshot_download

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

    The list is empty if the repo has no weights.
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
    """The weights, or a part of them, are missing."""
