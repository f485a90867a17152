"""The contract of a task: the type of its results and what `predict` lets one choose.

A task knows no network. Its result is a frozen dataclass of numpy arrays, derived from
`pvzoo.results.base.Result`; its ``controls`` is a frozen dataclass of the keyword arguments that
change how outputs are turned into a result; its ``prompts`` is one of those that change the
network's *input*. Tables, JSON, drawing to files, the options of the command line and the signature
of a model's `predict` follow from these.

`docs/plugins.md` has the whole contract, its version and how it may change; `pvzoo.testing` checks
it.
"""

from __future__ import annotations

import numbers
from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from pvzoo.errors import PvzooError, UsageError, nearest
from pvzoo.progress import Progress
from pvzoo.results.base import Result

if TYPE_CHECKING:
    from PIL import Image

    from pvzoo.data.files import Split
    from pvzoo.data.quality.report import Notes, Size
    from pvzoo.data.quality.splits import CheckedSplit
    from pvzoo.data.quality.tasks.base import LabelCheck
    from pvzoo.metrics.base import Metric
    from pvzoo.metrics.class_match import LabelMatch


@dataclass(frozen=True)
class NoOptions:
    """For tasks without any."""


class CommonOptions(TypedDict, total=False):
    """The options of `predict` that all tasks have, for type checkers.

    A task of pvzoo adds the fields of its ``controls`` in a class of its own, which the overloads
    of `pvzoo.predictor.Predictor` name. A plugin's task needs none.
    """

    batch_size: int
    progress: bool | Progress | None


