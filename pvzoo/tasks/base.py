"""The contract of a task: the type of its results and the options of `predict`.

A task does not depend on a network. It has three frozen dataclasses. Its ``result`` holds numpy
arrays and is derived from `pvzoo.results.base.Result`. Its ``controls`` are the keyword arguments
that change how outputs become a result. Its ``prompts`` are the keyword arguments that change the
network's *input*. Tables, JSON, drawing to files, the options of the command line and the signature
of a model's `predict` are made from these.

`docs/plugins.md` describes the whole contract, its version and how it may change; `pvzoo.testing`
checks it.
"""

from __future__ import annotations

import numbers
from abc import ABC
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

from pvzoo.errors import PvzooError, UsageError, nearest, short
from pvzoo.progress import Progress
from pvzoo.results.base import Result
from pvzoo.tiles.geometry import Given

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
    """The options of tasks that have none."""


class CommonOptions(TypedDict, total=False):
    """The options of `predict` that all tasks have, for type checkers.

    Each task of pvzoo adds the fields of its ``controls`` in a subclass, which the overloads of
    `pvzoo.predictor.Predictor` use. A plugin's task does not need a subclass.
    """

    tiles: Given | None
    batch_size: int
    progress: bool | Progress | None


class Task(ABC):
    """One task. Subclasses set the class attributes.

    Attributes:
        id: The Hub's name of the task, such as "object-detection".
        result: The dataclass of its results.
        controls: A frozen dataclass; its fields are keyword arguments of `predict` that the
            adapter's `postprocess` gets. Its ``__post_init__`` checks values and raises
            `UsageError`. The section "Attributes:" of its docstring is shown to users in
            ``help(model.predict)`` and in a demo.
        prompts: The same for keyword arguments that the adapter's `preprocess` gets.
        class_prompt: The prompt that sets the classes, if the networks have no classes of their
            own. `Model.evaluate` sets it to the classes of the data.
        evaluation: The options of `predict` with which its metrics are defined. The labels must be
            those of the task of ``result``.
        not_shown: Options that a demo leaves out, because they have no visible effect.
        main_metric: The value of `metric` by which `Model.fine_tune` chooses the best weights;
            higher is better. For multi-label data it is "map".
        more_columns: Columns that its labelled data may have in addition to those of `columns`.
        made_from: Tasks with labelled data that can be converted for this task, each with the
            function that converts it, as "package.module:function"; see
            `pvzoo.data.convert_task`.
        hub_tag: The Hub's tag of the task, if it is not the id.
        examples: Prompts of each kind to test an export with, for tasks whose prompts come with the
            images, such as points. Without them, its networks cannot be exported.
        training: Where its `pvzoo.training.targets.base.Training` is, as "package.module:Class".
            It is imported only for training. None if its networks cannot be trained.
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
    examples: ClassVar[Sequence[Mapping[str, Any]]] = ()
    training: ClassVar[str | None] = None

    def metric(self, match: LabelMatch) -> Metric:
        """The metric that computes the values of `Model.evaluate` from results and labels.

        Raises:
            UsageError: The task has no metric.
        """
        raise UsageError(f"{self.id} cannot be evaluated.", "Its plugin does not define a metric.")

    # --- labelled data, for `pvzoo.data`, `Model.evaluate` and `Model.fine_tune`; optional --------

    @property
    def has_columns(self) -> bool:
        """Whether this task has labelled data."""
        return type(self).columns is not Task.columns

    def columns(self, names: Sequence[str]) -> dict[str, Any]:
        """The columns of labelled data, for `datasets.Features`.

        The columns that all tasks have (``image``, ``image_id`` and ``file_name``) are not in it.

        Args:
            names: The names of the classes; empty for a task without classes.

        Raises:
            UsageError: The task has no labelled data.
        """
        raise UsageError(
            f"{self.id} has no labelled data.", "Its plugin does not define columns for it."
        )

    def fits(self, columns: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Whether a dataset with these columns and class names has labels for this task."""
        return all(columns.get(name) == kind for name, kind in self.columns(names).items())

    def find_columns(self, columns: Mapping[str, Any]) -> dict[str, str] | None:
        """Find the columns of this task in a dataset with other column names.

        Args:
            columns: The `datasets.Features` of the dataset.

        Returns:
            For ``image`` and each column of this task, its name in the dataset; None if a column is
            missing. pvzoo's own tasks leave this to `pvzoo.data.columns`.
        """
        return None

    def find_files(self, folder: Path) -> list[Split]:
        """The splits of a folder in a format of this task only; empty for any other folder.

        `pvzoo.data` itself reads common formats, such as COCO.
        """
        return []

    def check(self, parts: Sequence[CheckedSplit], notes: Notes) -> LabelCheck:
        """The check for errors in labelled data; the default only finds unreadable images."""
        from pvzoo.data.quality.tasks.base import LabelCheck

        return LabelCheck(parts, notes)

    def draw_labels(
        self, image: Image.Image, row: Mapping[str, Any], names: Sequence[str], size: Size
    ) -> Image.Image:
        """Draw the labels of a row on its image; the default returns the image unchanged.

        Args:
            image: Upright RGB, perhaps scaled down.
            row: A row of labelled data, images decoded or not; it may have errors.
            names: The names of the classes.
            size: (width, height) of the image before it was scaled down.

        Raises:
            DataError: A map of the labels cannot be read.
        """
        return image

    def options(
        self, given: Mapping[str, Any], labels: Sequence[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Split the keyword arguments of `predict` into (prompts, controls), checked and complete.

        In a control called ``classes``, class names are replaced by class ids.

        Raises:
            UsageError: The task does not have an argument, or a value is not allowed.
        """
        known = {f.name for f in (*fields(self.prompts), *fields(self.controls))}
        for name in given:
            if name not in known:
                raise UsageError(
                    f"{self.id} has no option {name!r}.",
                    nearest(name, known)
                    or (f"It has: {', '.join(sorted(known))}." if known else "It has no options."),
                )
        controls = _build(self.controls, given)
        if "classes" in controls:
            controls["classes"] = class_ids(controls["classes"], labels)
        return _build(self.prompts, given), controls

    def tried_prompts(self, labels: Sequence[str]) -> list[dict[str, Any]]:
        """Complete prompts to try an export with; an image gets them by its index, in turns."""
        return [self.options(prompts, labels)[0] for prompts in self.examples or ({},)]

    def with_prompts(self, prompts: Mapping[str, Any]) -> Task:
        """The same task for a network whose prompts are always the same: `predict` takes none.

        Args:
            prompts: Those of them that have no default, at least.

        Raises:
            UsageError: As `options`.
        """
        kind: Any = type(self)
        fixed, _ = self.options(prompts, ())

        class Fixed(kind):  # type: ignore[misc]
            prompts = NoOptions
            class_prompt = None
            evaluation: ClassVar[Mapping[str, Any]] = {
                name: value for name, value in kind.evaluation.items() if name not in fixed
            }

            def options(
                self, given: Mapping[str, Any], labels: Sequence[str]
            ) -> tuple[dict[str, Any], dict[str, Any]]:
                if told := [name for name in given if name in fixed]:
                    raise UsageError(
                        f"{told[0]} was fixed when the model was exported, at "
                        f"{short(fixed[told[0]])}.",
                        "Leave it out, or export the original again.",
                    )
                return dict(fixed), super().options(given, labels)[1]

        Fixed.__doc__, Fixed.__name__ = kind.__doc__, kind.__name__
        made: Task = Fixed()
        return made


def _build(options: type, given: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in fields(options)}
    try:
        built = options(**{k: v for k, v in given.items() if k in names})
    except PvzooError:
        raise
    except TypeError as error:
        raise UsageError(f"These options cannot be used: {error}.") from error
    return {f.name: getattr(built, f.name) for f in fields(built)}


def check_fraction(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is a number from 0 to 1."""
    if not (_is(value, numbers.Real) and 0 <= value <= 1):
        raise UsageError(f"{name} is {value!r}.", "Use a number from 0 to 1.")


def check_count(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is an integer of at least 1."""
    if not (_is(value, numbers.Integral) and value >= 1):
        raise UsageError(f"{name} is {value!r}.", "Use an integer of at least 1, or None.")


def check_flag(name: str, value: Any) -> None:
    """Raise a `UsageError` unless the value is True or False."""
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {value!r}.", "Use True or False.")


def _is(value: Any, kind: type) -> bool:
    """Whether a value is a number of this kind, also a numpy one; True and False are not."""
    return isinstance(value, kind) and not isinstance(value, bool)


def class_ids(classes: Sequence[str | int] | None, names: Sequence[str]) -> list[int] | None:
    """The ids of classes that are given by name or id; None stays None.

    Raises:
        UsageError: The model does not have a class; the message has the nearest names.
    """
    if classes is None:
        return None
    if not isinstance(classes, Iterable):
        raise UsageError(f"classes is {classes!r}.", "Use a list of class names and ids.")
    ids: set[int] = set()
    folded = [name.lower() for name in names]
    for wanted in classes:
        if isinstance(wanted, str):
            found = [i for i, name in enumerate(folded) if name and name == wanted.lower()]
        elif _is(wanted, numbers.Integral):
            found = [int(wanted)] if 0 <= wanted < len(names) and names[wanted] else []
        else:
            raise UsageError(f"{wanted!r} is not a class.", "Use class names and ids.")
        if not found:
            known = [name for name in names if name]
            hint = nearest(str(wanted), known) or f"It has {len(known)}, such as {known[:5]}."
            raise UsageError(f"The model has no class {wanted!r}.", hint)
        ids.update(found)
    return sorted(ids)
