"""`push`: publish labelled data on the Hub, with a dataset card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pvzoo.data.labels import splits
from pvzoo.data.schema import class_names, task_for
from pvzoo.errors import DataError, HubError

if TYPE_CHECKING:
    from datasets import Dataset

_LISTED = 50
"""Most classes that a card names."""


def push(
    data: Any,
    repo_id: str,
    *,
    private: bool | None = None,
    license: str | None = None,
) -> str:
    """Upload labelled data to a dataset repo of the Hub, as Parquet files with a dataset card.

    `pvzoo.data.load` and `datasets.load_dataset` read it by its name. The images are stored byte
    for byte.

    Args:
        data: Anything that `pvzoo.data.load` takes.
        repo_id: ``owner/name``; the repo is created if it does not exist.
        private: Whether a new repo is private; None for the owner's default.
        license: The licence of the data for its card, such as "cc-by-4.0".

    Returns:
        The address of the repo.

    Raises:
        DataError: The source is not labelled data, or has no images.
        HubError: The Hub cannot be reached, or refuses.
    """
    from datasets import DatasetDict
    from huggingface_hub import DatasetCard, HfApi, constants

    from pvzoo.data.load import load
    from pvzoo.hub.errors import Unreachable, explained

    parts = splits(load(data))
    if not any(map(len, parts.values())):
        raise DataError("The data has no images.", "Check where the images are.")
    named = DatasetDict({name or "train": part for name, part in parts.items()})
    task = task_for(next(iter(named.values())).features)
    try:
        with explained(repo_id):
            named.push_to_hub(repo_id, private=private)
            card = DatasetCard.load(repo_id)  # with the columns and the files of each split
            card.data.license = license
            card.data.task_categories = [task.hub_tag or task.id]
            card.data.tags = ["pvzoo"]
            card.text = _text(repo_id, task.id, named)
            HfApi().upload_file(
                path_or_fileobj=str(card).encode("utf-8"),
                path_in_repo="README.md",
                repo_id=repo_id,
                repo_type="dataset",
                commit_message="Dataset card",
            )
            return f"{constants.ENDPOINT}/datasets/{repo_id}"
    except Unreachable as error:
        raise HubError(
            f"{repo_id} was not uploaded: {error}.", "Try again; what is there is kept."
        ) from error


def _text(repo_id: str, task: str, parts: dict[str, Dataset]) -> str:
    classes = class_names(next(iter(parts.values())).features)
    rows = "\n".join(f"| {name} | {len(part):,} |" for name, part in parts.items())
    shown = ", ".join(classes[:_LISTED])
    if len(classes) > _LISTED:
        shown += f" and {len(classes) - _LISTED} more"
    return (
        f"# {repo_id.rpartition('/')[2]}\n\nLabelled images for {task}.\n\n"
        f"| split | images |\n| --- | --- |\n{rows}\n\n"
        f"{len(classes)} classes: {shown}.\n\n## Use\n\n"
        f'```python\nimport pvzoo\n\ndata = pvzoo.data.load("{repo_id}")\n```\n'
    )
