"""The canonical form of labelled data: the columns of a `datasets.Dataset` for each task.

Every reader writes these columns; the check, `evaluate` and `fine_tune` read no other columns. A
task defines its own columns (`pvzoo.tasks.base.Task.columns`); pvzoo's tasks have these.

| column | type | meaning |
| --- | --- | --- |
| `image` | Image | the image, encoded; decoded (and turned upright by its EXIF) on access |
| `image_id` | int64 | unique in its split |
| `file_name` | string | the path relative to the source's root, with slashes; a made-up name such as `000012.png` for an image that was never a file |

image-classification

| `label` | ClassLabel | the class |
| `labels` | List(ClassLabel) | instead of `label`, for data with several classes per image |

object-detection and instance-segmentation

| `width`, `height` | int32 | size of the image as its annotator saw it, in pixels: from the labels if they have it, else from the upright image |
| `objects` | struct of lists of equal length | one entry per object; empty lists for an image without objects |
| `objects.id` | int64 | unique in its split |
| `objects.bbox` | 4 float64 | COCO's left, top, width, height in pixels; the top left corner of the image is (0, 0) |
| `objects.category` | ClassLabel | the class |
| `objects.area` | float64 | pixels, as COCO uses it to tell small from large objects |
| `objects.iscrowd` | bool | COCO's crowd: a region with several objects of the class that are not separated |
| `objects.ignore` | bool | an object that a model need not find, and that is no error if it does, such as VOC's `difficult` |
| `objects.segmentation` | struct size, counts | instance-segmentation only: COCO's compressed run-length code, `size` is (height, width) |

semantic-segmentation and panoptic-segmentation

| `annotation` | Image | a map with the size of the image; the values of a panoptic map in RGB are R + 256 G + 65536 B |
| `segments` | struct of lists of equal length | what the values of the map mean |
| `segments.id` | int64 | a value of the map |
| `segments.category` | ClassLabel | the class it stands for; -1 for void, which is neither trained nor evaluated |
| `segments.isthing` | bool | panoptic only: whether its class is countable |
| `segments.iscrowd` | bool | panoptic only: COCO's crowd |
| `areas` | List(int64) | panoptic only, and only from COCO's files: the area in pixels that the file has for each segment, for the check |

In a semantic dataset, `segments` lists the values of all classes and is the same in every row; the
value 255 is void unless it is listed. In a panoptic dataset, `segments` lists the segments of the
image, and 0 is void. A value of the map that is neither listed nor void is a mistake, which the
check reports.

The classes of a plugin's task are found in the same places: a column ``label`` or ``labels``, or
the ``category`` of a column that is a struct.

The ids in a ClassLabel column are indices of its ``names``. Labels with mistakes are kept as they
are, so that the check can report them: a class id may be out of the range of ``names``, and a box
may lie anywhere.
"""  # noqa: E501

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.errors import DataError, PluginError, PvzooWarning, UsageError
from pvzoo.plugins import registry
from pvzoo.plugins.calls import calling

if TYPE_CHECKING:
    from datasets import ClassLabel, Features

    from pvzoo.tasks.base import Task

CLASSIFICATION = "image-classification"
DETECTION = "object-detection"
INSTANCE = "instance-segmentation"
SEMANTIC = "semantic-segmentation"
PANOPTIC = "panoptic-segmentation"

VOID = -1
"""The category of pixels and segments that are neither trained nor evaluated."""

VOID_NAMES = frozenset({"void", "unlabeled", "unlabelled", "ignore", "__ignore__"})
"""Lower-case names of classes that are void."""

SEMANTIC_VOID = 255
"""The value of a semantic map that is void unless `segments` says otherwise."""


def labelled(task: str) -> Task:
    """The task with this id, or with an id that contains these words; it has labelled data.

    Raises:
        UsageError: There is no such task, or it has no columns of labelled data.
    """
    task = registry.task_id(task)
    found: Task = registry.get("tasks", task)()
    if found.has_columns:
        return found
    if found.result.task != task:
        raise UsageError(
            f"{task} has no labelled data of its own.",
            f"Use labelled data of {found.result.task}.",
        )
    raise UsageError(f"{task} has no labelled data.", "Its plugin defines no columns for it.")


def labelled_tasks() -> Iterator[Task]:
    """The tasks with columns of labelled data, pvzoo's own first; broken plugins are skipped."""
    for part in registry.parts("tasks"):
        try:
            task: Task = registry.load_part(part)()
        except PluginError:
            continue
        if task.has_columns:
            yield task


def features(task: str, names: Sequence[str] = (), *, multi_label: bool = False) -> Features:
    """The columns of a dataset of a task with the classes `names`.

    Args:
        task: The id of the task, or some words of it.
        names: The class names; empty for a task without classes.
        multi_label: For classification: whether an image can have several classes.

    Raises:
        DataError: Two classes have the same name.
        UsageError: There is no such task.
    """
    from datasets import Features

    if len(set(names)) < len(names):
        twice = sorted({n for n in names if list(names).count(n) > 1})
        raise DataError(f"Two classes have the same name: {twice[0]!r}.", "Rename one of them.")
    found: Any = labelled(task)
    with calling(found, "columns"):
        own = found.columns(names, multi_label=True) if multi_label else found.columns(names)
        columns = Features(_head() | own)
        _ = columns.arrow_schema  # it refuses what is not a type of a column
        return columns


def _head() -> dict[str, Any]:
    from datasets import Image, Value

    return {"image": Image(), "image_id": Value("int64"), "file_name": Value("string")}


def task_of(columns: Any) -> str | None:
    """The task whose columns these `datasets.Features` are, or None."""
    if not columns or any(columns.get(name) != kind for name, kind in _head().items()):
        return None
    names = class_names(columns)
    return next((task.id for task in labelled_tasks() if _fits(task, columns, names)), None)


def _fits(task: Task, columns: Any, names: Sequence[str]) -> bool:
    """Whether columns are those of a task; not if the code of its plugin fails."""
    try:
        with calling(task, "columns"):
            return task.fits(columns, names)
    except PluginError as error:
        warnings.warn(f"{error.what} The task was left out.", PvzooWarning, stacklevel=2)
        return False


def task_for(columns: Any) -> Task:
    """The task whose columns these `datasets.Features` are.

    Raises:
        DataError: No task has these columns.
    """
    task = task_of(columns)
    if task is None:
        raise DataError(
            "The dataset does not have the columns of one task.",
            "Make it canonical: pvzoo.data.load(dataset).",
        )
    return labelled(task)


def label_columns(columns: Any) -> list[str]:
    """The columns of a canonical dataset with labels, except maps, and with the file names."""
    from datasets import Image

    task = task_for(columns)
    own = {"file_name", *task.columns(class_names(columns)), *task.more_columns}
    return [name for name, kind in columns.items() if name in own and not isinstance(kind, Image)]


def class_names(columns: Any) -> tuple[str, ...]:
    """The class names of a canonical dataset, given its `datasets.Features`.

    Empty for tasks without classes.
    """
    label = _label(columns)
    return tuple(label.names) if label else ()


def _label(columns: Any) -> ClassLabel | None:
    """The ClassLabel of a dataset: of ``label``, ``labels``, or the ``category`` of a struct."""
    from datasets import ClassLabel, List

    spots = [columns.get("label"), columns.get("labels")]
    spots += [kind.get("category") for kind in columns.values() if isinstance(kind, dict)]
    spots = [s.feature if isinstance(s, List) else s for s in spots]
    return next((s for s in spots if isinstance(s, ClassLabel)), None)
