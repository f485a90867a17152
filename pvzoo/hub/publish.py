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
from pvzoo.hub.endpoint import write_endpoint
from pvzoo.hub.model_card import eval_entries, model_card
from pvzoo.thresholds.values import Thresholds

if TYPE_CHECKING:
    from huggingface_hub import EvalResultEntry

    from pvzoo.networks.base import Network
    from pvzoo.training.report import TrainingReport

PREDICTIONS = "predictions.png"
"""The image of predictions that `fine_tune` draws."""


def save(
    network: Network | None,
    folder: Path,
    *,
    name: str,
    task: str,
    report: TrainingReport | None,
    thresholds: Thresholds | None = None,
    repo_id: str | None = None,
    license: str | None = None,
) -> Path:
    """Write a model to a new folder with a model card, completely or not at all.

    Args:
        network: The network of the model.
        folder: The new folder.
        name: The name of the model; for messages.
        task: The id of its task.
        report: The report of its fine-tuning, if it was fine-tuned.
        thresholds: The thresholds of the model, if it has some.
        repo_id: The Hub repo that the folder is for; None takes the folder's name for its card.
        license: The licence of the weights, as for `model_card`.

    Raises:
        UsageError: The folder is not empty, or cannot be written.
        UnsupportedModelError: The network cannot save.
    """
    network = _required(network, name)
    with new_folder(folder) as part:
        network.save(part)
        if thresholds is not None:
            write_thresholds(part / "config.json", thresholds)
        image = None
        if report is not None and (report.folder / PREDICTIONS).is_file():
            image = shutil.copyfile(report.folder / PREDICTIONS, part / PREDICTIONS).name
        of = repo_id or folder.name
        text = model_card(network, of, task, report, loaded=name, license=license, image=image)
        (part / "README.md").write_text(text, encoding="utf-8")
        if report is not None and (entries := eval_entries(report, task)):
            (part / ".eval_results").mkdir()
            (part / ".eval_results" / "pvzoo.yaml").write_text(_as_yaml(entries), encoding="utf-8")
    return folder


def _as_yaml(entries: list[EvalResultEntry]) -> str:
    import yaml
    from huggingface_hub import eval_result_entries_to_yaml

    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False))


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
    license: str | None = None,
    endpoint: bool = False,
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
        save(
            network,
            home,
            name=name,
            task=task,
            report=report,
            thresholds=thresholds,
            repo_id=repo_id,
            license=license,
        )
        if endpoint:
            write_endpoint(network, home)
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