class Task(ABC):
    """One task. Subclasses set the class attributes.

    Attributes:
        id: The Hub's own word for the task, such as "object-detection".
        result: The dataclass of its results.
        controls: A frozen dataclass; its fields are keyword arguments of `predict` that the
            adapter's `postprocess` gets. Its ``__post_init__`` checks values with `UsageError`. The
            section "Attributes:" of its docstring is what users read of them in
            ``help(model.predict)`` and in a demo.
        prompts: Likewise for keyword arguments that the adapter's `preprocess` gets.
        class_prompt: The prompt that says which classes there are, if the networks have none of
            their own. `Model.evaluate` fills it with the classes of the data.
        evaluation: The options of `predict` that its figures are defined with. Labels to measure
            by are those of the task of ``result``.
        not_shown: Options that a demo leaves out, for they change nothing that can be seen.
        main_metric: The figure of `metric` by which `Model.fine_tune` chooses the best weights, the
            higher the better. Multi-label data has "map".
        more_columns: Columns that its labelled data may have beside those of `columns`.
        made_from: Tasks whose labelled data can be made into that of this one, each with the
            function that does it, as "package.module:function"; see `pvzoo.data.convert_task`.
        hub_tag: What the Hub calls the task, where that is not its id.
        training: Where its `pvzoo.training.targets.base.Training` is, as "package.module:Class",
            imported only to train; None if its networks cannot be trained.
    """

    id: ClassVar[str]
    result: ClassVar[type[Result]]
    controls: ClassVar[type] = NoOptions
    prompts: ClassVar[type] = NoOptions
    class_prompt: ClassVar[str | None] = None
    evaluation: ClassVar[Mapping[str, Any]] = {}
    not_shown: ClassVar[tuple[str, ...]] = ()
    main_metric: ClassVar[str | None] = None
    more_columns: ClassVar[tuple[str, ...]] = ()
    made_from: ClassVar[Mapping[str, str]] = {}
    hub_tag: ClassVar[str | None] = None
    training: ClassVar[str | None] = None

    def metric(self, match: LabelMatch) -> Metric:
        """What makes the figures of `Model.evaluate` out of results and labels.

        Raises:
            UsageError: The task has none.
        """
        raise UsageError(f"{self.id} has no evaluation.", "Its plugin brings none.")

    # --- labelled data, for `pvzoo.data`, `Model.evaluate` and `Model.fine_tune`; optional --------

    @property
    def has_columns(self) -> bool:
        """Whether there is labelled data of this task."""
        return type(self).columns is not Task.columns

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """The columns of labelled data, for `datasets.Features`.

        Those that every task has, ``image``, ``image_id`` and ``file_name``, are not among them.

        Args:
            names: Of the classes; empty for a task without classes.

        Raises:
            UsageError: The task has no labelled data.
        """
        raise UsageError(f"{self.id} has no labelled data.", "Its plugin says no columns for it.")

    def fits(self, columns: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Whether a dataset with these columns, and classes of these names, is of this task."""
        return all(columns.get(name) == kind for name, kind in self.columns(names).items())

    def find_columns(self, columns: Mapping[str, Any]) -> dict[str, str] | None:
        """Which columns of somebody's dataset are those of this task.

        Args:
            columns: The `datasets.Features` of the dataset.

        Returns:
            For ``image`` and each column of `columns` the name that it has there; None if they are
            not there. pvzoo's own tasks leave this to `pvzoo.data.columns`.
        """
        return None

    def find_files(self, folder: Path) -> list[Split]:
        """The splits of a folder in a form that only this task has; empty for any other folder.

        Common formats, such as COCO, are read by `pvzoo.data` itself.
        """
        return []

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """What looks for mistakes in labelled data; by default none but unreadable images."""
        from pvzoo.data.quality.tasks.base import LabelCheck

        return LabelCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """An image with the labels of its row on it; by default as it is.

        Args:
            image: Upright RGB, perhaps scaled down.
            row: Of labelled data, images decoded or not; it may have mistakes.
            names: Of the classes.
            size: (width, height) of the image before it was scaled down.

        Raises:
            DataError: A map of the labels cannot be read.
        """
        return image

    def options(
        self, given: Mapping[str, Any], labels: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Sort the keyword arguments of `predict` into (prompts, controls), checked and complete.

        A control called ``classes`` is turned from names and ids of classes into ids.

        Raises:
            UsageError: An argument this task does not have, or an impossible value.
        """
        known = {f.name for f in (*fields(self.prompts), *fields(self.controls))}
        for name in given:
            if name not in known:
                raise UsageError(
                    f"{self.id} has no option {name!r}.",
                    nearest(name, known) or f"It has: {', '.join(sorted(known))}.",
                )
        controls = _build(self.controls, given)
        if "classes" in controls:
            controls["classes"] = class_ids(controls["classes"], labels)
        return _build(self.prompts, given), controls


def _build(options: type, given: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(options)}
    try:
        built = options(**{k: v for k, v in given.items() if k in names})
    except PvzooError:
        raise
    except TypeError as error:
        raise UsageError(f"Bad options: {error}.") from error
    return {f.name: getattr(built, f.name) for f in fields(built)}


def check_fraction(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is a number from 0 to 1."""
    if not (_is(value, numbers.Real) and 0 <= value <= 1):
        raise UsageError(f"{name} is {value!r}.", "It is a number from 0 to 1.")


def check_count(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is a whole number from 1."""
    if not (_is(value, numbers.Integral) and value >= 1):
        raise UsageError(f"{name} is {value!r}.", "It is a whole number from 1, or None.")


def check_flag(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}.", "It is True or False.")


def _is(value: Any, kind: type) -> bool:
    """Whether it is such a number, also one of numpy's; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool)


def class_ids(classes: Sequence[str | int] | None, names: Sequence[str]) -> list[int] | None:
    """Names and ids of classes as ids, each of which names a class; None stays None.

    Raises:
        UsageError: A class the model does not have; the message has the nearest names.
    """
    if classes is None:
        return None
    if not isinstance(classes, Iterable):
        raise UsageError(f"classes is {classes!r}.", "It is a list of names and ids.")
    ids: set[int] = set()
    folded = [name.lower() for name in names]
    for wanted in classes:
        if isinstance(wanted, str):
            found = [i for i, name in enumerate(folded) if name and name == wanted.lower()]
        elif _is(wanted, numbers.Integral):
            found = [int(wanted)] if 0 <= wanted < len(names) and names[wanted] else []
        else:
            raise UsageError(f"{wanted!r} is no class.", "Give names and ids of classes.")
        if not found:
            known = [name for name in names if name]
            hint = nearest(str(wanted), known) or f"It has {len(known)}, such as {known[:5]}."
            raise UsageError(f"The model has no class {wanted!r}.", hint)
        ids.update(found)
    return sorted(ids)
