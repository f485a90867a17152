"""`Model.save` and `Model.push_to_hub`: write a folder that other libraries can open."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.errors import HubError, UnsupportedModelError, UsageError
from pvzoo.hub.model_card import model_card
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport


def save(
    network: Network | None,
    folder: Path,
    *,
    name: str,
    task: str,
    report: TrainingReport | None,
    thresholds: Thresholds | None = None,
) -> Path:
    """Write a model to a new folder with a model card, completely or not at all.

    Args:
        network: The network of the model.
        folder: The new folder.
        name: The name of the model; for messages.
        task: The id of its task.
        report: The report of its fine-tuning, if it was fine-tuned.
        thresholds: The thresholds of the model, if it has some.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
        UnsupportedModelError: The network cannot save.
    """
    network = _required(network, name)
    with new_folder(folder) as part:
        network.save(part)
        if thresholds is not None:
            write_thresholds(part / "config.json", thresholds)
        text = model_card(network, folder.name, task, report)
        (part / "README.md").write_text(text, encoding="utf-8")
    return folder


def write_thresholds(file: Path, thresholds: Thresholds) -> None:
    """Put thresholds into the key ``pvzoo`` of a ``config.json``."""
    config = json.loads(file.read_text(encoding="utf-8"))
    config["pvzoo"] = {**(config.get("pvzoo") or {}), "thresholds": thresholds.to_json()}
    file.write_text(json.dumps(config, indent=2, ensure_ascii=False), encoding="utf-8")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a temporary folder, which becomes the new folder at the end, unless there is an error.

    Raises:
        UsageError: The new folder exists and is not empty, or cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is not empty.", "Choose a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            yield part
            if folder.exists():
                folder.rmdir()
            open_to_others([part, *part.rglob("*")])
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written ({error}).", "Choose another folder."
        ) from error


def _required(network: Network | None, name: str) -> Network:
    if network is None:
        raise UnsupportedModelError(
            f"{name} has no network to save.",
            "Its plugin runs it without a PyTorch network.",
        )
    return network


def open_to_others(paths: Iterable[Path]) -> None:
    """Give files and folders the usual permissions of new ones.

    `tempfile` and safetensors create files and folders that only their owner can read.
    """
    masked = os.umask(0)  # it cannot be read without setting it
    os.umask(masked)
    for path in paths:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~masked)


def push(
    network: Network | None,
    repo_id: str,
    *,
    name: str,
    task: str,
    report: TrainingReport | None,
    thresholds: Thresholds | None,
    private: bool | None,
    message: str,
) -> str:
    """Upload a model to a Hub repo, creating it if necessary. Returns the address of the commit.

    The arguments are those of `save` and of `Model.push_to_hub`.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
        UnsupportedModelError: The network cannot save.
    """
    network = _required(network, name)
    from huggingface_hub import HfApi

    from pvzoo.hub.errors import Unreachable, explained

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / repo_id.rpartition("/")[2]
        save(network, home, name=name, task=task, report=report, thresholds=thresholds)
        text = model_card(network, repo_id, task, report)
        (home / "README.md").write_text(text, encoding="utf-8")
        try:
            with explained(repo_id):
                api = HfApi()
                api.create_repo(repo_id, private=private, exist_ok=True)
                return str(
                    api.upload_folder(repo_id=repo_id, folder_path=home, commit_message=message)
                )
        except Unreachable as error:
            raise HubError(
                f"{repo_id} was not uploaded: {error}.", "Try again; model.save keeps it here."
            ) from error
