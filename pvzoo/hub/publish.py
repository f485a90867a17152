"""`Model.save` and `Model.push_to_hub`: a folder that other libraries open, with a model card."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pvzoo.errors import HubError, UnsupportedModelError, UsageError
from pvzoo.hub.model_card import model_card

if TYPE_CHECKING:
    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport


def save(
    network: Network | None, folder: Path, *, name: str, task: str, report: TrainingReport | None
) -> Path:
    """Write a model to a new folder, all of it or nothing.

    Args:
        network: The model's.
        folder: Where to.
        name: What messages call the model.
        task: The id of its task.
        report: How it was fine-tuned, if it was.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
        UnsupportedModelError: The network cannot save.
    """
    network = _that_is_there(network, name)
    with new_folder(folder) as part:
        network.save(part)
        text = model_card(network, folder.name, task, report)
        (part / "README.md").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Within it a folder that can be filled; in the end it is the new one, all of it or nothing.

    Raises:
        UsageError: The new folder is there and not empty, or cannot be written.
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
        raise UsageError(f"{folder} cannot be written ({error}).", "Choose another.") from error


def _that_is_there(network: Network | None, name: str) -> Network:
    if network is None:
        raise UnsupportedModelError(
            f"{name} has no network that could be saved.", "Its plugin brings all of it."
        )
    return network


def open_to_others(paths: Iterable[Path]) -> None:
    """Give files and folders the modes that new ones get here.

    Those that `tempfile` and safetensors make are for their owner alone.
    """
    masked = os.umask(0)  # there is no way to read it without setting it
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
    private: bool | None,
    message: str,
) -> str:
    """Upload a model to a repo of the Hub, made if it is not there; the address of the commit.

    Arguments are those of `save` and of `Model.push_to_hub`.

    Raises:
        HubError: The Hub cannot be reached, or refuses.
        UnsupportedModelError: The network cannot save.
    """
    network = _that_is_there(network, name)
    from huggingface_hub import HfApi

    from pvzoo.hub.errors import Unreachable, explained

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / repo_id.rpartition("/")[2]
        save(network, home, name=name, task=task, report=report)
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
