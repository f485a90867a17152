"""The one form that labelled data of each task takes: the columns of a `datasets.Dataset`.

Every reader writes these columns; the check, `evaluate` and `fine_tune` read no others.

| column | type | meaning |
| --- | --- | --- |
| `image` | Image | the picture, encoded; decoded (and turned upright by its EXIF) on access |
| `image_id` | int64 | unique in its split |
| `file_name` | string | the path relative to the source's root, with slashes; a made-up name such as `000012.png` for an image that never was a file |

image-classification

| `label` | ClassLabel | the class |
| `labels` | List(ClassLabel) | in the place of `label`, for data with several classes an image |

object-detection and instance-segmentation

| `width`, `height` | int32 | of the image as its annotator saw it, in pixels; what the labels say where they say it, else of the upright image |
| `objects` | struct of lists of equal length | one entry an object; empty lists for an image without objects |
| `objects.id` | int64 | unique in its split |
| `objects.bbox` | 4 float64 | COCO's left, top, width, height in pixels; the top left corner of the image is (0, 0) |
| `objects.category` | ClassLabel | the class |
| `objects.area` | float64 | pixels, as COCO uses it to tell small from large objects |
| `objects.iscrowd` | bool | COCO's crowd: a region with several objects of the class, none of them told apart |
| `objects.ignore` | bool | an object that is neither asked for nor an error when found, such as VOC's `difficult` |
| `objects.segmentation` | struct size, counts | instance-segmentation only: COCO's compressed run-length code, `size` is (height, width) |

semantic-segmentation and panoptic-segmentation

| `annotation` | Image | a map of the size of the image; a panoptic map's values are R + 256 G + 65536 B when it is RGB |
| `segments` | struct of lists of equal length | what the values of the map mean |
| `segments.id` | int64 | a value of the map |
| `segments.category` | ClassLabel | the class it stands for; -1 for void, which is neither trained nor evaluated |
| `segments.isthing` | bool | panoptic only: whether its class is countable |
| `segments.iscrowd` | bool | panoptic only: COCO's crowd |
| `areas` | List(int64) | panoptic only, and only of COCO's files: the pixels that each segment is said to have, for the check |

In a semantic dataset `segments` lists the values of every class, in each row the same; the value
255 is void unless it is listed. In a panoptic one it lists the segments of the image, and 0 is
void. A value of the map that is neither listed nor void is a mistake, which the check reports.

The ids of a ClassLabel column are the place of the class in its ``names``. Labels with mistakes are
kept as they are, so that the check can name them: a class id out of range is an integer that is no
place in ``names``, and a box may lie anywhere.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pvzoo.errors import DataError

if TYPE_CHECKING:
    from datasets import ClassLabel, Features

CLASSIFICATION = "image-classification"
DETECTION = "object-detection"
INSTANCE = "instance-segmentation"
SEMANTIC = "semantic-segmentation"
PANOPTIC = "panoptic-segmentation"
TASKS = (CLASSIFICATION, DETECTION, INSTANCE, SEMANTIC, PANOPTIC)

VOID = -1
"""The category of what is neither trained nor evaluated."""

VOID_NAMES = frozenset({"void", "unlabeled", "unlabelled", "ignore", "__ignore__"})
"""Lower-case names of classes that are void."""

SEMANTIC_VOID = 255
"""The value of a semantic map that is void unless `segments` says otherwise."""


def features(task: str, names: Sequence[str], *, multi_label: bool = False) -> Features:
    """The columns of a task's dataset whose classes are `names`."""
    from datasets import ClassLabel, Features, Image, List, Value

    if len(set(names)) < len(names):
        twice = sorted({n for n in names if list(names).count(n) > 1})
        raise DataError(f"Two classes have the same name: {twice[0]!r}.", "Rename one of them.")
    label = ClassLabel(names=list(names))
    columns: dict[str, Any] = {
        "image": Image(),
        "image_id": Value("int64"),
        "file_name": Value("string"),
    }
    if task == CLASSIFICATION:
        columns |= {"labels": List(label)} if multi_label else {"label": label}
    elif task in (DETECTION, INSTANCE):
        objects = {
            "id": List(Value("int64")),
            "bbox": List(List(Value("float64"), length=4)),
            "category": List(label),
            "area": List(Value("float64")),
            "iscrowd": List(Value("bool")),
            "ignore": List(Value("bool")),
        }
        if task == INSTANCE:
            code = {"size": List(Value("int32"), length=2), "counts": Value("string")}
            objects["segmentation"] = List(code)
        columns |= {"width": Value("int32"), "height": Value("int32"), "objects": objects}
    elif task in (SEMANTIC, PANOPTIC):
        segments = {"id": List(Value("int64")), "category": List(label)}
        if task == PANOPTIC:
            segments |= {"isthing": List(Value("bool")), "iscrowd": List(Value("bool"))}
        columns |= {"annotation": Image(), "segments": segments}
    else:
        raise DataError(
            f"No columns are known for the task {task!r}.", f"Known: {', '.join(TASKS)}."
        )
    return Features(columns)


def task_of(columns: Any) -> str | None:
    """The task whose columns these `datasets.Features` are, or None."""
    if not columns or not {"image", "image_id", "file_name"} <= set(columns):
        return None
    for task in TASKS:
        for multi_label in (False, True):
            try:
                wanted = features(task, _label(columns).names, multi_label=multi_label)
            except (DataError, StopIteration):
                return None
            if set(wanted) <= set(columns) and all(columns[k] == wanted[k] for k in wanted):
                return task
    return None


def class_names(columns: Any) -> tuple[str, ...]:
    """The class names of a dataset in one of the forms above, given its `datasets.Features`."""
    return tuple(_label(columns).names)


def _label(columns: Any) -> ClassLabel:
    """The ClassLabel of a dataset, wherever its task has it."""
    from datasets import ClassLabel, List

    spots = [columns.get("label"), columns.get("labels")]
    spots += [
        columns[k].get("category")
        for k in ("objects", "segments")
        if isinstance(columns.get(k), dict)
    ]
    spots = [s.feature if isinstance(s, List) else s for s in spots]
    return next(s for s in spots if isinstance(s, ClassLabel))
