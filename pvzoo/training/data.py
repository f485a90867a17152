"""Load and check the data that a run is trained and evaluated on, and find its classes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pvzoo.data.columns import canonical
from pvzoo.data.load import load
from pvzoo.data.quality.check import check_loaded
from pvzoo.data.quality.report import Finding
from pvzoo.data.quality.rules import LEAK
from pvzoo.data.schema import class_names
from pvzoo.errors import DataError, PvzooWarning
from pvzoo.metrics.class_match import LabelMatch
from pvzoo.networks.base import Network, TargetClasses
from pvzoo.plugins.calls import calling
from pvzoo.processes import joined
from pvzoo.training.targets.base import Training

if TYPE_CHECKING:
    from datasets import Dataset


def datasets_of(train: Any, evaluation: Any, task: str) -> tuple[Dataset, Dataset | None]:
    """The datasets for training and evaluation; both from `train` if `evaluation` is None."""
    data = load(train, task)
    if isinstance(data, Mapping):
        if "train" not in data and len(data) > 1:
            raise DataError(
                f"The data has the splits {', '.join(data)}, and none is called 'train'.",
                "Pass the split to train on.",
            )
        chosen = data["train"] if "train" in data else next(iter(data.values()))
        if evaluation is None:
            return chosen, data.get("validation") if "train" in data else None
        data = chosen
    if evaluation is not None:
        evaluation = load(evaluation, task)
        if isinstance(evaluation, Mapping):
            known = [n for n in ("validation", "test") if n in evaluation] or list(evaluation)
            evaluation = evaluation[known[0]]
    return data, evaluation


def check_data(train_set: Dataset, eval_set: Dataset | None, *, one_source: bool) -> None:
    """Raise an error if the data has errors, and warn of its other problems.

    Only the main process checks.

    Args:
        train_set: The training data.
        eval_set: The evaluation data, or None.
        one_source: Whether both are splits of the same data; this changes the hint.

    Raises:
        DataError: The data has errors. The message names images that are in both sets.
    """
    if not joined().is_main_process:
        return
    from datasets import DatasetDict

    splits = {"train": train_set} | ({"validation": eval_set} if eval_set is not None else {})
    # `canonical` refuses splits with different classes
    report = check_loaded(canonical(DatasetDict(splits)))
    for finding in report.errors:
        if finding.rule == LEAK.name:
            raise _leak(finding, one_source)
    report.raise_for_errors()
    for finding in report.warnings:
        where = "; ".join(finding.where)
        warnings.warn(f"{finding.what} ({where}) {finding.fix}", PvzooWarning, stacklevel=4)


def _leak(finding: Finding, one_source: bool) -> DataError:
    more = finding.count - len(finding.where)
    named = "; ".join([*finding.where, *([f"and {more:,} more"] if more else [])])
    count = f"{finding.count:,} image{'s are' if finding.count > 1 else ' is'}"
    both = "data" if one_source else "datasets.DatasetDict(train=train, validation=eval)"
    return DataError(
        f"{count} in the training data and in the validation data: {named}. The figures would be "
        "too good.",
        f"Leave these images out of the training data, as pvzoo.data.fix({both}) does"
        + (" (pvzoo check DATA --fix FOLDER)" if one_source else "")
        + ", or pass other data as eval.",
    )


def classes_of(train_set: Dataset, network: Network, training: Training) -> TargetClasses:
    """The classes of the data, and which of them the model already knows.

    Raises:
        DataError: A model cannot learn the task from these classes.
    """
    names, multi_label = class_names(train_set.features), "labels" in train_set.features
    with calling(training, "fault_of"):
        fault = training.fault_of(names, multi_label=multi_label)
    if fault is not None:
        raise fault
    return TargetClasses(
        names=names,
        kept=_kept(network, names),
        stuff=_stuff(train_set),
        multi_label=multi_label,
    )


def _kept(network: Network, names: tuple[str, ...]) -> tuple[int | None, ...]:
    """For each class of the data: the model's class of the same name, or None."""
    try:
        to_data = LabelMatch.of(network.spec.labels, names).to_data
    except DataError:  # no class is in both
        return (None,) * len(names)
    found = {j: i for i, j in enumerate(to_data) if j >= 0}
    return tuple(found.get(j) for j in range(len(names)))


def _stuff(train_set: Dataset) -> tuple[str, ...]:
    """The classes of a panoptic dataset that are stuff."""
    segments = train_set.features.get("segments")
    if not isinstance(segments, dict) or "isthing" not in segments:
        return ()
    names = class_names(train_set.features)
    found = set()
    for row in train_set.select_columns(["segments"]):
        part = row["segments"]
        found |= {
            c for c, thing in zip(part["category"], part["isthing"], strict=True) if not thing
        }
    return tuple(names[c] for c in sorted(found) if c >= 0)
