"""Convert the Hub's usual columns to the canonical columns of `pvzoo.data.schema`.

| task | columns beside the image |
| --- | --- |
| image-classification | `label`, or the only column that names a class: ClassLabel, whole numbers or text; a list of these is multi-label |
| object-detection | `objects`, a struct of lists or a list of structs, with `bbox` (left, top, width, height in pixels) and `category`; or `bbox` and `category` as columns of lists |
| instance-segmentation | the same with `segmentation`: polygons or run-length codes as in COCO; or a coloured `annotation` with the class in red and the instance in green, 0 for no instance |
| semantic-segmentation | a second image `annotation`, `label`, `mask` ... of class ids |
| panoptic-segmentation | a second image `label`, `annotation` ... of segment ids, and `segments_info`, with `id` and `category_id` |

Images are neither decoded nor copied; labels are rewritten once for each state of the dataset.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.data import derive
from pvzoo.data.columns.channels import instances
from pvzoo.data.columns.classes import Naming
from pvzoo.data.columns.classification import classification
from pvzoo.data.columns.objects import objects
from pvzoo.data.columns.rows import take
from pvzoo.data.columns.segments import panoptic, semantic
from pvzoo.data.columns.source import TaskColumns
from pvzoo.data.columns.values import CLASS_TO_ID
from pvzoo.data.files import listing
from pvzoo.data.schema import PANOPTIC, SEMANTIC, class_names, labelled, task_of
from pvzoo.errors import DataError, UsageError
from pvzoo.plugins.calls import calling

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict


def canonical(
    dataset: Dataset | IterableDataset | DatasetDict | IterableDatasetDict,
    task: str | None = None,
    *,
    split: str | None = None,
    names: Sequence[str] | None = None,
    reduce_labels: bool = False,
) -> Dataset | DatasetDict:
    """Convert a dataset in the Hub's usual columns to a canonical one.

    A dataset that is already canonical is returned as it is, or converted by `convert_task`. A
    stream is written to a file that lasts as long as the process. Class ids out of range and
    impossible boxes are kept, so that the check can find them.

    Args:
        dataset: The dataset. All splits of a dictionary get the same classes, those of all splits
            together.
        task: The task to convert to; by default the task that the columns belong to.
        split: The only split of a dictionary to return. It still gets the classes of all splits.
            The other splits are not read if the columns name their classes; otherwise only their
            labels are.
        names: Class names in the order of the class ids, for labels that are only numbers.
        reduce_labels: For maps in which 0 is void and k is the k-th class, as in ADE20K.

    Raises:
        DataError: The columns have no known form or several, or a row does not fit the form.
        UsageError: `split`, `names` or `reduce_labels` does not fit the dataset.
    """
    from datasets import DatasetDict, IterableDataset, IterableDatasetDict

    own = labelled(task) if task is not None else None
    task = own.id if own else None
    is_split = isinstance(dataset, DatasetDict | IterableDatasetDict)
    given: dict[str, Any] = {**dataset} if is_split else {"": dataset}
    if not given:
        raise DataError("The dataset has no splits.", "Check how it was loaded.")
    if split is not None and (split not in given or not is_split):
        hint = f"It has {listing(given)}." if is_split else "It has no splits: leave split out."
        raise UsageError(f"The dataset has no split {split!r}.", hint)
    wanted = list(given) if split is None else [split]
    everything: dict[str, Dataset | IterableDataset] = {}
    for name, part in given.items():
        if not isinstance(part, IterableDataset):
            part = part.with_format(None)
        elif name in wanted or part.features is None:  # else its columns are known
            part = derive.hold(part)
        everything[name] = part
    parts = {name: everything[name] for name in wanted}
    found = task_of(parts[wanted[0]].features)
    columns = None
    if own and found is None:
        with calling(own, "find_columns"):
            columns = own.find_columns(parts[wanted[0]].features)
    if own and columns is not None:
        found, parts = own.id, take(parts, columns, own.id)
    elif found is None:
        found, parts = _build(parts, everything, task, names, reduce_labels)
    else:
        _check(everything, found, names, reduce_labels)
    result = DatasetDict(parts) if is_split and split is None else parts[wanted[0]]
    if task in (None, found):
        return result
    from pvzoo.data.convert_task import convert_task

    return convert_task(result, task)


def _check(
    parts: dict[str, Dataset | IterableDataset],
    task: str,
    names: Sequence[str] | None,
    reduce_labels: bool,
) -> None:
    """Refuse arguments that have no meaning for canonical datasets, and unequal splits."""
    if names is not None or reduce_labels:
        raise UsageError(
            "The dataset has pvzoo's own columns: names and reduce_labels do not apply.",
            "Leave them out.",
        )
    first = next(iter(parts.values()))
    for name, part in parts.items():
        same = task_of(part.features) == task
        if not same or class_names(part.features) != class_names(first.features):
            raise DataError(
                f"The split {name!r} has another task or other classes than the first split.",
                "Load the splits together.",
            )


def _build(
    parts: dict[str, Dataset],
    everything: dict[str, Dataset | IterableDataset],
    task: str | None,
    names: Sequence[str] | None,
    reduce_labels: bool,
) -> tuple[str, dict[str, Dataset]]:
    """The task that the columns belong to, and the canonical dataset of each of `parts`."""
    first = next((part for part in parts.values() if len(part)), next(iter(parts.values())))
    source = TaskColumns.of(first, task)
    for name, part in everything.items():
        for column in source.columns:
            if part.features.get(column) != first.features[column]:
                raise DataError(
                    f"The split {name!r} lacks the column {column!r}, or has it with another type: "
                    f"{part.features.get(column)}.",
                    f"Make its type {first.features[column]}.",
                )
    if reduce_labels and (source.map is None or source.task == PANOPTIC):
        raise UsageError(
            "reduce_labels is only for maps of classes, and the dataset has none.", "Leave it out."
        )
    others = [part for name, part in everything.items() if name not in parts]
    naming = Naming(parts.values(), others, [*source.naming, CLASS_TO_ID])
    if source.label is not None:
        return source.task, classification(parts, naming, source, source.label, names)
    if source.records is not None:
        of_records = objects if source.map is None else panoptic
        return source.task, of_records(parts, naming, source, source.records, names)
    assert source.map is not None  # one of the three exists
    of_map = semantic if source.task == SEMANTIC else instances
    return source.task, of_map(parts, naming, source, source.map, names, reduce_labels)
